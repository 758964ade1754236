"""Run the course on a category as a student would: what it takes, and its verdicts.

    python tools/course.py                            # the synthetic category
    python tools/course.py path/to/mvtec bottle
    python tools/course.py path/to/mvtec bottle 03 05    # some lectures

The lectures run one after the other in runs/course/CATEGORY, so that each finds the stages that an
earlier one has trained; delete that folder to measure afresh. What was measured is kept in
results/course/measured.json, and results/course/README.md is written anew from it.
"""

import json
import os
import re
import sys
from pathlib import Path

import execute
import generate

from data_utils import find_data
from rcae_lite.storage.atomic import write_text
from rcae_lite.storage.provenance import code_version
from rcae_lite.study.summary import markdown_table

RESULTS = generate.ROOT / "results" / "course"
VERDICT = re.compile(r"^Verdict: (.+): (holds|not here|opposite) (\(.+\))$", re.MULTILINE)


def measure(number: str, work: Path) -> dict[str, object]:
    """Run a lecture; return its minutes and what it says of each claim."""
    (source,) = (path for path in generate.LECTURES if path.name.startswith(number))
    notebook, minutes = execute.execute(source, work)
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    said = "".join(out.text for out in outputs if out.get("name") == "stdout")
    return {"minutes": round(minutes, 1), "verdicts": VERDICT.findall(said)}


def table(found: dict[str, dict]) -> str:
    """Return the page: minutes by lecture, and each claim's verdict, a column for each category."""
    lines = ["# The course on several categories", ""]
    for name, one in found.items():
        lines.append(f"- {name}: `{one['command']}`, code `{one['commit']}`, {one['machine']}.")
    numbers = sorted({number for one in found.values() for number in one["lectures"]})
    lines += ["", "## Minutes", ""]
    rows = [
        [n, *(str(one["lectures"].get(n, {}).get("minutes", "-")) for one in found.values())]
        for n in numbers
    ]
    lines += markdown_table(["lecture", *found], rows)
    lines += ["", "## Verdicts", "", "In brackets: what speaks for the claim; see the lecture.", ""]
    words = {
        (number, claim, name): f"{word} {figure}"
        for name, one in found.items()
        for number, lecture in one["lectures"].items()
        for claim, word, figure in lecture["verdicts"]
    }
    claims = dict.fromkeys((number, claim) for number, claim, _ in words)
    rows = [[n, c, *(words.get((n, c, name), "-") for name in found)] for n, c in sorted(claims)]
    lines += markdown_table(["lecture", "claim", *found], rows)
    return "\n".join(lines) + "\n"


def main(data: str = "", category: str = "", *numbers: str) -> None:
    """Run the lectures and keep what they say after each of them."""
    os.environ.pop("RCAE_DATA", None)
    os.environ.pop("RCAE_CATEGORY", None)
    if data:
        os.environ |= {"RCAE_DATA": os.path.abspath(data), "RCAE_CATEGORY": category}
    name = find_data()[1]
    kept = RESULTS / "measured.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    command = "python tools/course.py" + (f" {Path(data).name} {category}" if data else "")
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    one = {
        "command": command,
        "commit": code_version(),
        "machine": f"{threads} threads",
        "lectures": found.get(name, {}).get("lectures", {}),
    }
    work = generate.ROOT / "runs" / "course" / name
    work.mkdir(parents=True, exist_ok=True)
    for number in numbers or [path.name[:2] for path in generate.LECTURES]:
        one["lectures"][number] = measure(number, work)
        print(number, one["lectures"][number], flush=True)
        found[name] = one
        write_text(kept, json.dumps(found, indent=1) + "\n")
        write_text(RESULTS / "README.md", table(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
