"""The metrics of the protocol, with 95% bootstrap intervals over test images.

Image metrics come from scikit-learn. The three pixel metrics are our own and share one sort: the
bottle test set of MVTec AD has 67 million pixels, for which scikit-learn would sort once per metric
and hold several float64 arrays of that length, some GB. Every curve (ROC, precision-recall, PRO)
only turns at the distinct scores of defective pixels, so it is enough to count, for each of them,
the normal pixels above it and at it. Ties are merged; no value is binned, sampled or rescaled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_auc_score

from data_utils.errors import KitError

__all__ = [
    "Interval",
    "PixelCurve",
    "area_under_pro",
    "image_auroc",
    "image_f1_max",
    "image_metrics",
    "pixel_curve",
    "pixel_metrics",
    "pixel_rates",
    "rate_interval",
]

EIGHT_CONNECTED = np.ones((3, 3), dtype=int)
PRO_LIMIT = 0.3
BINS = 2000


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval, in fractions of 1.

    Metrics have bootstrap intervals over test images, rates exact ones, see `rate_interval`.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def rate_interval(events: int, trials: int) -> Interval:
    """Share of the trials in which something happened, with its exact interval (Clopper-Pearson).

    Parameters
    ----------
    events, trials : int
        ``0 <= events <= trials``, at least one trial.
    """
    found = binomtest(events, trials).proportion_ci(confidence_level=0.95, method="exact")
    return Interval(events / trials, float(found.low), float(found.high))


def _interval(value: float, resampled: Sequence[float] | np.ndarray) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def _resample(
    images: int, resamples: int, seed: int, usable: Callable[[np.ndarray], bool]
) -> np.ndarray:
    """How often each image is drawn, (resamples, images); draws that are not usable are redrawn."""
    rng = np.random.default_rng(seed)
    counts: list[np.ndarray] = []
    while len(counts) < resamples:
        drawn = rng.multinomial(images, np.full(images, 1 / images))
        if usable(drawn):
            counts.append(drawn)
    return np.array(counts)


def _check_finite(scores: np.ndarray, what: str) -> None:
    if not np.isfinite(scores).all():
        raise KitError(
            f"{what} hold {(~np.isfinite(scores)).sum()} values that are not finite; "
            "train again with a lower learning rate"
        )


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
    _check_finite(scores, "the image scores")
    metrics = {"image_auroc": image_auroc, "image_f1_max": image_f1_max}
    if len(np.unique(labels)) < 2:
        return dict.fromkeys(metrics)
    counts = _resample(len(labels), resamples, seed, lambda drawn: 0 < drawn @ labels < len(labels))
    draws = [np.repeat(np.arange(len(labels)), drawn) for drawn in counts]
    return {
        name: _interval(metric(labels, scores), [metric(labels[d], scores[d]) for d in draws])
        for name, metric in metrics.items()
    }


# -- pixel metrics -------------------------------------------------------------------------------


@dataclass(frozen=True)
class PixelCurve:
    """What every threshold does, at the T distinct scores of defective pixels, falling.

    Parameters
    ----------
    thresholds : np.ndarray
        (T,) the scores themselves.
    false_before, false_at : np.ndarray
        (T,) normal pixels scoring above each threshold, and at or above it.
    true : np.ndarray
        (T,) defective pixels at or above it.
    overlap : np.ndarray
        (T,) mean over the components of their share at or above it (PRO).
    normals : int
        Number of normal pixels.
    """

    thresholds: np.ndarray
    false_before: np.ndarray
    false_at: np.ndarray
    true: np.ndarray
    overlap: np.ndarray
    normals: int

    def roc(self) -> tuple[np.ndarray, np.ndarray]:
        """Return false- and true-positive rate, from (0, 0) to (1, 1)."""
        return self._path(self.true / self.true[-1])

    def pro(self) -> tuple[np.ndarray, np.ndarray]:
        """Return false-positive rate and per-region overlap, from (0, 0) to (1, 1)."""
        return self._path(self.overlap)

    def _path(self, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two points per threshold: before it (only normal pixels were added) and at it."""
        before = np.concatenate([[0.0], height[:-1]])
        x = np.column_stack([self.false_before, self.false_at]).ravel() / self.normals
        y = np.column_stack([before, height]).ravel()
        return np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]])

    def average_precision(self) -> float:
        """Sum of precision times the gain in recall, as scikit-learn defines it."""
        precision = self.true / (self.true + self.false_at)
        gain = np.diff(self.true, prepend=0) / self.true[-1]
        return float(np.sum(precision * gain))


def component_weights(mask: np.ndarray) -> np.ndarray:
    """1 / size of its 8-connected component for every defective pixel, in row order."""
    labelled, _ = ndimage.label(mask, structure=EIGHT_CONNECTED)
    inside = labelled[mask]
    return 1.0 / np.bincount(inside)[inside]


def pixel_curve(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> PixelCurve:
    """Count what every threshold does, exactly and with ties merged.

    Parameters
    ----------
    maps : sequence of array
        Raw anomaly maps (h, w) float32 at the native size of their mask.
    masks : sequence of array
        (h, w) bool; all False for a normal image.

    Returns
    -------
    PixelCurve

    Raises
    ------
    KitError
        If sizes differ, a score is not finite, or no pixel (or every pixel) is defective.
    """
    _check_pairs(maps, masks)
    normal = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)])
    defective = np.concatenate([m[mask] for m, mask in zip(maps, masks, strict=True)])
    if not len(normal) or not len(defective):
        raise KitError("pixel metrics need normal and defective pixels; the masks have one kind")
    weights = np.concatenate([component_weights(mask) for mask in masks if mask.any()])
    normal.sort()
    thresholds, place = np.unique(defective, return_inverse=True)  # rising
    share = np.bincount(place, weights)[::-1].cumsum()
    return PixelCurve(
        thresholds=thresholds[::-1],
        false_before=len(normal) - np.searchsorted(normal, thresholds, "right")[::-1],
        false_at=len(normal) - np.searchsorted(normal, thresholds, "left")[::-1],
        true=np.bincount(place)[::-1].cumsum(),
        overlap=share / share[-1],
        normals=len(normal),
    )


def _check_pairs(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> None:
    if len(maps) != len(masks):
        raise KitError(f"{len(maps)} maps for {len(masks)} masks; give one map per mask")
    for number, (anomaly_map, mask) in enumerate(zip(maps, masks, strict=True)):
        if mask.dtype != bool:
            raise KitError(f"mask {number} holds {mask.dtype} values, not bool; pass mask != 0")
        if anomaly_map.shape != mask.shape:
            raise KitError(
                f"map {number} is {anomaly_map.shape}, its mask {mask.shape}; enlarge "
                "the map to the mask's size, never the other way round"
            )
        _check_finite(anomaly_map, f"the values of map {number}")


def pixel_rates(
    maps: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    threshold: float,
    *,
    curve: PixelCurve | None = None,
) -> tuple[float, float]:
    """Return what one threshold does to the pixels: the point that it has on the PRO curve.

    Parameters
    ----------
    maps, masks
        As in `pixel_curve`; errors as there.
    threshold : float
        A pixel is marked when its value is above it.
    curve : PixelCurve, optional
        That of the same maps and masks, if it is known already.

    Returns
    -------
    false_positive_rate : float
        Share of the normal pixels of all images that are marked.
    overlap : float
        Mean over the components of their marked share.
    """
    curve = curve or pixel_curve(maps, masks)
    false = sum(np.count_nonzero(m[~mask] > threshold) for m, mask in zip(maps, masks, strict=True))
    above = int(np.searchsorted(-curve.thresholds, -threshold))  # scores above the threshold
    return float(false / curve.normals), float(curve.overlap[above - 1]) if above else 0.0


def area_under_pro(fpr: np.ndarray, pro: np.ndarray, limit: float = PRO_LIMIT) -> float:
    """Area under the PRO curve up to a false-positive rate, divided by that rate: AU-PRO.

    Trapezoid rule; the last point is interpolated at the limit. The false-positive rate runs over
    all normal pixels of all images, good ones included; every 8-connected component of the masks
    weighs the same. Source: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021, and
    its code.
    """
    inside = fpr <= limit
    x, y = fpr[inside], pro[inside]
    if x[-1] < limit:
        after = len(x)
        slope = (limit - x[-1]) / (fpr[after] - x[-1])
        x = np.append(x, limit)
        y = np.append(y, y[-1] + slope * (pro[after] - y[-1]))
    return float(np.trapezoid(y, x) / limit)


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
    _check_pairs(maps, masks)
    names = ("pixel_auroc", "pixel_ap", "au_pro")
    defective = np.array([mask.sum() for mask in masks])
    normal = np.array([mask.size for mask in masks]) - defective
    if not defective.sum() or not normal.sum():
        return dict.fromkeys(names)
    values = _areas(curve or pixel_curve(maps, masks))
    counts = _resample(
        len(maps), resamples, seed, lambda drawn: drawn @ defective > 0 and drawn @ normal > 0
    )
    resampled = np.array(_resampled_areas(maps, masks, counts))
    return {
        name: _interval(value, resampled[:, column])
        for column, (name, value) in enumerate(zip(names, values, strict=True))
    }


def _areas(curve: PixelCurve) -> tuple[float, float, float]:
    fpr, tpr = curve.roc()
    return float(np.trapezoid(tpr, fpr)), curve.average_precision(), area_under_pro(*curve.pro())


def _resampled_areas(
    maps: Sequence[np.ndarray], masks: Sequence[np.ndarray], counts: np.ndarray
) -> list[tuple[float, float, float]]:
    """Compute the three areas for every row of ``counts`` (how often each image was drawn)."""
    normal, true, share, components = _histograms(maps, masks)
    areas = []
    for drawn in counts.astype(np.float64):  # exact, and faster than integers
        false_at = (drawn @ normal)[::-1].cumsum()
        curve = PixelCurve(
            thresholds=np.arange(len(false_at))[::-1],  # numbers of the bins
            false_before=np.concatenate([[0], false_at[:-1]]),
            false_at=false_at,
            true=(drawn @ true)[::-1].cumsum(),
            overlap=(drawn @ share)[::-1].cumsum() / (drawn @ components),
            normals=false_at[-1],
        )
        areas.append(_areas(_without_empty_start(curve)))
    return areas


def _without_empty_start(curve: PixelCurve) -> PixelCurve:
    """Average precision divides by the pixels above a threshold: drop bins with none."""
    keep = curve.true + curve.false_at > 0
    return PixelCurve(
        curve.thresholds[keep],
        curve.false_before[keep],
        curve.false_at[keep],
        curve.true[keep],
        curve.overlap[keep],
        curve.normals,
    )


def _histograms(
    maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Count per image and bin: normal and defective pixels, component shares; and components."""
    edges = _bin_edges(maps, masks)
    bins = len(edges) + 1
    rows = []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        inside = np.searchsorted(edges, anomaly_map[mask], "right")
        outside = np.searchsorted(edges, anomaly_map[~mask], "right")
        weights = component_weights(mask)
        rows.append(
            (
                np.bincount(outside, minlength=bins),
                np.bincount(inside, minlength=bins),
                np.bincount(inside, weights, minlength=bins),
                weights.sum(),
            )
        )
    normal, true, share, components = zip(*rows, strict=True)
    return (
        np.array(normal, np.float64),
        np.array(true, np.float64),
        np.array(share),
        np.array(components),
    )


def _bin_edges(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> np.ndarray:
    """Quantiles of normal scores (denser at the top, where AU-PRO and AP look) and defective ones.

    At most about 200,000 pixels of each kind, evenly spaced in reading order, are looked at.
    """
    top = 1 - np.logspace(0, -5, BINS // 2)
    levels = np.union1d(np.linspace(0, 1, BINS // 2), top)
    edges = []
    for select in (lambda mask: ~mask, lambda mask: mask):
        values = [m[select(mask)] for m, mask in zip(maps, masks, strict=True)]
        stride = max(1, sum(map(len, values)) // 200_000)
        edges.append(np.quantile(np.concatenate([v[::stride] for v in values]), levels))
    return np.unique(np.concatenate(edges).astype(np.float32))
