"""Build the course as a static web site: ``python docs/book.py OUT`` (or ``make book``).

Runs every lecture (with RCAE_FAST=1: in minutes, with few training steps) into ``OUT/notebooks``,
then lets Sphinx make ``OUT/book``: the executed lectures with their pictures, the exercises, the
API reference and the map from the paper to the code. The site needs no network to be read. A
lecture that was executed after its last change is not run again.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
MODULES = {  # title of a page: package, its modules
    "The method": {
        "rcae_lite.model": "rcae dpn crd single_pass losses normal_statistics outputs",
    },
    "Training": {
        "rcae_lite.training": "stages loop callbacks pseudo_anomalies augmentation trajectory_pool",
    },
    "Using a detector": {
        "rcae_lite": "base detector baselines config",
        "rcae_lite.commands": "prediction export",
    },
    "Evaluation": {
        "rcae_lite.evaluation": "protocol results metrics curves bootstrap scoring thresholds",
    },
    "Data": {"data_utils": "catalogue samples synthetic"},
    "Around it": {"rcae_lite": "study.ablation plotting exercises widgets.views"},
}

INDEX = """\
# RcAE Lite: the course

{about}

```{{toctree}}
:maxdepth: 1
:caption: Lectures

{lectures}
```

```{{toctree}}
:maxdepth: 1
:caption: Exercises

{exercises}
```

```{{toctree}}
:maxdepth: 1
:caption: Reference

paper
{reference}
```
"""


def execute(source: Path, target: Path) -> None:
    """Run a notebook and write it with its outputs, unless that was done since its last change."""
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return
    print(f"running {source.name}", flush=True)
    notebook = nbformat.read(source, as_version=4)
    work = target.parent / "work"  # what the notebooks write: runs/
    work.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook, timeout=1200, resources={"metadata": {"path": work}}, store_widget_state=False
    )
    client.execute()
    nbformat.write(notebook, target)


def page(notebook: Path, target: Path) -> None:
    """Copy a notebook into the book: no live widgets, and links as they are in the site."""
    content = nbformat.read(notebook, as_version=4)
    content.metadata.pop("widgets", None)
    for cell in content.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop("application/vnd.jupyter.widget-view+json", None)
            data.pop("application/javascript", None)
        if cell.cell_type == "markdown":  # what is not part of the site is named, not linked
            cell.source = re.sub(
                r"\[([^]]+)\]\((?:\.\./)+(?:results|docs)/[^)]*\)", r"\1", cell.source
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, target)


def write_sources(executed: Path, pages: Path) -> None:
    """Write everything that Sphinx reads into one folder."""
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "conf.py", pages)
    shutil.copytree(ROOT / "docs" / "img", pages / "docs" / "img")
    lectures = sorted(executed.glob("[0-9]*.ipynb"))
    exercises = sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb"))
    for notebook in lectures:
        page(notebook, pages / notebook.name)
    for notebook in exercises:
        page(notebook, pages / "exercises" / notebook.name)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (pages / "paper.md").write_text(_section(readme, "From the paper to the code"), "utf-8")
    reference = []
    for title, packages in MODULES.items():
        name = "reference_" + re.sub(r"\W+", "_", title.lower())
        blocks = [
            f"```{{eval-rst}}\n.. automodule:: {package}.{module}\n   :members:\n```"
            for package, modules in packages.items()
            for module in modules.split()
        ]
        (pages / f"{name}.md").write_text(f"# {title}\n\n" + "\n\n".join(blocks) + "\n", "utf-8")
        reference.append(name)
    about = readme.split("\n\n", 2)[1]
    index = INDEX.format(
        about=about,
        lectures="\n".join(one.stem for one in lectures),
        exercises="\n".join(f"exercises/{one.stem}" for one in exercises),
        reference="\n".join(reference),
    )
    (pages / "index.md").write_text(index, encoding="utf-8")


def _section(text: str, title: str) -> str:
    """Return a second-level section of the README as a page; its links lead to names only."""
    body = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    unlinked = re.sub(r"\[([^]]+)\]\((?!http)[^)]*\)", r"\1", body)
    return f"# {title}\n{unlinked}"


def main(arguments: list[str] | None = None) -> int:
    """Run the lectures and build the site."""
    parser = argparse.ArgumentParser(description="Build the course as a static web site.")
    parser.add_argument("out", type=Path)
    out = parser.parse_args(arguments).out.absolute()
    executed = out / ("notebooks-fast" if "RCAE_FAST" in os.environ else "notebooks")
    for source in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        execute(source, executed / source.name)
    write_sources(executed, out / "pages")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", out / "pages", out / "book"]
    subprocess.run(command, check=True)
    print(out / "book" / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
