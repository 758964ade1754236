"""One style for all figures: colours, axes, a figure that shows itself in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

Array = np.ndarray | Tensor
COLOUR_MAP = "magma"
NORMAL, DEFECTIVE = (sns.color_palette("colorblind")[i] for i in (0, 3))
BASELINE = "0.5"
INK = "#767676"  # of text and lines: equally legible on white and on a dark theme
PIXELS_PER_INCH = 100  # on the screen; the picture has twice as many, for sharp displays


class NotebookFigure(Figure):
    """A figure that shows itself in a notebook, without pyplot and its state.

    A WebP picture at twice the size, with a transparent background and a description for readers
    who do not see it.
    """

    def draw(self, renderer: Any) -> None:
        """Draw; text that nobody has coloured is grey, for a light and a dark background."""
        for text in self.findobj(Text):
            assert isinstance(text, Text)
            if max(to_rgb(text.get_color())) < 0.2:  # black, or seaborn's nearly black
                text.set_color(INK)
        super().draw(renderer)

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self.to_webp()).decode()
        width = round(PIXELS_PER_INCH * self.get_figwidth())
        return (
            f'<img style="width: {width}px; max-width: 100%" alt="{html.escape(self.description)}" '
            f'src="data:image/webp;base64,{picture}">'
        )

    def to_webp(self) -> bytes:
        """Return the picture: lossless for curves, where that is smaller; else of quality 88."""
        packed, dpi = io.BytesIO(), 2 * PIXELS_PER_INCH
        how = {"quality": 88} if any(ax.images for ax in self.axes) else {"lossless": True}
        self.savefig(packed, format="webp", dpi=dpi, transparent=True, pil_kwargs=how)
        return packed.getvalue()

    @property
    def description(self) -> str:
        """What the figure shows, in words: its titles, or what its axes stand for."""
        named = [ax for ax in self.axes if ax.get_label() != "<colorbar>"]
        axes = [f"{ax.get_ylabel()} over {ax.get_xlabel()}" for ax in named if ax.get_xlabel()]
        titles = [self.get_suptitle(), *(ax.get_title() for ax in named)]
        return "; ".join(dict.fromkeys(filter(None, [*titles, *axes]))) or "figure"


def subplots(
    rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], **options: Any
) -> tuple[NotebookFigure, Any]:
    """Make a figure in the kit's style that shows itself as the last line of a cell.

    Parameters
    ----------
    rows, columns : int
        Of axes.
    figsize : (float, float)
        Width and height in inches; a screen shows 100 pixels for each.
    **options
        As those of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    NotebookFigure
        The figure.
    Axes or np.ndarray
        One axes, or an array of them, as from `matplotlib.pyplot.subplots`.
    """
    figure = NotebookFigure(figsize=figsize, layout="constrained")
    with sns.axes_style("whitegrid", {"axes.edgecolor": INK}):
        axes = figure.subplots(rows, columns, **options)
    for ax in figure.axes:
        ax.grid(color=INK, alpha=0.25)
    return figure, axes


def new_axes(ax: Axes | None, size: tuple[float, float] = (4.2, 3.2)) -> Axes:
    """Return the axes given, or those of a new figure of ``size`` inches."""
    return subplots(figsize=size)[1] if ax is None else ax


def to_picture(image: Array) -> np.ndarray:
    """(3, H, W) in [0, 1], possibly a little outside, to (H, W, 3)."""
    return np.asarray(image).transpose(1, 2, 0).clip(0, 1)


def bare(ax: Axes, title: str = "", label: str = "") -> Axes:
    """Take ticks and frame away: axes for a picture."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    ax.set_title(title, fontsize=9, parse_math=False)  # titles hold names of folders, "$" included
    ax.set_ylabel(label, fontsize=9)
    return ax


def colour_bar(
    figure: Figure,
    low: float,
    high: float,
    axes: Iterable[Axes],
    label: str,
    side: Literal["left", "right"] = "right",
    row: tuple[int, int] = (0, 1),
) -> None:
    """Say once what the colours of some pictures mean, beside them or one row of several."""
    scale = ScalarMappable(Normalize(low, high), COLOUR_MAP)
    number, rows = row
    middle = (0.5, 1 - number / max(rows - 1, 1))
    bar = figure.colorbar(
        scale, ax=list(axes), shrink=0.9 / rows, anchor=middle, pad=0.01, location=side
    )
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
