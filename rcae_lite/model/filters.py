"""Filters of images, for the model and for what it is trained on."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["local_mean"]


def local_mean(x: Tensor, side: int = 3) -> Tensor:
    """Mean over ``side`` x ``side`` pixels, an odd number: (B, C, H, W) to the same shape."""
    return F.avg_pool2d(x, side, stride=1, padding=side // 2, count_include_pad=False)
