"""Draw docs/img/trajectory.png: a defect on its way through the recursion, beside two controls.

    python benchmarks/readme_picture.py

The detectors are those that ship with the kit. The image is chosen by rule: of the most frequent
kind of defect in the test set, the one with the median score. Rows: RcAE, RcAE with DPN, the
single-pass autoencoder, and plain resizing without any network; below each row, the defect at three
times its size.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from torch import Tensor

from data_utils import ImageSet, open_category
from rcae_lite import RcAEDetector, SinglePassDetector, load_example
from rcae_lite.baselines import resize_trajectory
from rcae_lite.plotting.style import NotebookFigure, bare, to_picture

OUT = Path(__file__).parent.parent / "docs" / "img" / "trajectory.png"


def typical(detector: RcAEDetector, test: ImageSet) -> int:
    """Return the image of median score among those of the most frequent defect."""
    counted = Counter(
        defect for defect, label in zip(test.defects, test.labels, strict=True) if label
    )
    members = np.flatnonzero(np.array(test.defects) == counted.most_common(1)[0][0])
    scores = detector.predict(test.images()[members] / 255).score.numpy()
    return int(members[np.argsort(scores)[len(scores) // 2]])


def crop(image: Tensor, mask: Tensor, side: int = 40) -> np.ndarray:
    """Cut a square around the middle of the defect: (side, side, 3)."""
    y, x = (int(v.float().mean()) for v in mask.nonzero(as_tuple=True))
    top = min(max(y - side // 2, 0), image.shape[-2] - side)
    left = min(max(x - side // 2, 0), image.shape[-1] - side)
    return to_picture(image[:, top : top + side, left : left + side])


def draw() -> None:
    detector, single = load_example("full", device="cpu"), load_example("single_pass", device="cpu")
    assert isinstance(detector, RcAEDetector) and isinstance(single, SinglePassDetector)
    test = open_category("synthetic", detector.trained["category"], size=detector.config.size).test
    sample = test[typical(detector, test)]
    image, mask = sample.image.as_subclass(Tensor), sample.mask.as_subclass(Tensor)
    seen = detector.trajectory(image[None])
    depth = detector.config.rcae.depth
    rows = {
        "RcAE": seen.reconstructions[0],
        "RcAE + DPN": seen.restored[0],
        "single pass": single.trajectory(image[None]).reconstructions[0],
        "plain resizing": resize_trajectory(image[None], depth)[0],
    }
    figure = NotebookFigure(figsize=(1.6 * (depth + 1), 3.1 * len(rows)), layout="constrained")
    axes = figure.subplots(2 * len(rows), depth + 1)
    for number, (name, made) in enumerate(rows.items()):
        steps = [image, *made.unbind(dim=1)]
        for column, (whole, zoomed) in enumerate(axes[2 * number : 2 * number + 2].T):
            if column >= len(steps):
                whole.axis("off"), zoomed.axis("off")
                continue
            title = "image" if column == 0 else f"{name}, n = {column}"
            bare(whole, title if len(steps) > 2 or column == 0 else name)
            bare(zoomed)
            whole.imshow(to_picture(steps[column]))
            zoomed.imshow(crop(steps[column], mask))
    figure.savefig(OUT, dpi=90)
    print(f"{sample.path}, preset {detector.config.preset}, seed {detector.seed}: {OUT}")


if __name__ == "__main__":
    draw()
