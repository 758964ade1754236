"""Pictures: trajectories, heat maps, galleries. Heat maps of one figure share one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from rcae_lite.evaluation.scoring import map_limits
from rcae_lite.plotting.style import (
    COLOUR_MAP,
    Array,
    bare,
    colour_bar,
    new_axes,
    subplots,
    to_picture,
)

__all__ = [
    "compare_maps",
    "detections",
    "gallery",
    "heat_map",
    "overlay",
    "residual_limit",
    "trajectory_strip",
]


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
    ax = bare(new_axes(ax, (3, 3)))
    pixels = (255 * to_picture(image)).astype(np.uint8)
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
    mask: Array | None = None,
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
    mask : array, optional
        (H, W) bool. Where it marks a defect, that is outlined, and two more rows show the last
        reconstructions larger: at the defect, and at the most structured normal place.

    Returns
    -------
    Figure
        A column for the image and one per depth; the residuals share one scale. The residuals and
        the map have a colour bar each.
    """
    image, reconstructions = np.asarray(image), np.asarray(reconstructions)
    depths = reconstructions.shape[1]
    rows = [("reconstruction", reconstructions)]
    if enhanced is not None:
        rows.append(("with detail (DPN)", np.asarray(enhanced)))
    places = _places(image, np.asarray(mask)) if mask is not None else {}
    count = len(rows) + 1 + len(places)
    width = 1.5 * (depths + 1) + (0.9 if anomaly_map is None else 1.6)
    figure, grid = subplots(count, depths + 1, squeeze=False, figsize=(width, 1.55 * count + 0.3))
    for row in grid[1 : len(rows) + 1]:
        row[0].set_axis_off()
    bare(grid[0, 0], "image").imshow(to_picture(image))
    if mask is not None:
        _outline(grid[0, 0], mask)
    for row, (label, pictures) in zip(grid, rows, strict=False):
        _pictures(row[1:], pictures, label)
    for depth in range(depths):
        grid[0, depth + 1].set_title(f"n = {depth + 1}", fontsize=9)
    residuals = np.abs(image[:, None] - reconstructions).mean(axis=0)  # (N, H, W)
    top = residual_limit(residuals) if residual_top is None else residual_top
    residual_row = grid[len(rows)]
    for depth, residual in enumerate(residuals):
        ax = bare(residual_row[depth + 1], label="residual" if depth == 0 else "")
        ax.imshow(residual, cmap=COLOUR_MAP, vmin=0, vmax=top)
    for row, (label, (down, across)) in zip(grid[len(rows) + 1 :], places.items(), strict=True):
        bare(row[0], label=label).imshow(to_picture(image[:, down, across]))
        _pictures(row[1:], rows[-1][1][:, :, down, across])
    # Beside all rows, so that every row gives way alike and the columns stay straight.
    residual_place, map_place = (len(rows), count), (1, count)
    unit = "|I $-$ I$_R$|, grey levels 0 to 1"
    colour_bar(figure, 0, top, grid[:, 1:].flat, unit, row=residual_place)
    if anomaly_map is not None:
        low, high = limits or map_limits(np.asarray(anomaly_map))
        grid[1, 0].set_axis_on()
        heat_map(image, anomaly_map, low, high, grid[1, 0]).set_title("anomaly map", fontsize=9)
        colour_bar(figure, low, high, grid[:, 0], "raw map", "left", row=map_place)
    if title:
        figure.suptitle(title, fontsize=10, parse_math=False)
    return figure


def _pictures(row: Sequence[Axes], pictures: np.ndarray, label: str = "") -> None:
    """Show a sequence (3, N, H, W) in a row of axes."""
    for depth, ax in enumerate(row):
        bare(ax, label=label if depth == 0 else "").imshow(to_picture(pictures[:, depth]))


def _places(image: np.ndarray, mask: np.ndarray) -> dict[str, tuple[slice, slice]]:
    """Return where to look closer: the largest defect, and a normal place of the same size."""
    if not mask.any():
        return {}
    numbers, _ = ndimage.label(mask)
    down, across = ndimage.find_objects(numbers)[np.bincount(numbers.flat)[1:].argmax()]
    extent = max(down.stop - down.start, across.stop - across.start)
    side = min(max(2 * extent, min(mask.shape) // 5), *mask.shape)
    edges = np.abs(np.gradient(image.mean(axis=0))).sum(axis=0)
    structure = ndimage.uniform_filter(edges, side, mode="constant")
    structure[ndimage.maximum_filter(mask, side)] = -1  # the square would touch the defect
    centres = {
        "the defect": ((down.start + down.stop) // 2, (across.start + across.stop) // 2),
        "a normal place": np.unravel_index(structure.argmax(), mask.shape),
    }
    return {name: _square(centre, side, mask.shape) for name, centre in centres.items()}


def _square(centre: Sequence[Any], side: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return a square around a centre, moved into the image."""
    starts = [int(min(max(c - side // 2, 0), n - side)) for c, n in zip(centre, shape, strict=True)]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


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
    figure, grid = subplots(2, len(images), squeeze=False, figsize=(1.7 * len(images) + 1, 3.7))
    for column, (image, raw, mask, title) in enumerate(
        zip(images, maps, masks, titles, strict=True)
    ):
        ax = bare(grid[0, column], title)
        ax.imshow(to_picture(image))
        _outline(ax, mask)
        heat_map(image, raw, low, high, grid[1, column])
    colour_bar(figure, low, high, grid.ravel(), "raw map")
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
    figure, grid = subplots(rows, columns, squeeze=False, figsize=(1.7 * columns, 1.9 * rows))
    grid = grid.ravel()
    for ax in grid[len(images) :]:
        ax.set_axis_off()
    for place, (ax, image, title) in enumerate(zip(grid, images, titles, strict=False)):
        bare(ax, title).imshow(to_picture(image))
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
    figure, grid = subplots(rows, count, squeeze=False, figsize=(1.6 * count + 1.2, 1.75 * rows))
    for ax, image, mask, title in zip(grid[0], images, masks, titles, strict=True):
        bare(ax, title).imshow(to_picture(image))
        _outline(ax, mask)
    grid[0, 0].set_ylabel("image, true defect", fontsize=8)
    for row, (name, raw) in zip(grid[1:], maps.items(), strict=True):
        shown = np.stack([np.asarray(m) for m in raw])
        low, high = limits[name] if limits else map_limits(shown)
        for ax, image, one in zip(row, images, shown, strict=True):
            heat_map(image, one, low, high, ax)
        row[0].set_ylabel(name, fontsize=8)
        colour_bar(figure, low, high, row, unit)
    return figure


def _outline(ax: Axes, mask: Array) -> None:
    """Draw the border of a true defect, if there is one."""
    if np.asarray(mask).any():
        ax.contour(np.asarray(mask), levels=[0.5], colors="#00ff88", linewidths=1)
