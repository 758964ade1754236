"""Sphinx: the course as a web site that needs no network; `make book` builds it.

The root of the repository is the source, so that the lectures stand where they are. What their
cells show is in the notebooks (`python tools/execute.py`); nothing is run here.
"""

import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

from data_utils import KitError
from rcae_lite import __version__
from rcae_lite.widgets.story import story_of_example

sys.path.insert(0, str(Path(__file__).parent))
from pages import write_widgets

project = "RcAE Lite"
author = "The RcAE Lite authors"
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/index"
include_patterns = [
    "docs/index.md",
    "docs/live.md",
    "docs/paper.md",
    "docs/related.md",
    "docs/reference/*",
    "notebooks/*.ipynb",
    "notebooks/exercises/*.ipynb",
]
exclude_patterns = ["**/.ipynb_checkpoints", "notebooks/runs"]
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict] = {}  # by default they come from a CDN
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types, shapes and units
napoleon_google_docstring = False
default_role = "literal"
html_theme = "sphinx_book_theme"
html_theme_options = {"use_download_button": False, "use_fullscreen_button": False}
html_title = "RcAE Lite"
html_extra_path = ["index.html"]  # the front of the site leads to docs/
html_copy_source = False
html_show_sourcelink = False
suppress_warnings = ["mystnb.unknown_mime_type", "myst.xref_missing"]


def _mathml(display: str):
    def visit(self, node: nodes.Element) -> None:
        """Write a formula as MathML, which every current browser draws by itself."""
        formula = convert(node.astext(), display=display)
        self.body.append(f'<p class="math">{formula}</p>' if display == "block" else formula)
        raise nodes.SkipNode

    return visit


def write_pages(app) -> None:
    """Put the widgets into a page, and The Forgetting Machine on the front.

    Without the extra `export` say why the latter is missing.
    """
    write_widgets(Path(app.outdir) / "widgets.html")
    if not app.config.story:
        return
    try:
        story_of_example(Path(app.outdir) / "story.html")
    except KitError as error:
        print(f"the book has no story page: {error}", file=sys.stderr)
    else:
        app.tags.add("story")


def setup(app) -> None:
    """Draw formulas without MathJax; the option ``story`` is off where minutes count."""
    app.add_config_value("story", True, "html")
    app.connect("builder-inited", write_pages)
    app.add_node(nodes.math, override=True, html=(_mathml("inline"), None))
    app.add_node(nodes.math_block, override=True, html=(_mathml("block"), None))
