"""The quiz as a widget: a click answers, and what is shown is escaped."""

import re

import pytest

pytest.importorskip("ipywidgets", reason="the extra `lab` is not installed")

from data_utils import KitError
from rcae_lite.exercises.quiz import QUIZZES, read_quiz
from rcae_lite.widgets import quiz


def parts(box):
    """Questions (text, buttons, feedback) and the result."""
    _, *asked, result = box.children
    return [(q.children[0], q.children[1:-1], q.children[-1]) for q in asked], result


@pytest.mark.parametrize("notebook", QUIZZES)
def test_every_option_answers(notebook):
    questions, result = parts(quiz(notebook))
    state = read_quiz(notebook)
    for (_, buttons, feedback), question in zip(questions, state.questions, strict=True):
        labels = [re.sub("[`*]", "", option.text) for option in question.options]
        assert [button.description for button in buttons] == labels
        for button, option in zip(buttons, question.options, strict=True):
            button.click()
            said = "Right." if option.right else "Not yet."
            assert f'<div role="status"><b>{said}</b> ' in feedback.value
            assert button.icon == ("check" if option.right else "times")
    count = len(questions)
    first = sum(question.options[0].right for question in state.questions)
    assert result.value == f'<div role="status">{first} of {count} at the first try</div>'


def test_two_quizzes_know_nothing_of_each_other():
    (one, result), (_, untouched) = parts(quiz("03")), parts(quiz("03"))
    for button in one[0][1]:
        button.click()
    assert "1 of 4 solved" in result.value and "0 of 4 solved" in untouched.value


def test_texts_are_escaped_and_blocks_keep_their_lines():
    questions, _ = parts(quiz("01"))
    assert "<pre>&gt;&gt;&gt; np.unique(mask)\narray(" in questions[0][0].value
    questions, _ = parts(quiz("03"))
    assert "give back <em>clean</em> images" in questions[2][0].value
    assert "<pre>            copied share  " in questions[3][0].value  # columns stay columns
    questions, _ = parts(quiz("05"))
    assert "<code>M_P</code>" in questions[0][0].value


def test_an_unknown_quiz_is_refused():
    with pytest.raises(KitError, match="no quiz '99'"):
        quiz("99")
