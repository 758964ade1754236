"""From a raw anomaly map to a smoothed one, its score, and its native size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["SCORE_RULE", "map_limits", "smooth", "to_native"]
SCORE_RULE = (
    "maximum of the raw map, which is smoothed (mean of two Gaussians, standard deviations "
    "= height / 64 and height / 32)"
)


def smooth(maps: Tensor) -> Tensor:
    """Smooth a map at two scales and take the mean; its maximum is then the image's score.

    The standard deviations of the two Gaussians are 1/64 and 1/32 of the height, 2 and 4 pixels at
    128x128: the narrow one keeps small defects, the wide one fills large ones. This is our
    reading; the paper gives no rule.

    Parameters
    ----------
    maps : Tensor
        (..., H, W).
    """
    height, width = maps.shape[-2:]
    blurred = [
        _gaussian(height, height, part, maps) @ maps @ _gaussian(width, height, part, maps).T
        for part in (64, 32)
    ]
    return (blurred[0] + blurred[1]) / 2  # (..., H, W)


def _gaussian(side: int, height: int, part: int, like: Tensor) -> Tensor:
    """Matrix (side, side) that smooths along a side, cut off at three sigma, borders mirrored.

    Sigma is ``height / part``.

    A product of matrices is several times faster than a convolution with such a wide kernel, and
    can be exported for images of any size.
    """
    sigma, radius = height / part, (3 * height + part // 2) // part
    distance = torch.arange(2 * side, device=like.device)
    weight = torch.exp(-0.5 * (distance.to(like.dtype) / sigma) ** 2) * (distance <= radius)
    to, source = distance[:side].unsqueeze(1), distance[:side].unsqueeze(0)
    last = side - 1  # the outermost pixels are the mirrors and have no image of their own
    near, far = weight[source + to] * (source > 0), weight[2 * last - source - to] * (source < last)
    weights = weight[(source - to).abs()] + near + far
    return weights / weights.sum(dim=1, keepdim=True)


def to_native(anomaly_map: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Enlarge one raw map (H, W) to the native size (h, w), bilinear; masks are never resized."""
    enlarged = F.interpolate(anomaly_map[None, None], size, mode="bilinear", align_corners=False)
    return enlarged[0, 0].numpy()


def map_limits(maps: np.ndarray) -> tuple[float, float]:
    """One colour scale for all maps of a set: from their median to their 99.9% quantile."""
    low, high = np.quantile(maps, [0.5, 0.999])
    return float(low), float(max(high, low + 1e-6))
