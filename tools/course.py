"""Run the course on real data as a student would: what it takes, and its verdicts.

    python tools/course.py path/to/mvtec bottle
    python tools/course.py path/to/mvtec bottle 03 05     # some lectures
    python tools/course.py path/to/mvtec bottle --busy    # other work runs, so minutes mean nothing
    python tools/course.py                                # only write the page anew

The lectures run one after the other in runs/course/CATEGORY, so that each finds the stages that an
earlier one has trained; delete that folder to measure afresh. What was measured is kept in
results/course/CATEGORY.json after every lecture. The page, results/course/README.md, is written
from these files; its column of the synthetic category is what the committed notebooks show.
"""

import argparse
import json
import os
import re
from pathlib import Path

import execute
import generate
import nbformat
from nbformat import NotebookNode

from data_utils import open_category
from rcae_lite.storage.atomic import write_text
from rcae_lite.storage.provenance import code_version
from rcae_lite.study.summary import markdown_table

RESULTS = generate.ROOT / "results" / "course"
VERDICT = re.compile(r"^Verdict: (.+): (holds|not here|opposite) (\(.+\))$", re.MULTILINE)
SYNTHETIC = "synthetic"


def verdicts(notebook: NotebookNode) -> list[tuple[str, str, str]]:
    """Return claim, verdict and figures of every verdict that a lecture has printed."""
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return VERDICT.findall("".join(out.text for out in outputs if out.get("name") == "stdout"))


def measure(number: str, work: Path, busy: bool) -> dict[str, object]:
    """Run a lecture; return its minutes, its code and what it says of each claim."""
    (source,) = (path for path in generate.LECTURES if path.name.startswith(number))
    notebook, minutes = execute.execute(source, work)
    found = {"code": code_version(), "verdicts": verdicts(notebook)}
    return found if busy else {"minutes": round(minutes, 1), **found}


def committed() -> dict[str, object]:
    """Return the same of the committed notebooks, which `tools/execute.py` has run."""
    lectures = {}
    for source in generate.LECTURES:
        notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
        found = generate.HEADER.search(source.read_text(encoding="utf-8"))
        minutes = float(found[1]) if found and found[1] else None
        lectures[source.name[:2]] = {"minutes": minutes, "verdicts": verdicts(notebook)}
    made = "`python tools/execute.py`, as the notebooks show; minutes from their headers"
    return {"made": made, "lectures": lectures}


def table(found: dict[str, dict]) -> str:
    """Return the page: minutes by lecture, and each claim's verdict, a column for each category."""
    lines = ["# The course on several categories", ""]
    lines += [f"- {name}: {one['made']}{_codes(one)}." for name, one in found.items()]
    numbers = sorted({number for one in found.values() for number in one["lectures"]})
    lines += ["", "## Minutes", ""]
    minutes = {
        (number, name): str(lecture["minutes"])
        for name, one in found.items()
        for number, lecture in one["lectures"].items()
        if lecture.get("minutes")
    }
    timed = [name for name in found if any(name == other for _, other in minutes)]
    rows = [[n, *(minutes.get((n, name), "-") for name in timed)] for n in numbers]
    lines += markdown_table(["lecture", *timed], rows)
    lines += ["", "## Verdicts", "", "In brackets: what speaks for the claim; see the lecture.", ""]
    words = {
        (number, claim, name): f"{word} {figure}"
        for name, one in found.items()
        for number, lecture in one["lectures"].items()
        for claim, word, figure in lecture["verdicts"]
    }
    claims = sorted(dict.fromkeys((n, claim) for n, claim, _ in words), key=lambda one: one[0])
    rows = [[n, c, *(words.get((n, c, name), "-") for name in found)] for n, c in claims]
    lines += markdown_table(["lecture", "claim", *found], rows)
    return "\n".join(lines) + "\n"


def _codes(one: dict) -> str:
    """Say which code ran which lectures."""
    ran: dict[str, list[str]] = {}
    for number, lecture in one["lectures"].items():
        if "code" in lecture:
            ran.setdefault(lecture["code"], []).append(number)
    return "".join(f"; code `{code}` for {', '.join(numbers)}" for code, numbers in ran.items())


def write_page() -> None:
    """Write the page from what is kept."""
    real = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    write_text(RESULTS / "README.md", table({SYNTHETIC: committed(), **real}))


def run(data: str, category: str, numbers: list[str], busy: bool) -> None:
    """Run the lectures and keep what they say after each of them."""
    os.environ |= {"RCAE_DATA": os.path.abspath(data), "RCAE_CATEGORY": category}
    kept = RESULTS / f"{category}.json"
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    fingerprint = open_category(data, category, size=128).fingerprint[:12]
    one = {
        "made": f"`python tools/course.py {Path(data).name} {category}`, `OMP_NUM_THREADS="
        f"{threads}`, data `{fingerprint}`",
        "lectures": json.loads(kept.read_text())["lectures"] if kept.exists() else {},
    }
    work = generate.ROOT / "runs" / "course" / category
    work.mkdir(parents=True, exist_ok=True)
    for number in numbers or [path.name[:2] for path in generate.LECTURES]:
        one["lectures"][number] = measure(number, work, busy)
        print(number, one["lectures"][number], flush=True)
        write_text(kept, json.dumps(one, indent=1) + "\n")
        write_page()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("category", nargs="?")
    parser.add_argument("numbers", nargs="*")
    parser.add_argument("--busy", action="store_true")
    args = parser.parse_args()
    if args.data is None:
        write_page()
    elif args.category is None:
        parser.error(f"no category; name one of those in {args.data}")
    else:
        run(args.data, args.category, args.numbers, args.busy)
