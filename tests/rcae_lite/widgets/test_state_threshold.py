"""ThresholdState: everything that follows from the threshold, at every value of it."""

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from data_utils import KitError
from rcae_lite.widgets.state.threshold import ThresholdState, thumbnails
from tests.rcae_lite.evaluation.test_results import make_evaluation


@pytest.fixture(scope="module")
def evaluation(tiny_detector, tiny_category):
    return tiny_detector.evaluate(tiny_category.test)


@pytest.fixture
def state(evaluation, tiny_category) -> ThresholdState:
    return ThresholdState(evaluation, tiny_category.test)


def every_value(state: ThresholdState) -> np.ndarray:
    """Both ends, every score exactly, and a place between any two of them."""
    scores = np.unique(state.scores)
    between = (scores[1:] + scores[:-1]) / 2
    return np.concatenate([[state.low], scores, between, [state.high]])


@pytest.mark.parametrize(("normal", "defective"), [(12, 18), (12, 0), (0, 5), (1, 1)])
def test_counts_and_rates_are_those_of_scikit_learn_and_scipy(normal, defective):
    state = ThresholdState(make_evaluation(normal, defective))
    for value in every_value(state):
        state.set(threshold=float(value))
        found = state.confusion()
        counts = confusion_matrix(state.labels, state.scores > value, labels=[0, 1]).ravel()
        assert [*vars(found).values()] == counts.tolist()
        cases = (
            (state.false_alarms(), normal, counts[1]),
            (state.detections(), defective, counts[3]),
        )
        for rate, total, events in cases:
            if not total:
                assert rate is None
                continue
            exact = binomtest(int(events), total).proportion_ci(method="exact")
            assert (rate.value, rate.low, rate.high) == (events / total, exact.low, exact.high)


def test_it_starts_at_the_threshold_from_normals_and_agrees_with_the_evaluation():
    evaluation = make_evaluation()
    state = ThresholdState(evaluation)
    costs = {"cost_missed": 1.0, "cost_alarm": 1.0, "share": state.labels.mean()}
    assert state.values == {"threshold": evaluation.threshold.value} | costs
    assert state.false_alarms() == evaluation.false_alarms
    assert state.detections() == evaluation.detections


def test_mistakes_are_all_of_them_and_the_worst_comes_first(state):
    for value in every_value(state):
        state.set(threshold=float(value))
        alarms, missed = state.mistakes()
        counts = state.confusion()
        assert (len(alarms), len(missed)) == (counts.false_positives, counts.false_negatives)
        assert all(state.labels[i] == 0 and state.scores[i] > value for i in alarms)
        assert all(state.labels[i] == 1 and state.scores[i] <= value for i in missed)
        assert np.all(np.diff(state.scores[alarms]) <= 0)
        assert np.all(np.diff(state.scores[missed]) >= 0)


def test_the_pro_point_is_what_the_threshold_does_to_the_pixels(
    state, tiny_detector, tiny_category
):
    """Against counting pixels above the threshold, at the thresholds that are kept."""
    from rcae_lite.evaluation.curves import component_weights
    from rcae_lite.evaluation.protocol import native_pairs

    test = tiny_category.test
    raw = tiny_detector.predict(test.images() / 255).anomaly_map
    maps, masks = native_pairs(test, raw)
    weights = [component_weights(mask) for mask in masks if mask.any()]
    kept = state.evaluation.curves["pro_thresholds"]
    assert len(kept) > 20
    for value, *_ in kept[:: len(kept) // 10]:
        if not state.low <= value <= state.high:
            continue
        state.set(threshold=value)
        wrong = sum(((m >= value) & ~mask).sum() for m, mask in zip(maps, masks, strict=True))
        share = wrong / sum((~mask).sum() for mask in masks)
        found = [(m >= value)[mask] for m, mask in zip(maps, masks, strict=True) if mask.any()]
        overlap = sum((w * f).sum() for w, f in zip(weights, found, strict=True))
        overlap /= sum(w.sum() for w in weights)
        assert state.pro_point() == pytest.approx((share, overlap), abs=1e-9)


def test_an_old_evaluation_has_no_pro_point():
    assert ThresholdState(make_evaluation()).pro_point() is None


def test_steps_are_one_for_each_outcome():
    state = ThresholdState(make_evaluation())
    outcomes = [(state.scores > step).tolist() for step in state.steps]
    assert len(outcomes) == len(set(map(tuple, outcomes))) == len(set(state.scores)) + 1
    assert all(outcomes[0]) and not any(outcomes[-1])
    assert np.all(np.diff(state.steps) > 0)


def test_neighbouring_numbers_have_a_step_between_them():
    evaluation = make_evaluation(1, 1)
    low = evaluation.images[0].score
    pair = [
        replace(image, score=score)
        for image, score in zip(evaluation.images, (low, np.nextafter(low, 9)), strict=True)
    ]
    state = ThresholdState(replace(evaluation, images=pair))
    assert [int((state.scores > step).sum()) for step in state.steps] == [2, 1, 0]


def by_hand(state: ThresholdState, threshold: float) -> float:
    """Count every image on its own: a defect weighs s / (number of defects), and so on."""
    total = 0.0
    share, weights = state.values["share"], np.bincount(state.labels)
    for label, score in zip(state.labels, state.scores, strict=True):
        if label and score <= threshold:
            total += share * state.values["cost_missed"] / weights[1]
        if not label and score > threshold:
            total += (1 - share) * state.values["cost_alarm"] / weights[0]
    return total


@pytest.mark.parametrize(
    "prices", [(1, 1, 0.6), (50, 2, 0.6), (1, 30, 0.6), (50, 2, 0.01), (7, 3, 0), (7, 3, 1)]
)
def test_costs_and_the_cheapest_threshold_are_those_of_brute_force(prices):
    state = ThresholdState(make_evaluation(gap=1.0))
    state.set(**dict(zip(("cost_missed", "cost_alarm", "share"), prices, strict=True)))
    tried = every_value(state)
    costs = [by_hand(state, value) for value in tried]
    assert [state.cost(value) for value in tried] == pytest.approx(costs)
    cheapest = state.cheapest()
    assert by_hand(state, cheapest) == pytest.approx(min(costs))
    state.set(threshold=cheapest)
    assert state.cost() == pytest.approx(min(costs))


def test_the_share_of_defects_is_at_first_that_of_the_test_set():
    state = ThresholdState(make_evaluation(12, 18))
    assert state.values["share"] == 0.6
    state.set(cost_missed=5.0, cost_alarm=2.0)
    found = state.confusion()
    assert state.cost() == pytest.approx(
        (5 * found.false_negatives + 2 * found.false_positives) / 30
    )


@pytest.mark.parametrize(("normal", "defective"), [(12, 0), (0, 5)])
def test_images_of_one_kind_have_no_cost(normal, defective):
    state = ThresholdState(make_evaluation(normal, defective))
    assert state.cost() is None and state.cheapest() is None


@pytest.mark.parametrize(
    "wrong", [{"cost_missed": 0}, {"cost_alarm": -1.0}, {"share": 1.1}, {"cost_alarm": 1e9}]
)
def test_a_price_that_is_none_is_refused(state, wrong):
    with pytest.raises(KitError, match="choose a number from"):
        state.set(**wrong)


@pytest.mark.parametrize("value", [float("nan"), 1e9, -1e9, "1", None, True])
def test_a_threshold_off_the_axis_is_refused(state, value):
    before = dict(state.values)
    with pytest.raises(KitError, match="choose a number from"):
        state.set(threshold=value)
    assert state.values == before


def test_other_images_are_refused(evaluation, tiny_category):
    with pytest.raises(KitError, match="the test set that was evaluated"):
        ThresholdState(evaluation, tiny_category.test.subset([1, 0, 2, 3, 4, 5, 6, 7]))


def test_thumbnails_are_means_over_blocks(tiny_category, monkeypatch):
    monkeypatch.setattr("rcae_lite.widgets.state.threshold.THUMBNAIL", 16)
    small = thumbnails(tiny_category.test)
    assert small.shape == (8, 16, 16, 3)
    block = tiny_category.test.images()[3, :, 4:6, 8:10].float().mean(dim=(1, 2))
    np.testing.assert_allclose(small[3, 2, 4], block, atol=0.5)


def test_the_tables_of_intervals_have_an_entry_for_every_count(state):
    tables = state.data()["intervals"]
    assert [len(table) for table in tables] == [5, 5]
    exact = binomtest(3, 4).proportion_ci(method="exact")
    assert tables[0][3] == [exact.low, exact.high]


def test_the_browser_gets_the_held_out_scores_too(state):
    data = state.data()
    assert data["calibration"] == state.evaluation.calibration_scores
    assert data["steps"] == state.steps.tolist()
