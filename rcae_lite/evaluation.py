"""Evaluate a detector on a test set by the protocol: native mask size, raw floats, no selection."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor
from torch.nn import functional as F

from data_utils import ImageSet, KitError
from rcae_lite import __version__
from rcae_lite.metrics import (
    PixelCurve,
    image_metrics,
    pixel_curve,
    pixel_metrics,
    pixel_rates,
)
from rcae_lite.results import Evaluation, ImageResult, Provenance

if TYPE_CHECKING:
    from rcae_lite.detector import Detector

__all__ = [
    "SCORE_RULE",
    "code_version",
    "device_name",
    "evaluate",
    "map_limits",
    "native_pairs",
    "smooth",
    "to_native",
]

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
    place = torch.arange(side, dtype=like.dtype, device=like.device)
    to, source = place.unsqueeze(1), place.unsqueeze(0)

    def weight(distance: Tensor) -> Tensor:
        return torch.exp(-0.5 * (distance / sigma) ** 2) * (distance.abs() <= radius)

    last = side - 1  # the outermost pixels are the mirrors and have no image of their own
    mirrored = weight(source + to) * (source > 0) + weight(2 * last - source - to) * (source < last)
    weights = weight(source - to) + mirrored
    return weights / weights.sum(dim=1, keepdim=True)


def to_native(anomaly_map: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Enlarge one raw map (H, W) to the native size (h, w), bilinear; masks are never resized."""
    enlarged = F.interpolate(anomaly_map[None, None], size, mode="bilinear", align_corners=False)
    return enlarged[0, 0].numpy()


def map_limits(maps: np.ndarray) -> tuple[float, float]:
    """One colour scale for all maps of a set: from their median to their 99.9% quantile."""
    low, high = np.quantile(maps, [0.5, 0.999])
    return float(low), float(max(high, low + 1e-6))


def device_name(device: torch.device) -> str:
    """Name a device: the GPU's own name, or the machine's architecture."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({platform.machine()})"


@lru_cache(maxsize=1)  # what runs is what was imported, whatever happens to the files meanwhile
def code_version() -> str | None:
    """Git commit of the kit's source, with "+changes" if files differ from it; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # not installed into another's
        changed = git("status", "--porcelain", "--", ":/rcae_lite", ":/data_utils")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def evaluate(detector: Detector, test: ImageSet, *, batch_size: int = 4) -> Evaluation:
    """Run a trained detector over a test set and compute every metric of the protocol.

    Parameters
    ----------
    detector : Detector
        Trained and calibrated.
    test : ImageSet
        Test images at the detector's working size.
    batch_size : int
        Images that go through the networks at a time.

    Returns
    -------
    Evaluation
        Metrics with 95% bootstrap intervals, scores per image, curves and provenance. Metrics that
        the test set cannot give (no defective image, no mask) are None.

    Raises
    ------
    KitError
        If the detector is untrained, or the images have another size.
    """
    threshold = detector.require_threshold()
    if test.size != detector.config.size:
        raise KitError(
            f"the images are {test.size}x{test.size}, the detector works at "
            f"{detector.config.size}; open the category with size={detector.config.size}"
        )
    if not len(test):
        raise KitError("the test set has no images; there is nothing to evaluate")
    raw, scores, residuals = [], [], []
    for part in test.images().split(batch_size):
        trajectory = detector.trajectory(part / 255)
        detection = detector.detect(trajectory)
        raw.append(detection.anomaly_map)
        scores.append(detection.score)
        residuals.append(smooth(trajectory.residuals.cpu()).flatten(2).amax(dim=2))  # (B, N)
    score = torch.cat(scores).double().numpy()
    maps = torch.cat(raw)
    native, masks = native_pairs(test, maps)
    some = 0 < sum(mask.sum() for mask in masks) < sum(mask.size for mask in masks)
    pixels = pixel_curve(native, masks) if some else None
    curves = _curves(test.labels, score, pixels)
    if pixels is not None:
        point = pixel_rates(native, masks, threshold.value, curve=pixels)
        curves["pro_at_threshold"] = [list(point)]
    return Evaluation(
        metrics=image_metrics(test.labels, score) | pixel_metrics(native, masks, curve=pixels),
        images=[
            ImageResult(
                record.path,
                record.defect,
                record.label,
                float(value),
                bool(value > threshold.value),
            )
            for record, value in zip(test.records, score, strict=True)
        ],
        calibration_scores=list(detector.calibration_scores),
        threshold=threshold,
        residual_auroc_by_depth=_ladder(test.labels, torch.cat(residuals).numpy()),
        curves=curves,
        map_limits=map_limits(maps.numpy()),
        provenance=_provenance(detector, test),
    )


def native_pairs(
    test: ImageSet, raw: Sequence[Tensor] | Tensor
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pair maps and masks at native size, leaving out defective images without a mask.

    Parameters
    ----------
    test : ImageSet
        The images, n of them.
    raw : Tensor or sequence of Tensor
        A raw map (H, W) for each.

    Returns
    -------
    maps, masks : list of np.ndarray
        (h, w) each: float32, and bool.
    """
    maps, masks = [], []
    for index in range(len(test)):
        mask = test.native_mask(index)
        if mask is not None:
            maps.append(to_native(raw[index], mask.shape))
            masks.append(mask)
    return maps, masks


def _ladder(labels: np.ndarray, residuals: np.ndarray) -> list[float | None]:
    """Image AUROC of the plain residual at each depth; residuals (M, N)."""
    if len(np.unique(labels)) < 2:
        return [None] * residuals.shape[1]
    return [float(roc_auc_score(labels, column)) for column in residuals.T]


def _curves(
    labels: np.ndarray, scores: np.ndarray, pixels: PixelCurve | None
) -> dict[str, list[list[float]]]:
    """Points of the curves that are defined, at most 200 of each, for plotting."""
    curves = {}
    if len(np.unique(labels)) == 2:
        curves["roc"] = _thinned(*roc_curve(labels, scores)[:2])
    if pixels is not None:
        curves |= {"pixel_roc": _thinned(*pixels.roc()), "pro": _thinned(*pixels.pro())}
        curves["pro_thresholds"] = _pro_thresholds(pixels)
    return curves


def _pro_thresholds(pixels: PixelCurve) -> list[list[float]]:
    """Thresholds on the map, falling, with the false-positive rate and overlap at each."""
    rate = pixels.false_at / pixels.normals
    kept = _spread(rate + pixels.overlap)
    columns = np.column_stack([pixels.thresholds, rate, pixels.overlap])
    return [[float(value) for value in row] for row in columns[kept]]


def _thinned(x: np.ndarray, y: np.ndarray) -> list[list[float]]:
    """Keep some points of a rising curve."""
    return [[float(x[i]), float(y[i])] for i in _spread(x + y)]


def _spread(rising: np.ndarray, points: int = 200) -> np.ndarray:
    """Pick at most ``points`` of some rising values, evenly from 0 to the last: their indices."""
    wanted = np.linspace(0, rising[-1], points)
    return np.unique(np.searchsorted(rising, wanted).clip(max=len(rising) - 1))


def _provenance(detector: Detector, test: ImageSet) -> Provenance:
    trained = detector.trained
    size = detector.config.size
    return Provenance(
        kind=detector.kind,
        category=test.category,
        preset=detector.config.preset,
        seed=detector.seed,
        resolution=(size, size),
        parameters=detector.parameters(),
        seconds={
            "train": trained["seconds"],
            "inference_per_image": round(detector.seconds_per_image(), 5),
        },
        device=trained["device"],
        evaluated_on=device_name(detector.device),
        threads=trained["threads"],
        data_fingerprint=test.fingerprint,
        training_images=trained["training_images"],
        calibration_images=trained["calibration_images"],
        test_images=len(test),
        version=__version__,
        code_version=code_version(),
        torch=torch.__version__,
        score_rule=SCORE_RULE,
    )
