"""Every notebook is what its source generates: format, ids, outputs, stubs, grading."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from rcae_lite.exercises import EXERCISES

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LECTURES = sorted(NOTEBOOKS.glob("[0-9]*.py"))
SOLUTIONS = sorted((NOTEBOOKS / "solutions").glob("[0-9]*.py"))
GENERATED = sorted(NOTEBOOKS.glob("*.ipynb")) + sorted(NOTEBOOKS.glob("exercises/*.ipynb"))
NBGRADER = {"schema_version", "solution", "grade", "locked", "task", "grade_id", "points"}


def read(path):
    return nbformat.read(path, as_version=4)


def graded(notebook):
    return [
        (cell, cell.metadata.nbgrader) for cell in notebook.cells if "nbgrader" in cell.metadata
    ]


def test_notebooks_are_what_their_sources_generate(generator):
    pairs = generator.pairs()
    assert {path.resolve() for path in pairs} == {path.resolve() for path in GENERATED}
    for path, text in pairs.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make notebooks`"


def test_every_lecture_has_exercises():
    assert [path.stem for path in LECTURES] == [path.stem for path in SOLUTIONS]


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_notebook_is_valid_and_has_no_habits_of_one_machine(path):
    notebook = read(path)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[0-9a-f]{8}", one) for one in ids)
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is None
            assert not re.search(r"^\s*[!%]", cell.source, re.M), "shell magic"
            assert "num_workers" not in cell.source


@pytest.mark.parametrize("source", LECTURES, ids=lambda path: path.stem)
def test_a_lecture_shows_what_its_code_made(source, generator):
    """Which code made the outputs is noted with them: a change of it asks for another execution."""
    notebook = read(source.with_suffix(".ipynb"))
    made_by, number = notebook.metadata.get("outputs", {}), source.name[:2]
    again = f"run `python tools/execute.py {number}`"
    assert made_by.get("code") == generator.code_of(notebook), again
    assert made_by["command"] == f"python tools/execute.py {number}" and made_by["commit"]
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any("<img" in out.get("data", {}).get("text/html", "") for out in outputs), again
    for out in outputs:
        assert out.get("name") != "stderr" and out.get("execution_count") is None
        assert not [kind for kind in out.get("data", {}) if "widget" in kind]


def test_other_code_asks_for_another_execution(generator, tmp_path):
    source = tmp_path / "00_x.py"
    source.write_text("# %% [markdown]\n# # Title\n\n# %%\na = 1\n\n# %%\nb = 2\n")
    notebook = nbformat.reads(generator.lecture(source), as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = {cell.id: [nbformat.v4.new_output("stream", text="1")] for cell in cells[1:]}
    made_by = {"code": generator.code_of(notebook)}
    target = source.with_suffix(".ipynb")
    target.write_text(generator.lecture(source, outputs, made_by))
    source.write_text(source.read_text().replace("Title", "Other").replace("b = 2", "b = 3"))
    found, note = generator.kept(target)
    again = nbformat.reads(generator.lecture(source, found, note), as_version=4)
    first, second = [cell.outputs for cell in again.cells if cell.cell_type == "code"][1:]
    assert first == outputs[cells[1].id] and second == []  # what is unchanged keeps its outputs
    assert again.metadata["outputs"]["code"] != generator.code_of(again)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_notebook_opens_on_colab_and_binder(path, generator):
    notebook = read(path)
    place = path.relative_to(NOTEBOOKS).as_posix()
    for host in ("colab.research.google.com/github", "mybinder.org/v2/gh"):
        assert re.search(
            rf"\(https://{host}/{generator.REPOSITORY}/\S+/{place}\)|"
            rf"\(https://{host}/{generator.REPOSITORY}/\S+={'notebooks/' + place}\)",
            notebook.cells[0].source,
        )
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert 'find_spec("rcae_lite") is None' in code.source
    exec(compile(code.source, str(path), "exec"), {})  # the kit is here: it does nothing


def test_an_id_depends_on_its_own_cell_only(generator, tmp_path):
    def ids(text):
        source = tmp_path / "00_x.py"
        source.write_text(text)
        return [cell.id for cell in nbformat.reads(generator.lecture(source), 4).cells]

    before = ids("# %% [markdown]\n# # Title\n\n# %%\na = 1\n\n# %%\nb = 2\n")
    after = ids("# %% [markdown]\n# # Title\n\n# %%\na = 10\n\n# %%\nb = 2\n")
    assert [x == y for x, y in zip(before, after, strict=True)] == [True, True, False, True]


# Exercises


@pytest.mark.parametrize("source", SOLUTIONS, ids=lambda path: path.stem)
def test_an_exercise_holds_stubs_instead_of_answers(source, generator):
    path = NOTEBOOKS / "exercises" / f"{source.stem}.ipynb"
    assert not any(cell.get("outputs") for cell in read(path).cells)
    text = path.read_text(encoding="utf-8")
    hidden = generator.hidden_lines(source)
    assert hidden
    for line in hidden:
        assert json.dumps(line)[1:-1] not in text, line
    assert text.count("raise NotImplementedError") >= text.count('check(\\"')
    assert "SOLUTION" not in text
    cells = read(path).cells
    titles = [line for cell in cells for line in re.findall(r"^## \d.+", cell.source, re.M)]
    assert text.count(f"[Its solution](../solutions/{source.name})") == len(titles) >= 2
    assert "Its solution" not in generator.exercise(source, link=False)


@pytest.mark.parametrize(
    "text",
    [
        "a\n### BEGIN SOLUTION\nb",
        "a\n### END SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION",
        "### BEGIN SOLUTION\n### END SOLUTION\n### END SOLUTION",
    ],
)
def test_unbalanced_markers_fail(text, generator):
    with pytest.raises(generator.MarkerError, match="has no partner"):
        generator.stubbed(text)


def test_a_stub_keeps_its_place(generator):
    text = "def f(x):\n    ### BEGIN SOLUTION\n    y = x\n    return y\n    ### END SOLUTION\nz = 1"
    assert generator.stubbed(text) == (
        "def f(x):\n    raise NotImplementedError  # your code here\nz = 1"
    )


@pytest.mark.parametrize("source", SOLUTIONS, ids=lambda path: path.stem)
def test_the_metadata_are_those_of_nbgrader(source, generator):
    """Schema 3 of nbgrader: its keys, unique ids, answers open, tests locked and worth points."""
    for text in (generator.solution(source), generator.exercise(source)):
        found = graded(nbformat.reads(text, as_version=4))
        ids = [values["grade_id"] for _, values in found]
        assert len(set(ids)) == len(ids)
        for cell, values in found:
            assert values["schema_version"] == 3 and set(values) <= NBGRADER
            assert re.fullmatch(r"[\w-]+", values["grade_id"])
            assert values["solution"] or values["locked"]
            assert ("points" in values) == values["grade"]
            name = re.match(r'check\("([\w.]+)"', cell.source)
            if name:
                assert values["points"] == EXERCISES[name[1]].points and values["locked"]


def test_nbgrader_agrees(generator, tmp_path):
    """Where nbgrader is installed, its own validator reads every exercise."""
    validator = pytest.importorskip("nbgrader.nbgraderformat")
    for source in SOLUTIONS:
        for text in (generator.solution(source), generator.exercise(source)):
            path = tmp_path / "x.ipynb"
            path.write_text(text, encoding="utf-8")
            validator.read(str(path), as_version=4)
