"""The diagrams of the lectures: well-formed, named, legible, and found in JupyterLab."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import jupytext
import nbformat
import pytest

from tests.browser.conftest import PATIENCE, write_book
from tests.legible import faults, labels_of_svg

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
DIAGRAMS = sorted((NOTEBOOKS / "img").glob("*.svg"))
WIDTH = 700  # pixels: a column of text on a laptop
NAMESPACE = "{http://www.w3.org/2000/svg}"
EMBEDDED = r"!\[([^\]]+)\]\(img/([\w.]+)\)"  # alternative text, file

each = pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.stem)


def pictures_of(source: Path) -> list[nbformat.NotebookNode]:
    """The Markdown cells of a lecture that show a diagram."""
    return [cell for cell in jupytext.read(source).cells if re.search(EMBEDDED, cell.source)]


LECTURES = {path: cells for path in NOTEBOOKS.glob("[0-9]*.py") if (cells := pictures_of(path))}


@each
def test_a_diagram_has_a_title_and_a_description_and_stands_alone(path):
    root = ElementTree.parse(path).getroot()
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{NAMESPACE}title", f"{NAMESPACE}desc")
    assert 5 < len(title.text) < 80 < len(description.text)
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    text = path.read_text(encoding="utf-8")
    known = set(re.findall(r'id="(\w+)"', text))
    assert set(re.findall(r'(?:href="|url\()#(\w+)', text)) <= known, "a shape that is not there"
    assert not re.findall(r'(?:href|src)="(?!#)', text), "nothing from outside"


@each
def test_no_text_of_a_diagram_overlaps_leaves_its_box_or_is_small(path, tab):
    labels = labels_of_svg(tab.page, path.read_text(encoding="utf-8"), WIDTH)
    assert len(labels) > 10
    assert faults(labels) == []
    assert min(label.font for label in labels) >= 13


def test_faults_of_a_diagram_are_found(tab):
    source = f"""<svg xmlns="{NAMESPACE[1:-1]}" viewBox="0 0 100 50"><rect width="40" height="20"/>
        <text x="2" y="14" font-size="8">too long for the box</text>
        <text x="60" y="15" font-size="8">above</text><text x="62" y="40">fine</text></svg>"""
    found = faults(labels_of_svg(tab.page, source, 100))
    assert len(found) == 2
    assert found[0] == "'too long for the box' lies on 'above'" and "leaves its frame" in found[1]


def test_every_diagram_is_shown_once():
    shown = [
        name
        for cells in LECTURES.values()
        for cell in cells
        for _, name in re.findall(EMBEDDED, cell.source)
    ]
    assert sorted(shown) == [path.name for path in DIAGRAMS]


def test_jupyterlab_shows_the_diagrams(lab, notebook):
    shutil.copytree(NOTEBOOKS / "img", lab.folder / "img")
    cells = [cell for found in LECTURES.values() for cell in found]
    write_book(lab.folder / "diagrams.ipynb", *cells)
    tab = notebook("diagrams.ipynb")
    loaded = """count => { const found = [...document.querySelectorAll(".jp-Notebook img")];
        return found.length === count && found.every(image => image.naturalWidth > 0); }"""
    tab.page.wait_for_function(loaded, arg=len(DIAGRAMS), timeout=PATIENCE)
    assert tab.page.evaluate("[...document.querySelectorAll('.jp-Notebook img')].every(i => i.alt)")
