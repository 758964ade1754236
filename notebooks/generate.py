"""Write each notebooks/NN_name.ipynb from its source, NN_name.py (py:percent, read by jupytext).

The notebook is a function of the source alone: no outputs, and cell ids made from the cells'
content, so that a change in one cell is a change in one cell of the diff.
"""

import hashlib
from collections import Counter
from pathlib import Path

import jupytext

FOLDER = Path(__file__).parent
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))


def generate(source: Path) -> str:
    """Return the text of the notebook that belongs to a source file."""
    notebook = jupytext.read(source, fmt="py:percent")
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        content = f"{cell.cell_type}\n{cell.source}"
        digest = hashlib.sha256(f"{content}\n{seen[content]}".encode()).hexdigest()
        seen[content] += 1  # two equal cells still get two ids
        cell["id"] = digest[:8]
    return jupytext.writes(notebook, fmt="ipynb")


if __name__ == "__main__":
    for source in SOURCES:
        target = source.with_suffix(".ipynb")
        target.write_text(generate(source), encoding="utf-8")
        print(target.relative_to(FOLDER.parent))
