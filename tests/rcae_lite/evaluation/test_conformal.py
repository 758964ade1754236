"""200 random splits of the scores of trained detectors: the bound holds, and is not idle."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from data_utils import ImageSet, KitError, open_category
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.thresholds import holdout_size, threshold_rank
from tests.rcae_lite.conftest import tiny_config, tiny_records

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def rates():
    """Return what benchmarks/conformal.py computes."""
    spec = spec_from_file_location("conformal", ROOT / "benchmarks" / "conformal.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rates


@pytest.mark.parametrize(
    ("held_out", "rate", "bound"), [(19, None, 0.05), (29, None, 2 / 30), (99, 0.1, 0.1)]
)
def test_achieved_rates_of_a_trained_detector_respect_the_bound(
    tiny_detector, rates, held_out, rate, bound
):
    fresh = ImageSet(
        tiny_records(312)[12:], 32, split="train", category="tiny", fingerprint="f" * 64
    )
    scores = tiny_detector.predict(fresh.images() / 255).score.double().numpy()
    found = rates(scores, held_out, rate, 200)
    assert found["bound"] == pytest.approx(bound)
    slack = 3 * found["standard_error"]
    assert found["mean_achieved"] <= bound + slack
    assert found["mean_achieved"] >= bound - slack - 1 / (held_out + 1)  # ties only lower it
    assert found["mean_share_of_small_p_values"] == pytest.approx(found["mean_achieved"])


def test_a_rate_that_cannot_be_given_is_refused_before_training(tiny_category):
    detector, events = RcAEDetector(tiny_config(), 0, "cpu"), []
    with pytest.raises(KitError, match="0.01 needs 99 held-out normal images, there are 2; ask"):
        detector.fit(tiny_category.train, callbacks=[events.append], false_alarm_rate=0.01)
    assert not events


def test_a_rate_asked_for_is_kept_and_the_default_is_stated(tiny_category, tiny_detector):
    detector = RcAEDetector(tiny_config(), 0, "cpu")
    detector.fit(tiny_category.train, callbacks=[], false_alarm_rate=0.7)
    assert detector.threshold.false_alarm_rate == pytest.approx(2 / 3)
    assert tiny_detector.threshold.false_alarm_rate == pytest.approx(1 / 3)
    summary = tiny_detector.evaluate(tiny_category.test).summary()
    assert "from 2 held-out normal images: at most 33.3% false alarms" in summary


@pytest.mark.realdata
def test_the_bound_holds_on_scores_of_real_images(realdata, rates):
    """Held-out and good test images of bottle, mixed: exchangeable by the random splits."""
    category = open_category(realdata / "mvtec", "bottle", size=32)
    detector = RcAEDetector(tiny_config(), 0, "cpu").fit(category.train, callbacks=[])
    good = category.test.subset([i for i, label in enumerate(category.test.labels) if not label])
    held_out = detector.calibration_scores
    scores = [*held_out, *detector.predict(good.images() / 255).score.tolist()]
    assert len(scores) == 39
    found = rates(scores, 19, None, 2000)  # of 39 images: 200 splits stray by 3 errors at times
    assert found["mean_achieved"] <= found["bound"] + 3 * found["standard_error"]


@pytest.mark.parametrize("thousandths", range(1, 200))
def test_as_many_images_as_the_error_names_are_enough(thousandths):
    with pytest.raises(KitError) as refused:
        threshold_rank(1, thousandths / 1000)
    images = int(re.search(r"train on at least (\d+) normal", str(refused.value))[1])
    assert threshold_rank(holdout_size(images), thousandths / 1000) >= 1
    with pytest.raises(KitError):
        threshold_rank(holdout_size(images - 1), thousandths / 1000)
