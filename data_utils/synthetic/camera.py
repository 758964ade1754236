"""From a drawn surface to a photograph: light, optics, sensor.

A surface is lit by one large lamp from the upper left. The shading follows the slope of its relief;
polished places mirror the lamp. The optics blur and darken towards the corners; the sensor adds
noise that grows with the signal. Lamp, exposure and colour balance vary a little from image to
image: that is part of what is normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data_utils.synthetic.fields import Grid

__all__ = ["Camera", "Surface", "develop", "draw_camera", "expose"]


@dataclass
class Surface:
    """What lies before the camera, one value per pixel.

    Parameters
    ----------
    albedo : np.ndarray
        (3, H, W): diffuse colour in [0, 1].
    height : np.ndarray
        (H, W): relief in scene units.
    gloss : np.ndarray
        (H, W): share of the light that is mirrored, in [0, 1].
    sheen : np.ndarray
        (H, W): how much of the lamp the fine grain mirrors here (brushed and turned metal).
    cover : np.ndarray
        (H, W): 1 on the part, 0 beside it and in its holes, soft between.
    ground : np.ndarray
        (3, H, W): colour of what lies under the part.
    """

    albedo: np.ndarray
    height: np.ndarray
    gloss: np.ndarray
    sheen: np.ndarray
    cover: np.ndarray
    ground: np.ndarray


@dataclass(frozen=True)
class Camera:
    """Lamp, optics and sensor of one image; lengths in scene units.

    ``lamp`` is where a flat mirror would show the lamp (x, y), ``azimuth`` the direction the light
    comes from (rad), ``slant`` the fall of the illumination over the image along x and y.
    """

    lamp: tuple[float, float]
    azimuth: float
    slant: tuple[float, float]
    exposure: float
    balance: np.ndarray
    vignette: float
    blur: float
    noise: float


def draw_camera(rng: np.random.Generator, spread: float) -> Camera:
    """Draw the camera's settings of one image; light wanders ``spread`` times as far as usual."""
    return Camera(
        lamp=(0.34 + spread * rng.normal(0, 0.05), 0.30 + spread * rng.normal(0, 0.05)),
        azimuth=-2.3 + spread * rng.normal(0, 0.12),
        slant=(-0.16 + spread * rng.normal(0, 0.06), -0.12 + spread * rng.normal(0, 0.06)),
        exposure=float(np.exp(spread * rng.normal(0, 0.06))),
        balance=np.exp(spread * rng.normal(0, 0.008, 3)),
        vignette=rng.uniform(0.25, 0.45),
        blur=rng.uniform(0.0022, 0.0034),
        noise=rng.uniform(0.012, 0.018),
    )


def expose(surface: Surface, camera: Camera, grid: Grid) -> np.ndarray:
    """Light the surface and form its blurred image, without noise: (3, H, W) in [0, 1]."""
    x, y = grid.x - 0.5, grid.y - 0.5
    slope_y, slope_x = np.gradient(surface.height * surface.cover, 1 / grid.size)
    facing = slope_x * np.cos(camera.azimuth) + slope_y * np.sin(camera.azimuth)
    diffuse = np.clip(1 - facing, 0.25, 1.8)
    mirror_x, mirror_y = slope_x + (grid.x - camera.lamp[0]), slope_y + (grid.y - camera.lamp[1])
    mirror = np.exp((mirror_x * mirror_x + mirror_y * mirror_y) / -0.06)
    light = surface.gloss * surface.cover * (mirror + surface.sheen)

    ground = surface.ground * (1 - 0.55 * _shadow(surface.cover))
    colour = ground + surface.cover * (surface.albedo - ground)
    fall = 1 + camera.slant[0] * x + camera.slant[1] * y - camera.vignette * (x * x + y * y)
    radiance = (colour * (diffuse + 1.6 * light) + 0.35 * light) * (fall * camera.exposure)
    image = 1.12 - 1.12 * np.exp(radiance * (-1.7 * camera.balance[:, None, None]))  # film shoulder
    sigma = camera.blur * grid.size
    return np.clip(ndimage.gaussian_filter(image, (0, sigma, sigma), truncate=3), 0, 1)


def _shadow(cover: np.ndarray) -> np.ndarray:
    """Soft shadow of the part, thrown to the lower right, from every second pixel: (H, W)."""
    size = len(cover)
    reach = 0.006 * size  # in pixels of the halved grid
    small = ndimage.gaussian_filter(cover[::2, ::2], reach, truncate=3)
    small = ndimage.shift(small, reach, order=1, mode="nearest")
    return small.repeat(2, axis=0).repeat(2, axis=1)[:size, :size]


def develop(photograph: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Add sensor noise, which grows with the signal, and quantise: (H, W, 3) uint8."""
    grain = 0.6 * rng.standard_normal(photograph.shape)
    grain += 0.8 * rng.standard_normal(photograph.shape[1:])
    noisy = photograph + camera.noise * np.sqrt(0.15 + photograph) * grain
    pixels = np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))
