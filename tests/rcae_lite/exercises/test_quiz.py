"""Quizzes: what is chosen is counted, bad files are refused, and the lectures' own are fair."""

from collections import Counter
from pathlib import Path

import pytest

from data_utils import KitError
from rcae_lite.exercises.quiz import QUIZZES, parse_quiz, read_quiz

LECTURES = sorted(
    path.stem[:2] for path in Path(__file__).parents[3].joinpath("notebooks").glob("[0-9]*.py")
)
TEXT = """# 12 Anything

## The first
What comes
out?

```
1 < 2
```

- [ ] One thing,
  on two lines.
  > Not this one,
  > because.
- [x] Another.
  > This one.

## The second

And now?

- [x] Yes.
  > So it is.
- [ ] No.
  > It is so.
"""


def test_a_quiz_is_read():
    quiz = parse_quiz(TEXT, "12.md")
    first = quiz.questions[0]
    assert (quiz.title, first.title) == ("12 Anything", "The first")
    assert first.text == "What comes\nout?\n\n```\n1 < 2\n```"
    assert [(o.text, o.feedback, o.right) for o in first.options] == [
        ("One thing, on two lines.", "Not this one, because.", False),
        ("Another.", "This one.", True),
    ]


def test_the_first_try_counts():
    quiz = parse_quiz(TEXT, "12.md")
    assert quiz.result() == "0 of 2 solved"
    assert not quiz.answer(0, 0).right
    assert quiz.result() == "0 of 2 solved"
    assert quiz.answer(0, 1).feedback == "This one."
    assert quiz.result() == "1 of 2 solved"
    assert quiz.answer(1, 0).right
    assert quiz.result() == "1 of 2 at the first try"
    quiz.answer(1, 1)  # whoever reads the other feedback afterwards loses nothing
    assert quiz.result() == "1 of 2 at the first try"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# 12 Anything\n", "", "12.md needs a title"),
        ("## ", "### ", "needs a title '# ...' and a question"),
        ("What comes\nout?\n\n```\n1 < 2\n```\n", "", "'The first' needs a text"),
        ("- [ ] No.\n  > It is so.\n", "", "'The second' needs a text and two options"),
        ("- [x] Another.", "- [ ] Another.", "'The first' has 0 right options; tick one"),
        ("- [ ] No.", "- [x] No.", "'The second' has 2 right options; tick one"),
        ("- [x] Yes.", "- [X] Yes.", r"'\[X\] Yes..*is no option; write"),
        ("  > So it is.\n", "", r"'\[x\] Yes.' is no option; .* feedback below it"),
        ("  > because.", "because.", "is no option"),
        ("- [ ] No.", "- [ ] Yes.", "'The second' has 'Yes.' twice"),
        ("  > It is so.", "  > So it is.", "'The second' has 'So it is.' twice"),
        ("## The second", "## The first", "12.md has 'The first' twice"),
    ],
)
def test_a_bad_quiz_is_refused_and_the_place_named(old, new, message):
    assert old in TEXT
    with pytest.raises(KitError, match=message):
        parse_quiz(TEXT.replace(old, new), "12.md")


def test_an_unknown_quiz_is_refused():
    with pytest.raises(KitError, match="no quiz '3'; choose from 00, 01"):
        read_quiz("3")


def test_every_lecture_has_a_quiz():
    assert QUIZZES == LECTURES


@pytest.mark.parametrize("notebook", QUIZZES)
def test_a_quiz_is_short(notebook):
    quiz = read_quiz(notebook)
    assert quiz.title.startswith(notebook)
    assert 3 <= len(quiz.questions) <= 4
    assert all(3 <= len(question.options) <= 4 for question in quiz.questions)


def test_neither_place_nor_length_gives_the_right_option_away():
    questions = [question for notebook in QUIZZES for question in read_quiz(notebook).questions]
    places, longest, shortest = Counter(), 0, 0
    for question in questions:
        lengths = [len(option.text) for option in question.options]
        right = [option.right for option in question.options].index(True)
        places[right] += 1
        longest += lengths[right] == max(lengths)
        shortest += lengths[right] == min(lengths)
    assert max(longest, shortest) <= len(questions) / 2
    assert all(0.15 < places[place] / len(questions) < 0.4 for place in range(4)), places
