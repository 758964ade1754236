"""The quizzes of the lectures: a few questions with one right option each, in ``quizzes/NN.md``.

A question is a heading, its text (a fenced block is shown as it is), and its options as a task
list: the right one is ticked, and each has its feedback in a quotation below it. ::

    ## The residual

    It is 0 inside a scratch. What has become of the scratch?

    - [ ] It is gone.
      > A defect that is gone leaves a residual as large as the defect.
    - [x] It was copied.
      > What comes out as it went in leaves no residual.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from data_utils.errors import KitError

__all__ = ["FOLDER", "QUIZZES", "Option", "Question", "Quiz", "parse_quiz", "read_quiz"]

FOLDER = Path(__file__).with_name("quizzes")
QUIZZES = sorted(path.stem for path in FOLDER.glob("*.md"))  # "00", "01", ...


@dataclass(frozen=True)
class Option:
    """One answer that can be chosen, and what is said to whoever chooses it."""

    text: str
    feedback: str
    right: bool


@dataclass(frozen=True)
class Question:
    """A question with its options, in a fixed order."""

    title: str
    text: str
    options: tuple[Option, ...]


@dataclass
class Quiz:
    """The questions of a lecture, and what was chosen so far.

    Parameters
    ----------
    title : str
        Of the lecture.
    questions : tuple of Question
        In the order in which they are asked.

    Attributes
    ----------
    chosen : list of list of int
        By question, the options chosen until the right one came, in their order.
    """

    title: str
    questions: tuple[Question, ...]
    chosen: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.chosen = [[] for _ in self.questions]

    def answer(self, question: int, option: int) -> Option:
        """Choose an option, both counted from 0; after the right one nothing counts any more."""
        if not self._solved(question):
            self.chosen[question].append(option)
        return self.questions[question].options[option]

    def result(self) -> str:
        """Say how many questions are solved; once all are, how many at the first try."""
        count = len(self.questions)
        solved = [i for i in range(count) if self._solved(i)]
        if len(solved) < count:
            return f"{len(solved)} of {count} solved"
        return f"{sum(len(one) == 1 for one in self.chosen)} of {count} at the first try"

    def _solved(self, question: int) -> bool:
        options = self.questions[question].options
        return any(options[option].right for option in self.chosen[question])


def read_quiz(notebook: str) -> Quiz:
    """Read the quiz of a lecture.

    Parameters
    ----------
    notebook : str
        Its number, such as "03".

    Raises
    ------
    KitError
        If there is none, or its file is not written as the module says.
    """
    if notebook not in QUIZZES:
        raise KitError(f"no quiz {notebook!r}; choose from {', '.join(QUIZZES)}")
    path = FOLDER / f"{notebook}.md"
    return parse_quiz(path.read_text(encoding="utf-8"), path.name)


def parse_quiz(text: str, source: str) -> Quiz:
    """Parse the text of a quiz; ``source`` names it in the errors, which are those of `read_quiz`.

    Returns
    -------
    Quiz
        With nothing chosen.
    """
    head, *blocks = re.split(r"^## ", text, flags=re.MULTILINE)
    title = head.strip().removeprefix("# ")
    if not title or not blocks:
        raise KitError(f"{source} needs a title '# ...' and a question '## ...'")
    questions = tuple(_question(block, source) for block in blocks)
    _unique([one.title for one in questions], source)
    return Quiz(title, questions)


def _question(block: str, source: str) -> Question:
    """Parse what stands from one heading to the next."""
    head, *rest = re.split(r"^- ", block, flags=re.MULTILINE)
    title, _, text = head.partition("\n")
    where = f"{source}, {title!r}"
    options = tuple(_option(item, where) for item in rest)
    right = sum(option.right for option in options)
    if not text.strip() or len(options) < 2:
        raise KitError(f"{where} needs a text and two options '- [ ] ...' at least")
    if right != 1:
        raise KitError(f"{where} has {right} right options; tick one, '- [x] ...'")
    _unique([option.text for option in options], where)
    _unique([option.feedback for option in options], where)
    return Question(title.strip(), text.strip(), options)


def _option(item: str, where: str) -> Option:
    """Parse an option and its feedback."""
    found = re.fullmatch(r"\[([ x])\] ([^\n]+(?:\n  (?!>)\S[^\n]*)*)((?:\n  > [^\n]+)+)\s*", item)
    if not found:
        raise KitError(
            f"{where}: {item.strip()!r} is no option; write '- [ ] ...' or '- [x] ...', and its "
            "feedback below it, each line with '  > '"
        )
    tick, text, feedback = found.groups()
    feedback = feedback.replace("\n  > ", " ")
    return Option(" ".join(text.split()), " ".join(feedback.split()), tick == "x")


def _unique(texts: list[str], where: str) -> None:
    for text in texts:
        if texts.count(text) > 1:
            raise KitError(f"{where} has {text!r} twice; say it once")
