"""What the README and the notebooks say is there, is there, and their code runs."""

import pkgutil
import re
import subprocess
from pathlib import Path

import pytest

from rcae_lite import config

ROOT = Path(__file__).parent.parent
PAGES = [page for folder in (".", "docs", "results") for page in (ROOT / folder).glob("*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RELATED = (ROOT / "docs/related.md").read_text(encoding="utf-8")
REWRITTEN = "2026-11-28"  # the day of commit 52d7e0d, the recursion from the paper's full text


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


def test_the_example_in_the_readme_runs(few_images, monkeypatch, tmp_path, capsys):
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


INCLUDED = re.findall(r'```\{include\} \.\./(\S+)\n:start-after: "(.+)"\n```', RELATED)


def test_related_work_shows_measured_tables_of_methods_that_it_explains():
    assert len(INCLUDED) == RELATED.count("{include}") == 2
    explained = re.findall(r"^\| \**(\w+)\** \|", RELATED, re.MULTILINE)
    for name, heading in INCLUDED:
        _, table = (ROOT / name).read_text(encoding="utf-8").split(heading)
        assert "`python benchmarks/peers.py" in table and "code `" in table
        measured = re.findall(r"^\| ([A-Z]\w+)[^|]* \| +\d", table, re.MULTILINE)
        assert len(measured) >= 3 and set(measured) <= set(explained), measured


@pytest.mark.parametrize("name", [name for name, _ in INCLUDED])
def test_related_work_says_which_table_is_old(name):
    """The day that a table is measured anew, its warning has to go."""
    (section,) = [part for part in RELATED.split("\n### ") if f"{{include}} ../{name}" in part]
    codes = re.findall(r"code `(\w+)`", (ROOT / name).read_text(encoding="utf-8"))
    command = ["git", "-C", str(ROOT), "show", "-s", "--format=%cs", *codes]
    shown = subprocess.run(command, check=False, capture_output=True, text=True)
    if shown.returncode:
        pytest.skip(f"commits {codes} are not in this copy's history")
    warned = "measured before the recursion was rewritten" in " ".join(section.split())
    assert warned == (min(shown.stdout.split()) < REWRITTEN)


def test_related_work_has_a_source_for_every_method():
    table, sources = RELATED.split("## Sources")
    methods = re.findall(r"^\| \**(\w+)\** \|", table, re.MULTILINE)[1:]  # without the head
    cited = re.split(r"^- \*\*(\w+)\*\* ", sources, flags=re.MULTILINE)[1:]
    assert cited[::2] == [*methods, "anomalib"]
    for source in cited[1::2]:
        assert re.search(r"\[arXiv (\d{4}\.\d{5})\]\(https://arxiv\.org/abs/\1\)", source), source
        assert re.search(r"\b20\d\d\b", source) and source.count("*") == 2, source
