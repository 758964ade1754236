"""`make book`: the site builds without a warning and can be read without a network."""

import base64
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

pytest.importorskip("myst_nb", reason="the extra `book` is not installed")
pytest.importorskip("sphinx_book_theme")
pytest.importorskip("latex2mathml")
get_cache = pytest.importorskip("jupyter_cache").get_cache

ROOT = Path(__file__).parents[2]
LECTURES = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def with_picture(path: Path) -> nbformat.NotebookNode:
    """A lecture as if it had been run: its last code cell shows a picture."""
    notebook = nbformat.read(path, as_version=4)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "steelblue").save(buffer, "PNG")
    picture = {"image/png": base64.b64encode(buffer.getvalue()).decode()}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    cells[-1].outputs = [nbformat.v4.new_output("display_data", data=picture)]
    return notebook


BUILD = """\
import sys
from sphinx.application import Sphinx

out, *kept = sys.argv[1:]
options = {"nb_execution_excludepatterns": kept}
Sphinx(".", "docs", out, f"{out}/.doctrees", "html", options, None, warningiserror=True).build()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The book: lecture 01 is run; the others count as executed, for they take minutes."""
    root = tmp_path_factory.mktemp("source")
    for folder in ("docs", "notebooks", "results"):
        shutil.copytree(ROOT / folder, root / folder)
    shutil.copy(ROOT / "README.md", root)
    kept = [f"notebooks/{path.name}" for path in LECTURES if path.stem[:2] != "01"]
    for name in kept:
        nbformat.write(with_picture(ROOT / name), root / name)
    out = tmp_path_factory.mktemp("book") / "site"
    command = [sys.executable, "-c", BUILD, out, "notebooks/exercises/*", *kept]
    subprocess.run(command, cwd=root, check=True)
    return out


def test_a_lecture_that_was_run_is_kept(site):
    records = get_cache(site.parent / ".jupyter_cache").list_cache_records()
    assert [Path(record.uri).name for record in records] == ["01_data_and_defects.ipynb"]


def test_the_site_holds_lectures_exercises_reference_and_paper(site):
    names = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    for path in LECTURES:
        assert f"notebooks/{path.stem}.html" in names
    assert len([name for name in names if name.startswith("notebooks/exercises/")]) >= 12
    paper = (site / "docs" / "paper.html").read_text(encoding="utf-8")
    assert "RcAE.forward" in paper
    reference = (site / "docs/reference/the_method.html").read_text(encoding="utf-8")
    assert 'id="rcae_lite.model.rcae.RcAE.trajectory"' in reference
    assert 'href="../../_modules/rcae_lite/model/rcae.html#RcAE.trajectory"' in reference
    stages = (site / "docs/reference/training.html").read_text(encoding="utf-8")
    assert stages.count("<math") >= 4, "the loss of each stage, as a formula"


def test_formulas_are_drawn_by_the_browser_itself(site):
    pages = "".join(path.read_text(encoding="utf-8") for path in site.rglob("[0-9]*.html"))
    assert pages.count("<math") > 20 and not re.search("<script[^>]*mathjax", pages.lower())
    exercises = (site / "notebooks/exercises/03_recursion.html").read_text(encoding="utf-8")
    assert not re.search(r"\$I_R\^n", exercises)


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_every_page_opens_in_a_browser_without_a_request_to_the_outside(site, browser):
    """No missing picture, no error in the console, not one request that leaves the folder."""
    page = browser.new_page()
    outside, wrong, pictures = [], [], 0
    page.on(
        "request",
        lambda r: outside.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
    )
    page.on("requestfailed", lambda r: wrong.append(r.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")
    for path in [*site.glob("docs/**/*.html"), *site.glob("notebooks/**/*.html")]:
        page.goto(path.as_uri())
        found = page.evaluate("[...document.images].map(i => [i.src, i.naturalWidth])")
        wrong += [f"{path.name}: {src}" for src, width in found if width == 0]
        pictures += len(found)
    page.close()
    assert (outside, wrong) == ([], [])
    assert pictures >= len(LECTURES)
