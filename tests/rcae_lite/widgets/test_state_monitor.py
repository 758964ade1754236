"""MonitorState: a training that is watched, stopped and resumed is the same training."""

import itertools

import numpy as np
import pytest
import torch

from data_utils import KitError
from rcae_lite.base import split
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.restoration import erasure, error_outside
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


def test_erasure_and_error_are_those_of_the_probe_at_the_last_depth(fresh, tiny_category, tmp_path):
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")
    finish(state)
    p = state.painted
    found = fresh.trajectory(p.images)
    for stage, restored in (("rcae", found.reconstructions), ("dpn", found.enhanced)):
        last = [moment for moment in state.moments if moment.stage == stage][-1]
        expected = erasure(restored, p.images, p.clean, p.mask)[-1]
        assert last.erasure == pytest.approx(float(expected), rel=1e-5)
        expected = error_outside(restored, p.clean, p.mask)[-1]
        assert last.error == pytest.approx(float(expected), rel=1e-5)
    first = state.moments[0]
    assert first.erasure > 0 and first.error > 0
    assert all(m.erasure is m.error is None for m in state.moments if m.stage == "crd")


def test_the_defect_is_painted_into_a_normal_image_that_is_not_trained_on(
    fresh, tiny_category, tmp_path
):
    train, test = tiny_category.train, tiny_category.test

    def monitored(probe):
        return MonitorState(fresh, train, tmp_path / "checkpoint", probe)

    held_out = [train.paths[index] for index in split(fresh.seed, len(train))[1]]
    alone = monitored(None)
    assert alone.painted_into in held_out and alone.data()["painted"]["shown"]
    assert torch.equal(alone.probe, alone.painted.images)
    assert torch.equal(monitored(None).probe, alone.probe), "always the same defect"
    changed = (alone.painted.images != alone.painted.clean).any(dim=1, keepdim=True)
    assert torch.equal(changed, alone.painted.mask) and changed.any()

    normal, defective = test[7], test[0]
    ours = monitored(normal)
    assert ours.painted_into == normal.path and ours.data()["painted"]["shown"]
    assert torch.equal(ours.painted.clean[0], normal.image.as_subclass(torch.Tensor))
    for probe in (defective, defective.image):  # has no clean counterpart: another one is painted
        given = monitored(probe)
        assert given.painted_into in held_out and not given.data()["painted"]["shown"]
        assert torch.equal(given.probe[0], defective.image.as_subclass(torch.Tensor))


def test_where_no_defect_can_be_painted_there_are_no_curves(
    fresh, tiny_category, tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise KitError("no visible stain")

    monkeypatch.setattr("rcae_lite.widgets.state.monitor.paint_defects", refuse)
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")
    assert state.data()["painted"] is None
    finish(state)
    assert state.status == "finished" and all(m.erasure is None for m in state.moments)


def test_the_time_left_is_at_the_rate_of_this_stage_since_the_last_start(
    fresh, tiny_category, tmp_path, monkeypatch
):
    """Steps of RcAE take 2 s and others 5 s; between the stages and the sessions lies an hour."""
    state = MonitorState(fresh, tiny_category.train, tmp_path / "checkpoint")
    now, left = [0.0], {}
    listen = MonitorState.__call__

    def clocked(self, event):
        if event.done == 1 or (event.stage, event.done) == ("dpn", 4):
            now[0] += 3600
        now[0] += 2 if event.stage == "rcae" else 5
        listen(self, event)

    def note():
        left.setdefault((state.stage, state.done), state.seconds_left())

    def note_and_stop():
        note()
        if (state.stage, state.done) == ("dpn", 3):
            state.stop()

    monkeypatch.setattr("rcae_lite.widgets.state.monitor.monotonic", lambda: now[0])
    monkeypatch.setattr(MonitorState, "__call__", clocked)
    state.on_change = note_and_stop
    finish(state)
    assert state.status == "stopped" and state.seconds_left() is None
    state.on_change = note
    finish(state)
    assert left["rcae", 1] is None and left["rcae", 2] == 8 and left["rcae", 5] == 2
    assert left["dpn", 1] is None and left["dpn", 3] == 15
    assert left["dpn", 4] is None, "measured anew after a resume"
    assert left["dpn", 5] == 5 and left["crd", 2] == 20


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
