"""Evaluate maps and scores by the protocol: native mask size, raw floats, no selection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from data_utils import ImageSet, KitError
from data_utils.samples import check_image_set
from rcae_lite.evaluation.curves import PixelCurve, pixel_curve, pixel_rates
from rcae_lite.evaluation.metrics import image_metrics, pixel_metrics
from rcae_lite.evaluation.results import Evaluation, ImageResult, Provenance
from rcae_lite.evaluation.scoring import map_limits, to_native
from rcae_lite.evaluation.thresholds import Threshold

__all__ = ["check_test_set", "evaluate", "native_pairs"]


def check_test_set(test: ImageSet, size: int, bits: int) -> None:
    """Refuse a test set without images, or of other bits than the detector was trained on.

    Else as `data_utils.samples.check_image_set`.

    Raises
    ------
    KitError
    """
    check_image_set(test, size, "test")
    if not len(test):
        raise KitError("the test set has no images; there is nothing to evaluate")
    if test.bits not in (None, bits):
        raise KitError(
            f"16-bit greyscale is read with {test.bits} bits here, and was with {bits} in the "
            f"training; open the category with bits={bits}"
        )


def evaluate(
    test: ImageSet,
    maps: Tensor,
    scores: np.ndarray,
    *,
    threshold: Threshold,
    calibration_scores: Sequence[float],
    residual_scores: np.ndarray,
    provenance: Provenance,
) -> Evaluation:
    """Compute every metric of the protocol from maps and scores.

    Parameters
    ----------
    test : ImageSet
        The n test images, with labels and masks.
    maps : Tensor
        Raw anomaly maps at the working size, (n, H, W).
    scores : np.ndarray
        Raw image scores, (n,).
    threshold : Threshold
        From the scores of held-out normal images.
    calibration_scores : sequence of float
        Those scores.
    residual_scores : np.ndarray
        Scores of the plain residual at each depth, (n, N).
    provenance : Provenance
        Where the maps come from.

    Returns
    -------
    Evaluation
        Metrics with 95% bootstrap intervals, scores per image, curves and provenance. Metrics that
        the test set cannot give (no defective image, no mask) are None.
    """
    native, masks = native_pairs(test, maps)
    known = [r.read_mask is not None for r in test.records if r.label]
    some = 0 < sum(mask.sum() for mask in masks) < sum(mask.size for mask in masks)
    pixels = pixel_curve(native, masks) if some else None
    curves = _curves(test.labels, scores, pixels)
    if pixels is not None:
        point = pixel_rates(native, masks, threshold.value, curve=pixels)
        curves["pro_at_threshold"] = [list(point)]
    return Evaluation(
        metrics=image_metrics(test.labels, scores) | pixel_metrics(native, masks, curve=pixels),
        images=[
            ImageResult(
                record.path,
                record.defect,
                record.label,
                float(value),
                bool(value > threshold.value),
            )
            for record, value in zip(test.records, scores, strict=True)
        ],
        calibration_scores=list(calibration_scores),
        threshold=threshold,
        residual_auroc_by_depth=_ladder(test.labels, residual_scores),
        curves=curves,
        map_limits=map_limits(maps.numpy()),
        provenance=provenance,
        masks_used=(sum(known), len(known)),
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
