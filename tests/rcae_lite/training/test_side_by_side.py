"""Trainings at the same time: each comes out as it does alone, and none outlives a failure."""

import threading

import pytest
import torch

from rcae_lite.baselines import SinglePassDetector
from rcae_lite.detector import RcAEDetector
from rcae_lite.training.events import Event, StageState, Stopped
from rcae_lite.training.side_by_side import side_by_side
from tests.rcae_lite.conftest import tiny_config
from tests.rcae_lite.test_detector import same_weights

EVENT = Event("fit", 1, 2, 0.0, StageState(torch.nn.Identity(), None))  # type: ignore[arg-type]


def test_the_results_are_in_order_and_the_first_is_trained_here():
    here = threading.get_ident()
    threads = side_by_side([lambda _: threading.get_ident()] * 3)
    assert threads[0] == here and here not in threads[1:]


def test_they_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=20)
    assert sorted(side_by_side([lambda _: meeting.wait()] * 2)) == [0, 1]


class Broken(Exception):
    pass


def fails(_):
    raise Broken


def trains_on(stop):
    """Train until told to stop; in vain, if nobody does."""
    for _ in range(2000):
        threading.Event().wait(0.01)
        stop(EVENT)


@pytest.mark.parametrize(
    "trainings",
    [
        [fails, trains_on],
        [trains_on, fails],
        [trains_on, trains_on, fails],
        [trains_on, fails, fails],
    ],
)
def test_a_failure_stops_the_others_and_is_what_one_sees(trainings):
    with pytest.raises(Broken):
        side_by_side(trainings)


def test_ctrl_c_stops_the_others_too():
    ended = []

    def interrupted(_):
        raise KeyboardInterrupt

    def beside(stop):
        with pytest.raises(Stopped):
            trains_on(stop)
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        side_by_side([interrupted, beside])
    assert ended


def test_detectors_come_out_as_they_do_alone(tiny_category):
    def fit(kind, *callbacks):
        return kind(tiny_config(), seed=3).fit(tiny_category.train, callbacks=callbacks)

    kinds = RcAEDetector, SinglePassDetector
    beside = side_by_side([lambda stop, kind=kind: fit(kind, stop) for kind in kinds])
    for kind, detector in zip(kinds, beside, strict=True):
        assert same_weights(fit(kind), detector)
