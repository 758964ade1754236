"""Pseudo-anomalies: defects perturbed into normal images, with exact masks, to train CRD on.

The paper's three families are `colour_patches`, `copy_paste` and `random_lines`. A fourth one,
`local_distortion`, is **ours**. Each is one small function that proposes an altered image and the
region it altered; `add_pseudo_anomalies` draws a family for every image and keeps the mask exact
and solid: 1 where the image visibly changed, and in the gaps between such pixels; 0 where it is
still bit for bit the normal image.

Everything is batched, runs on the device of the images, and draws from one generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from data_utils.errors import KitError
from rcae_lite.config import FAMILIES, PAPER_FAMILIES
from rcae_lite.model.losses import gradient
from rcae_lite.training.augmentation import is_grey, pixel_grid, uniform

__all__ = [
    "add_pseudo_anomalies",
    "colour_patches",
    "copy_paste",
    "local_distortion",
    "random_lines",
]

VISIBLE = 0.02  # a change below this in every channel is not called anomalous
GAPS = 0.3  # share of changed pixels around a pixel (5x5) from which it counts as anomalous, too
Size = tuple[int, ...]


def _choose(generator: torch.Generator, size: Size, probability: float, like: Tensor) -> Tensor:
    """Draw booleans that are True with the given probability."""
    return uniform(generator, size, 0, 1, like) < probability


def _log_uniform(
    generator: torch.Generator, size: Size, low: float, high: float, like: Tensor
) -> Tensor:
    """Draw sizes such that every octave between ``low`` and ``high`` is equally frequent."""
    return uniform(generator, size, math.log(low), math.log(high), like).exp()


def _smooth_noise(images: Tensor, generator: torch.Generator, cells: int) -> Tensor:
    """Random field with ``cells`` bumps along a side, about standard normal; (B, 1, H, W)."""
    size = (len(images), 1, cells, cells)
    coarse = torch.randn(size, generator=generator, device=generator.device).to(images.device)
    return F.interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=False)


def _centres(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one centre (y, x) in (0, 1) per image: half anywhere, half where there is structure.

    Structure is gradient energy, so that small defects meet the part and not only its background.
    """
    height, width = images.shape[-2:]
    energy = gradient(images).abs().mean(dim=1, keepdim=True)  # (B, 1, H, W)
    energy = F.avg_pool2d(energy, 9, stride=1, padding=4).flatten(1)
    energy = energy / energy.sum(dim=1, keepdim=True).clamp_min(1e-8) + 1 / energy.shape[1]
    weights = energy.to(generator.device)
    place = torch.multinomial(weights, 1, generator=generator).squeeze(1).to(images.device)
    return torch.stack([(place // width + 0.5) / height, (place % width + 0.5) / width], dim=1)


def _blob(
    images: Tensor, generator: torch.Generator, low: float = 0.02, high: float = 0.4
) -> Tensor:
    """Draw one region per image: a rotated rectangle, an ellipse or a cloud; (B, 1, H, W) bool.

    ``low`` and ``high`` bound the mean diameter as a fraction of the side.
    """
    batch = (len(images), 1, 1, 1)
    y, x = pixel_grid(images)
    centre = _centres(images, generator).view(-1, 2, 1, 1, 1)
    size = _log_uniform(generator, batch, low, high, images) / 2
    stretch = _log_uniform(generator, batch, 0.4, 2.5, images).sqrt()
    angle = uniform(generator, batch, 0, torch.pi, images)
    dy, dx = y - centre[:, 0], x - centre[:, 1]
    u = (dx * angle.cos() + dy * angle.sin()) / (size * stretch)
    v = (dy * angle.cos() - dx * angle.sin()) / (size / stretch)
    rectangle = torch.maximum(u.abs(), v.abs()) < 0.89  # the area of the ellipse
    radius = (u.square() + v.square()).sqrt()
    wobble = torch.where(
        _choose(generator, batch, 0.5, images),
        _smooth_noise(images, generator, 8),
        _smooth_noise(images, generator, 24),
    )
    round_ = radius + 0.4 * wobble * _choose(generator, batch, 0.6, images) < 1
    return torch.where(_choose(generator, batch, 0.25, images), rectangle, round_)


def _blend(images: Tensor, layer: Tensor, generator: torch.Generator) -> Tensor:
    """Lay a layer over the images with a random opacity per image (0.15 to 1)."""
    opacity = uniform(generator, (len(images), 1, 1, 1), 0.15, 1.0, images)
    return images + opacity * (layer - images)


def _texture(images: Tensor, generator: torch.Generator) -> Tensor:
    """Grain to lay on flat colour, a different strength and scale per image; (B, 1, H, W)."""
    strength = uniform(generator, (len(images), 1, 1, 1), 0, 0.12, images)
    fine = _smooth_noise(images, generator, max(4, images.shape[-1] // 2))
    return strength * fine


def colour_patches(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lay a patch of a random colour (half of them: a shade of grey, or the local colour shifted).

    Greyscale images get shades of grey only.

    Parameters
    ----------
    images : Tensor
        Normal images, (B, 3, H, W) in [0, 1].
    generator : torch.Generator
        Source of all randomness.

    Returns
    -------
    altered : Tensor
        (B, 3, H, W) in [0, 1].
    region : Tensor
        (B, 1, H, W) bool, where the altered image counts.
    """
    batch = len(images)
    region = _blob(images, generator)
    colour = uniform(generator, (batch, 3, 1, 1), 0, 1, images)
    grey = uniform(generator, (batch, 1, 1, 1), 0, 1, images).expand(-1, 3, -1, -1)
    colour = torch.where(is_grey(images), grey, colour)
    kind = uniform(generator, (batch, 1, 1, 1), 0, 1, images)
    shade = torch.where(kind < 0.5, colour, torch.where(kind < 0.75, grey, images + colour - 0.5))
    shade = shade + _texture(images, generator)
    return _blend(images, shade, generator).clamp(0, 1), region


def copy_paste(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste a piece of a normal image somewhere else, turned and mirrored.

    Half of the pieces come from the image itself, half from another one of the batch.

    Parameters, Returns
        As `colour_patches`.
    """
    batch = len(images)
    region = _blob(images, generator, low=0.04)
    other = _choose(generator, (batch, 1, 1, 1), 0.5, images)
    source = torch.where(other, images.roll(1, dims=0), images)
    angle = uniform(generator, (batch,), 0, 2 * torch.pi, images)
    mirror = 1 - 2 * _choose(generator, (batch,), 0.5, images).float()
    shift = uniform(generator, (batch, 2), -0.7, 0.7, images)
    row_x = torch.stack([mirror * angle.cos(), -angle.sin(), shift[:, 0]], dim=1)
    row_y = torch.stack([mirror * angle.sin(), angle.cos(), shift[:, 1]], dim=1)
    theta = torch.stack([row_x, row_y], dim=1)  # (B, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    piece = F.grid_sample(source, grid, "bilinear", "reflection", align_corners=False)
    opaque = _choose(generator, (batch, 1, 1, 1), 0.6, images)
    return torch.where(opaque, piece, _blend(images, piece, generator)).clamp(0, 1), region


def random_lines(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a bent line, one to a few pixels thin, of a random shade: scratch, crack or fibre.

    Parameters, Returns
        As `colour_patches`.
    """
    batch = (len(images), 1, 1, 1)
    y, x = pixel_grid(images)
    centre = _centres(images, generator).view(-1, 2, 1, 1, 1)
    angle = uniform(generator, batch, 0, torch.pi, images)
    length = _log_uniform(generator, batch, 0.05, 0.6, images)
    thickness = _log_uniform(generator, batch, 0.006, 0.03, images)
    bend = uniform(generator, batch, -1.5, 1.5, images)
    dy, dx = y - centre[:, 0], x - centre[:, 1]
    along = dx * angle.cos() + dy * angle.sin()  # (B, 1, H, W)
    across = dy * angle.cos() - dx * angle.sin() - bend * along.square()
    across = across + 0.006 * _smooth_noise(images, generator, 16)
    region = (across.abs() < thickness / 2 + 0.5 / images.shape[-1]) & (along.abs() < length / 2)
    shade = uniform(generator, (len(images), 3, 1, 1), -0.6, 0.6, images)
    grey = shade.mean(dim=1, keepdim=True)
    coloured = _choose(generator, batch, 0.4, images) & ~is_grey(images)
    return (images + torch.where(coloured, shade, 2 * grey)).clamp(0, 1), region


def local_distortion(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Change brightness or contrast, or blur, inside a region: **ours**, not the paper's.

    Parameters, Returns
        As `colour_patches`.
    """
    batch = (len(images), 1, 1, 1)
    region = _blob(images, generator, low=0.04)
    smooth = F.avg_pool2d(images, 7, stride=1, padding=3, count_include_pad=False)
    gain = 1 + uniform(generator, batch, 0.12, 0.5, images) * (
        1 - 2 * _choose(generator, batch, 0.5, images).float()
    )
    contrast = uniform(generator, batch, 0.0, 2.0, images)
    kind = uniform(generator, batch, 0, 1, images)
    distorted = torch.where(kind < 0.5, images * gain, smooth + contrast * (images - smooth))
    return distorted.clamp(0, 1), region


Family = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
_FUNCTIONS: dict[str, Family] = {
    "colour_patches": colour_patches,
    "copy_paste": copy_paste,
    "random_lines": random_lines,
    "local_distortion": local_distortion,
}


def add_pseudo_anomalies(
    images: Tensor,
    generator: torch.Generator,
    *,
    families: Sequence[str] = PAPER_FAMILIES,
    probability: float = 0.8,
    layers: int = 2,
) -> tuple[Tensor, Tensor]:
    """Add pseudo-anomalies to normal images.

    Every image gets up to ``layers`` anomalies, each of a family of its own.

    Parameters
    ----------
    images : Tensor
        Normal images, (B, 3, H, W) in [0, 1].
    generator : torch.Generator
        Source of all randomness.
    families : sequence of str
        Names out of `FAMILIES`.
    probability : float
        Share of the images that get any anomaly; the others stay normal.
    layers : int
        The most anomalies in one image; each beyond the first has probability one half.

    Returns
    -------
    perturbed : Tensor
        (B, 3, H, W) in [0, 1].
    mask : Tensor
        M_P, (B, 1, H, W) in {0, 1}: 1 where a channel changed by more than 0.02, and elsewhere in
        an altered region where more than 30% of the 5x5 neighbourhood did; all other pixels equal
        the input.

    Raises
    ------
    KitError
        If a family is unknown.
    """
    unknown = [name for name in families if name not in _FUNCTIONS]
    if unknown or not families:
        raise KitError(
            f"pseudo-anomaly families {unknown or 'none'}: choose from {', '.join(FAMILIES)}"
        )
    perturbed = images
    touched = torch.zeros_like(images[:, :1], dtype=torch.bool)
    batch = (len(images),)
    active = _choose(generator, batch, probability, images)
    for _ in range(layers):
        family = uniform(generator, batch, 0, len(families), images).long()
        perturbed = perturbed.clone()
        for number, name in enumerate(families):
            chosen = ((family == number) & active).nonzero().squeeze(1)
            if len(chosen):
                altered, region = _FUNCTIONS[name](perturbed[chosen], generator)
                perturbed[chosen] = torch.where(region, altered, perturbed[chosen])
                touched[chosen] |= region
        active = active & _choose(generator, batch, 0.5, images)
    changed = (perturbed - images).abs().amax(dim=1, keepdim=True) > VISIBLE
    share = F.avg_pool2d(changed.to(images.dtype), 5, stride=1, padding=2)
    mask = changed | (touched & (share > GAPS))
    return torch.where(mask, perturbed, images), mask.to(images.dtype)
