"""ComponentLadder: what can be put together, what it gives, and the view that ticks it."""

import itertools

import numpy as np
import pytest

from data_utils import KitError
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.metrics import auroc_difference, image_metrics
from rcae_lite.study.ladder import Parts, ladder
from rcae_lite.widgets import ComponentLadder
from rcae_lite.widgets.state.ladder import LadderState
from tests.rcae_lite.conftest import tiny_config

WHOLE = Parts("RcAE", 3, dpn=True, crd=True, statistics=True)


@pytest.fixture(scope="module")
def found(tiny_detector, tiny_baseline, tiny_category):
    return ladder(tiny_detector, tiny_baseline, tiny_category.train, tiny_category.test)


@pytest.fixture
def state(found):
    return LadderState(found)


def test_every_pair_is_compared_as_the_bootstrap_does(state, found, tiny_category):
    labels = tiny_category.test.labels
    for a, b in itertools.product(found.measured.values(), repeat=2):
        assert a.over(b) == auroc_difference(labels, [a.scores], [b.scores])
    for rung in found.measured.values():
        assert rung.auroc == image_metrics(labels, rung.scores)["image_auroc"]


def test_one_step_after_the_other(state):
    steps = [("dpn", "RcAE, n = 3 + DPN"), ("crd", "RcAE, n = 3 + DPN + CRD")]
    steps.append(("statistics", "RcAE, n = 3 + DPN + CRD + position statistics"))
    for name, text in steps:
        state.set("reference", state.current.parts)
        state.set(name, True)
        assert str(state.current.parts) == text
        assert state.difference() == state.current.gain
    assert state.current.parts == WHOLE
    for name, _ in reversed(steps):
        state.set(name, False)
    assert state.current.parts == Parts("RcAE", 3)


def reachable(state):
    """Walk through all that can be set, as a user may; check that it is what was measured."""
    names = ("source", "depth", "dpn", "crd", "statistics")
    start = tuple(state.values[name] for name in names)
    seen, todo = {start}, [start]
    while todo:
        at = todo.pop()
        for name in names:
            for value in state.choices[name]:
                state.values |= dict(zip(names, at, strict=True))
                try:
                    state.set(name, value)
                except KitError as error:
                    assert name in state.closed() and state.closed()[name] in str(error)
                    continue
                assert state.current.parts in state.ladder.measured
                new = tuple(state.values[name] for name in names)
                if new not in seen:
                    seen.add(new)
                    todo.append(new)
                yield state.current.parts


def test_exactly_what_was_measured_can_be_put_together(state):
    assert set(reachable(state)) == set(state.ladder.measured)


@pytest.mark.parametrize(
    ("values", "name", "reason"),
    [
        ({}, "crd", "tick DPN first"),
        ({}, "statistics", "tick CRD first"),
        ({"source": "resizing"}, "dpn", "choose RcAE first"),
        ({"source": "mean image"}, "depth", "only resizing and RcAE have a depth"),
        ({"dpn": True}, "source", "untick it first"),
        ({"depth": 2, "dpn": True}, "crd", "up to n = 3"),
        ({"dpn": True, "crd": True}, "depth", "whole sequence up to n = 3"),
        ({"dpn": True, "crd": True}, "dpn", "untick CRD first"),
        ({"dpn": True, "crd": True, "statistics": True}, "crd", "untick them first"),
    ],
)
def test_what_is_closed_says_why(state, values, name, reason):
    for one, value in values.items():
        state.set(one, value)
    assert reason in state.closed()[name]
    other = next(value for value in state.choices[name] if value != state.values[name])
    with pytest.raises(KitError, match=f"{name} cannot be changed now: .*{reason}"):
        state.set(name, other)


def test_a_detector_without_statistics_says_so(tiny_category):
    config = tiny_config(**{"crd.z_score_weight": 0.0})
    plain, single = (kind(config, 0, "cpu") for kind in (RcAEDetector, SinglePassDetector))
    state = LadderState(ladder(plain, single, tiny_category.train, tiny_category.test))
    assert "eigenimages" not in state.choices["source"]
    state.set("dpn", True)
    state.set("crd", True)
    assert state.closed()["statistics"] == "this detector was made without them"


def test_unknown_controls_and_values_are_refused(state):
    with pytest.raises(KitError, match="control 'width' is unknown; choose from"):
        state.set("width", 1)
    with pytest.raises(KitError, match="depth 4: choose from 1, 2, 3"):
        state.set("depth", 4)


def test_the_verdict_is_the_intervals(state):
    state.set("reference", state.current.parts)
    assert state.verdict() == "this is the reference"
    verdicts = set()
    for parts in state.ladder.measured:
        state.set("reference", parts)
        found = state.difference()
        verdict = state.verdict()
        verdicts.add(verdict)
        assert verdict.startswith("above") == (found.low > 0)
        assert verdict.startswith("below") == (found.high < 0)
    assert "not told apart from the reference" in verdicts


def test_the_picture_outlines_the_defect_on_the_map_of_the_shown_image(state, tiny_category):
    shown = state.ladder.shown
    assert shown == [0, 1, 2, 3, 4, 7] and state.ladder.labels[shown].sum() == 4
    index = state.values["image"]
    assert state.ladder.labels[shown[index]] == 1
    plain, laid = state.picture(), state.picture(state.current)
    assert plain.shape == laid.shape == (256, 256, 3) and (plain != laid).any()
    outline = (plain == (0, 255, 136)).all(axis=2)
    mask = tiny_category.test[shown[index]].mask.numpy().repeat(8, 0).repeat(8, 1)
    assert outline.any() and mask[outline].all() and not outline[mask].all()
    np.testing.assert_array_equal((laid == (0, 255, 136)).all(axis=2)[outline], True)


def test_the_rank_counts_other_normal_images(state):
    labels, scores = state.ladder.labels, state.current.scores
    for index, place in enumerate(state.ladder.shown):
        state.set("image", index)
        normal = [i for i in range(len(labels)) if labels[i] == 0 and i != place]
        below = sum(scores[i] < scores[place] for i in normal)
        assert state.rank(state.current) == (below, len(normal))


# The view


def test_ticking_changes_table_pictures_and_reasons(found):
    view = ComponentLadder(found)
    text = view._shown.value
    assert "RcAE, n = 3" in text and "compared with: single pass" in text
    assert view.controls["crd"].disabled and "tick DPN first" in view._reasons["crd"].value
    view.controls["dpn"].value = True
    assert not view.controls["crd"].disabled and view._reasons["crd"].value == "<i></i>"
    assert "RcAE, n = 3 + DPN<" in view._shown.value
    rung = view.state.current
    assert f"{rung.auroc.value:.3f}" in view._shown.value
    assert f"{rung.over(view.state.reference).value:+.3f}" in view._shown.value


def test_a_click_that_came_too_late_is_taken_back(found):
    view = ComponentLadder(found)
    view.controls["crd"].value = True  # no DPN yet
    assert view.controls["crd"].value is False and view.state.current.parts == Parts("RcAE", 3)


def test_the_current_parts_become_the_reference(found):
    view = ComponentLadder(found)
    view.controls["depth"].value = 2
    view._pin()
    assert view.state.values["reference"] == Parts("RcAE", 2)
    assert "this is the reference" in view._shown.value
