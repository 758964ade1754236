"""Texts of a figure that lie over each other, or leave it."""

from itertools import combinations
from unittest import mock

from matplotlib.text import Text
from matplotlib.transforms import Bbox

from rcae_lite.plotting.style import NotebookFigure

SLACK = 1.5  # pixels that two boxes may share: letters do not fill them


def overlaps(figure):
    """Name every text that is drawn over another one, or beyond the edge of the figure."""
    drawn, draw = [], Text.draw

    def remember(text, renderer):
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            drawn.append((text.get_text(), text.get_window_extent(renderer)))

    with mock.patch.object(Text, "draw", remember):
        figure.canvas.draw()
    found = []
    for (one, box), (other, second) in combinations(drawn, 2):
        shared = Bbox.intersection(box, second)
        if shared and min(shared.width, shared.height) > SLACK:
            found.append(f"{one!r} over {other!r}")
    width, height = figure.bbox.size
    for text, box in drawn:
        if min(box.x0, box.y0, width - box.x1, height - box.y1) < -SLACK:
            found.append(f"{text!r} leaves the figure")
    return found


def watch():
    """Look at every figure that is shown from now on; return the list that grows."""
    found, shown = [], NotebookFigure._repr_html_

    def looked_at(figure):
        text = shown(figure)
        found.extend(f"{figure.description}: {fault}" for fault in overlaps(figure))
        return text

    NotebookFigure._repr_html_ = looked_at
    return found
