"""The threshold keeps its promise: k / (n + 1), for any distribution, from normals only."""

import numpy as np
import pytest

from data_utils import KitError
from rcae_lite.evaluation.thresholds import (
    conformal_threshold,
    holdout_size,
    p_values,
    threshold_rank,
)


@pytest.mark.parametrize(("n", "k"), [(19, 1), (39, 2), (10, 1), (20, 2), (99, 5), (1, 1)])
def test_default_is_the_smallest_attainable_rate_not_below_5_percent(n, k):
    scores = np.arange(n, dtype=float)
    threshold = conformal_threshold(scores)
    assert threshold.value == n - k and threshold.false_alarm_rate == pytest.approx(k / (n + 1))
    assert threshold.false_alarm_rate >= 0.05 - 1e-12
    assert (k - 1) / (n + 1) < 0.05


def test_asked_for_rate_is_never_exceeded():
    scores = np.arange(50.0)
    threshold = conformal_threshold(scores, 0.1)
    assert threshold.false_alarm_rate == pytest.approx(5 / 51) and threshold.value == 45


def test_achieved_rate_respects_the_bound_on_a_skewed_distribution():
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(2000):
        scores = rng.lognormal(0, 2, size=20)
        alarms.append(scores[-1] > conformal_threshold(scores[:-1]).value)
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(
    ("scores", "rate", "message"),
    [
        ([1.0] * 10, 0.05, "needs 19 held-out normal images, there are 10"),
        ([1.0], 1.5, "must be between 0 and 1"),
        ([], None, "0 calibration scores"),
        ([float("nan")], None, "finite"),
    ],
)
def test_what_cannot_be_given_is_refused(scores, rate, message):
    with pytest.raises(KitError, match=message):
        conformal_threshold(scores, rate)


@pytest.mark.parametrize("needed", [2, 3, 18, 19, 20, 38, 39, 40, 99, 1000])
def test_as_many_images_are_asked_for_as_it_takes(needed):
    fewest = next(n for n in range(1, 20 * needed) if holdout_size(n) >= needed)
    with pytest.raises(KitError, match=f"needs {needed} held-out .* at least {fewest} normal"):
        threshold_rank(1, 1 / (needed + 1))


@pytest.mark.parametrize(("rate", "message"), [(1e-8, "held-out"), (5e-324, "at least 1e-9")])
def test_a_tiny_rate_is_refused_at_once(rate, message):
    with pytest.raises(KitError, match=message):
        threshold_rank(19, rate)


@pytest.mark.parametrize("images", [3, 30, 60, 94, 95, 209, 280, 391, 763, 900])
def test_holdout_leaves_enough_to_train_on(images):
    n = holdout_size(images)
    assert 1 <= n <= images / 4.9 + 1
    if images >= 95:
        assert (n + 1) % 20 == 0 and conformal_threshold(np.zeros(n)).false_alarm_rate == 0.05


def test_p_values_by_hand_ties_included():
    assert p_values([1.0, 2, 2, 5], [0.0, 2, 3, 9]).tolist() == [1.0, 0.8, 0.4, 0.2]
    with pytest.raises(KitError, match="finite"):
        p_values([np.inf], [0.0])


def test_above_the_threshold_means_a_p_value_within_the_rate():
    rng = np.random.default_rng(0)
    calibration, scores = rng.integers(30, size=50), rng.integers(40, size=200)  # many ties
    for rate in (None, 0.02, 0.1, 0.5):
        threshold = conformal_threshold(calibration, rate)
        within = p_values(calibration, scores) <= threshold.false_alarm_rate + 1e-12
        assert ((scores > threshold.value) == within).all()
