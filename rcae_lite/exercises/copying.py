"""Checks of notebook 02: the loss and the residual of a reconstruction."""

import torch
from torch.nn import functional as F

from rcae_lite.exercises.registry import Attempt, as_number, exercise
from rcae_lite.model import losses


@exercise(
    "02.gradient",
    "medium",
    order="the vertical differences come first: horizontal ones are the first C channels",
    backward="these are differences to the pixel before; forward ones are 0 in the *last* column",
    sign="the sign is turned round: the next pixel minus this one",
    wrapped="the last column is compared with the first: an image is no ring",
    absolute="these are absolute differences: the sign of a slope matters",
)
def gradient(attempt: Attempt) -> None:
    """Take forward differences of (B, C, H, W): horizontal, then vertical ones, (B, 2C, H, W)."""
    x = attempt.uniform(2, 3, 5, 7)
    right = losses.gradient(x)
    back = -losses.gradient(x.flip(2, 3)).flip(2, 3)
    ring = [x.roll(-1, dims) - x for dims in (3, 2)]
    attempt.compare(
        attempt.call(x.clone()),
        right,
        order=right.roll(3, 1),
        backward=back,
        sign=-right,
        wrapped=torch.cat(ring, dim=1),
        absolute=right.abs(),
    )


@exercise(
    "02.loss",
    "medium",
    squared="the differences are squared; the paper takes absolute values, which forgive outliers",
    total="that is the sum, which grows with the image; take means",
    intensity="the gradient term is missing: edges would come out blurred",
    gradient="the intensity term is missing: a reconstruction that is too dark would cost nothing",
    steepness="you compared the *sizes* of slopes; an edge of the wrong direction costs nothing",
)
def loss(attempt: Attempt) -> None:
    """Compute mean |I - R| plus mean |∇I - ∇R|: one number for a batch."""
    reconstruction, image = attempt.uniform(2, 3, 6, 8), attempt.uniform(2, 3, 6, 8)
    error = reconstruction - image
    slopes = losses.gradient(error)
    sizes = losses.gradient(reconstruction).abs() - losses.gradient(image).abs()
    got = attempt.call(reconstruction, image)
    attempt.compare(
        torch.tensor(got) if isinstance(got, float) else got,
        losses.reconstruction_loss(reconstruction, image),
        squared=error.square().mean() + slopes.square().mean(),
        total=error.abs().sum() + slopes.abs().sum(),
        intensity=error.abs().mean(),
        gradient=slopes.abs().mean(),
        steepness=error.abs().mean() + sizes.abs().mean(),
    )


@exercise(
    "02.residual",
    "easy",
    signed="the sign is still there: a dark and a bright error in two colours would cancel",
    squared="the differences are squared; the residual is their absolute value",
    strongest="that is the largest of the three colours; take their mean",
    coloured="there are still three colours; take their mean",
)
def residual(attempt: Attempt) -> None:
    """Turn image and reconstruction (B, 3, H, W) into the residual map (B, H, W)."""
    image, reconstruction = attempt.uniform(2, 3, 5, 7), attempt.uniform(2, 3, 5, 7)
    error = image - reconstruction
    attempt.compare(
        attempt.call(image, reconstruction),
        F.l1_loss(image, reconstruction, reduction="none").mean(dim=1),
        signed=(error.mean(dim=1), -error.mean(dim=1), error.mean(dim=1).abs()),
        squared=error.square().mean(dim=1),
        strongest=error.abs().amax(dim=1),
        coloured=error.abs(),
    )


@exercise(
    "02.copied",
    "medium",
    everywhere="that is the share over the whole image; only the painted pixels count",
    signed="the sign is still there: too bright and too dark would cancel; take absolute values",
    inverted="the fraction is upside down: what came out, divided by what was painted",
    ratios="that is a mean of ratios, in which a hardly painted pixel weighs most; divide the sums",
    clean="compare with the reconstruction of the clean image, not with the image itself",
    squared="the differences are squared; the copied share counts their absolute values",
)
def copied(attempt: Attempt) -> None:
    """Compute the copied share: sum_M |R(p) - R(x)| / sum_M |p - x|, one number."""
    clean, rebuilt = attempt.uniform(2, 3, 8, 9), attempt.uniform(2, 3, 8, 9)
    again, mask = attempt.uniform(2, 3, 8, 9), attempt.uniform(2, 1, 8, 9) > 0.6
    change = attempt.uniform(2, 3, 8, 9, low=0.2) * (attempt.uniform(2, 3, 8, 9) - 0.3).sign()
    painted = torch.where(mask, clean + change, clean)
    came, went = again - rebuilt, painted - clean
    inside = mask.expand_as(came)
    got = attempt.call(again, rebuilt, painted, clean, mask)
    attempt.compare(
        as_number(got),
        (came.abs()[inside].sum() / went.abs()[inside].sum()).item(),
        everywhere=(came.abs().sum() / went.abs().sum()).item(),
        signed=(came[inside].sum() / went[inside].sum()).item(),
        inverted=(went.abs()[inside].sum() / came.abs()[inside].sum()).item(),
        ratios=(came.abs()[inside] / went.abs()[inside]).mean().item(),
        clean=((again - clean).abs()[inside].sum() / went.abs()[inside].sum()).item(),
        squared=(came.square()[inside].sum() / went.square()[inside].sum()).item(),
    )
