"""The lectures keep the conventions of the course, and run from top to bottom."""

import os
import re
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from data_utils.synthetic import TEST_GOOD, draw
from rcae_lite.exercises import EXERCISES
from tests.notebooks.shortened import shorten

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LECTURES = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
HEADER = re.compile(
    r"\*Measured on (?:a 2-core|one core of a) CPU: ([\d.]+) minutes?, [\d.]+ GB\.\*"
)
EVERY = sorted(NOTEBOOKS.rglob("*.ipynb"))
HEADINGS = ("What the paper says, what we measured here", "Summary", "Exercises")

each = pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)


def prose(path):
    notebook = nbformat.read(path, as_version=4)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@each
def test_a_lecture_says_what_it_costs_and_ends_as_all_of_them_do(path):
    text = prose(path)
    for heading in HEADINGS:
        assert f"\n## {heading}\n" in text, heading
    assert "Predict" in text and "Interpret" in text
    if " CPU: not yet.*" in text:
        pytest.xfail("not measured yet: python tools/execute.py, on an idle machine")
    measured = HEADER.search(text)
    assert measured, "no measured header"
    assert float(measured[1]) <= 10


@each
def test_a_lecture_names_its_exercises(path):
    text = prose(path)
    asked = text.split("\n## Exercises\n")[1]
    assert f"(exercises/{path.name})" in asked
    for name in EXERCISES:
        if name.startswith(path.stem[:2]):
            assert f"`{name}`" in asked, name


@each
def test_a_lecture_ends_with_its_quiz_and_says_where_to_go_next(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    assert f'quiz("{path.stem[:2]}")' == cells[-2] and cells[-1].startswith("## Summary\n")
    summary = cells[-1].split("\n## Exercises\n")[0]
    assert "\n\nWhere to go next: " in summary
    assert "- [x]" not in prose(path)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#\s]+)", prose(path)):
        if "://" not in link and not link.startswith("attachment:"):
            assert (path.parent / link).exists(), link


@each
def test_cells_are_short(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            lines = [line for line in cell.source.splitlines() if line.strip()]
            imports = any(line.startswith(("import ", "from ")) for line in lines[:3])
            assert len(lines) <= (22 if imports else 20), f"{len(lines)} lines: {lines[0]}"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """The kernel finds the modules of the tests, and no data but those that a test names."""
    for name in ("RCAE_DATA", "RCAE_CATEGORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent), prepend=os.pathsep)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run(path, work, limit, *, short=True):
    """Run a lecture in an empty folder; return it with its outputs, and the seconds it took."""
    notebook = nbformat.read(path, as_version=4)
    if short:
        shorten(notebook, path.stem[:2])
    started = time.monotonic()
    NotebookClient(notebook, timeout=limit, resources={"metadata": {"path": work}}).execute()
    return notebook, time.monotonic() - started


def kinds(outputs):
    """Name what each output is: "stdout", or the type of what is displayed."""
    return [
        output.name if output.output_type == "stream" else "+".join(sorted(output.data))
        for output in outputs
    ]


def outputs_of(notebook):
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


# The first one and the one with the most in it; `make test-full` and GitHub's job run all of them.
ALWAYS_RUN = ("00", "05")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if path.name.startswith(ALWAYS_RUN) else pytest.mark.slow)
        for path in LECTURES
    ],
    ids=lambda path: path.stem,
)
def test_a_lecture_runs_from_top_to_bottom_and_shows_what_stands_in_it(path, tmp_path, executor):
    """Each cell gives outputs of the same kinds; the numbers are those of a short training."""
    committed = outputs_of(nbformat.read(path, as_version=4))
    ran = outputs_of(run(path, tmp_path, 280)[0])
    assert any(
        "<img" in out.get("data", {}).get("text/html", "") for o in ran.values() for out in o
    )
    for cell, outputs in committed.items():
        assert kinds(executor.shown(ran[cell])) == kinds(outputs), cell


def numbers(outputs):
    """All numbers that are printed, but for those of the clock: lines with a unit of time."""
    lines = [line for out in outputs for line in out.get("text", "").splitlines()]
    clock = re.compile(r"\d (s|ms|seconds|minutes|hours|images/s)\b|per second|times as fast")
    timeless = " ".join(line for line in lines if not clock.search(line))
    return [float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", timeless)]


@each
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_lecture_shows_the_same_numbers_at_full_size(path, monkeypatch, tmp_path, executor):
    """Another machine rounds otherwise: a tenth of each number, or of the unit, is allowed."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    committed = outputs_of(nbformat.read(path, as_version=4))
    notebook, seconds = run(path, tmp_path, 1500, short=False)
    for cell, outputs in outputs_of(notebook).items():
        now, then = numbers(executor.shown(outputs)), numbers(committed[cell])
        assert len(now) == len(then), cell
        np.testing.assert_allclose(now, then, rtol=0.1, atol=0.1, err_msg=cell)
    print(f"\n{path.stem}: {seconds / 60:.1f} minutes")


@pytest.mark.slow
@pytest.mark.parametrize("path", LECTURES[:1], ids=lambda path: path.stem)
def test_a_lecture_runs_on_a_plain_folder(path, monkeypatch, tmp_path, folder_root):
    monkeypatch.setenv("RCAE_DATA", str(folder_root))
    run(path, tmp_path, 280)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Two folders of one's own: with defects and some masks, and with nothing but normal images."""
    root = tmp_path_factory.mktemp("photographs")
    for place, count, split in (
        ("all/normal", 30, "train"),
        ("all/defective", 7, "test"),
        ("only/normal", 30, "train"),
    ):
        (root / place).mkdir(parents=True)
        for index in range(count):
            shot = draw("bracket", split, index + TEST_GOOD * (split == "test"))
            Image.fromarray(shot.image).save(root / place / f"{index:02}.jpg")
            if split == "test" and index % 2:
                (root / "all/masks").mkdir(exist_ok=True)
                Image.fromarray(shot.mask).save(root / f"all/masks/{index:02}.png")
    return root


@each
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("data", ["all", "only", "mvtec"])
def test_a_lecture_runs_on_any_data(path, data, monkeypatch, tmp_path, request):
    root = request.getfixturevalue("realdata" if data == "mvtec" else "photographs")
    monkeypatch.setenv("RCAE_DATA", str((root / data).absolute()))
    run(path, tmp_path, 500)
