"""`make book`: the site builds without a warning and can be read without a network."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_utils import KitError

pytest.importorskip("myst_nb", reason="the extra `book` is not installed")
pytest.importorskip("sphinx_book_theme")
pytest.importorskip("latex2mathml")

ROOT = Path(__file__).parents[2]
needs_the_book = pytest.mark.slow  # it takes minutes to build
LECTURES = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The book, as `make book` builds it; a warning is an error."""
    out = tmp_path_factory.mktemp("book") / "site"
    options = ["-q", "-W", "-D", "story=0", "-b", "html", "-d", out.parent / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *options, "-c", "docs", ".", out]
    subprocess.run(command, cwd=ROOT, check=True)
    return out


@needs_the_book
@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_a_lecture_shows_its_pictures(site, path):
    page = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/webp;base64,') == path.read_text("utf-8").count(
        "image/webp;base64,"
    )
    assert "image/webp" in page


@needs_the_book
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


@needs_the_book
def test_formulas_are_drawn_by_the_browser_itself(site):
    pages = "".join(path.read_text(encoding="utf-8") for path in site.rglob("[0-9]*.html"))
    assert pages.count("<math") > 20 and not re.search("<script[^>]*mathjax", pages.lower())
    exercises = (site / "notebooks/exercises/03_recursion.html").read_text(encoding="utf-8")
    assert not re.search(r"\$I_R\^n", exercises)


def test_the_front_has_the_story_page_where_it_can_be_written(monkeypatch, tmp_path, capsys):
    conf = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    write = conf["write_pages"]
    monkeypatch.setitem(write.__globals__, "write_widgets", lambda path: path.write_text("alive"))

    def refuse(path):
        raise KitError("no onnx here")

    app = SimpleNamespace(config=SimpleNamespace(story=True), outdir=tmp_path, tags=set())
    monkeypatch.setitem(write.__globals__, "story_of_example", refuse)
    write(app)
    assert "no story page: no onnx here" in capsys.readouterr().err and not app.tags
    monkeypatch.setitem(write.__globals__, "story_of_example", lambda path: path.write_text("page"))
    write(app)
    assert (tmp_path / "story.html").read_text() == "page" and app.tags == {"story"}
    assert (tmp_path / "widgets.html").read_text() == "alive"
    assert 'href="../story.html"' in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


@needs_the_book
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_every_page_opens_in_a_browser_without_a_request_to_the_outside(site, browser):
    """No missing picture, no error in the console, not one request that leaves the folder."""
    page = browser.new_page()
    outside, wrong, pictures = [], [], 0
    page.on(
        "request",
        lambda r: (
            outside.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None
        ),
    )
    # Leaving a page aborts what its network still loads; that is no missing file.
    page.on(
        "requestfailed",
        lambda r: wrong.append(r.url) if r.failure != "net::ERR_ABORTED" else None,
    )
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
