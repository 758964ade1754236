"""One style for all figures: colours, axes, a figure that shows itself in a notebook."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Literal

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

Array = np.ndarray | Tensor
COLOUR_MAP = "magma"
NORMAL, DEFECTIVE = (sns.color_palette("colorblind")[i] for i in (0, 3))
BASELINE = "0.5"


class NotebookFigure(Figure):
    """A figure that shows itself in a notebook, without pyplot and its state."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def new_axes(ax: Axes | None, size: tuple[float, float] = (4.2, 3.2)) -> Axes:
    """Return the axes given, or those of a new figure of ``size`` inches."""
    if ax is not None:
        return ax
    with sns.axes_style("whitegrid"):
        return NotebookFigure(figsize=size, layout="constrained").subplots()


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
