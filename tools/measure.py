"""Measure what each lecture costs and write it into its header: minutes, and peak memory.

    python tools/measure.py           # all of them, one after the other
    python tools/measure.py 02 05     # some

Every lecture runs at full size in a fresh kernel, with the default data and nothing else to do on
the machine: stop other work first. Then run `make notebooks`.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupytext
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
HEADER = re.compile(r"\*Measured on a 2-core CPU: .+\*")


def run(source: Path) -> str:
    """Run a lecture and return its header line."""
    notebook = jupytext.read(source, fmt="py:percent")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": work}}).execute()
    minutes = (time.monotonic() - started) / 60
    # The largest child is the kernel. Linux counts in KiB.
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    duration = f"{max(1, round(2 * minutes)) / 2:g}"  # to half a minute
    unit = "minute" if duration == "1" else "minutes"
    return f"*Measured on a 2-core CPU: {duration} {unit}, {gigabytes:.1f} GB.*"


def measure(numbers: list[str]) -> None:
    """Write the header of the lectures with these numbers, or of all."""
    for source in sorted(FOLDER.glob("[0-9]*.py")):
        if numbers and source.name[:2] not in numbers:
            continue
        # A process of its own: the peak of one lecture must not count for the next.
        command = [sys.executable, __file__, "--run", str(source)]
        line = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
        text = source.read_text(encoding="utf-8")
        if not HEADER.search(text):
            sys.exit(f"{source.name} has no line {HEADER.pattern}; put one below its title")
        source.write_text(HEADER.sub(line, text, count=1), encoding="utf-8")
        print(f"{source.stem}: {line}")


if __name__ == "__main__":
    for name in ("RCAE_DATA", "RCAE_CATEGORY"):
        os.environ.pop(name, None)
    if sys.argv[1:2] == ["--run"]:
        print(run(Path(sys.argv[2])))
    else:
        measure(sys.argv[1:])
