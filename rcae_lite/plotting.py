"""Plots of trajectories, detections and evaluations: data in, Figure or Axes out.

Heat maps of one figure share one colour scale. Nothing here opens a window or keeps pyplot state,
so every function works in a notebook, in a script and on a server.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from rcae_lite.cost import QUANTITIES, Cost
from rcae_lite.evaluation import map_limits
from rcae_lite.metrics import PRO_LIMIT
from rcae_lite.results import Evaluation
from rcae_lite.tables import SHOWN, Ablation

__all__ = [
    "DETECTORS",
    "ablation",
    "changes_by_depth",
    "cost",
    "compare_maps",
    "detections",
    "gallery",
    "heat_map",
    "loss_curves",
    "overlay",
    "pixel_curves",
    "pro_curve",
    "residual_ladder",
    "residual_limit",
    "residuals_by_depth",
    "roc_curve",
    "score_histogram",
    "trajectory_strip",
]

Array = np.ndarray | Tensor
COLOUR_MAP = "magma"
NORMAL, DEFECTIVE = (sns.color_palette("colorblind")[i] for i in (0, 3))
BASELINE = "0.5"
DETECTORS = {
    "rcae": "RcAE + DPN + CRD",
    "dpn_residual": "RcAE + DPN",
    "rcae_residual": "RcAE",
    "single_pass": "single-pass autoencoder",
}


class NotebookFigure(Figure):
    """A figure that shows itself in a notebook, without pyplot and its state."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def _axes(ax: Axes | None, size: tuple[float, float] = (4.2, 3.2)) -> Axes:
    if ax is not None:
        return ax
    with sns.axes_style("whitegrid"):
        return NotebookFigure(figsize=size, layout="constrained").subplots()


def _picture(image: Array) -> np.ndarray:
    """(3, H, W) in [0, 1], possibly a little outside, to (H, W, 3)."""
    return np.asarray(image).transpose(1, 2, 0).clip(0, 1)


def _bare(ax: Axes, title: str = "", label: str = "") -> Axes:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    ax.set_title(title, fontsize=9, parse_math=False)  # titles hold names of folders, "$" included
    ax.set_ylabel(label, fontsize=9)
    return ax


def _colour_bar(
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


def overlay(image: np.ndarray, anomaly_map: np.ndarray, low: float, high: float) -> np.ndarray:
    """Lay a map over its image; the higher the value, the more opaque.

    Parameters
    ----------
    image : array
        (h, w, 3) uint8.
    anomaly_map : array
        (h, w) raw map.
    low, high : float
        Ends of the colour scale.

    Returns
    -------
    np.ndarray
        (h, w, 3) uint8.
    """
    level = ((anomaly_map - low) / (high - low)).clip(0, 1)
    colours = matplotlib.colormaps[COLOUR_MAP](level)[..., :3]
    opacity = 0.75 * level[..., None] ** 0.5
    blended = (1 - opacity) * image / 255 + opacity * colours
    return (255 * blended).round().astype(np.uint8)


def heat_map(
    image: Array, anomaly_map: Array, low: float, high: float, ax: Axes | None = None
) -> Axes:
    """Show a raw map (H, W) over its image (3, H, W) on a given scale."""
    ax = _bare(_axes(ax, (3, 3)))
    pixels = (255 * _picture(image)).astype(np.uint8)
    ax.imshow(overlay(pixels, np.asarray(anomaly_map), low, high))
    return ax


def residual_limit(residuals: Array) -> float:
    """One upper end for the colours of all residuals of a set: their 99.9% quantile."""
    return max(float(np.quantile(np.asarray(residuals), 0.999)), 1e-6)


def trajectory_strip(
    image: Array,
    reconstructions: Array,
    enhanced: Array | None = None,
    anomaly_map: Array | None = None,
    title: str = "",
    limits: tuple[float, float] | None = None,
    residual_top: float | None = None,
) -> Figure:
    """Show the recursion: the reconstruction of every depth, what DPN adds, and the residuals.

    Parameters
    ----------
    image : array
        I, (3, H, W) in [0, 1].
    reconstructions : array
        I_R^1 ... I_R^N, (3, N, H, W).
    enhanced : array, optional
        I_D^1 ... I_D^N, (3, N, H, W).
    anomaly_map : array, optional
        Raw map (H, W), shown over the image below it.
    title : str
        Above everything.
    limits : tuple of float, optional
        Ends of the map's colour scale, from the whole data set; from the map itself by default.
    residual_top : float, optional
        Upper end of the residuals' colour scale, from the whole data set (see `residual_limit`);
        from these residuals by default.

    Returns
    -------
    Figure
        A column for the image and one per depth; the residuals share one scale. The residuals and
        the map have a colour bar each.
    """
    image, reconstructions = np.asarray(image), np.asarray(reconstructions)
    depths = reconstructions.shape[1]
    residuals = np.abs(image[:, None] - reconstructions).mean(axis=0)  # (N, H, W)
    rows = [("reconstruction", reconstructions)]
    if enhanced is not None:
        rows.append(("with detail (DPN)", np.asarray(enhanced)))
    width = 1.5 * (depths + 1) + (0.9 if anomaly_map is None else 1.6)
    figure = NotebookFigure(figsize=(width, 1.55 * (len(rows) + 1) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows) + 1, depths + 1, squeeze=False)
    for row in grid[1:]:
        row[0].set_axis_off()
    _bare(grid[0, 0], "image").imshow(_picture(image))
    for row, (label, pictures) in zip(grid, rows, strict=False):
        for depth in range(depths):
            ax = _bare(row[depth + 1], label=label if depth == 0 else "")
            ax.imshow(_picture(pictures[:, depth]))
    for depth in range(depths):
        grid[0, depth + 1].set_title(f"n = {depth + 1}", fontsize=9)
    top = residual_limit(residuals) if residual_top is None else residual_top
    for depth in range(depths):
        ax = _bare(grid[-1, depth + 1], label="residual" if depth == 0 else "")
        ax.imshow(residuals[depth], cmap=COLOUR_MAP, vmin=0, vmax=top)
    # Beside all rows, so that every row gives way alike and the columns stay straight.
    rows_in_all = len(grid)
    last = rows_in_all - 1, rows_in_all
    _colour_bar(figure, 0, top, grid[:, 1:].flat, "|I $-$ I$_R$|, grey levels 0 to 1", row=last)
    if anomaly_map is not None:
        low, high = limits or map_limits(np.asarray(anomaly_map))
        grid[1, 0].set_axis_on()
        heat_map(image, anomaly_map, low, high, grid[1, 0]).set_title("anomaly map", fontsize=9)
        _colour_bar(figure, low, high, grid[:, 0], "raw map", "left", row=(1, rows_in_all))
    if title:
        figure.suptitle(title, fontsize=10, parse_math=False)
    return figure


def detections(
    images: Sequence[Array],
    maps: Sequence[Array],
    masks: Sequence[Array],
    titles: Sequence[str],
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Show images, their true masks as outlines, and their maps on one scale.

    Parameters
    ----------
    images, maps, masks : sequence of array
        (3, H, W) in [0, 1]; raw (H, W); (H, W) bool.
    titles : sequence of str
        One per image.
    limits : tuple of float, optional
        Ends of the colour scale, from the whole data set; from ``maps`` by default.
    """
    low, high = limits or map_limits(np.stack([np.asarray(m) for m in maps]))
    figure = NotebookFigure(figsize=(1.7 * len(images) + 1, 3.7), layout="constrained")
    grid = figure.subplots(2, len(images), squeeze=False)
    for column, (image, raw, mask, title) in enumerate(
        zip(images, maps, masks, titles, strict=True)
    ):
        ax = _bare(grid[0, column], title)
        ax.imshow(_picture(image))
        _outline(ax, mask)
        heat_map(image, raw, low, high, grid[1, column])
    _colour_bar(figure, low, high, grid.ravel(), "raw map")
    grid[0, 0].set_ylabel("image, true defect", fontsize=9)
    grid[1, 0].set_ylabel("anomaly map", fontsize=9)
    return figure


def gallery(
    images: Sequence[Array],
    titles: Sequence[str],
    masks: Sequence[Array] | None = None,
    columns: int = 6,
) -> Figure:
    """Show images, and where masks are given the outlines of the true defects.

    Parameters
    ----------
    images : sequence of array
        (3, H, W) in [0, 1].
    titles : sequence of str
        One per image.
    masks : sequence of array, optional
        (H, W) bool.
    columns : int
        Images in a row, at most.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = NotebookFigure(figsize=(1.7 * columns, 1.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in grid[len(images) :]:
        ax.set_axis_off()
    for place, (ax, image, title) in enumerate(zip(grid, images, titles, strict=False)):
        _bare(ax, title).imshow(_picture(image))
        if masks is not None:
            _outline(ax, masks[place])
    return figure


def compare_maps(
    images: Sequence[Array],
    masks: Sequence[Array],
    maps: Mapping[str, Sequence[Array]],
    titles: Sequence[str],
    limits: Mapping[str, tuple[float, float]] | None = None,
    unit: str = "raw map",
) -> Figure:
    """Show the maps of several detectors for the same images, for example beside the baseline.

    Parameters
    ----------
    images, masks : sequence of array
        (3, H, W) in [0, 1]; (H, W) bool.
    maps : mapping of str to sequence of array
        Raw maps (H, W) by detector: a row each.
    titles : sequence of str
        One per image.
    limits : mapping of str to tuple of float, optional
        Ends of each detector's colour scale, from the whole data set; raw maps of two detectors
        have no common scale. From the maps shown by default.
    unit : str
        What the numbers of the maps are, beside every colour bar: "spreads", for example.
    """
    count, rows = len(images), len(maps) + 1
    figure = NotebookFigure(figsize=(1.6 * count + 1.2, 1.75 * rows), layout="constrained")
    grid = figure.subplots(rows, count, squeeze=False)
    for ax, image, mask, title in zip(grid[0], images, masks, titles, strict=True):
        _bare(ax, title).imshow(_picture(image))
        _outline(ax, mask)
    grid[0, 0].set_ylabel("image, true defect", fontsize=8)
    for row, (name, raw) in zip(grid[1:], maps.items(), strict=True):
        shown = np.stack([np.asarray(m) for m in raw])
        low, high = limits[name] if limits else map_limits(shown)
        for ax, image, one in zip(row, images, shown, strict=True):
            heat_map(image, one, low, high, ax)
        row[0].set_ylabel(name, fontsize=8)
        _colour_bar(figure, low, high, row, unit)
    return figure


def _outline(ax: Axes, mask: Array) -> None:
    """Draw the border of a true defect, if there is one."""
    if np.asarray(mask).any():
        ax.contour(np.asarray(mask), levels=[0.5], colors="#00ff88", linewidths=1)


def pixel_curves(
    residuals: Array, points: Mapping[str, tuple[int, int]], ax: Axes | None = None
) -> Axes:
    """Show what single pixels do along the recursion.

    Parameters
    ----------
    residuals : array
        ``|I - I_R^n|`` of one image, (N, H, W).
    points : mapping of str to (row, column)
        The pixels, by the name they get in the legend.
    ax : Axes, optional
        Where to draw.
    """
    ax = _axes(ax)
    residuals = np.asarray(residuals)
    depths = range(1, len(residuals) + 1)
    for (name, (row, column)), colour in zip(
        points.items(), sns.color_palette("colorblind", len(points)), strict=True
    ):
        ax.plot(depths, residuals[:, row, column], "o-", color=colour, label=name)
    ax.set(xlabel="recursion depth n", ylabel="|I $-$ I$_R$|, grey levels 0 to 1", ylim=(0, None))
    ax.set_xticks(depths)
    ax.legend(frameon=False, fontsize=8)
    return ax


def residuals_by_depth(residuals: Array, masks: Array, ax: Axes | None = None) -> Axes:
    """Show the distribution of the residual at each depth, over normal and defective pixels.

    Boxes reach from the first to the third quartile, whiskers from 5% to 95% of the pixels.

    Parameters
    ----------
    residuals : array
        ``|I - I_R^n|``, (B, N, H, W).
    masks : array
        (B, H, W) bool.
    ax : Axes, optional
        Where to draw.
    """
    ax = _axes(ax, (5.2, 3.2))
    values, masks = np.asarray(residuals).swapaxes(0, 1), np.asarray(masks)  # (N, B, H, W)
    depths = np.arange(1, len(values) + 1)
    kinds = (("normal", ~masks, NORMAL, -0.18), ("defective", masks, DEFECTIVE, 0.18))
    for name, where, colour, shift in kinds:
        if not where.any():
            continue
        boxes = ax.boxplot(
            [depth[where] for depth in values],
            positions=depths + shift,
            widths=0.3,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            medianprops={"color": "black"},
        )
        for box in boxes["boxes"]:
            box.set(facecolor=colour, alpha=0.7)
        boxes["boxes"][0].set_label(f"{name} pixels")
    ax.set_xticks(depths, [str(n) for n in depths])
    ax.set(xlabel="recursion depth n", ylabel="|I $-$ I$_R$|, grey levels 0 to 1", ylim=(0, None))
    ax.legend(frameon=False, fontsize=8)
    return ax


def changes_by_depth(changes: Array, masks: Array, ax: Axes | None = None) -> Axes:
    """Show how much normal and defective pixels still change from depth n to n + 1.

    Parameters
    ----------
    changes : array
        ``|I_R^{n+1} - I_R^n|``, (B, N - 1, H, W).
    masks : array
        (B, H, W) bool.
    ax : Axes, optional
        Where to draw.
    """
    ax = _axes(ax)
    changes, masks = np.asarray(changes).swapaxes(0, 1), np.asarray(masks)  # (N - 1, B, H, W)
    steps = [f"{n} to {n + 1}" for n in range(1, len(changes) + 1)]
    for name, where, colour in (("normal", ~masks, NORMAL), ("defective", masks, DEFECTIVE)):
        if where.any():
            values = [step[where].mean() for step in changes]
            ax.plot(steps, values, "o-", color=colour, label=f"{name} pixels")
    ax.set(xlabel="recursion depth", ylabel="mean change (grey levels 0 to 1)", ylim=(0, None))
    ax.legend(frameon=False)
    return ax


def score_histogram(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Show the scores of normal and defective test images, and the threshold from normal ones."""
    ax = _axes(ax)
    labels, scores = evaluation.labels, evaluation.scores
    bins = np.histogram_bin_edges(scores, 24).tolist()
    for label, name, colour in ((0, "normal", NORMAL), (1, "defective", DEFECTIVE)):
        ax.hist(scores[labels == label], bins, alpha=0.6, color=colour, label=name)
    limit = evaluation.threshold
    ax.axvline(
        limit.value,
        color="black",
        linestyle="--",
        linewidth=1,
        label=f"threshold (at most {100 * limit.false_alarm_rate:.1f}% false alarms)",
    )
    ax.set(xlabel="score (raw)", ylabel="test images")
    ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _curve(
    evaluation: Evaluation,
    name: str,
    title: str,
    limit: float,
    baseline: Evaluation | None,
    ax: Axes | None,
) -> Axes:
    ax = _axes(ax)
    for entry, colour in ((baseline, BASELINE), (evaluation, DEFECTIVE)):
        if entry is not None and name in entry.curves:
            x, y = np.array(entry.curves[name]).T
            ax.plot(x, y, color=colour, label=DETECTORS[entry.provenance.kind])
    ax.set(xlabel="false-positive rate", ylabel=title, xlim=(0, limit), ylim=(0, 1.01))
    ax.legend(frameon=False, loc="lower right", fontsize=8)
    return ax


def roc_curve(
    evaluation: Evaluation, baseline: Evaluation | None = None, ax: Axes | None = None
) -> Axes:
    """Show the ROC curve over images, with the operating point of the threshold."""
    ax = _curve(evaluation, "roc", "true-positive rate (images)", 1.0, baseline, ax)
    x, y = evaluation.false_positive_rate, evaluation.detection_rate
    if x is not None and y is not None:
        ax.plot(x, y, "o", color="black", label="threshold from normals")
        ax.legend(frameon=False, loc="lower right", fontsize=8)
    return ax


def pro_curve(
    evaluation: Evaluation, baseline: Evaluation | None = None, ax: Axes | None = None
) -> Axes:
    """Show the per-region overlap over the false-positive rate of pixels, up to 30%.

    The dot is what the threshold, which is for images, does to pixels.
    """
    ax = _curve(evaluation, "pro", "per-region overlap", PRO_LIMIT, baseline, ax)
    for point in evaluation.curves.get("pro_at_threshold", []):
        if point[0] > PRO_LIMIT:
            continue  # beyond the picture
        ax.plot(*point, "o", color="black", label="threshold from normals", clip_on=False)
        ax.legend(frameon=False, loc="lower right", fontsize=8)
    return ax


def residual_ladder(
    evaluation: Evaluation, baseline: Evaluation | None = None, ax: Axes | None = None
) -> Axes:
    """Show the image AUROC of the plain residual at each depth, beside the whole detector."""
    ax = _axes(ax)
    ladder = [np.nan if v is None else v for v in evaluation.residual_auroc_by_depth]
    depths = range(1, len(ladder) + 1)
    ax.plot(depths, ladder, "o-", color=NORMAL, label="plain residual of depth n")
    for entry, colour in ((evaluation, DEFECTIVE), (baseline, BASELINE)):
        found = entry.metrics["image_auroc"] if entry else None
        if entry and found:
            label = DETECTORS[entry.provenance.kind]
            ax.axhline(found.value, color=colour, linestyle="--", label=label)
    ax.set(xlabel="recursion depth n", ylabel="image AUROC", ylim=(None, 1.01))
    ax.set_xticks(depths)
    ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def loss_curves(losses: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Show the loss of every stage over its optimiser steps, smoothed over 2% of them."""
    with sns.axes_style("whitegrid"):
        figure = NotebookFigure(figsize=(3.2 * max(1, len(losses)), 2.6), layout="constrained")
        grid = figure.subplots(1, max(1, len(losses)), squeeze=False)[0]
    for ax, (stage, points) in zip(grid, losses.items(), strict=False):
        steps, values = np.array(points).T
        width = max(1, len(values) // 50)
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        ax.plot(steps[width - 1 :], smooth, color=NORMAL)
        ax.set(title=stage, xlabel="optimiser step", ylabel="loss", yscale="log")
    return figure


def ablation(table: Ablation) -> Figure:
    """Show image and pixel AUROC of every row, beside the paper's.

    Dots are means over categories and seeds, bars reach from the lowest to the highest seed.

    Parameters
    ----------
    table : Ablation
        From `rcae_lite.ablate`.
    """
    with sns.axes_style("whitegrid"):
        height = 1.2 + 0.32 * len(table.rows)
        figure = NotebookFigure(figsize=(8, height), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
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


def cost(table: Cost) -> Figure:
    """Show operations, time and memory over the resolution; a line per detector and depth.

    Parameters
    ----------
    table : Cost
        From `rcae_lite.ablate`; a row of axes for each of its devices.
    """
    devices = table.devices
    with sns.axes_style("whitegrid"):
        figure = NotebookFigure(figsize=(9.5, 0.4 + 2.8 * len(devices)), layout="constrained")
        axes = figure.subplots(len(devices), len(QUANTITIES), squeeze=False)
    for row, device in zip(axes, devices, strict=True):
        _cost_on(row, table.on(device))
        row[0].set_title(device, loc="left", fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=7)
    return figure


def _cost_on(row: Sequence[Axes], table: Cost) -> None:
    """Draw one device's axes, one for each quantity."""
    shades = {"single_pass": [BASELINE] * 9, "rcae": sns.color_palette("Blues", 9)}
    shades["crd"] = sns.color_palette("Oranges", 9)
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
