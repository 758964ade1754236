"""The operating threshold, from normal images only: split-conformal, with a guaranteed rate.

With n held-out normal images, a new normal image scores above their k-th largest score with
probability at most k / (n + 1), whatever the distribution of the scores.

What that means. *Exchangeable*: the new image comes from where the held-out ones came from, the
same part, camera and light; after a change of those nothing is promised. *Marginal*: the
probability is over the held-out images too. One threshold, once it is set, has a rate of its own
that scatters around the bound (as Beta(k, n + 1 - k): for n = 19 and k = 1, above 5% in 38% of the
cases and above 10% in 14%); more held-out images narrow it. Nothing is promised about defects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

import numpy as np
from msgspec import Struct

from data_utils.errors import KitError

__all__ = ["Threshold", "conformal_threshold", "holdout_size", "p_values", "threshold_rank"]
DEFAULT_RATE = 0.05


class Threshold(Struct, frozen=True):
    """An image is called defective when its score is above ``value``.

    Parameters
    ----------
    value : float
        On the scale of the scores.
    false_alarm_rate : float
        Bound k / (n + 1) on the probability that a normal image is called defective.
    """

    value: float
    false_alarm_rate: float


def holdout_size(images: int) -> int:
    """How many training images to hold out for the threshold.

    About a tenth, such that n + 1 is a multiple of 20 and 5% can be attained exactly; a fifth where
    there are fewer than 95 images.
    """
    if images >= 95:
        return max(19, 20 * round(images / 200) - 1)
    return max(1, images // 5)


def conformal_threshold(
    scores: Sequence[float] | np.ndarray, rate: float | None = None
) -> Threshold:
    """Threshold from the scores of held-out normal images.

    Parameters
    ----------
    scores : array
        (n,) scores of normal images that were not trained on.
    rate : float, optional
        Wished false-alarm rate. By default the smallest attainable one that is not below 5%.

    Returns
    -------
    Threshold
        The k-th largest score and its rate k / (n + 1).

    Raises
    ------
    KitError
        If there is no score, one is not finite, or n images cannot give the rate asked for.
    """
    ordered = np.sort(_checked(scores))[::-1]
    k = threshold_rank(len(ordered), rate)
    return Threshold(float(ordered[k - 1]), k / (len(ordered) + 1))


def threshold_rank(images: int, rate: float | None = None) -> int:
    """Tell which of the held-out scores, counted from the largest, is the threshold.

    Parameters
    ----------
    images : int
        n, the number of held-out normal images, at least 1.
    rate : float, optional
        As in `conformal_threshold`.

    Returns
    -------
    int
        k in 1..n, the largest for which ``k / (n + 1)`` is not above the rate asked for.

    Raises
    ------
    KitError
        If the rate is not between 0 and 1, or so many images cannot give it; says how many can.
    """
    tiny = 1e-9  # 0.05 * 20 must count as 1
    if rate is None:
        return min(images, max(1, math.ceil(DEFAULT_RATE * (images + 1) - tiny)))
    if not isinstance(rate, (int, float)) or not 1e-9 <= rate < 1:
        raise KitError(
            f"false-alarm rate {rate!r} must be between 0 and 1 (at least 1e-9), for example 0.05"
        )
    k = min(images, math.floor(rate * (images + 1) + tiny))
    if k < 1:
        needed = math.ceil(1 / rate - tiny) - 1
        fewest = max(needed, 10 * needed - 200)  # about a tenth is held out
        in_all = next(n for n in count(fewest) if holdout_size(n) >= needed)
        raise KitError(
            f"a false-alarm rate of {rate} needs {needed} held-out normal images, there are "
            f"{images}; ask for {math.ceil(1000 / (images + 1)) / 1000}, or train on at "
            f"least {in_all} normal images, of which so many are held out"
        )
    return k


def p_values(
    calibration: Sequence[float] | np.ndarray, scores: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Conformal p-values: how surprising each score is, were its image normal.

    The share of the calibration scores that are at least as high, the image itself counted among
    them: ``(1 + #{c >= s}) / (n + 1)``. A normal image has ``p <= a`` with probability at most a.

    Parameters
    ----------
    calibration : array
        (n,) scores of normal images that were not trained on.
    scores : array
        (M,) scores to judge.

    Returns
    -------
    np.ndarray
        (M,) in [1 / (n + 1), 1].
    """
    ordered = np.sort(_checked(calibration))
    at_least = len(ordered) - np.searchsorted(ordered, np.asarray(scores, np.float64), "left")
    return (1 + at_least) / (len(ordered) + 1)


def _checked(calibration: Sequence[float] | np.ndarray) -> np.ndarray:
    scores = np.asarray(calibration, dtype=np.float64)
    if not len(scores) or not np.isfinite(scores).all():
        raise KitError(
            f"{len(scores)} calibration scores, all of which must be finite; at least 1 is needed"
        )
    return scores
