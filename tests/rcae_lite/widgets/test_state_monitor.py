"""MonitorState: a training that is watched, stopped and resumed is the same training."""

import itertools

import numpy as np
import pytest
import torch

from data_utils import KitError
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.detector import RcAEDetector
from rcae_lite.widgets.state.frames import lookup, to_bytes
from rcae_lite.widgets.state.monitor import MOMENTS, POINTS, MonitorState, moments
from tests.rcae_lite.conftest import tiny_config


@pytest.fixture
def fresh() -> RcAEDetector:
    return RcAEDetector(tiny_config(), 0, "cpu")


def finish(state: MonitorState) -> None:
    state.start()
    state.join()


def same_weights(a, b) -> bool:
    return all(
        torch.equal(x, y)
        for name in a.modules
        for x, y in zip(
            a.modules[name].state_dict().values(),
            b.modules[name].state_dict().values(),
            strict=True,
        )
    )


def test_watching_changes_nothing(fresh, tiny_detector, tiny_category, tmp_path):
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")
    finish(state)
    assert (state.status, state.message) == ("finished", "")
    assert state.losses == tiny_detector.losses == fresh.losses
    assert same_weights(fresh, tiny_detector)
    assert fresh.threshold == tiny_detector.threshold


@pytest.mark.parametrize(("stage", "step"), [("rcae", 3), ("dpn", 6), ("crd", 1), ("crd", 4)])
def test_stopped_anywhere_and_resumed_it_ends_the_same(
    fresh, tiny_detector, tiny_category, tmp_path, stage, step
):
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")

    def stop_there():
        if (state.stage, state.done) == (stage, step):
            state.stop()

    state.on_change = stop_there
    finish(state)
    assert (state.status, state.stage, state.done) == ("stopped", stage, step)
    seen = len(state.moments)

    # Another session finds the checkpoint of that very step.
    state.on_change = lambda: None
    finish(state)
    assert state.status == "finished"
    assert state.losses == tiny_detector.losses
    assert same_weights(fresh, tiny_detector)
    assert len(state.moments) > seen or (stage, step) == ("crd", 6)
    other = RcAEDetector(tiny_config(), 0, "cpu")
    other.fit(tiny_category.train, callbacks=[], checkpoint=tmp_path / "checkpoint")
    assert same_weights(other, tiny_detector)


def test_the_probe_is_what_the_detector_makes_of_it(fresh, tiny_category, tmp_path):
    probe = tiny_category.test[0].image
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint", probe)
    finish(state)
    last = state.moments[-1]
    assert (last.stage, last.step) == ("crd", 6)
    found = fresh.predict(probe.unsqueeze(0)).probability.numpy()
    np.testing.assert_array_equal(last.frames, lookup(found, 0, 1))
    last_of_dpn = [moment for moment in state.moments if moment.stage == "dpn"][-1]
    enhanced = to_bytes(fresh.trajectory(probe.unsqueeze(0)).enhanced)[0]
    np.testing.assert_array_equal(last_of_dpn.frames, enhanced)
    last_of_rcae = [moment for moment in state.moments if moment.stage == "rcae"][-1]
    rebuilt = to_bytes(fresh.trajectory(probe.unsqueeze(0)).reconstructions)[0]
    np.testing.assert_array_equal(last_of_rcae.frames, rebuilt)
    order = [("rcae", "dpn", "crd").index(moment.stage) for moment in state.moments]
    assert order == sorted(order)
    for index in range(len(state.moments)):
        state.set(moment=index)
    with pytest.raises(KitError, match="choose a whole number"):
        state.set(moment=len(state.moments))


def test_the_slider_follows_until_it_is_moved(fresh, tiny_category, tmp_path):
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")
    finish(state)
    assert state.values["moment"] == len(state.moments) - 1
    again = MonitorState(RcAEDetector(tiny_config(), 0, "cpu"), tiny_category.train, tmp_path / "b")

    def go_back():
        if len(again.moments) == 4:
            again.set(moment=1)

    again.on_change = go_back
    finish(again)
    assert again.values["moment"] == 1


def test_a_failure_is_told_and_can_be_resumed(fresh, tiny_category, tmp_path, monkeypatch):
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")
    with monkeypatch.context() as broken:
        broken.setattr(
            "rcae_lite.training.trainer.train_stage",
            lambda *_: (_ for _ in ()).throw(KitError("no luck")),
        )
        finish(state)
    assert (state.status, state.message) == ("failed", "no luck")
    finish(state)
    assert state.status == "finished"
    with pytest.raises(KitError, match="has finished"):
        state.start()


def test_the_baseline_can_be_watched_too(tiny_category, tmp_path):
    single = SinglePassDetector(tiny_config(), 0, "cpu")
    state = MonitorState(single, tiny_category.train, tmp_path / "checkpoint")
    finish(state)
    assert state.status == "finished" and state.moments[-1].frames.shape == (1, 32, 32, 3)


def test_long_curves_are_means_over_blocks(fresh, tiny_category, tmp_path):
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")
    state.losses["rcae"] = [(step, float(step)) for step in range(1, 1001)]
    curve = state.loss_curves()["rcae"]
    assert len(curve) == POINTS
    assert curve[0] == [5, 3.0] and curve[-1] == [1000, 998.0]


@pytest.mark.parametrize("steps", [1, 6, 20, 700])
def test_moments_are_dense_at_first_and_end_with_the_last_step(steps):
    chosen = sorted(moments(steps))
    assert chosen[0] >= 1 and chosen[-1] == steps and len(chosen) <= MOMENTS
    gaps = [b - a for a, b in itertools.pairwise(chosen)]
    assert gaps[:1] <= gaps[-1:]
