"""The categories' normal scenes: two objects and two textures.

A scene is drawn in two steps. Its constructor draws everything random (pose, size, colour batch);
`surface` then evaluates it on a grid of any size. `inside` answers for any point how far it lies
within the part, which is how defects find their place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_utils.synthetic.camera import Camera, Surface
from data_utils.synthetic.fields import Grid, line_noise, smooth_noise, soft_step

__all__ = ["SCENES", "Scene"]

_EDGE = 1 / 160  # width of a soft outline
_TEXTURE_MARGIN = 0.45  # `inside` of a texture in its middle: it fills the frame


class Scene:
    """One normal scene.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all its randomness.
    camera : Camera
        Where the lamp stands; grain mirrors it.
    """

    def __init__(self, rng: np.random.Generator, camera: Camera) -> None:
        self.rng = rng
        self.camera = camera
        self.tilt = rng.normal(0, 0.05)
        self.centre = 0.5 + rng.normal(0, 0.014, 2)
        self.scale = float(np.exp(rng.normal(0, 0.014)))
        self.batch = np.exp(rng.normal(0, 0.05) + rng.normal(0, 0.012, 3))

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image coordinates to the part's own, centred, upright and of its nominal size."""
        dx, dy = (x - self.centre[0]) / self.scale, (y - self.centre[1]) / self.scale
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return dx * cos + dy * sin, dy * cos - dx * sin

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance from the part's outline in scene units, positive on the part."""
        return _TEXTURE_MARGIN - np.maximum(np.abs(x - 0.5), np.abs(y - 0.5))

    def surface(self, grid: Grid) -> Surface:
        """Evaluate the scene; call once."""
        raise NotImplementedError

    def specks(self, grid: Grid, cells: int, above: float = 2.9) -> np.ndarray:
        """Small harmless spots, 0 almost everywhere and up to about 1: (H, W)."""
        return np.clip(smooth_noise(self.rng, grid.size, cells) - above, 0, 1)


class Washer(Scene):
    """A turned steel flange with a hub, a bore and six bolt holes on a rubber belt."""

    def __init__(self, rng: np.random.Generator, camera: Camera) -> None:
        super().__init__(rng, camera)
        angles = np.arange(6) * np.pi / 3 + rng.normal(0, 0.03)
        self.bolts = 0.305 * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = self.local(x, y)
        radius = np.hypot(u, v)
        depth = np.minimum(0.40 - radius, radius - 0.125)
        for bolt in self.bolts:
            depth = np.minimum(depth, np.hypot(u - bolt[0], v - bolt[1]) - 0.033)
        return depth * self.scale

    def surface(self, grid: Grid) -> Surface:
        rng, size = self.rng, grid.size
        u, v = self.local(grid.x, grid.y)
        radius, depth = np.hypot(u, v), self.inside(grid.x, grid.y)
        hub = soft_step(0.225 - radius, 0.022)
        turning = line_noise(rng, radius, 500)
        height = 0.008 * soft_step(depth - 0.008, 0.018) + 0.012 * hub + 0.0004 * turning
        # Turned grooves mirror the lamp along two opposite sectors (a bow tie), seen from the centre.
        lamp = np.arctan2(self.camera.lamp[1] - 0.5, self.camera.lamp[0] - 0.5)
        turn = np.arctan2(v, u) - lamp + 0.05 * line_noise(rng, radius, 60)
        sheen = np.cos(turn) ** 2
        sheen = 0.75 * sheen**6 + 0.30 * np.cos(turn + 1.2 + 0.3 * hub) ** 24 + 0.1 * turning * sheen
        tone = 0.40 + 0.022 * turning + 0.016 * smooth_noise(rng, size, 7)
        tone += 0.012 * smooth_noise(rng, size, 120) - 0.16 * self.specks(grid, 80)
        albedo = tone[..., None] * np.array([0.96, 1.0, 1.04]) * self.batch
        gloss = 0.34 * np.exp(0.15 * smooth_noise(rng, size, 5))
        belt = 0.17 + 0.018 * smooth_noise(rng, size, 130) + 0.010 * smooth_noise(rng, size, 9)
        belt += 0.012 * np.sin(2 * np.pi * 26 * (grid.y + 0.01 * smooth_noise(rng, size, 3)))
        belt += 0.25 * self.specks(grid, 70)
        ground = belt[..., None] * np.array([0.80, 1.0, 0.98])
        return Surface(albedo, height, gloss, sheen, soft_step(depth, _EDGE), ground)


SCENES: dict[str, Callable[[np.random.Generator, Camera], Scene]] = {"washer": Washer}
