"""The categories' normal scenes: four objects and two textures.

A scene is drawn in two steps. Its constructor draws everything random (pose, size, colour batch);
`surface` then evaluates it on a grid of any size. `inside` answers for any point how far it lies
within the part, which is how defects find their place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from data_utils.synthetic.camera import Camera, Surface
from data_utils.synthetic.fields import Grid, line_noise, smooth_noise, soft_step

__all__ = ["INK", "SCENES", "STAMP", "Scene"]

_EDGE = 1 / 160  # width of a soft outline
STAMP = 0.006  # how deep an imprint is stamped, in scene units
INK = 0.22  # how much darker it is
_FAR = 0.5  # `inside` of a texture: it has no outline within the frame


def _rgb(red: float, green: float, blue: float) -> np.ndarray:
    return np.array([red, green, blue])[:, None, None]


def _specks(grain: np.ndarray, above: float = 3.2) -> np.ndarray:
    """Small harmless spots at the peaks of a fine noise: 0 almost everywhere, up to about 1."""
    return np.clip(grain - above, 0, 1)


def _table(
    rng: np.random.Generator, size: int, tone: float, grain: float, clouds: float, dust: float
) -> np.ndarray:
    """Brightness of what a part lies on: a tone with fine grain, wide clouds and dark dust."""
    fine = smooth_noise(rng, size, 128)
    return tone + grain * fine + clouds * smooth_noise(rng, size, 4) - dust * _specks(fine)


class Scene(ABC):
    """One normal scene.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all its randomness.
    camera : Camera
        Where the lamp stands; grain mirrors it.
    spread : float
        How far the pose wanders from image to image; 1 is usual.
    """

    damage = 1.0  # strength of its defects: less where the surface would show them too plainly
    defect_size = 1.0  # of its defects, relative to the others'
    defects: tuple[str, ...] = ("scratch", "crack", "stain", "missing", "bent", "colour", "fibre")
    test_exposure = (1.0, 1.0)  # range of what the light of a test image is multiplied by

    def __init__(self, rng: np.random.Generator, camera: Camera, spread: float) -> None:
        self.rng = rng
        self.camera = camera
        self.tilt = spread * rng.normal(0, 0.04)
        self.centre = 0.5 + spread * rng.normal(0, 0.009, 2)
        self.scale = float(np.exp(spread * rng.normal(0, 0.010)))
        self.batch = np.exp(rng.normal(0, 0.05) + rng.normal(0, 0.008, 3))

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image coordinates to the part's own, centred, upright and of its nominal size."""
        dx, dy = (x - self.centre[0]) / self.scale, (y - self.centre[1]) / self.scale
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return dx * cos + dy * sin, dy * cos - dx * sin

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance from the part's outline in scene units, positive on the part."""
        return np.full(np.shape(x), _FAR)

    def colour(self, red: float, green: float, blue: float) -> np.ndarray:
        """Colour of the part in this batch: (3, 1, 1)."""
        return _rgb(red, green, blue) * self.batch[:, None, None]

    def imprint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Tell what is stamped into the part: 1 in the strokes, 0 beside them."""
        return np.zeros(np.shape(x))

    @abstractmethod
    def surface(self, grid: Grid) -> Surface:
        """Evaluate the scene; call once."""


class Washer(Scene):
    """A turned steel flange with a hub, a bore and six shallow sinks on a rubber belt."""

    def __init__(self, rng: np.random.Generator, camera: Camera, spread: float) -> None:
        super().__init__(rng, camera, spread)
        angles = np.arange(6) * np.pi / 3 + rng.normal(0, 0.03)
        self.sinks = 0.305 * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = self.local(x, y)
        radius = np.sqrt(u * u + v * v)
        return np.minimum(0.40 - radius, radius - 0.125) * self.scale

    def surface(self, grid: Grid) -> Surface:
        rng, size = self.rng, grid.size
        u, v = self.local(grid.x, grid.y)
        radius, depth = np.sqrt(u * u + v * v), self.inside(grid.x, grid.y)
        hub = soft_step(0.225 - radius, 0.022)
        nearest = np.full_like(u, np.inf)
        for a, b in self.sinks:
            nearest = np.minimum(nearest, (u - a) ** 2 + (v - b) ** 2)
        sink = soft_step(0.032 - np.sqrt(nearest), 0.020)
        turning = line_noise(rng, radius, 500)
        height = 0.006 * soft_step(depth - 0.008, 0.018) + 0.009 * hub - 0.003 * sink
        height += 0.0003 * turning
        # Turned grooves mirror the lamp in two opposite sectors, a bow tie.
        lamp = np.arctan2(self.camera.lamp[1] - 0.5, self.camera.lamp[0] - 0.5)
        turn = np.arctan2(v, u) - lamp + 0.05 * line_noise(rng, radius, 60)
        bow = np.exp(-6 * np.sin(turn) ** 2)
        streak = np.exp(-24 * np.sin(turn + 1.2 + 0.3 * hub + np.pi / 2) ** 2)
        sheen = bow * (0.50 + 0.06 * turning) + 0.20 * streak
        grain = smooth_noise(rng, size, 120)
        tone = 0.34 + 0.013 * turning + 0.014 * smooth_noise(rng, size, 7)
        tone += 0.012 * grain - 0.20 * _specks(grain)
        albedo = tone * (1 - 0.10 * sink) * self.colour(0.96, 1.0, 1.04)
        gloss = 0.28 * np.exp(0.12 * smooth_noise(rng, size, 5)) * (1 - 0.2 * sink)
        weave = smooth_noise(rng, size, 9)
        grain = smooth_noise(rng, size, 130)
        belt = 0.28 + 0.020 * grain + 0.010 * weave + 0.25 * _specks(grain)
        belt += 0.012 * np.sin(163 * grid.y + weave)
        ground = belt * _rgb(0.84, 1.0, 0.97)
        return Surface(albedo, height, gloss, sheen, soft_step(depth, _EDGE), ground)


class Bracket(Scene):
    """A stamped brass bracket with two holes, a raised bead and a row of dimples on a table."""

    def __init__(self, rng: np.random.Generator, camera: Camera, spread: float) -> None:
        super().__init__(rng, camera, spread)
        self.holes = np.array([[-0.27, 0.0], [0.27, 0.0]])

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = self.local(x, y)
        plate = -_rounded_box(u, v, 0.38, 0.23, 0.07)
        for a, b in self.holes:
            plate = np.minimum(plate, np.sqrt((u - a) ** 2 + (v - b) ** 2) - 0.055)
        return plate * self.scale

    def surface(self, grid: Grid) -> Surface:
        rng, size = self.rng, grid.size
        u, v = self.local(grid.x, grid.y)
        depth = self.inside(grid.x, grid.y)
        bead = soft_step(-_rounded_box(u, v, 0.13, 0.085, 0.085), 0.035)
        dimples = np.zeros_like(u)
        for a in (-0.09, -0.03, 0.03, 0.09):
            dimples += np.exp(((u - a) ** 2 + (v - 0.155) ** 2) / -0.00016)
        rolling = line_noise(rng, v + 0.5 + 0.002 * smooth_noise(rng, size, 4), 420)
        height = 0.012 * soft_step(depth - 0.009, 0.022) + 0.020 * bead - 0.006 * dimples
        height += 0.0009 * smooth_noise(rng, size, 11) + 0.0002 * rolling
        grain = smooth_noise(rng, size, 125)
        tone = 0.33 + 0.008 * rolling + 0.012 * grain - 0.20 * _specks(grain)
        tarnish = np.clip(smooth_noise(rng, size, 5), 0, 3)
        tone -= 0.016 * tarnish
        albedo = tone * self.colour(1.22, 0.95, 0.46)
        lamp_v = self.camera.lamp[1] - 0.5
        sheen = 0.7 * np.exp(((v - lamp_v + 0.1 * u) / 0.11) ** 2 / -2) * (1 + 0.10 * rolling)
        gloss = 0.55 * np.exp(-0.2 * tarnish)
        table = _table(rng, size, 0.62, 0.016, 0.02, 0.25)
        return Surface(albedo, height, gloss, sheen, soft_step(depth, _EDGE),
                       table * _rgb(0.98, 1.0, 1.03))  # fmt: skip


class Twill(Scene):
    """Woven fabric: threads pass over two and under two, stepped by one."""

    damage = 0.65

    def surface(self, grid: Grid) -> Surface:
        rng, size, threads = self.rng, grid.size, 38
        u, v = self.local(grid.x, grid.y)
        u = (u + 0.75 + 0.004 * smooth_noise(rng, size, 5)) * threads
        v = (v + 0.75 + 0.004 * smooth_noise(rng, size, 5)) * threads
        column, row = u.astype(int), v.astype(int)
        over = (column - row) % 4 < 2  # the warp, which runs along v, is on top
        across = np.where(over, u - column, v - row) - 0.5
        along = np.where(over, (v - column) / 4, (u - row + 2) / 4)
        crown = np.sqrt(np.clip(1 - 3.4 * across * across, 0.02, 1))
        arch = np.sin(np.pi * 2 * along + np.pi / 4) ** 2
        height = 0.0105 * crown * (0.55 + 0.45 * arch)
        yarn = np.where(over, rng.normal(0, 1, 2 * threads)[column],
                        rng.normal(0, 1, 2 * threads)[row])  # fmt: skip
        twist = np.sin(2 * np.pi * (1.5 * across + 2.5 * np.where(over, v, u)))
        grain = smooth_noise(rng, size, 128)
        tone = 0.21 + 0.26 * crown * (0.55 + 0.45 * arch) + 0.02 * yarn + 0.02 * twist
        tone += 0.022 * grain + 0.020 * smooth_noise(rng, size, 6) + 0.30 * _specks(grain)
        warm = np.where(over, 1.0, 0.0)
        albedo = tone * (self.colour(0.66, 0.82, 1.10) + warm * _rgb(0.28, 0.16, -0.06))
        flat = np.zeros_like(u)
        below = 0.09 + 0.01 * smooth_noise(rng, size, 60)
        return Surface(albedo, height, flat, flat.copy(), np.ones_like(u), below * _rgb(1, 1, 1))


class Brushed(Scene):
    """A brushed steel sheet: fine streaks and a band of mirrored light."""

    def surface(self, grid: Grid) -> Surface:
        rng, size = self.rng, grid.size
        u, v = self.local(grid.x, grid.y)
        sway = 0.004 * smooth_noise(rng, size, 2)
        fine, broad = line_noise(rng, u + 0.5 + sway, 460), line_noise(rng, u + 0.5 + sway, 60)
        broken = smooth_noise(rng, size, 10, 170)  # streaks that begin and end
        streaks = 0.6 * fine + 0.35 * broad + 0.8 * broken
        grain = smooth_noise(rng, size, 125)
        tone = 0.30 + 0.030 * streaks + 0.018 * smooth_noise(rng, size, 6) + 0.010 * grain
        tone += 0.20 * _specks(grain) - 0.12 * _specks(-grain)
        hairline = _specks(smooth_noise(rng, size, 7, 110), 2.6)
        albedo = (tone + 0.16 * hairline) * self.colour(1.0, 1.0, 1.01)
        height = 0.0003 * streaks - 0.0006 * hairline
        band = (u - (self.camera.lamp[0] - 0.36) * 1.5 + 0.25 * v) / 0.13
        sheen = np.exp(band * band / -2) * (1 + 0.25 * streaks)
        gloss = 0.24 * np.exp(0.12 * smooth_noise(rng, size, 4))
        below = 0.06 + 0.008 * smooth_noise(rng, size, 60)
        return Surface(albedo, height, gloss, sheen, np.ones_like(u), below * _rgb(1, 1, 1))


class Bolt(Scene):
    """A threaded bolt in any rotation on a pale table: small defects, dimmer test images."""

    defect_size = 0.3
    test_exposure = (0.76, 0.86)  # makes the images 10 to 20% darker

    def __init__(self, rng: np.random.Generator, camera: Camera, spread: float) -> None:
        super().__init__(rng, camera, spread)
        self.tilt = min(spread, 1) * rng.uniform(-np.pi, np.pi)
        self.roll = rng.uniform(0, 1)  # about its own axis, in turns

    def _thread(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Height of the thread, 0 to 1: it climbs by one pitch in a turn."""
        return 0.5 + 0.5 * np.sin(2 * np.pi * (u / 0.05 + self.roll + 3 * v))

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = self.local(x, y)
        crest = 0.007 * self._thread(u, v) * ((u > -0.29) & (u < 0.12))
        shaft = -_rounded_box(u + 0.06, v, 0.26, 0.045, 0.02) + crest
        head = -_rounded_box(u - 0.24, v, 0.065, 0.10, 0.015)
        return np.maximum(shaft, head) * self.scale

    def surface(self, grid: Grid) -> Surface:
        rng, size = self.rng, grid.size
        u, v = self.local(grid.x, grid.y)
        depth = self.inside(grid.x, grid.y)
        head = soft_step(u - 0.175, 0.01)
        half = 0.05 + 0.05 * head
        round_ = np.sqrt(np.clip(1 - (v / half) ** 2, 0.02, 1))
        thread = self._thread(u, v) * soft_step(0.12 - u, 0.02) * soft_step(u + 0.29, 0.02)
        facets = np.abs(((v / 0.1 + 2 * self.roll) * 1.5) % 1 - 0.5)  # of the hexagonal head
        height = 0.012 * round_ * (1 - head) + head * (0.010 + 0.005 * facets) + 0.0025 * thread
        height *= soft_step(depth - 0.010, 0.030)
        height += 0.0006 * smooth_noise(rng, size, 40)
        lamp = np.arctan2(self.camera.lamp[1] - 0.5, self.camera.lamp[0] - 0.5)
        bright = 0.5 * half * np.sin(lamp - self.tilt)  # where the round surface mirrors the lamp
        sheen = 0.8 * np.exp(-(((v - bright) / (0.3 * half)) ** 2)) * (1 - 0.4 * thread)
        grain = smooth_noise(rng, size, 125)
        tone = 0.30 - 0.05 * (1 - thread) * (1 - head) + 0.012 * grain - 0.15 * _specks(grain)
        tone += 0.015 * smooth_noise(rng, size, 9)
        albedo = tone * self.colour(1.0, 0.98, 0.94)
        gloss = 0.32 * np.exp(0.12 * smooth_noise(rng, size, 8))
        table = _table(rng, size, 0.60, 0.014, 0.02, 0.20)
        return Surface(albedo, height, gloss, sheen, soft_step(depth, _EDGE),
                       table * _rgb(1.0, 1.0, 1.01))  # fmt: skip


class Tablet(Scene):
    """A round tablet with a speckled coating and a stamped sign, always in the same place."""

    defect_size = 0.6
    defects = ("scratch", "crack", "stain", "missing", "misprint", "colour", "fibre")

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = self.local(x, y)
        return (0.36 - np.sqrt(u * u + v * v)) * self.scale

    def imprint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = self.local(x, y)
        ring = np.abs(np.sqrt((u + 0.11) ** 2 + v * v) - 0.075)
        stem = np.maximum(np.abs(u - 0.06), np.abs(v) - 0.085)
        bar = np.maximum(np.abs(v + 0.075), np.abs(u - 0.115) - 0.065)
        middle = np.maximum(np.abs(v - 0.005), np.abs(u - 0.10) - 0.05)
        strokes = np.minimum(np.minimum(ring, stem), np.minimum(bar, middle))
        return soft_step(0.010 - strokes, 0.010)

    def surface(self, grid: Grid) -> Surface:
        rng, size = self.rng, grid.size
        depth = self.inside(grid.x, grid.y)
        sign = self.imprint(grid.x, grid.y)
        dome = np.sqrt(np.clip(depth / 0.36, 0, 1) * (2 - np.clip(depth / 0.36, 0, 1)))
        speckle = np.clip(smooth_noise(rng, size, 70) - 0.9, 0, 1.2)
        pale = np.clip(smooth_noise(rng, size, 45) - 1.3, 0, 1)
        height = 0.05 * dome - STAMP * sign + 0.0012 * smooth_noise(rng, size, 60)
        tone = 0.50 + 0.03 * pale + 0.012 * smooth_noise(rng, size, 6)
        tone += 0.012 * smooth_noise(rng, size, 125)
        tint = self.colour(1.02, 0.94, 0.80) - 0.55 * speckle * _rgb(0.42, 0.46, 0.42)
        albedo = tone * (1 - INK * sign) * tint
        flat = np.zeros_like(depth)
        gloss = 0.10 * np.exp(0.15 * smooth_noise(rng, size, 6))
        grain = smooth_noise(rng, size, 128)
        tray = 0.14 + 0.010 * grain + 0.012 * smooth_noise(rng, size, 5) + 0.15 * _specks(grain)
        return Surface(albedo, height, gloss, flat, soft_step(depth, _EDGE),
                       tray * _rgb(0.88, 0.98, 1.12))  # fmt: skip


def _rounded_box(
    u: np.ndarray, v: np.ndarray, width: float, height: float, corner: float
) -> np.ndarray:
    """Signed distance, negative inside, to a box of the given half sides and corner radius."""
    du, dv = np.abs(u) - (width - corner), np.abs(v) - (height - corner)
    outside = np.sqrt(np.maximum(du, 0) ** 2 + np.maximum(dv, 0) ** 2)
    return outside + np.minimum(np.maximum(du, dv), 0) - corner


SCENES: dict[str, type[Scene]] = {
    "washer": Washer,
    "bracket": Bracket,
    "twill": Twill,
    "brushed": Brushed,
    "bolt": Bolt,
    "tablet": Tablet,
}
