"""Building blocks of the drawn scenes: coordinates, smooth noise, soft edges, blobs and curves.

Everything is given in scene units: the image is 1 wide and 1 high whatever its pixel size, so that
the same draw of random numbers gives the same scene at every size. Fields are float64 of shape
(H, W) with H = W; that precision keeps the quantised pixels equal on different processors.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import sparse

__all__ = [
    "Curve",
    "Grid",
    "blob",
    "curve_distance",
    "grid_of",
    "line_noise",
    "smooth_noise",
    "soft_step",
    "wandering_curve",
]

_SUBSAMPLES = 4  # positions per pixel over which fine noise is averaged, against aliasing
_SPLINE_POWER = 151 / 315  # mean sum of squared cubic B-spline weights along one axis


class Grid(NamedTuple):
    """Pixel centres in scene units: ``x`` and ``y`` of shape (H, W) in (0, 1); ``size`` = H = W."""

    x: np.ndarray
    y: np.ndarray
    size: int


class Curve(NamedTuple):
    """A polyline: ``points`` of shape (n, 2) as (x, y), in scene units."""

    points: np.ndarray


@lru_cache(maxsize=8)
def grid_of(size: int) -> Grid:
    """Coordinates of a ``size`` x ``size`` image."""
    line = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(line, line)
    return Grid(x, y, size)


@lru_cache(maxsize=64)
def _spline_weights(size: int, cells: int) -> sparse.csr_array:
    """Cubic B-spline weights (size, cells + 3): from lattice values to pixel averages."""
    samples = (np.arange(size * _SUBSAMPLES) + 0.5) / (size * _SUBSAMPLES) * cells + 1
    distance = np.abs(samples[:, None] - np.arange(cells + 3)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    return sparse.csr_array(weights.reshape(size, _SUBSAMPLES, -1).mean(axis=1))


def smooth_noise(rng: np.random.Generator, size: int, rows: int, columns: int = 0) -> np.ndarray:
    """Random field with about ``rows`` x ``columns`` bumps (square by default), about N(0, 1)."""
    columns = columns or rows
    lattice = rng.standard_normal((rows + 3, columns + 3))
    lattice /= _SPLINE_POWER
    stretched = _spline_weights(size, rows) @ lattice  # (H, columns + 3)
    return np.ascontiguousarray((_spline_weights(size, columns) @ stretched.T).T)  # (H, W)


def line_noise(rng: np.random.Generator, position: np.ndarray, cells: int) -> np.ndarray:
    """Draw noise along a coordinate: ``cells`` random values over [-0.5, 1.5], joined by lines."""
    return np.interp(position, np.linspace(-0.5, 1.5, cells), rng.standard_normal(cells))


def soft_step(distance: np.ndarray, width: float) -> np.ndarray:
    """0 below ``-width / 2``, 1 above ``width / 2``, a cubic ease between."""
    t = np.clip(distance / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def blob(
    rng: np.random.Generator, grid: Grid, centre: np.ndarray, radius: float, ragged: float
) -> np.ndarray:
    """Distance to the outline of an irregular patch, positive inside; about scene units.

    ``ragged`` is the relative amplitude of the outline's waves (0: a turned ellipse).
    """
    angle, squeeze = rng.uniform(0, np.pi), rng.uniform(0.65, 1)
    dx, dy = grid.x - centre[0], grid.y - centre[1]
    along = (dx * np.cos(angle) + dy * np.sin(angle)) * squeeze
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / squeeze
    turn = np.arctan2(across, along)
    outline = np.ones_like(turn)
    for wave in (2, 3, 5, 8):
        outline += ragged / np.sqrt(wave) * rng.normal() * np.cos(wave * turn + rng.uniform(0, 6.3))
    return radius * np.maximum(outline, 0.3) - np.hypot(along, across)


def wandering_curve(
    rng: np.random.Generator, centre: np.ndarray, length: float, turn: float, jag: float
) -> Curve:
    """Draw a curve through ``centre``; its heading drifts by ``turn``, jitters by ``jag`` rad."""
    steps = 24
    heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, turn) * np.linspace(-0.5, 0.5, steps)
    heading += rng.normal(0, turn / 2) * np.sin(np.linspace(0, 2 * np.pi, steps))
    heading += rng.normal(0, 1, steps) * jag
    moves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length / steps)
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    return Curve(points - points[steps // 2] + centre)


def curve_distance(grid: Grid, curve: Curve, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance to a curve and the place along it.

    Returns
    -------
    distance, place : np.ndarray
        Shape (H, W). Distance in scene units, infinite beyond the curve's box widened by
        ``reach``; place runs from 0 to 1 along the curve.
    """
    start, step = curve.points[:-1], np.diff(curve.points, axis=0)
    distance, place = np.full(grid.x.shape, np.inf), np.zeros(grid.x.shape)
    low = np.floor((curve.points.min(axis=0) - reach) * grid.size).astype(int).clip(0, grid.size)
    high = np.ceil((curve.points.max(axis=0) + reach) * grid.size).astype(int).clip(0, grid.size)
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    dx = grid.x[box][..., None] - start[:, 0]  # (h, w, segments)
    dy = grid.y[box][..., None] - start[:, 1]
    t = np.clip((dx * step[:, 0] + dy * step[:, 1]) / (step**2).sum(axis=1), 0, 1)
    squared = (dx - t * step[:, 0]) ** 2 + (dy - t * step[:, 1]) ** 2
    nearest = squared.argmin(axis=-1)[..., None]
    distance[box] = np.sqrt(np.take_along_axis(squared, nearest, axis=-1)[..., 0])
    place[box] = ((nearest + np.take_along_axis(t, nearest, axis=-1)) / len(start))[..., 0]
    return distance, place
