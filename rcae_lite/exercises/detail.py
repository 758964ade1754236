"""Checks of notebook 04: detail, how it is measured, and what is frozen meanwhile."""

import copy

import torch
from torch import nn

from rcae_lite.exercises.registry import Attempt, exercise
from rcae_lite.model import losses


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
    order="the gradient comes first; DPN wants the three colours of I_R^n, then the gradient",
    image="that is the image itself beside its gradient: DPN could copy a defect straight from it",
    both="the image itself is in it: DPN could copy a defect straight from it",
)
def joined(attempt: Attempt) -> None:
    """Join what DPN sees: I_R^n (B, 3, H, W), then the gradient of I: (B, 9, H, W)."""
    reconstruction, image = attempt.uniform(2, 3, 6, 8), attempt.uniform(2, 3, 6, 8)
    slope = losses.gradient(image)
    attempt.compare(
        attempt.call(reconstruction, image),
        torch.cat([reconstruction, slope], dim=1),
        source=torch.cat([reconstruction, losses.gradient(reconstruction)], dim=1),
        order=torch.cat([slope, reconstruction], dim=1),
        image=torch.cat([image, slope], dim=1),
        both=torch.cat([reconstruction, image, slope], dim=1),
    )
