"""Does any text of a picture lie on another, or stick out? For diagrams (SVG) and for figures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

from matplotlib.figure import Figure
from matplotlib.text import Text

from rcae_lite.plotting.style import NotebookFigure

SLACK = 0.5  # pixels: boxes that touch do not overlap

# Of each text: what it says, its box, its smallest font, and the smallest rectangle around its
# middle (a card, a network, the panel). Shapes inside <defs> have no box.
LAID_OUT = """svg => {
    const edges = node => { const b = node.getBoundingClientRect();
        return [b.left, b.top, b.right, b.bottom]; };
    const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
    const rects = [...svg.querySelectorAll("rect")].map(edges).filter(box => area(box) > 0);
    rects.sort((a, b) => area(a) - area(b));
    return [...svg.querySelectorAll("text")].map(text => {
        const box = edges(text), x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
        const around = rects.find(r => r[0] <= x && x <= r[2] && r[1] <= y && y <= r[3]);
        const fonts = [text, ...text.querySelectorAll("tspan")].map(
            node => parseFloat(getComputedStyle(node).fontSize) * text.getScreenCTM().a);
        return [text.textContent, box, around ?? edges(svg), Math.min(...fonts)];
    });
}"""


class Label(NamedTuple):
    """A text, its box (left, low, right, high) in pixels, and the box that has to hold it."""

    text: str
    box: Sequence[float]
    frame: Sequence[float]
    font: float  # pixels, the smallest within it


def labels_of_svg(page: Any, source: str, width: int) -> list[Label]:
    """Lay an SVG out in Playwright's page, so many pixels wide, and measure its texts."""
    page.set_content(f'<div style="width: {width}px">{source}</div>')
    return [Label(*label) for label in page.locator("svg").evaluate(LAID_OUT)]


def labels_of_figure(figure: Figure) -> list[Label]:
    """Draw a figure and measure the texts that are drawn; the figure has to hold them."""
    shown: list[Text] = []
    draw = Text.draw

    def remember(text: Text, renderer: Any) -> None:
        draw(text, renderer)
        if text.get_text().strip() and text.get_visible():
            shown.append(text)

    with mock.patch.object(Text, "draw", remember):
        figure.draw_without_rendering()
    frame, pixels = figure.bbox.extents, figure.dpi / 72
    return [
        Label(t.get_text(), t.get_window_extent().extents, frame, t.get_fontsize() * pixels)
        for t in shown
    ]


def watch() -> list[str]:
    """Look at every figure that a notebook shows from now on; return the faults, as they come."""
    found, show = [], NotebookFigure._repr_html_

    def looked_at(figure: NotebookFigure) -> str:
        text = show(figure)
        found.extend(f"{figure.description}: {fault}" for fault in faults(labels_of_figure(figure)))
        return text

    NotebookFigure._repr_html_ = looked_at  # type: ignore[method-assign]
    return found


def faults(labels: Sequence[Label]) -> list[str]:
    """Say which texts overlap, and which leave their frame."""
    found = [
        f"{a.text!r} lies on {b.text!r}"
        for a, b in itertools.combinations(labels, 2)
        if all(min(a.box[i + 2], b.box[i + 2]) - max(a.box[i], b.box[i]) > SLACK for i in (0, 1))
    ]
    for text, (left, low, right, high), frame, _ in labels:
        out = frame[0] - left, frame[1] - low, right - frame[2], high - frame[3]
        if max(out) > SLACK:
            found.append(f"{text!r} leaves its frame by {max(out):.1f} pixels")
    return found
