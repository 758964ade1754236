"""95% intervals: bootstrap over test images, and exact ones for rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct
from scipy.stats import binomtest

from rcae_lite.evaluation.curves import PixelCurve, areas_under, component_weights

__all__ = ["Interval", "rate_interval"]
BINS = 2000


class Interval(Struct, frozen=True):
    """A value with its 95% interval, in fractions of 1.

    Metrics have bootstrap intervals over test images, rates exact ones, see `rate_interval`.
    """

    value: float
    low: float
    high: float

    @property
    def doubt(self) -> float:
        """How far the interval reaches from its value towards 0, and beyond it if it holds 0."""
        return self.value - self.low if self.value > 0 else self.high - self.value

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


def percentile_interval(value: float, resampled: Sequence[float] | np.ndarray) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def resample(
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


def resampled_image_metrics(
    labels: np.ndarray, scores: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute image AUROC and F1-max for every row of ``counts``, both classes in each: (R,) each.

    Sorted once for all rows. The AUROC is the share of pairs of a defective and a normal image
    that are in order (Mann-Whitney), ties counting half.
    """
    order = np.argsort(scores)
    distinct = np.flatnonzero(np.diff(scores[order], prepend=np.nan))  # where each score begins
    drawn, is_defective = counts[:, order], np.asarray(labels)[order] > 0
    defective = np.add.reduceat(drawn * is_defective, distinct, axis=1)  # of each distinct score
    normal = np.add.reduceat(drawn * ~is_defective, distinct, axis=1)
    defectives, normals = defective.sum(axis=1), normal.sum(axis=1)
    in_order = defective * (normal.cumsum(axis=1) - normal / 2)
    true, false = (kind[:, ::-1].cumsum(axis=1) for kind in (defective, normal))
    f1 = 2 * true / (true + false + defectives[:, None])
    return in_order.sum(axis=1) / (defectives * normals), f1.max(axis=1)


def resampled_areas(
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
        areas.append(areas_under(_without_empty_start(curve)))
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
