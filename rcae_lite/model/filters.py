"""Filters and places of images, for the model and for what it is trained on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["local_mean", "pixel_grid"]


def local_mean(x: Tensor, side: int = 3) -> Tensor:
    """Mean over ``side`` x ``side`` pixels, an odd number: (B, C, H, W) to the same shape."""
    return F.avg_pool2d(x, side, stride=1, padding=side // 2, count_include_pad=False)


def pixel_grid(like: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel centres y and x as fractions of the sides, in (0, 1); shapes (H, 1) and (1, W)."""
    height, width = like.shape[-2:]
    y = (torch.arange(height, device=like.device) + 0.5) / height
    x = (torch.arange(width, device=like.device) + 0.5) / width
    return y.unsqueeze(1), x.unsqueeze(0)
