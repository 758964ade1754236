"""Checks of notebook 01: images and masks as the networks want them."""

import numpy as np
import torch

from rcae_lite.exercises.registry import Attempt, exercise, kind_of


@exercise(
    "01.to_tensor",
    "easy",
    range="the values still reach to 255: divide by 255",
    layout="the colours are still last: PyTorch wants (3, H, W), so permute the axes",
    transposed="height and width are swapped: the image lies on its side",
    reshaped="the numbers are in the order of the file: `reshape` only renames axes, permute moves",
    stretched="you divided by the image's own maximum, so a dark image and a bright one look alike",
    precision="the values are right, but float64; networks work in float32",
)
def to_tensor(attempt: Attempt) -> None:
    """Turn a uint8 image (H, W, 3) into a float32 tensor (3, H, W) in [0, 1]."""
    height, width = attempt.integer(4, 7), attempt.integer(8, 11)
    image = attempt.random.integers(0, 200, (height, width, 3), dtype=np.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1).float()
    attempt.compare(
        attempt.call(image.copy()),
        planes / 255,
        range=(planes, planes.byte()),
        layout=torch.from_numpy(image).float() / 255,
        transposed=planes.transpose(1, 2) / 255,
        reshaped=torch.from_numpy(image).reshape(3, height, width).float() / 255,
        stretched=planes / planes.max(),
        precision=planes.double() / 255,
    )


@exercise(
    "01.mask",
    "medium",
    grown="the mask grew: a pixel that is a little defective became True. Bilinear, then bool?",
    shrunk="the mask shrank: a pixel that is not wholly defective became False. Rounded down?",
    mixed="pixels were averaged: nearest takes one pixel out of every block and asks no other",
    grey="a mask is True or False, expected bool of {expected}, got {got}",
)
def mask(attempt: Attempt) -> None:
    """Shrink a mask (H, W) bool to (size, size) with nearest, so that it stays a mask."""
    block, size = attempt.integer(3, 5), 24
    native = attempt.uniform(block * size, block * size) < 0.5
    got = attempt.call(native.clone(), size)
    expected = f"({size}, {size})"
    attempt.expect(
        kind_of(got) == f"a tensor of bool {expected}", "grey", expected=expected, got=kind_of(got)
    )
    taken = [native[y::block, x::block] for y in range(block) for x in range(block)]
    if any(torch.equal(got, one) for one in taken):
        return
    share = got.float().mean()
    attempt.refuse("grown" if share > 0.7 else "shrunk" if share < 0.3 else "mixed")


@exercise(
    "01.foreground",
    "easy",
    half="only values above the middle count: but VisA's masks hold 1, 2, 3 ... and look black",
    full="only 255 counts; other classes are defects, too",
    one="only 1 counts; other classes are defects, too",
    highest="only the highest class counts; lower ones are defects, too",
    background="that is the background: the other way round",
)
def foreground(attempt: Attempt) -> None:
    """Turn a mask of class ids (H, W) uint8 into True where there is any defect."""
    ids = torch.as_tensor(attempt.random.choice([0, 0, 0, 1, 2, 3, 200, 250], (9, 12))).byte()
    ids[0, :6] = torch.tensor([0, 1, 2, 3, 200, 250])
    attempt.compare(
        attempt.call(ids.clone()),
        ids.bool(),
        half=(ids > 127, ids > 128),
        full=ids == 255,
        one=ids == 1,
        highest=ids == ids.max(),
        background=ids == 0,
    )
