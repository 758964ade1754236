"""Every check refuses every likely mistake with its own hint, and accepts the solution."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_utils import KitError
from rcae_lite import exercises
from rcae_lite.exercises import EXERCISES, NotYet, check
from tests.rcae_lite.exercises.mutants import MUTANTS

SOLUTIONS = sorted((Path(__file__).parents[3] / "notebooks" / "solutions").glob("*.py"))
quick = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 2**40)


def answers() -> dict:
    """Every solution, by the name of the check that it is handed to."""
    found = {}
    for source in SOLUTIONS:
        text = source.read_text(encoding="utf-8")
        namespace: dict = {}
        exec(
            compile(text.replace("\ncheck(", "\n(lambda *_: None)("), str(source), "exec"),
            namespace,
        )
        names = re.findall(r'^check\("([\w.]+)", (\w+)\)$', text, re.M)
        found |= {name: namespace[answer] for name, answer in names}
    return found


ANSWERS = answers()


def hint_of(name, answer, seed=0) -> NotYet:
    with pytest.raises(NotYet) as caught:
        check(name, answer, seed=seed)
    return caught.value


def test_there_is_a_solution_and_a_mutant_for_everything_that_is_promised():
    assert ANSWERS.keys() == EXERCISES.keys() == MUTANTS.keys()
    for name, exercise in EXERCISES.items():
        assert MUTANTS[name].keys() == exercise.mistakes.keys(), name
        assert len(exercise.mistakes) >= 3, name
        assert len(set(exercise.mistakes.values())) == len(exercise.mistakes), name
    assert len(EXERCISES) >= 40
    for name, exercise in EXERCISES.items():  # the heart of the course
        assert len(exercise.mistakes) >= (10 if name[:2] in ("03", "05") else 3), name
    assert {exercise.level for exercise in EXERCISES.values()} == {"easy", "medium", "hard"}


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_accepted(name, capsys):
    @quick
    @given(seed=seeds)
    def accepted(seed):
        check(name, ANSWERS[name], seed=seed)

    accepted()
    assert capsys.readouterr().out.splitlines()[-1] == f"{name}: right."


@pytest.mark.parametrize(
    ("name", "mistake"), [(name, mistake) for name in MUTANTS for mistake in MUTANTS[name]]
)
def test_a_likely_mistake_gets_its_own_hint(name, mistake):
    @quick
    @given(seed=seeds)
    def refused(seed):
        error = hint_of(name, MUTANTS[name][mistake], seed)
        assert error.mistake == mistake, f"{mistake} was taken for: {error}"
        assert not re.search(r"[{}]", str(error)), "a field was not filled in"

    refused()


def test_a_mistake_that_looks_like_another_one_by_chance_is_tried_again():
    """In the round of this seed stretched maps and left-out images give the same AUROC."""
    for mistake in ("stretched", "defective"):
        assert hint_of("07.pixels", MUTANTS["07.pixels"][mistake], 144).mistake == mistake


@pytest.mark.parametrize("name", EXERCISES)
def test_what_can_be_wrong_anywhere_is_said_plainly(name):
    def unwritten(*_):
        raise NotImplementedError

    def broken(*_):
        return [][1]

    assert hint_of(name, unwritten).mistake == "unwritten"
    error = hint_of(name, broken)
    assert error.mistake == "error" and "IndexError" in str(error)
    assert hint_of(name, torch.zeros(2)).mistake == "result"
    assert hint_of(name, torch.nn.Identity()).mistake == "result"  # an object, though callable
    assert isinstance(hint_of(name, lambda *_: None), AssertionError)


def test_the_line_that_is_quoted_is_the_students_not_pytorchs():
    def answer(maps):
        return torch.nn.functional.linear(maps, torch.zeros(3, 1000))  # mine

    error = hint_of("00.score", answer)
    assert error.mistake == "error"
    assert "at `return torch.nn.functional.linear(maps, torch.zeros(3, 1000))  # mine`" in str(
        error
    )


def test_a_hint_that_is_a_question_ends_with_its_question_mark():
    assert str(hint_of("03.changes", lambda _: None)).endswith(
        "nothing (None): is a `return` missing?"
    )


def test_too_many_arguments_quote_no_line_of_the_kit():
    assert " at `" not in str(hint_of("00.score", lambda: None))


def test_an_answer_of_another_form_is_a_hint_too():
    def answer(labels, scores, metric, rng, resamples):
        ANSWERS["07.bootstrap"](labels, scores, metric, rng, resamples)
        return 0.5  # not two ends

    error = hint_of("07.bootstrap", answer)
    assert error.mistake == "form" and "'float' object is not iterable" in str(error)


def test_the_example_of_the_readme_of_the_course():
    """The hint names the likely mistake, with this round's numbers."""
    error = hint_of("03.encoder", MUTANTS["03.encoder"]["unhalved"])
    assert str(error) == (
        "03.encoder: not yet. Your encoder does not halve: expected height 16, got 32."
    )
    assert error._render_traceback_() == [str(error)]  # what Jupyter shows: no traceback


def test_input_is_fresh_at_every_call():
    seen = []
    for _ in range(2):
        check("00.score", lambda maps: seen.append(maps) or maps.amax(dim=(1, 2)))
    assert not torch.equal(seen[0], seen[3])


def test_an_unknown_exercise_is_a_mistake_of_the_user():
    with pytest.raises(KitError, match=r"no exercise '99.x'; choose from 00.label"):
        check("99.x", len)


def test_every_exercise_says_what_to_do():
    for exercise in EXERCISES.values():
        assert exercise.task.endswith(".") and exercise.points in (1, 2, 3)
    assert exercises.check is check
