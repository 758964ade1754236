"""`make book`: the site builds without a warning and can be read without a network."""

import base64
import io
import os
import re
from pathlib import Path

import nbformat
import pytest
from PIL import Image

pytest.importorskip("myst_nb", reason="the extra `book` is not installed")
pytest.importorskip("sphinx_book_theme")
pytest.importorskip("latex2mathml")

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


@pytest.fixture(scope="module")
def site(tmp_path_factory, generator):
    """The book of lectures that count as executed, because that alone would take minutes."""
    import book

    out = tmp_path_factory.mktemp("book")
    kind = "notebooks-fast" if "RCAE_FAST" in os.environ else "notebooks"
    (out / kind).mkdir()
    for path in LECTURES:
        nbformat.write(with_picture(path), out / kind / path.name)
    assert book.main([str(out)]) == 0
    return out / "book"


def test_a_lecture_is_run_once_per_change(tmp_path, generator, monkeypatch):
    import book

    source, target = tmp_path / "a.ipynb", tmp_path / "out" / "a.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    nbformat.write(notebook, source)
    book.execute(source, target)
    assert nbformat.read(target, 4).cells[0].outputs[0].text == "42\n"
    monkeypatch.setattr(book, "NotebookClient", None)
    book.execute(source, target)  # must not need a client


def test_the_site_holds_lectures_exercises_reference_and_paper(site):
    names = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    for path in LECTURES:
        assert f"{path.stem}.html" in names
    assert len([name for name in names if name.startswith("exercises/")]) >= 12
    paper = (site / "paper.html").read_text(encoding="utf-8")
    assert "RcAE.forward" in paper
    reference = (site / "reference_the_method.html").read_text(encoding="utf-8")
    assert 'id="rcae_lite.model.rcae.RcAE.trajectory"' in reference
    assert 'href="_modules/rcae_lite/model/rcae.html#RcAE.trajectory"' in reference
    stages = (site / "reference_training.html").read_text(encoding="utf-8")
    assert stages.count("<math") >= 4, "the loss of each stage, as a formula"


def test_formulas_are_drawn_by_the_browser_itself(site):
    pages = "".join(path.read_text(encoding="utf-8") for path in site.rglob("[0-9]*.html"))
    assert pages.count("<math") > 20 and not re.search("<script[^>]*mathjax", pages.lower())
    exercises = (site / "exercises" / "03_recursion.html").read_text(encoding="utf-8")
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
    for path in [*site.glob("*.html"), *site.glob("exercises/*.html")]:
        page.goto(path.as_uri())
        found = page.evaluate("[...document.images].map(i => [i.src, i.naturalWidth])")
        wrong += [f"{path.name}: {src}" for src, width in found if width == 0]
        pictures += len(found)
    page.close()
    assert (outside, wrong) == ([], [])
    assert pictures >= len(LECTURES)
