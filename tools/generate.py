"""Write every notebook of the course from its source, a py:percent file (read by jupytext).

In ``notebooks/``, ``NN_name.py`` gives the lecture ``NN_name.ipynb``: links to Colab and Binder and
a cell that installs the kit are put in. ``solutions/NN_name.py`` gives ``exercises/NN_name.ipynb``:
what stands between the markers BEGIN SOLUTION and END SOLUTION is taken out, and the metadata for
nbgrader are put in. A notebook is a function of its source alone, with cell ids made from their
content, so that a change in one cell is a change in one cell of the diff. Only the outputs of a
lecture come from elsewhere: `tools/execute.py` makes them, and they stay with their cells.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from rcae_lite.exercises import EXERCISES

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
REPOSITORY = re.search(
    r'^Repository = "https://github.com/(.+)"$',
    (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
    re.MULTILINE,
)[1]
LECTURES = sorted(FOLDER.glob("[0-9]*.py"))
SOLUTIONS = sorted((FOLDER / "solutions").glob("[0-9]*.py"))
TITLE = re.compile(r"^(## \d+ · .+)$", re.MULTILINE)  # of an exercise

# The first code cell of every notebook: it runs before any other cell can load PyTorch, wherever
# the kernel was started: `make lab`, Colab, Binder, an editor, a student's own JupyterLab.
INSTALL = f"""\
# On Colab this cell installs the kit. Everywhere it tells PyTorch's threads to sleep while they
# wait: by default they spin, which costs a machine that is busy with a browser most of its speed.
import importlib.util
import os
import subprocess
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when PyTorch is loaded

if importlib.util.find_spec("rcae_lite") is None:
    kit = "rcae-lite[lab] @ git+https://github.com/{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", kit], check=True)"""


# The line of a lecture's header that says what it costs; `tools/execute.py` writes it.
HEADER = re.compile(r"\*Measured on .+ CPU: (?:([\d.]+) minutes?, [\d.]+ GB|not yet)\.\*")


class MarkerError(ValueError):
    """A solution that begins without ending, or ends without beginning."""


def lecture(
    source: Path,
    outputs: Mapping[str, list[NotebookNode]] | None = None,
    made_by: Mapping[str, str] | None = None,
) -> str:
    """Return the text of the notebook that belongs to a lecture's source.

    With the outputs of its cells by their ids, and a note on what made them, if these are given
    (`tools/execute.py` makes them).
    """
    notebook = _with_start(jupytext.read(source, fmt="py:percent"), f"{source.stem}.ipynb")
    if made_by:
        notebook.metadata["outputs"] = made_by
    return _written(notebook, outputs)


def code_of(notebook: NotebookNode) -> str:
    """Return a digest of all code of a notebook: other code may show other things."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\n\n".join(cells).encode()).hexdigest()[:16]


def kept(target: Path) -> tuple[dict[str, list[NotebookNode]], dict[str, str]]:
    """Return the outputs of a notebook on disk by the ids of their cells, and what made them."""
    if not target.exists():
        return {}, {}
    notebook = nbformat.read(target, as_version=4)
    found = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    return found, notebook.metadata.get("outputs", {})


def solution(source: Path) -> str:
    """Return the teacher's notebook: solutions, and what nbgrader must know of each cell."""
    notebook = jupytext.read(source, fmt="py:percent")
    number = source.stem[:2]
    for cell in notebook.cells:
        grading = _grading(cell.source, cell.cell_type, number)
        if grading:
            cell.metadata["nbgrader"] = grading
    return _written(_with_start(notebook, f"exercises/{source.stem}.ipynb"))


def exercise(source: Path, *, link: bool = True) -> str:
    """Return the student's notebook: `solution` with a stub in the place of every answer.

    With a link to the solution below the title of each exercise, or without.
    """
    notebook = nbformat.reads(solution(source), as_version=4)
    below = rf"\1\n\n*Stuck? [Its solution](../solutions/{source.name}).*" if link else r"\1"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = TITLE.sub(below, cell.source)
        cell.source = stubbed(cell.source, f"{source.name}, cell {cell.id}")
    return _written(notebook)


def stubbed(text: str, place: str = "cell") -> str:
    """Replace what stands between the markers by a stub.

    Raises
    ------
    MarkerError
        If markers are not balanced.
    """
    kept = []
    for line, role in _marked(text, place):
        if role == "begin":
            in_prose = "<!--" in line
            stub = "*Your answer.*" if in_prose else "raise NotImplementedError  # your code here"
            kept.append(line[: len(line) - len(line.lstrip())] + stub)
        elif role == "outside":
            kept.append(line)
    return "\n".join(kept)


def hidden_lines(source: Path) -> list[str]:
    """Return the lines that stand between the markers of a source, stripped."""
    marked = _marked(source.read_text(encoding="utf-8"), source.name)
    stripped = [line.strip(" #") for line, role in marked if role == "inside"]
    return [line for line in stripped if line]


def _marked(text: str, place: str) -> Iterator[tuple[str, str]]:
    """Give each line its role: "begin" or "end" (the markers), "inside" or "outside"."""
    inside = False
    for line in text.splitlines():
        begins, ends = "BEGIN SOLUTION" in line, "END SOLUTION" in line
        if (begins and inside) or (ends and not inside):
            raise MarkerError(f"{place}: {line.strip()!r} has no partner")
        role = "inside" if inside else "outside"
        yield line, "begin" if begins else "end" if ends else role
        inside = begins or (inside and not ends)
    if inside:
        raise MarkerError(f"{place}: BEGIN SOLUTION has no partner")


def _grading(text: str, kind: str, number: str) -> dict[str, object] | None:
    """Metadata of nbgrader's schema 3: an answer, a test worth points, or neither."""
    answers = "BEGIN SOLUTION" in text
    checked = re.match(r'check\("([\w.]+)"', text)
    if not answers and not checked:
        return None
    by_hand = answers and kind == "markdown"
    values: dict[str, object] = {
        "schema_version": 3,
        "solution": answers,
        "grade": bool(checked) or by_hand,
        "locked": bool(checked),
        "task": False,
    }
    if checked:
        values |= {"grade_id": checked[1].replace(".", "-"), "points": EXERCISES[checked[1]].points}
    elif by_hand:
        values |= {"grade_id": f"{number}-open-question", "points": 3}
    else:
        name = re.search(r"^(?:def|class) (\w+)", text, re.MULTILINE)[1]
        values |= {"grade_id": f"{number}-answer-{name}"}
    return values


def _with_start(notebook: NotebookNode, target: str) -> NotebookNode:
    """Put the links under the title, and the cell that installs the kit after the first one."""
    title, _, rest = notebook.cells[0].source.partition("\n")
    colab = f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/notebooks/{target}"
    binder = f"https://mybinder.org/v2/gh/{REPOSITORY}/main?labpath=notebooks/{target}"
    links = f"[Open in Colab]({colab}) · [Open in Binder]({binder})"
    notebook.cells[0].source = f"{title}\n\n{links}\n{rest}"
    notebook.cells.insert(1, new_code_cell(INSTALL))
    return notebook


def _written(
    notebook: NotebookNode, outputs: Mapping[str, list[NotebookNode]] | None = None
) -> str:
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        content = f"{cell.cell_type}\n{cell.source}"
        digest = hashlib.sha256(f"{content}\n{seen[content]}".encode()).hexdigest()
        seen[content] += 1  # two equal cells still get two ids
        cell["id"] = digest[:8]
        if cell.cell_type == "code":
            cell["outputs"] = (outputs or {}).get(cell.id, [])
    return jupytext.writes(notebook, fmt="ipynb")


def pairs(*, release: bool = False) -> dict[Path, str]:
    """Every generated notebook and its text.

    Lectures keep the outputs that they have, and exercises lead to their solutions; not so in a
    release for students, who are to predict before they look.
    """
    targets = [(source, source.with_suffix(".ipynb")) for source in LECTURES]
    lectures = {t: lecture(source, *(() if release else kept(t))) for source, t in targets}
    exercises = {
        FOLDER / "exercises" / f"{source.stem}.ipynb": exercise(source, link=not release)
        for source in SOLUTIONS
    }
    return lectures | exercises


if __name__ == "__main__":
    for target, text in pairs().items():
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(target.relative_to(ROOT))
