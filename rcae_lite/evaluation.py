"""Evaluate a detector on a test set by the protocol: native mask size, raw floats, no selection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from data_utils import ImageSet, KitError
from rcae_lite import __version__
from rcae_lite.metrics import image_metrics, pixel_metrics, sample_curves
from rcae_lite.results import Evaluation, ImageResult, Provenance

if TYPE_CHECKING:
    from rcae_lite.detector import Detector

__all__ = ["SCORE_RULE", "evaluate", "image_scores", "smooth", "to_native"]

SCORE_RULE = "maximum of the raw map after Gaussian smoothing, standard deviation = height / 64"


def smooth(maps: Tensor) -> Tensor:
    """Gaussian smoothing before the maximum is taken as the image's score.

    The standard deviation is 1/64 of the height, 2 pixels at 128x128. This is our reading; the
    paper gives no rule.

    Parameters
    ----------
    maps : Tensor
        (..., H, W).
    """
    sigma = maps.shape[-2] / 64
    radius = max(1, round(3 * sigma))
    return gaussian_blur(maps, [2 * radius + 1, 2 * radius + 1], [sigma, sigma])


def image_scores(maps: Tensor) -> Tensor:
    """Score of each image, the maximum of its smoothed raw map: (..., H, W) to (...,)."""
    return smooth(maps).flatten(-2).amax(dim=-1)


def to_native(anomaly_map: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Enlarge one raw map (H, W) to the native size (h, w), bilinear; masks are never resized."""
    enlarged = F.interpolate(anomaly_map[None, None], size, mode="bilinear", align_corners=False)
    return enlarged[0, 0].numpy()
