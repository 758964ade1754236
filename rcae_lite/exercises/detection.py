"""Checks of notebook 05: pseudo-anomalies, the joined sequence, a score without ties."""

import torch
from torch import Tensor
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
)
def patch(attempt: Attempt) -> None:
    """Paint a square into an image (3, H, W); return it and the mask of what changed (H, W)."""
    image, colour = attempt.uniform(3, 20, 30), attempt.uniform(3)
    top, left, side = attempt.integer(0, 5), attempt.integer(8, 12), attempt.integer(5, 8)
    image[:, top : top + 2, left : left + side] = colour[:, None, None]  # it has the colour already
    given = image.clone()
    result = attempt.call(given, top, left, side, colour)
    fits = isinstance(result, tuple) and len(result) == 2
    attempt.expect(fits, "kind", expected="an image and a mask", got=type(result).__name__)
    attempt.expect(torch.equal(given, image), "inplace")
    painted, mask = result
    right, square = _painted(image, top, left, side, colour)
    turned, _ = _painted(image, left, top, side, colour)
    attempt.compare(painted, right, transposed=turned, unpainted=image)
    changed = (right != image).any(dim=0)
    attempt.compare(mask, changed, rectangle=square, inverted=(~changed, ~square))


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
        difference=(enhanced - beside, beside - enhanced),
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
)
def surprise(attempt: Attempt) -> None:
    """Compute -log(1 - M_A), M_A = sigmoid(logits), without saturation at any logit."""
    small = attempt.uniform(12, low=-4, high=4)
    large = 40 + 10 * torch.arange(4) + attempt.uniform(4)
    logits = torch.cat([small, large])
    got = attempt.call(logits.clone())
    right = F.softplus(logits)
    if isinstance(got, Tensor) and got.shape == right.shape:
        attempt.expect(not got.isinf().any() and not got.isnan().any(), "infinite")
    attempt.compare(
        got,
        right,
        other=F.softplus(-logits),
        probability=logits.sigmoid(),
        negative=-right,
        ties=torch.cat([right[:12], got[12:13].expand(4)]) if _flat_end(got) else (),
    )


def _flat_end(got: object) -> bool:
    """Tell whether the four largest logits got one value."""
    return isinstance(got, Tensor) and got.shape == (16,) and bool((got[12:] == got[12]).all())
