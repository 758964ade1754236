"""What the README and the notebooks say is there, is there, and their code runs."""

import dataclasses
import importlib
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from rcae_lite import config

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "results").glob("*.md")]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links
               if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_map_from_paper_to_code_names_what_exists():
    rows = re.findall(r"\| `(rcae_lite\.[\w.]+)` \| `(tests/[\w./]+)` \|", README)
    assert len(rows) >= 9
    for name, test in rows:
        assert (ROOT / test).exists(), test
        parts = name.split(".")
        found = importlib.import_module(".".join(parts[:2]))
        for part in parts[2:]:
            found = getattr(found, part)
        assert found.__doc__, f"{name} has no docstring"


def test_the_example_in_the_readme_runs(monkeypatch, tmp_path, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    few = config.Stage(steps=2, batch_size=2, learning_rate=1e-3)
    quick = dataclasses.replace(config.PRESETS["demo"], rcae=few, dpn=few, crd=few,
                                pool_chunk=4, pool_chunks=1)
    monkeypatch.setitem(config.PRESETS, "demo", quick)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    for shape in re.findall(r"# (\(\d[\d, ]+\))(?::|$)", example, re.MULTILINE):
        assert f"torch.Size([{shape[1:-1]}])" in printed
    assert "image AUROC" in printed and (tmp_path / "scores.png").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(path, monkeypatch):
    monkeypatch.setenv("RCAE_FAST", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path.parent}}).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) >= 3, "the plots must be shown, not only made"
