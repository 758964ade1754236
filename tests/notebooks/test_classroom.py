"""The student release holds no line of any solution; the teacher's pack holds what is needed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from rcae_lite.exercises import EXERCISES
from rcae_lite.exercises.quiz import QUIZZES, read_quiz


@pytest.fixture(scope="module")
def packs(tmp_path_factory, generator):
    import classroom

    out = tmp_path_factory.mktemp("class") / "out"
    assert classroom.main([str(out)]) == 0
    assert classroom.main([str(out)]) == 2, "a folder that is not empty must be refused"
    return out


def lines_of(path: Path) -> list[str]:
    """Every line of a text file; of a notebook, the lines of its cells."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".ipynb":
        text = "\n".join(
            cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            for cell in json.loads(text)["cells"]
        )
    return [line.strip() for line in text.splitlines()]


def test_no_line_of_a_solution_is_in_the_student_release(packs, generator):
    """Nowhere: not in a notebook, a lecture, the kit or any other file, not even inside a line."""
    files = [path for path in (packs / "student").rglob("*") if path.is_file()]
    assert len(files) > 80
    hidden = {
        line: source.name
        for source in generator.SOLUTIONS
        for line in generator.hidden_lines(source)
    }
    assert len(hidden) > 80
    assert min(map(len, hidden)) >= 8, "a line too short to be told apart: write it longer"
    for path in files:
        text = "\n".join(lines_of(path))
        leaked = {secret: source for secret, source in hidden.items() if secret in text}
        assert not leaked, f"{path.name} holds lines of solutions"


def test_the_search_would_find_a_leak(packs, generator):
    source = generator.SOLUTIONS[0]
    leaked = packs / "teacher" / "solutions" / f"{source.stem}.ipynb"
    found = lines_of(leaked)
    for secret in generator.hidden_lines(source):
        assert any(secret in line for line in found)


def test_the_student_release_is_complete(packs):
    student = packs / "student"
    assert len(list((student / "notebooks" / "exercises").glob("*.ipynb"))) >= 12
    assert len(list((student / "notebooks").glob("*.ipynb"))) >= 1
    assert not list(student.rglob("solutions")) and not list(student.rglob("tests"))
    for path in student.rglob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for link in re.findall(r"\]\(([^)#\s]+)", cell.source):
                if cell.cell_type == "markdown" and "://" not in link:
                    assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_release_works_where_only_it_is_installed(packs, tmp_path):
    """The kit of the release, and no other, checks an answer."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import rcae_lite.exercises as e; "
        "assert e.__file__.startswith(sys.argv[1]), e.__file__; "
        "e.check('00.score', lambda maps: maps.flatten(1).max(1).values)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(packs / "student")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "00.score: right.\n"), done.stderr


def test_the_teacher_finds_timings_misconceptions_and_a_rubric(packs, generator):
    teacher = packs / "teacher"
    plan = (teacher / "README.md").read_text(encoding="utf-8")
    for source in generator.SOLUTIONS:
        row = re.search(rf"\| {source.stem} \| (\S+) \| (\d+) \| (\d+) \+ 1 open \| (\d+) \|", plan)
        assert row and int(row[2]) > 30 and int(row[4]) > 3
    mistakes = (teacher / "misconceptions.md").read_text(encoding="utf-8")
    for name, exercise in EXERCISES.items():
        assert f"## {name} ({exercise.level})" in mistakes
        for hint in exercise.mistakes.values():
            assert hint in mistakes
    rubric = (teacher / "rubric.md").read_text(encoding="utf-8")
    assert rubric.count("\n## ") == len(generator.SOLUTIONS) and "<!--" not in rubric
    assert len(list((teacher / "solutions").glob("*.ipynb"))) == len(generator.SOLUTIONS)
    quizzes = (teacher / "quizzes.md").read_text(encoding="utf-8")
    questions = [question for name in QUIZZES for question in read_quiz(name).questions]
    assert all(f"## {question.title}\n" in quizzes for question in questions)
    assert quizzes.count("- [x] ") == len(questions)
