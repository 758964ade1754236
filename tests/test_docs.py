"""What the README and the notebooks say is there, is there, and their code runs."""

import pkgutil
import re
from pathlib import Path

import pytest

from rcae_lite import config

ROOT = Path(__file__).parent.parent
PAGES = [page for folder in (".", "docs", "results") for page in (ROOT / folder).glob("*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_map_from_paper_to_code_names_what_exists():
    row = (
        r"\| \[`(rcae_lite\.[\w.]+)`\]\((rcae_lite/[\w/]+\.py)\) "
        r"\| \[\d\d\]\((notebooks/\w+\.ipynb)\) \| `(tests/[\w./]+)` \|"
    )
    rows = re.findall(row, README)
    assert len(rows) == README.split("## From the paper to the code")[1].count("| `tests/")
    assert len(rows) >= 9
    for name, *files in rows:
        for file in files:
            assert (ROOT / file).exists(), file
        module = files[0].removesuffix(".py").replace("/", ".")
        assert name.startswith(f"{module}."), f"{name} is not in {files[0]}"
        found = pkgutil.resolve_name(name)
        assert found.__doc__, f"{name} has no docstring"


def test_the_example_in_the_readme_runs(monkeypatch, tmp_path, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    few = {"steps": 2, "batch_size": 2, "learning_rate": 1e-3}
    crd = few | {"pool_chunk": 4, "pool_chunks": 1}
    quick = config.get_config("demo", rcae=few, dpn=few, crd=crd)
    monkeypatch.setitem(config.PRESETS, "demo", quick)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    for shape in re.findall(r"# (\(\d[\d, ]+\))(?::|$)", example, re.MULTILINE):
        assert f"torch.Size([{shape[1:-1]}])" in printed
    assert "image AUROC" in printed and (tmp_path / "scores.png").exists()
