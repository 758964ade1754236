"""The metrics of the protocol, with 95% bootstrap intervals over test images.

Image metrics come from scikit-learn. The three pixel metrics are our own and share one sort: the
bottle test set of MVTec AD has 67 million pixels, for which scikit-learn would sort once per metric
and hold several float64 arrays of that length, some GB. Every curve (ROC, precision-recall, PRO)
only turns at the distinct scores of defective pixels, so it is enough to count, for each of them,
the normal pixels above it and at it. Ties are merged; no value is binned, sampled or rescaled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_auc_score

from data_utils.errors import KitError
from rcae_lite.evaluation.bootstrap import (
    Interval,
    percentile_interval,
    resample,
    resampled_areas,
    resampled_image_metrics,
)
from rcae_lite.evaluation.curves import (
    PixelCurve,
    areas_under,
    check_finite,
    check_pairs,
    pixel_curve,
)

__all__ = [
    "auroc_difference",
    "auroc_resamples",
    "image_auroc",
    "image_f1_max",
    "image_metrics",
    "pixel_metrics",
]


# -- image metrics -------------------------------------------------------------------------------


def image_auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve over images; labels (M,) in {0, 1}, scores (M,) raw."""
    return float(roc_auc_score(labels, scores))


def image_f1_max(labels: np.ndarray, scores: np.ndarray) -> float:
    """Best F1 over all thresholds: an *oracle*, since the threshold is chosen on the test set."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def image_metrics(
    labels: np.ndarray, scores: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval | None]:
    """Image AUROC and F1-max (an oracle) with bootstrap intervals.

    Parameters
    ----------
    labels : array
        (M,) in {0, 1}.
    scores : array
        (M,) raw scores, higher is more anomalous.
    resamples : int
        Bootstrap resamples of the images; one that misses a class is drawn again.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``image_auroc`` and ``image_f1_max``; None where there is only one class.

    Raises
    ------
    KitError
        If the lengths differ or a score is not finite.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape:
        raise KitError(f"{labels.shape} labels for {scores.shape} scores; give one score per label")
    check_finite(scores, "the image scores")
    if len(np.unique(labels)) < 2:
        return {"image_auroc": None, "image_f1_max": None}
    auroc, f1_max = resampled_image_metrics(labels, scores, _draws(labels, resamples, seed))
    return {
        "image_auroc": percentile_interval(image_auroc(labels, scores), auroc),
        "image_f1_max": percentile_interval(image_f1_max(labels, scores), f1_max),
    }


def auroc_difference(
    labels: np.ndarray,
    ours: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Compare two detectors: image AUROC of ours minus the others', mean over training seeds.

    Paired: both are judged on the same resamples of the test images, so that luck with the images,
    which both share, cancels.

    Parameters
    ----------
    labels : array
        (M,) in {0, 1}, of both classes.
    ours, others : sequence of array
        (M,) raw scores for each training seed.
    resamples, seed
        As in `image_metrics`.
    """

    def of_the_draws(detector: Sequence[np.ndarray]) -> np.ndarray:
        draws = [auroc_resamples(labels, s, resamples=resamples, seed=seed) for s in detector]
        return np.mean(draws, axis=0)

    def mean(detector: Sequence[np.ndarray]) -> float:
        return float(np.mean([image_auroc(labels, scores) for scores in detector]))

    return percentile_interval(mean(ours) - mean(others), of_the_draws(ours) - of_the_draws(others))


def auroc_resamples(
    labels: np.ndarray, scores: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Compute the image AUROC on every resample of the test images: (resamples,).

    The resamples depend on the labels and the seed alone. So the difference of what two detectors
    get is paired, and kept resamples compare any two of many detectors.

    Parameters
    ----------
    labels : array
        (M,) in {0, 1}, of both classes.
    scores : array
        (M,) raw scores.
    resamples, seed
        As in `image_metrics`.
    """
    return resampled_image_metrics(labels, scores, _draws(labels, resamples, seed))[0]


def _draws(labels: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Draw images with replacement, both classes in each draw: how often each, (resamples, M)."""
    return resample(len(labels), resamples, seed, lambda drawn: 0 < drawn @ labels < len(labels))


def pixel_metrics(
    maps: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    *,
    resamples: int = 1000,
    seed: int = 0,
    curve: PixelCurve | None = None,
) -> dict[str, Interval | None]:
    """Pixel AUROC, pixel average precision and AU-PRO (to 30% false positives) with intervals.

    The values are exact. The intervals resample images through histograms over shared quantile
    bins, whose own error is below 0.001 (tested).

    Parameters
    ----------
    maps, masks
        As in `pixel_curve`.
    resamples : int
        Bootstrap resamples of the images; one without a defective or a normal pixel is drawn again.
    seed : int
        Of the bootstrap.
    curve : PixelCurve, optional
        Of the same maps and masks, where it is known already.

    Returns
    -------
    dict
        ``pixel_auroc``, ``pixel_ap``, ``au_pro``; None where no pixel, or every pixel, is
        defective.

    Raises
    ------
    KitError
        As `pixel_curve`.
    """
    check_pairs(maps, masks)
    names = ("pixel_auroc", "pixel_ap", "au_pro")
    defective = np.array([mask.sum() for mask in masks])
    normal = np.array([mask.size for mask in masks]) - defective
    if not defective.sum() or not normal.sum():
        return dict.fromkeys(names)
    values = areas_under(curve or pixel_curve(maps, masks))
    counts = resample(
        len(maps), resamples, seed, lambda drawn: drawn @ defective > 0 and drawn @ normal > 0
    )
    resampled = np.array(resampled_areas(maps, masks, counts))
    return {
        name: percentile_interval(value, resampled[:, column])
        for column, (name, value) in enumerate(zip(names, values, strict=True))
    }
