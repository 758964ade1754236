"""Evaluate a detector on a test set by the protocol: native mask size, raw floats, no selection."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from data_utils import ImageSet, KitError
from rcae_lite import __version__
from rcae_lite.metrics import PixelCurve, image_metrics, pixel_curve, pixel_metrics
from rcae_lite.results import Evaluation, ImageResult, Provenance

if TYPE_CHECKING:
    from rcae_lite.detector import Detector

__all__ = [
    "SCORE_RULE",
    "code_version",
    "device_name",
    "evaluate",
    "map_limits",
    "smooth",
    "to_native",
]

SCORE_RULE = (
    "maximum of the raw map, which is smoothed (Gaussian, standard deviation = height / 64)"
)


def smooth(maps: Tensor) -> Tensor:
    """Gaussian smoothing of a map; its maximum is then the image's score.

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


def evaluate(detector: Detector, test: ImageSet, *, batch_size: int = 8) -> Evaluation:
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
    if detector.threshold is None:
        raise KitError("the detector has no threshold yet; call fit(...) or load a trained one")
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
    native, masks = _native_pairs(test, maps)
    some = 0 < sum(mask.sum() for mask in masks) < sum(mask.size for mask in masks)
    pixels = pixel_curve(native, masks) if some else None
    return Evaluation(
        metrics=image_metrics(test.labels, score) | pixel_metrics(native, masks, curve=pixels),
        images=[
            ImageResult(
                record.path,
                record.defect,
                record.label,
                float(value),
                bool(value > detector.threshold.value),
            )
            for record, value in zip(test.records, score, strict=True)
        ],
        calibration_scores=list(detector.calibration_scores),
        threshold=detector.threshold,
        residual_auroc_by_depth=_ladder(test.labels, torch.cat(residuals).numpy()),
        curves=_curves(test.labels, score, pixels),
        map_limits=map_limits(maps.numpy()),
        provenance=_provenance(detector, test),
    )


def _native_pairs(test: ImageSet, raw: Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pair maps and masks at native size, leaving out defective images without a mask."""
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
    return curves


def _thinned(x: np.ndarray, y: np.ndarray, points: int = 200) -> list[list[float]]:
    """Keep at most ``points`` points of a rising curve, evenly spread along x + y."""
    wanted = np.linspace(0, x[-1] + y[-1], points)
    kept = np.unique(np.searchsorted(x + y, wanted).clip(max=len(x) - 1))
    return [[float(x[i]), float(y[i])] for i in kept]


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
