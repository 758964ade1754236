"""What the recursion did to some images, in the 8-bit frames that the canvases show.

The frames are the one truth: JavaScript gets these bytes and computes residuals and changes from
them in whole numbers, exactly as the functions here do. So a canvas can be compared with Python
to the bit, and a probe reads values rounded to 1/255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from torch import Tensor

from data_utils import ImageSet, KitError
from rcae_lite.base import Detector
from rcae_lite.evaluation.metrics import image_auroc
from rcae_lite.evaluation.scoring import map_limits
from rcae_lite.widgets.state.base import Tree

__all__ = [
    "COLOURS",
    "Frames",
    "Scale",
    "distance",
    "levels",
    "lookup",
    "record",
    "scale_of",
    "separations",
    "to_bytes",
]

COLOURS = (255 * matplotlib.colormaps["magma"](np.arange(256))[:, :3]).round().astype(np.uint8)
UNIT = 3 * 255  # differences are sums over three channels of 0..255


def to_bytes(pictures: Tensor) -> np.ndarray:
    """Round pictures (B, 3, ..., H, W) in [0, 1] to frames (B, ..., H, W, 3) uint8."""
    levels = (255 * pictures.detach().float().cpu().clamp(0, 1)).round().byte()
    return np.ascontiguousarray(np.moveaxis(levels.numpy(), 1, -1))


@dataclass(frozen=True)
class Frames:
    """Images and all that a detector makes of them.

    Parameters
    ----------
    names : list of str
        One per image.
    images : np.ndarray
        I, (B, H, W, 3) uint8.
    reconstructions : np.ndarray
        I_R^1 ... I_R^N, (B, N, H, W, 3) uint8.
    enhanced : np.ndarray or None
        I_D^1 ... I_D^N, (B, N, H, W, 3) uint8; None for the single-pass baseline.
    maps : np.ndarray
        Raw anomaly maps, (B, H, W) float32.
    scores : np.ndarray
        (B,) float32.
    masks : np.ndarray or None
        True defects, (B, H, W) bool, where they are known.
    """

    names: list[str]
    images: np.ndarray
    reconstructions: np.ndarray
    enhanced: np.ndarray | None
    maps: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def depth(self) -> int:
        """N."""
        return self.reconstructions.shape[1]

    @property
    def residuals(self) -> np.ndarray:
        """``|I - I_R^n|`` summed over the channels, in 1/255: (B, N, H, W) int, 0 to 765."""
        return distance(self.images[:, None], self.reconstructions)

    @property
    def changes(self) -> np.ndarray:
        """``|I_R^{n+1} - I_R^n|`` summed over the channels, in 1/255: (B, N - 1, H, W) int."""
        return distance(self.reconstructions[:, 1:], self.reconstructions[:, :-1])

    def stack(self, image: int) -> np.ndarray:
        """I, I_R^1 ... I_R^N and, where there are any, I_D^1 ... I_D^N: (K, H, W, 3) uint8."""
        pictures = [self.images[image][None], self.reconstructions[image]]
        if self.enhanced is not None:
            pictures.append(self.enhanced[image])
        return np.concatenate(pictures)

    def data(self, image: int) -> Tree:
        """One image for the JavaScript side."""
        return {
            "name": self.names[image],
            "score": float(self.scores[image]),
            "frames": self.stack(image),
            "map": self.maps[image],
            "mask": None if self.masks is None else self.masks[image].astype(np.uint8),
        }


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum ``|a - b|`` over the channels, in 1/255: (..., 3) uint8 to (...) int, 0 to 765."""
    return np.abs(a.astype(np.int16) - b).sum(axis=-1, dtype=np.int32)


def record(
    detector: Detector, images: Tensor | ImageSet, names: Sequence[str] | None = None
) -> Frames:
    """Follow images through a detector and keep what can be shown.

    Parameters
    ----------
    detector : Detector
        Trained.
    images : Tensor or ImageSet
        (B, 3, H, W) in [0, 1], or a set with names and masks.
    names : sequence of str, optional
        One per image; those of the set, or "image 1" ..., by default.

    Raises
    ------
    KitError
        If there is no image, or the names are not as many as the images.
    """
    if len(images) == 0:
        raise KitError("0 images; give at least one to look at")
    masks = None
    if isinstance(images, ImageSet):
        samples = [images[index] for index in range(len(images))]
        pictures = torch.stack([sample.image.as_subclass(Tensor) for sample in samples])
        masks = np.stack([sample.mask.numpy() for sample in samples])
        names = [sample.path for sample in samples] if names is None else names
    else:
        pictures = images
    names = [f"image {n + 1}" for n in range(len(pictures))] if names is None else list(names)
    if len(names) != len(pictures):
        raise KitError(f"{len(names)} names for {len(pictures)} images; give one per image")
    parts = [_record(detector, part) for part in pictures.split(8)]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Frames(
        names,
        joined("images"),
        joined("reconstructions"),
        None if parts[0].enhanced is None else joined("enhanced"),
        joined("maps"),
        joined("scores"),
        masks,
    )


def _record(detector: Detector, images: Tensor) -> Frames:
    """One batch, without names."""
    trajectory = detector.trajectory(images)
    detection = detector.detect(trajectory)
    return Frames(
        [],
        to_bytes(trajectory.images),
        to_bytes(trajectory.reconstructions),
        None if trajectory.enhanced is None else to_bytes(trajectory.enhanced),
        detection.anomaly_map.numpy(),
        detection.score.numpy(),
    )


def separations(frames: Frames) -> list[list[float] | None]:
    """How well the residual of each depth tells an image's defective pixels from its other ones.

    Returns
    -------
    list
        For each image the pixel AUROC at n = 1 ... N, within this image alone; None where no
        defect is known.
    """
    if frames.masks is None:
        return [None] * len(frames)
    return [
        [image_auroc(mask.ravel(), residual.ravel()) for residual in residuals]
        if mask.any() and not mask.all()
        else None
        for mask, residuals in zip(frames.masks, frames.residuals, strict=True)
    ]


@dataclass(frozen=True)
class Scale:
    """One colour scale for all images of a figure.

    Parameters
    ----------
    difference : int
        The sum of differences, in 1/255, that gets the last colour; residuals start at 0.
    low, high : float
        The raw values of the map that get the first and the last colour.
    """

    difference: int
    low: float
    high: float

    def data(self) -> Tree:
        """For the JavaScript side."""
        return {"difference": self.difference, "low": self.low, "high": self.high}


def scale_of(frames: Frames, threshold: float | None) -> Scale:
    """Choose the scale: residuals to their 99.9% quantile, the map from 0 to twice the threshold.

    Without a threshold the map's scale comes from `rcae_lite.evaluation.scoring.map_limits`.
    """
    difference = max(1, int(np.quantile(frames.residuals, 0.999)))
    low, high = (0.0, 2 * threshold) if threshold else map_limits(frames.maps)
    return Scale(difference, low, high)


def levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Give each value the number of its colour on a scale: (...) uint8."""
    level = np.floor(255 * (values.astype(np.float64) - low) / (high - low) + 0.5)
    return level.clip(0, 255).astype(np.uint8)


def lookup(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Colour values on a scale: (...) to (..., 3) uint8, as ``lookup`` in canvas.js does."""
    return COLOURS[levels(values, low, high)]
