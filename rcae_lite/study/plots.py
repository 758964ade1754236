"""Figures of the tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rcae_lite.plotting.curves import restoration as restoration_plane
from rcae_lite.plotting.style import BASELINE, DEFECTIVE, subplots
from rcae_lite.study.cost import QUANTITIES, Cost
from rcae_lite.study.ladder import Rung
from rcae_lite.study.restoration import RestorationTable
from rcae_lite.study.summary import SHOWN, Ablation

__all__ = ["ablation", "cost", "ladder", "restoration"]


def ablation(table: Ablation) -> Figure:
    """Show image and pixel AUROC of every row, beside the paper's.

    Dots are means over categories and seeds, bars reach from the lowest to the highest seed.

    Parameters
    ----------
    table : Ablation
        From `rcae_lite.ablate`.
    """
    figure, axes = subplots(1, 2, sharey=True, figsize=(8, 1.2 + 0.32 * len(table.rows)))
    for place, (ax, metric) in enumerate(zip(axes, ("image_auroc", "pixel_auroc"), strict=True)):
        found = [table.values(row.label, metric) or [np.nan] for row in table.rows]
        levels = range(len(found))
        paper = [np.nan if row.paper[place] is None else row.paper[place] for row in table.rows]
        if any(row.paper[place] is not None for row in table.rows):
            ax.plot(paper, levels, "o", mfc="none", color=BASELINE, label="paper (MVTec AD)")
        ax.hlines(levels, [min(v) for v in found], [max(v) for v in found], color=DEFECTIVE)
        ax.plot([np.mean(v) for v in found], levels, "o", color=DEFECTIVE, label="here")
        ax.set(xlabel=f"{SHOWN[metric]} (%)", xlim=(None, 100.5))
    axes[0].set_yticks(range(len(table.rows)), [row.label for row in table.rows])
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    return figure


def ladder(rungs: Sequence[Rung]) -> Figure:
    """Show the image AUROC of every rung with its 95% interval; controls in grey.

    Parameters
    ----------
    rungs : sequence of Rung
        From `rcae_lite.study.ladder.ladder`.
    """
    figure, ax = subplots(figsize=(6, 0.8 + 0.3 * len(rungs)))
    for level, rung in enumerate(rungs):
        control = not rung.name.startswith(("RcAE", "+"))
        colour = BASELINE if control else DEFECTIVE
        ax.hlines(level, rung.auroc.low, rung.auroc.high, color=colour, linewidth=3, alpha=0.5)
        ax.plot(rung.auroc.value, level, "o", color=colour)
    ax.axvline(0.5, color="0.6", linewidth=1)
    ax.set_yticks(range(len(rungs)), [rung.name for rung in rungs])
    ax.invert_yaxis()
    ax.set(xlabel="image AUROC, 95% interval", xlim=(None, 1.01))
    return figure


def cost(table: Cost) -> Figure:
    """Show operations, time and memory over the resolution; a line per detector and depth.

    Parameters
    ----------
    table : Cost
        From `rcae_lite.ablate`; a row of axes for each of its devices.
    """
    devices = table.devices
    size = (9.5, 0.4 + 2.8 * len(devices))
    figure, axes = subplots(len(devices), len(QUANTITIES), squeeze=False, figsize=size)
    for row, device in zip(axes, devices, strict=True):
        _cost_on(row, table.on(device))
        row[0].set_title(device, loc="left", fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=7)
    return figure


def _cost_on(row: Sequence[Axes], table: Cost) -> None:
    """Draw one device's axes, one for each quantity."""
    shades = {"single_pass": [BASELINE] * 9, "rcae": sns.color_palette("Blues", 9)}
    shades["full"] = sns.color_palette("Oranges", 9)
    for ax, (quantity, unit) in zip(row, QUANTITIES.items(), strict=True):
        for one in {m.label: m for m in table.measured}.values():
            same = [m for m in table.measured if m.label == one.label]
            points = [(m.size, getattr(m, quantity) or np.nan) for m in same]
            colour = shades[one.detector][one.depth + 2]
            ax.plot(*zip(*points, strict=True), ".-", color=colour, label=one.label)
        ax.set(xscale="log", xlabel="pixels on a side", ylabel=f"{unit} per image")
        if any(getattr(m, quantity) for m in table.measured):  # small sizes may need no more memory
            ax.set_yscale("log")
        sizes = sorted({m.size for m in table.measured})
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()


def restoration(table: RestorationTable) -> Figure:
    """Show the plane of copied share and error on structured pixels, a panel for each category.

    Parameters
    ----------
    table : RestorationTable
        From `rcae_lite.ablate`; its first seed is shown.
    """
    categories = list(dict.fromkeys(one.category for one in table.probed))
    columns = min(3, len(categories))
    rows = -(-len(categories) // columns)
    size = (max(6.4, 0.4 + 3.2 * columns), 0.8 + 2.8 * rows)  # the legend needs the width
    figure, axes = subplots(rows, columns, squeeze=False, sharex=True, sharey=True, figsize=size)
    for ax, category in zip(axes.flat, categories, strict=False):
        seed = table.probed[0].seed
        here = [o for o in table.probed if (o.category, o.seed) == (category, seed)]
        labels = {one.network: one.label for one in here}
        restoration_plane({one.network: one.found for one in here}, ax, labels)
        ax.get_legend().remove()  # one for all of them
        ax.set_title(category, fontsize=9)
        ax.label_outer()
    for ax in axes.flat[len(categories) :]:
        ax.set_axis_off()
    axes[0, 0].autoscale()  # to what all of them hold
    axes[0, 0].set(xlim=(0, None), ylim=(0, None))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure
