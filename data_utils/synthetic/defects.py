"""Eight families of defects, of which a category has seven, painted before it is photographed.

A defect changes what the surface is (relief, colour, gloss, presence), and light and camera do the
rest, so it looks dark from one side and bright from the other like a real one. Every family takes
the surface, the scene (for a place on the part and the defects' size), and a strength in (0, 1].
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from data_utils.synthetic.camera import Surface
from data_utils.synthetic.fields import (
    Curve,
    Grid,
    blob,
    curve_distance,
    soft_step,
    wandering_curve,
)
from data_utils.synthetic.scenes import INK, STAMP, Scene

__all__ = ["FAMILIES", "Painter"]

Painter = Callable[[Surface, Scene, Grid, np.random.Generator, float], None]


def _place(scene: Scene, rng: np.random.Generator, depth: float) -> np.ndarray:
    """Draw a point (x, y) at least ``depth`` within the part, or the deepest one found."""
    points = rng.uniform(0.06, 0.94, (400, 2))
    inside = scene.inside(points[:, 0], points[:, 1])
    return points[np.argmax(np.minimum(inside, scene.defect_size * depth))]


def _place_on_outline(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw a point (x, y) on the outline of the part; anywhere in a texture."""
    points = rng.uniform(0.12, 0.88, (400, 2))
    return points[np.argmin(np.abs(scene.inside(points[:, 0], points[:, 1])))]


def _blend(surface: Surface, alpha: np.ndarray, colour: np.ndarray) -> None:
    surface.albedo += alpha * (colour[:, None, None] - surface.albedo)


def _paler_or_darker(surface: Surface, alpha: np.ndarray, change: float) -> None:
    surface.albedo *= 1 + alpha * change


def scratch(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Cut a narrow furrow, polished bright or rubbed dull."""
    length = scene.defect_size * (0.11 + 0.23 * strength) * rng.uniform(0.8, 1.2)
    curve = wandering_curve(rng, _place(scene, rng, 0.03), length, 0.35, 0.02)
    distance, place = curve_distance(grid, curve, 0.03)
    width = (0.0055 + 0.0030 * strength) * np.sqrt(np.clip(4 * place * (1 - place), 0.05, 1))
    line = np.exp(-((distance / width) ** 2))
    bright = rng.random() < 0.6
    surface.height -= 0.004 * strength * line
    _paler_or_darker(surface, line, 0.45 + 0.45 * strength if bright else -0.45 - 0.3 * strength)
    surface.sheen *= 1 - line * (0.2 if bright else 0.8)


def crack(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Open a dark jagged line with a side branch."""
    centre = _place(scene, rng, 0.02)
    size = scene.defect_size
    length = size * (0.09 + 0.2 * strength) * rng.uniform(0.8, 1.2)
    main = wandering_curve(rng, centre, length, 0.5, 0.5)
    side = wandering_curve(rng, centre, size * (0.05 + 0.09 * strength), 0.5, 0.5)
    fork = Curve(side.points - side.points[0] + main.points[rng.integers(8, 16)])
    for curve, width in ((main, 0.0045 + 0.003 * strength), (fork, 0.003 + 0.002 * strength)):
        distance, place = curve_distance(grid, curve, 0.03)
        line = soft_step(width * (1.15 - place) - distance, 0.004)
        surface.height -= 0.005 * strength * line
        _paler_or_darker(surface, line, -0.35 - 0.5 * strength)
        surface.gloss *= 1 - 0.9 * line


def stain(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Leave a dried film with a rim: dull and dark, or a pale haze."""
    radius = scene.defect_size * (0.030 + 0.045 * strength) * rng.uniform(0.85, 1.2)
    distance = blob(rng, grid, _place(scene, rng, 0.04), radius, 0.18)
    film = soft_step(distance, 0.016)
    rim = np.exp(-(((distance - 0.006) / 0.006) ** 2))
    dark = rng.random() < 0.6
    change = -0.25 - 0.35 * strength if dark else 0.35 + 0.40 * strength
    _paler_or_darker(surface, film + 0.4 * rim, change)
    surface.gloss *= 1 - (0.8 if dark else 0.2) * film


def missing(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Break a piece out; what lies underneath shows."""
    centre = _place_on_outline(scene, rng) if rng.random() < 0.5 else _place(scene, rng, 0.03)
    radius = scene.defect_size * (0.016 + 0.026 * strength) * rng.uniform(0.85, 1.2)
    distance = blob(rng, grid, centre, radius, 0.22)
    surface.height -= 0.004 * soft_step(distance + 0.008, 0.016)
    surface.cover *= 1 - soft_step(distance, 0.006)


def bent(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Push a place aside and out of level, with everything on it."""
    centre = _place_on_outline(scene, rng)
    reach = scene.defect_size * (0.045 + 0.045 * strength) * rng.uniform(0.9, 1.15)
    bump = np.exp(-(((grid.x - centre[0]) ** 2 + (grid.y - centre[1]) ** 2) / reach**2))
    step = np.array([[1, -1, 0, 0], [0, 0, 1, -1]]) * 1e-3 + centre[:, None]
    right, left, below, above = scene.inside(*step)
    outward = np.arctan2(above - below, left - right) + rng.choice([0, np.pi])
    push = scene.defect_size * (0.010 + 0.030 * strength) * grid.size
    moved = np.argwhere(bump > 0.003)
    low, high = moved.min(axis=0), moved.max(axis=0) + 1
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    push = push * bump[box] * np.array([np.sin(outward), np.cos(outward)])[:, None, None]
    source = np.mgrid[box] + push  # (2, h, w): row and column that each pixel comes from
    for name in ("albedo", "height", "gloss", "sheen", "cover"):
        field = getattr(surface, name)
        for channel in field.reshape(-1, grid.size, grid.size):
            channel[box] = ndimage.map_coordinates(channel, source, order=1, mode="nearest")
    surface.height += rng.choice([-1, 1]) * (0.25 + 0.35 * strength) * reach * bump


def colour(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Spill drops of a foreign colour."""
    hue = rng.choice([0.0, 0.06, 0.13, 0.33, 0.6, 0.78]) + rng.normal(0, 0.02)
    paint = np.array(colorsys.hsv_to_rgb(hue % 1, 0.55 + 0.35 * strength, rng.uniform(0.3, 0.6)))
    centre = _place(scene, rng, 0.03)
    for drop in range(rng.integers(1, 4)):
        radius = scene.defect_size * (0.018 + 0.026 * strength)
        radius = radius * rng.uniform(0.85, 1.15) * 0.6**drop
        distance = blob(rng, grid, centre, radius, 0.12)
        wet = soft_step(distance, 0.010)
        _blend(surface, wet * (0.45 + 0.45 * strength), paint)
        surface.height += 0.003 * soft_step(distance - 0.004, 0.02)
        surface.sheen *= 1 - 0.7 * wet
        centre = centre + rng.normal(0, 2.2 * radius, 2)


def fibre(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Lay a thread or hair on top, with its shadow."""
    length = scene.defect_size * (0.14 + 0.20 * strength) * rng.uniform(0.8, 1.2)
    curve = wandering_curve(rng, _place(scene, rng, 0.03), length, 2.2, 0.05)
    width = 0.0034 + 0.0022 * strength
    shadow, _ = curve_distance(grid, Curve(curve.points + 0.007), 0.03)
    _paler_or_darker(surface, soft_step(2 * width - shadow, 0.012), -0.20 - 0.2 * strength)
    distance, _ = curve_distance(grid, curve, 0.02)
    thread = soft_step(width - distance, 0.004)
    tint = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.5), 1.0))
    value = rng.choice([0.06, 0.95])
    alpha = thread * (0.7 + 0.3 * strength)
    _blend(surface, alpha, value * tint)
    surface.cover += alpha * (1 - surface.cover)
    surface.gloss *= 1 - alpha


def misprint(
    surface: Surface, scene: Scene, grid: Grid, rng: np.random.Generator, strength: float
) -> None:
    """Fill a part of the imprint, or stamp it a second time beside its place."""
    points = rng.uniform(0.2, 0.8, (400, 2))
    centre = points[np.argmax(scene.imprint(points[:, 0], points[:, 1]))]
    region = soft_step(blob(rng, grid, centre, 0.025 + 0.045 * strength, 0.15), 0.012)
    dx, dy = rng.choice([-1, 1], 2) * rng.uniform(0.018, 0.03, 2)
    if rng.random() < 0.5:
        stamped = -scene.imprint(grid.x, grid.y)
    else:
        stamped = scene.imprint(grid.x - dx, grid.y - dy) * (1 - scene.imprint(grid.x, grid.y))
    change = region * stamped
    surface.height -= STAMP * change
    surface.albedo *= (1 - INK) ** change


FAMILIES: dict[str, Painter] = {
    "scratch": scratch,
    "crack": crack,
    "stain": stain,
    "missing": missing,
    "bent": bent,
    "colour": colour,
    "fibre": fibre,
    "misprint": misprint,
}
