"""Benign augmentation: what a camera and a fixture change without the part being defective.

Applied to normal images in all three stages, so that exposure, colour balance, lighting and small
shifts count as normal. This is **ours**: the paper does not mention it, its preset has it off.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rcae_lite.model.filters import pixel_grid
from rcae_lite.training.draws import uniform
from rcae_lite.training.shapes import is_grey

__all__ = ["augment"]


def _shift(images: Tensor, generator: torch.Generator, fraction: float) -> Tensor:
    """Shift each image by up to ``fraction`` of its side; the border is repeated.

    By whole pixels, so that nothing is blurred: a blurred normal would teach blur to be normal.
    """
    batch, _, height, width = images.shape
    sides = torch.tensor([width, height], device=images.device)
    drawn = uniform(generator, (batch, 2), -fraction, fraction, images) * sides
    dx, dy = drawn.round().long().split(1, dim=1)  # (B, 1) each
    rows = (torch.arange(height, device=images.device) + dy).clamp(0, height - 1)  # (B, H)
    columns = (torch.arange(width, device=images.device) + dx).clamp(0, width - 1)  # (B, W)
    number = torch.arange(batch, device=images.device)[:, None, None]
    shifted = images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
    return shifted.permute(0, 3, 1, 2)  # (B, 3, H, W)


def augment(images: Tensor, generator: torch.Generator, *, strength: float = 1.0) -> Tensor:
    """Apply random benign augmentation to a batch.

    At strength 1: exposure ±15%, contrast ±10%, gamma 0.87 to 1.15, colour balance ±3% per
    channel, a linear lighting gradient of ±8% along each side, shifts of up to 2.4% of the side
    in whole pixels. Every image draws its own. A greyscale image stays one.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W) in [0, 1].
    generator : torch.Generator
        Source of all randomness.
    strength : float
        Scales every range; 0 returns the images unchanged.

    Returns
    -------
    Tensor
        (B, 3, H, W) in [0, 1].
    """
    if strength == 0:
        return images

    def draw(channels: int, spread: float) -> Tensor:
        size = (len(images), channels, 1, 1)
        return uniform(generator, size, -spread * strength, spread * strength, images)

    out = _shift(images, generator, 0.024 * strength)
    y, x = pixel_grid(images)
    light = 1 + draw(1, 0.08) * (x - 0.5) * 2 + draw(1, 0.08) * (y - 0.5) * 2  # (B, 1, H, W)
    balance = torch.where(is_grey(images), 0, draw(3, 0.03))
    gain = 1 + draw(1, 0.15) + balance  # (B, 3, 1, 1)
    mean = out.mean(dim=(1, 2, 3), keepdim=True)
    out = (out - mean) * (1 + draw(1, 0.10)) + mean
    out = (out * gain * light).clamp(0, 1)
    return out.clamp_min(1e-4) ** torch.exp(draw(1, 0.14))
