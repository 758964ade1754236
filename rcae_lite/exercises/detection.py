"""Checks of notebook 05: pseudo-anomalies, the joined sequence, a score without ties."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.exercises.registry import Attempt, exercise


@exercise(
    "05.patch",
    "medium",
    inplace="your function painted into the image that it was given: work on a clone",
    rectangle="the mask is the whole square, but some pixels had that colour before: they did not "
    "change, and CRD must not be told that they are anomalous",
    transposed="rows and columns are swapped: `top` counts rows, the first image axis",
    inverted="the mask is True where nothing happened",
    unpainted="the image is not painted as asked: `colour` in the square, unchanged elsewhere",
    colours="a pixel changed where any of its colours did, not only where all of them did",
    each="the mask has a value for each colour; one for each pixel is asked for",
    number="the mask holds {got}; True and False (bool) are asked for",
    side="the square does not have `side` pixels a side: a slice ends *before* its second number",
    centre="`top` and `left` are the corner of the square, not its centre",
    order="the mask comes first; the painted image is to be the first of the two",
)
def patch(attempt: Attempt) -> None:
    """Paint a square into an image (3, H, W); return it and the mask of what changed (H, W)."""
    image, colour = attempt.uniform(3, 20, 30), attempt.uniform(3)
    top, left, side = attempt.integer(4, 6), attempt.integer(8, 12), attempt.integer(5, 8)
    image[:, top : top + 2, left : left + side] = colour[:, None, None]  # it has the colour already
    image[0, top + 2, left : left + side] = colour[0]  # and here one of the three
    given = image.clone()
    result = attempt.call(given, top, left, side, colour)
    fits = isinstance(result, tuple) and len(result) == 2
    attempt.expect(fits, "kind", expected="an image and a mask", got=type(result).__name__)
    attempt.expect(torch.equal(given, image), "inplace")
    attempt.expect(getattr(result[0], "ndim", 3) == 3, "order")
    _check_painted(attempt, result[0], image, (top, left, side, colour))
    _check_mask(attempt, result[1], image, (top, left, side, colour))


Square = tuple[int, int, int, Tensor]
"""Top, left, side and colour."""


def _check_painted(attempt: Attempt, painted: Tensor, image: Tensor, square: Square) -> None:
    top, left, side, colour = square
    half = side // 2
    attempt.compare(
        painted,
        _painted(image, *square)[0],
        transposed=_painted(image, left, top, side, colour)[0],
        side=tuple(_painted(image, top, left, side + more, colour)[0] for more in (1, -1)),
        centre=_painted(image, top - half, left - half, side, colour)[0],
        unpainted=(image, (image + _painted(image, *square)[0]) / 2),
    )


def _check_mask(attempt: Attempt, mask: Tensor, image: Tensor, square: Square) -> None:
    right, rectangle = _painted(image, *square)
    apart = right != image
    changed = apart.any(dim=0)
    if isinstance(mask, Tensor) and mask.dtype != torch.bool and mask.shape == changed.shape:
        attempt.refuse("number", got=str(mask.dtype).removeprefix("torch."))
    attempt.compare(
        mask,
        changed,
        rectangle=rectangle,
        inverted=(~changed, ~rectangle, ~apart.all(dim=0)),
        colours=apart.all(dim=0),
        each=apart,
    )


def _painted(
    image: Tensor, top: int, left: int, side: int, colour: Tensor
) -> tuple[Tensor, Tensor]:
    square = torch.zeros(image.shape[1:], dtype=torch.bool)
    square[top : top + side, left : left + side] = True
    return torch.where(square, colour[:, None, None], image), square


@exercise(
    "05.join",
    "medium",
    depth="the image was appended as one more depth; it belongs beside *every* depth, as channels",
    order="the reconstructions come first; the image is to be the first three channels",
    difference="that is the residual; CRD gets both and finds out for itself what to compare",
    added="image and reconstruction were added up; they are to stand side by side as channels",
    residual="the residual is there as well; six channels are asked for",
    batch="they were joined along the batch; a reconstruction belongs beside its own image",
    alternating="the colours of image and reconstruction alternate; first all three of the image",
    scrambled="colours and depths got mixed up: `reshape` keeps the order of the numbers, not "
    "that of the axes; use `unsqueeze(2)` and `expand`",
    deepest="that is one depth alone; CRD sees all of them",
    flat="the depths have become channels; they keep an axis of their own",
    axes="channels and depths have changed places: (B, 6, N, H, W) is asked for",
)
def join(attempt: Attempt) -> None:
    """Join I (B, 3, H, W) to every I_D^n of (B, 3, N, H, W): (B, 6, N, H, W)."""
    images, enhanced = attempt.uniform(2, 3, 6, 8), attempt.uniform(2, 3, 4, 6, 8)
    beside = images.unsqueeze(2).expand_as(enhanced)
    attempt.compare(
        attempt.call(images, enhanced),
        torch.cat([beside, enhanced], dim=1),
        depth=(
            torch.cat([images.unsqueeze(2), enhanced], dim=2),
            torch.cat([enhanced, images.unsqueeze(2)], dim=2),
        ),
        order=torch.cat([enhanced, beside], dim=1),
        difference=(enhanced - beside, beside - enhanced, (enhanced - beside).abs()),
        added=(enhanced + beside, (enhanced + beside) / 2),
        residual=torch.cat([beside, enhanced, (enhanced - beside).abs()], dim=1),
        batch=(torch.cat([beside, enhanced]), torch.cat([enhanced, beside])),
        alternating=torch.stack([beside, enhanced], dim=2).flatten(1, 2),
        scrambled=torch.cat([images.repeat(1, 4, 1, 1).reshape(enhanced.shape), enhanced], dim=1),
        deepest=tuple(torch.cat([images, enhanced[:, :, n]], dim=1) for n in (0, -1)),
        flat=(
            torch.cat([images, enhanced.flatten(1, 2)], dim=1),
            torch.cat([images, enhanced.transpose(1, 2).flatten(1, 2)], dim=1),
            torch.cat([beside, enhanced], dim=1).flatten(1, 2),
        ),
        axes=torch.cat([beside, enhanced], dim=1).transpose(1, 2),
    )


@exercise(
    "05.surprise",
    "hard",
    infinite="a pixel became infinite: sigmoid(30) is 1 in float32, and log(0) has no value",
    ties="pixels of different logits got one value: clamped? Their order is lost; look for "
    "`softplus`",
    other="that is -log(M_A): it is high where the pixel is *normal*",
    probability="that is the probability M_A itself, which saturates at 1 and ties",
    negative="the sign is turned round: surprise is positive",
    overflow="`exp(89)` is infinite in float32: take `softplus` instead of `log(1 + exp(x))`",
    base="that logarithm has another base; take the natural one",
    normal="that is 1 - M_A, how *normal* a pixel is",
    logits="these are the logits as they came, which can be negative",
    hinge="that is right for large logits only: around 0 the surprise is smooth",
    mean="that is one number; every pixel has its own surprise",
    entropy="that is the entropy, which is low again where the network is sure of a defect",
)
def surprise(attempt: Attempt) -> None:
    """Compute -log(1 - M_A), M_A = sigmoid(logits), without saturation at any logit."""
    small = attempt.uniform(12, low=-4, high=4)
    large = 30 + 20 * torch.arange(4) + attempt.uniform(4)  # the last is above 89
    logits = torch.cat([small, large])
    got = attempt.call(logits.clone())
    right = F.softplus(logits)
    if isinstance(got, Tensor) and got.shape == right.shape:
        attempt.expect(got[:15].isfinite().all(), "infinite")
        attempt.expect(got.isfinite().all(), "overflow")
    attempt.compare(
        got,
        right,
        base=(right / math.log(2), right / math.log(10)),
        normal=(-logits).sigmoid(),
        logits=logits,
        hinge=logits.clamp_min(0),
        mean=(right.mean(), float(right.mean())),
        entropy=_entropy(logits),
        other=F.softplus(-logits),
        probability=logits.sigmoid(),
        negative=-right,
        ties=torch.cat([right[:12], got[12:13].expand(4)]) if _flat_end(got) else (),
    )


def _entropy(logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, logits.sigmoid(), reduction="none")


def _flat_end(got: object) -> bool:
    """Tell whether the four largest logits got one value."""
    return isinstance(got, Tensor) and got.shape == (16,) and bool((got[12:] == got[12]).all())


@exercise(
    "05.detector",
    "hard",
    steps="there is still an axis of {got} steps; collapse it, with a kernel as long as it",
    small="the map is {got} pixels; it has the size of the image, {expected}",
    channels="the map has {got} channels; one is enough",
    sigmoid="the map lies in [0, 1]: leave the sigmoid to the loss, and return logits",
    last="steps {unseen} have no effect: CRD reads all of them",
    order="the steps can be exchanged without a change: a mean over them forgets their order",
    within="a pixel sees no neighbour: use kernels of 3 x 3 inside the steps",
    linear="your network is linear; put a GELU between two convolutions",
    nothing="your network has no parameters: there is nothing that could be learned",
    image="the image has no effect: its three channels are the first of the six",
    size="your network works at one size only ({error})",
)
def detector(attempt: Attempt) -> None:
    """Write a class `MyCRD(steps)`: (B, 6, N, H, W) to logits (B, 1, H, W)."""
    steps, height, width = attempt.integer(3, 5), 16, 8 * attempt.integer(3, 4)
    network = attempt.call(steps)
    attempt.expect(isinstance(network, nn.Module), "kind", expected="a Module", got=type(network))
    attempt.expect(any(p.numel() for p in network.parameters()), "nothing")
    network.eval()
    inputs = (attempt.uniform(2, 6, steps, height, width) - 0.5).requires_grad_()
    logits = attempt.run(network, inputs)
    attempt.expect(isinstance(logits, Tensor), "kind", expected="a tensor", got=type(logits))
    _check_logits(attempt, logits, (2, 1, height, width))
    middle = torch.autograd.grad(logits[:, 0, height // 2, width // 2].sum(), inputs)[0].abs()
    unseen = [n + 1 for n in range(steps) if not middle[:, :, n].any()]
    attempt.expect(not unseen, "last", unseen=", ".join(map(str, unseen)))
    attempt.expect(middle[:, :3].any(), "image")
    beside = middle.clone()
    beside[..., height // 2, width // 2] = 0
    attempt.expect(beside.any(), "within")
    with torch.no_grad():
        loud = network(1000 * inputs)  # logits grow with it
        attempt.expect(loud.min() < 0 or loud.max() > 1, "sigmoid")
        turned = network(inputs.flip(2))
        attempt.expect((turned - logits).abs().max() > 1e-6, "order")
        zero, other = torch.zeros_like(inputs), attempt.uniform(*inputs.shape)
        bend = network(inputs + other) - logits - network(other) + network(zero)
    attempt.expect(bend.abs().max() > 1e-6, "linear")
    try:
        network(attempt.uniform(1, 6, steps, 32, 48))
    except Exception as error:
        attempt.refuse("size", error=error)


def _check_logits(attempt: Attempt, logits: Tensor, shape: tuple[int, ...]) -> None:
    if logits.ndim == 5:
        attempt.refuse("steps", got=logits.shape[2])
    attempt.expect(logits.ndim == 4, "kind", expected=shape, got=tuple(logits.shape))
    got, expected = ("x".join(map(str, one[2:])) for one in (logits.shape, shape))
    attempt.expect(got == expected, "small", got=got, expected=expected)
    attempt.expect(logits.shape[1] == 1, "channels", got=logits.shape[1])
    attempt.expect(tuple(logits.shape) == shape, "kind", expected=shape, got=tuple(logits.shape))
