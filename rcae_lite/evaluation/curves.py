"""Exact pixel curves (ROC, precision-recall, PRO) from one sort, and the areas under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data_utils.errors import KitError

__all__ = ["PixelCurve", "area_under_pro", "pixel_curve", "pixel_rates"]
EIGHT_CONNECTED = np.ones((3, 3), dtype=int)
PRO_LIMIT = 0.3


def check_finite(scores: np.ndarray, what: str) -> None:
    if not np.isfinite(scores).all():
        raise KitError(
            f"{what} hold {(~np.isfinite(scores)).sum()} values that are not finite; "
            "train again with a lower learning rate"
        )


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
    check_pairs(maps, masks)
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


def check_pairs(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> None:
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
        check_finite(anomaly_map, f"the values of map {number}")


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


def areas_under(curve: PixelCurve) -> tuple[float, float, float]:
    fpr, tpr = curve.roc()
    return float(np.trapezoid(tpr, fpr)), curve.average_precision(), area_under_pro(*curve.pro())
