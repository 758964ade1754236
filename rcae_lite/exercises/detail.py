"""Checks of notebook 04: detail, how it is measured, and what is frozen meanwhile."""

import copy

import torch
from torch import Tensor, nn

from rcae_lite.exercises.registry import Attempt, as_number, exercise
from rcae_lite.model import losses
from rcae_lite.model.dpn import DetailPreservationNetwork

SOFT = DetailPreservationNetwork.SOFT


@exercise(
    "04.psnr",
    "easy",
    natural="that is the natural logarithm; decibels use the one to base 10",
    root="you took the root of the squared error first, which halves the decibels",
    absolute="that is the mean *absolute* error; PSNR is defined by the squared one",
    batch="that is one number for the batch; a few bad images would hide in it: one per image",
    eight_bit="255 is the peak of 8-bit images; these lie in [0, 1], so the peak is 1",
    sign="the sign is turned round: a better reconstruction has a *higher* PSNR",
)
def psnr(attempt: Attempt) -> None:
    """Compute the PSNR of each image in dB, from two batches (B, 3, H, W) in [0, 1]: (B,)."""
    image = attempt.uniform(3, 3, 8, 9)
    noise = 0.02 * (1 + torch.arange(3)).view(3, 1, 1, 1) * attempt.uniform(3, 3, 8, 9, low=-1)
    error = noise.square().flatten(1).mean(dim=1)
    decibels = -10 * error.log10()
    attempt.compare(
        attempt.call(image + noise, image),
        decibels,
        natural=-10 * error.log(),
        root=decibels / 2,
        absolute=-10 * noise.abs().flatten(1).mean(dim=1).log10(),
        batch=(-10 * error.mean().log10(), decibels.mean()),
        eight_bit=decibels + 20 * torch.tensor(255.0).log10(),
        sign=-decibels,
    )


@exercise(
    "04.freeze",
    "medium",
    training="the module is still in training mode: its batch statistics would keep changing",
    gradients="its parameters still ask for gradients: an optimiser could change them",
    weights="the weights themselves changed; freezing keeps them",
)
def freeze(attempt: Attempt) -> None:
    """Freeze a module: it can be used, but neither trained nor otherwise changed."""
    width = attempt.integer(2, 5)
    module = nn.Sequential(nn.Linear(width, width), nn.Sequential(nn.BatchNorm1d(width)))
    before = copy.deepcopy(module.state_dict())
    attempt.call(module)
    attempt.expect(not any(part.training for part in module.modules()), "training")
    attempt.expect(not any(p.requires_grad for p in module.parameters()), "gradients")
    module(attempt.uniform(3, width))
    unchanged = all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    attempt.expect(unchanged, "weights")


@exercise(
    "04.input",
    "medium",
    source="that is the gradient of the reconstruction, which has lost the detail already",
    whole="that is the gradient of the image; DPN wants what the reconstruction lacks of it",
    sign="the sign is turned round: the gradient of the image minus that of the reconstruction",
    unbounded="the difference is not bounded: the edge of a defect would drown all fine texture",
    order="the gradient comes first; DPN wants the three colours of I_R^n, then the gradient",
    image="that is the image itself beside its gradient: DPN could copy a defect straight from it",
)
def joined(attempt: Attempt) -> None:
    """Join what DPN sees: I_R^n (B, 3, H, W), then what it lacks of the gradient: (B, 9, H, W)."""
    reconstruction, image = attempt.uniform(2, 3, 6, 8), attempt.uniform(2, 3, 6, 8)
    lacking = losses.gradient(image) - losses.gradient(reconstruction)

    def beside(colours: Tensor, slope: Tensor) -> Tensor:
        return torch.cat([colours, slope / (slope.abs() + SOFT)], dim=1)

    attempt.compare(
        attempt.call(reconstruction, image),
        beside(reconstruction, lacking),
        source=beside(reconstruction, losses.gradient(reconstruction)),
        whole=beside(reconstruction, losses.gradient(image)),
        sign=beside(reconstruction, -lacking),
        unbounded=torch.cat([reconstruction, lacking], dim=1),
        order=beside(reconstruction, lacking).roll(6, dims=1),
        image=beside(image, lacking),
    )


@exercise(
    "04.weighted",
    "medium",
    plain="the painted region has no extra weight in it",
    alone="only the painted region counts; the rest of the part is to come back as well",
    diluted="the region's error is a mean over *all* pixels, so a small region hardly counts",
    other="the weight is on the pixels outside of the painted region",
    weightless="the weight is 1, whatever was asked for",
    empty="without a painted pixel that is {got}: divide by at least 1",
)
def weighted(attempt: Attempt) -> None:
    """Compute mean |I_D - I| + weight * (mean of |I_D - I| over the painted region)."""
    enhanced, clean = attempt.uniform(2, 3, 6, 8), attempt.uniform(2, 3, 6, 8)
    mask, weight = (attempt.uniform(2, 1, 6, 8) > 0.7).float(), float(attempt.integer(2, 5))
    error = (enhanced - clean).abs().mean(dim=1, keepdim=True)  # (B, 1, H, W)
    inside, outside = (error[mask == kind].mean() for kind in (1, 0))
    attempt.compare(
        as_number(attempt.call(enhanced, clean, mask, weight)),
        (error.mean() + weight * inside).item(),
        plain=error.mean().item(),
        alone=(weight * inside).item(),
        diluted=(error.mean() + weight * (mask * error).mean()).item(),
        other=(error.mean() + weight * outside).item(),
        weightless=(error.mean() + inside).item(),
    )
    got = as_number(attempt.call(enhanced, clean, torch.zeros_like(mask), weight))
    attempt.expect(got == got, "empty", got=got)  # nan differs from itself
    attempt.compare(got, error.mean().item())
