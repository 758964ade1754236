"""Write what a class needs: ``python tools/classroom.py OUT`` (or ``make class OUT=dir``).

``OUT/student`` is a release of the kit with lectures and exercises; no line of a marked solution
is in it. ``OUT/teacher`` has the notebooks with the solutions (nbgrader's "source" of an
assignment), a plan with timings, the expected misconceptions, the quizzes and a rubric.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

import generate

from data_utils import KitError
from rcae_lite.exercises import EXERCISES
from rcae_lite.exercises.quiz import FOLDER, QUIZZES
from rcae_lite.storage.atomic import require_empty_folder, write_text

RELEASED = (
    "rcae_lite",
    "data_utils",
    "pyproject.toml",
    "LICENSE",
    "CITATION.cff",
    "docs/img",
    "docs/related.md",
    "notebooks/img",
    "results",
)
MINUTES = {"easy": 5, "medium": 12, "hard": 25}  # planned, for somebody who knows basic PyTorch
OPEN_QUESTION = 10
READING = 20  # per lecture, beside the time that its cells run

START = """\
# RcAE Lite: the course

    pip install ".[lab]"          # once; Python 3.10 or newer; no GPU, no account
    jupyter-lab notebooks         # then open 00_start_here.ipynb

Each lecture has exercises in `notebooks/exercises`: replace `raise NotImplementedError`, run the
cell, run the check below it. The check tries your answer on fresh random input and gives a hint.
The licence of the kit is in [LICENSE](LICENSE).
"""

TEACH = """\
# For the teacher

{plan}

The first column of minutes was measured on two CPU cores (the header of each lecture); reading and
exercises are planned, not measured: {reading} minutes per lecture, {easy}, {medium} and {hard} per
easy, medium and hard exercise, {open} per open question. Points: 1, 2, 3, and 3 per open question.

- `solutions/`: the exercises with answers. They are nbgrader's *source* notebooks: put one into
  `source/<assignment>/`, and `nbgrader generate_assignment` makes the student's version, or hand
  out `../student`, which holds the same stubs.
- [misconceptions.md](misconceptions.md): the mistakes to expect, as the checks recognise them.
- [rubric.md](rubric.md): what the open questions are graded by.
- [quizzes.md](quizzes.md): the quiz of each lecture, the right options ticked, and what each option
  says of whoever chooses it.

The checks help to learn; they do not supervise. The kit that students install holds reference code
(`rcae_lite.model.losses.gradient`, for example), and a check accepts it as it accepts any right
answer.
"""

RUBRIC = """\
# Rubric

A check gives all its points or none. Open questions: 3 for an answer that names the mechanism and a
way to test it, 2 for the mechanism, 1 for a relevant observation, 0 otherwise. A short right answer
beats a long one. Model answers:
"""


def student(out: Path) -> None:
    """Write the release: the kit, the lectures, the exercises."""
    for name in RELEASED:
        source, target = generate.ROOT / name, out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, target)
    write_text(out / "README.md", START)
    for target, text in generate.pairs(release=True).items():
        write_text(out / target.relative_to(generate.ROOT), text)


def teacher(out: Path) -> None:
    """Write the solutions and what is good to know before the lesson."""
    for source in generate.SOLUTIONS:
        write_text(out / "solutions" / f"{source.stem}.ipynb", generate.solution(source))
    times = {"reading": READING, "open": OPEN_QUESTION, **MINUTES}
    write_text(out / "README.md", TEACH.format(plan=_plan(), **times))
    write_text(out / "misconceptions.md", _misconceptions())
    write_text(out / "rubric.md", RUBRIC + _model_answers())
    quizzes = [(FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in QUIZZES]
    write_text(out / "quizzes.md", "\n".join(quizzes))


def _checked(source: Path) -> list[str]:
    """Names of the exercises of a notebook, in its order."""
    return re.findall(r'^check\("([\w.]+)"', source.read_text(encoding="utf-8"), re.MULTILINE)


def _plan() -> str:
    """One line per notebook: how long it runs, how long it takes, what it is worth."""
    rows = [
        "| notebook | runs (minutes) | lesson (minutes) | exercises | points |",
        "| --- | --- | --- | --- | --- |",
    ]
    for source in generate.SOLUTIONS:
        lecture = generate.FOLDER / source.name
        measured = generate.HEADER.search(lecture.read_text("utf-8") if lecture.exists() else "")
        runs = (measured and measured[1]) or "-"
        chosen = [EXERCISES[name] for name in _checked(source)]
        planned = READING + OPEN_QUESTION + sum(MINUTES[one.level] for one in chosen)
        planned += 0 if runs == "-" else round(float(runs))
        points = 3 + sum(one.points for one in chosen)
        rows.append(f"| {source.stem} | {runs} | {planned} | {len(chosen)} + 1 open | {points} |")
    return "\n".join(rows)


def _misconceptions() -> str:
    """List the mistakes of every exercise with the hint that a student gets."""
    lines = ["# Expected misconceptions", "", "What the checks recognise, and the hint they give."]
    for source in generate.SOLUTIONS:
        for name in _checked(source):
            one = EXERCISES[name]
            lines += ["", f"## {name} ({one.level})", "", one.task, ""]
            lines += [f"- *{key}*: {hint}." for key, hint in one.mistakes.items()]
    return "\n".join(lines) + "\n"


def _model_answers() -> str:
    """Collect the answers between the markers of the open questions."""
    lines = []
    for source in generate.SOLUTIONS:
        text = source.read_text(encoding="utf-8")
        (answer,) = re.findall(r"<!-- BEGIN SOLUTION -->\n(.*?)# <!-- END", text, re.DOTALL)
        lines += ["", f"## {source.stem}", "", answer.replace("# ", "").strip()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write both packs; 2 if the folder is not empty."""
    parser = argparse.ArgumentParser(
        description="Write the student release and the teacher's pack."
    )
    parser.add_argument("out", type=Path)
    out = parser.parse_args(arguments).out
    try:
        require_empty_folder(out)
        student(out / "student")
        teacher(out / "teacher")
    except KitError as error:
        print(f"class: {error}", file=sys.stderr)
        return 2
    print(f"{out / 'student'}\n{out / 'teacher'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
