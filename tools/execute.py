"""Execute lectures: keep what their cells show, and what it costs, in the notebooks.

    python tools/execute.py           # all of them, one after the other
    python tools/execute.py 02 05     # some

Every lecture runs at full size in a fresh kernel and an empty folder, with the synthetic data and
nothing else to do on the machine: stop other work first. Minutes and peak memory go into its
header, and with the outputs is noted which code made them. With OMP_NUM_THREADS=1 two of these may
run side by side: then the minutes are those of one core.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import generate
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from rcae_lite.storage.provenance import code_version

WIDGET = "application/vnd.jupyter.widget-view+json"


def shown(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Keep what a reader of the page sees: no progress bars, no warnings, words for a widget."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
            continue
        output = nbformat.from_dict(output)
        data = output.get("data", {})
        if WIDGET in data:
            if "%|" in data.get("text/plain", ""):  # a progress bar
                continue
            output.data = {"text/plain": "(a widget: it comes alive when the cell is run)"}
        elif "text/html" in data:
            data.pop("text/plain", None)
        if "execution_count" in output:
            output.execution_count = None
        kept.append(output)
    return kept


def execute(source: Path, work: Path) -> tuple[NotebookNode, float]:
    """Run a lecture in a folder; return it with its outputs, and the minutes it took."""
    notebook = nbformat.reads(generate.lecture(source), as_version=4)
    started = time.monotonic()
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": work}}).execute()
    return notebook, (time.monotonic() - started) / 60


def run(source: Path) -> str:
    """Run a lecture, write its notebook and header; return the header."""
    with tempfile.TemporaryDirectory() as work:
        notebook, minutes = execute(source, Path(work))
    # The largest child is the kernel. Linux counts in KiB.
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    duration = f"{max(1, round(2 * minutes)) / 2:g}"  # to half a minute
    unit = "minute" if duration == "1" else "minutes"
    cores = "one core of a" if os.environ.get("OMP_NUM_THREADS") == "1" else "a 2-core"
    line = f"*Measured on {cores} CPU: {duration} {unit}, {gigabytes:.1f} GB.*"
    text = source.read_text(encoding="utf-8")
    if not generate.HEADER.search(text):
        sys.exit(f"{source.name} has no line {generate.HEADER.pattern}; put one below its title")
    source.write_text(generate.HEADER.sub(line, text, count=1), encoding="utf-8")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for out in (out for cell in code for out in cell.outputs if "text" in out):
        out.text = out.text.replace(f"{work}/", "")  # of the folder that was made for it
    outputs = {cell.id: shown(cell.outputs) for cell in code}
    made_by = {
        "command": f"python tools/execute.py {source.name[:2]}",
        "commit": code_version(),
        "code": generate.code_of(notebook),
    }
    target = source.with_suffix(".ipynb")
    target.write_text(generate.lecture(source, outputs, made_by), encoding="utf-8")
    return line


if __name__ == "__main__":
    for name in ("RCAE_DATA", "RCAE_CATEGORY"):
        os.environ.pop(name, None)
    if sys.argv[1:2] == ["--run"]:
        print(run(Path(sys.argv[2])))
    else:
        for lecture in generate.LECTURES:
            if not sys.argv[1:] or lecture.name[:2] in sys.argv[1:]:
                # A process of its own: the peak of one lecture must not count for the next.
                subprocess.run([sys.executable, __file__, "--run", str(lecture)], check=True)
