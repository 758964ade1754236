"""Pseudo-anomalies: defects perturbed into normal images, with exact masks, to train CRD on.

The paper's three families are `colour_patches`, `copy_paste` and `random_lines`. A fourth one,
`local_distortion`, is **ours**. Each is one small function that proposes an altered image and the
region it altered; `add_pseudo_anomalies` draws a family for every image and keeps the mask exact
and solid: 1 where the image visibly changed, and in the gaps between such pixels; 0 where it is
still bit for bit the normal image.

Everything is batched, runs on the device of the images, and draws from one generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from data_utils.errors import KitError
from rcae_lite.config import FAMILIES, PAPER_FAMILIES
from rcae_lite.model.filters import local_mean, pixel_grid
from rcae_lite.training.draws import choose, log_uniform, uniform
from rcae_lite.training.shapes import (
    blend,
    blob,
    centres,
    is_grey,
    smooth_noise,
    soften,
    texture,
)

__all__ = [
    "add_pseudo_anomalies",
    "colour_patches",
    "copy_paste",
    "local_distortion",
    "random_lines",
]

VISIBLE = 0.02  # a change below this in every channel is not called anomalous
GAPS = 0.3  # share of changed pixels around a pixel (5x5) from which it counts as anomalous, too


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
    region = blob(images, generator)
    colour = uniform(generator, (batch, 3, 1, 1), 0, 1, images)
    grey = uniform(generator, (batch, 1, 1, 1), 0, 1, images).expand(-1, 3, -1, -1)
    colour = torch.where(is_grey(images), grey, colour)
    kind = uniform(generator, (batch, 1, 1, 1), 0, 1, images)
    shade = torch.where(kind < 0.5, colour, torch.where(kind < 0.75, grey, images + colour - 0.5))
    shade = shade + texture(images, generator)
    return blend(images, shade, generator).clamp(0, 1), region


def copy_paste(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste a piece of a normal image somewhere else, turned and mirrored.

    Half of the pieces come from the image itself, half from another one of the batch.

    Parameters, Returns
        As `colour_patches`.
    """
    batch = len(images)
    region = blob(images, generator)
    other = choose(generator, (batch, 1, 1, 1), 0.5, images)
    source = torch.where(other, images.roll(1, dims=0), images)
    angle = uniform(generator, (batch,), 0, 2 * torch.pi, images)
    mirror = 1 - 2 * choose(generator, (batch,), 0.5, images).float()
    shift = uniform(generator, (batch, 2), -0.7, 0.7, images)
    row_x = torch.stack([mirror * angle.cos(), -angle.sin(), shift[:, 0]], dim=1)
    row_y = torch.stack([mirror * angle.sin(), angle.cos(), shift[:, 1]], dim=1)
    theta = torch.stack([row_x, row_y], dim=1)  # (B, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    piece = F.grid_sample(source, grid, "bilinear", "reflection", align_corners=False)
    opaque = choose(generator, (batch, 1, 1, 1), 0.6, images)
    return torch.where(opaque, piece, blend(images, piece, generator)).clamp(0, 1), region


def random_lines(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a bent line, one to a few pixels thin, of a random shade: scratch, crack or fibre.

    Parameters, Returns
        As `colour_patches`.
    """
    batch = (len(images), 1, 1, 1)
    y, x = pixel_grid(images)
    centre = centres(images, generator).view(-1, 2, 1, 1, 1)
    angle = uniform(generator, batch, 0, torch.pi, images)
    length = log_uniform(generator, batch, 0.02, 0.6, images)
    thickness = log_uniform(generator, batch, 0.006, 0.03, images)
    bend = uniform(generator, batch, -1.5, 1.5, images)
    dy, dx = y - centre[:, 0], x - centre[:, 1]
    along = dx * angle.cos() + dy * angle.sin()  # (B, 1, H, W)
    across = dy * angle.cos() - dx * angle.sin() - bend * along.square()
    across = across + 0.006 * smooth_noise(images, generator, 16)
    region = (across.abs() < thickness / 2 + 0.5 / images.shape[-1]) & (along.abs() < length / 2)
    shade = uniform(generator, (len(images), 3, 1, 1), -0.6, 0.6, images)
    grey = shade.mean(dim=1, keepdim=True)
    coloured = choose(generator, batch, 0.4, images) & ~is_grey(images)
    return (images + torch.where(coloured, shade, 2 * grey)).clamp(0, 1), region


def local_distortion(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Change brightness or contrast, or blur, inside a region: **ours**, not the paper's.

    Parameters, Returns
        As `colour_patches`.
    """
    batch = (len(images), 1, 1, 1)
    region = blob(images, generator)
    smooth = local_mean(images, 7)
    change = uniform(generator, batch, 0.12, 0.5, images)
    gain = 1 + change * (1 - 2 * choose(generator, batch, 0.5, images).float())
    contrast = uniform(generator, batch, 0.0, 2.0, images)
    kind = uniform(generator, batch, 0, 1, images)
    distorted = torch.where(kind < 0.5, images * gain, smooth + contrast * (images - smooth))
    return distorted.clamp(0, 1), region


Family = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
_FUNCTIONS: dict[str, Family] = {
    family.__name__: family
    for family in (colour_patches, copy_paste, random_lines, local_distortion)
}


def add_pseudo_anomalies(
    images: Tensor,
    generator: torch.Generator,
    *,
    families: Sequence[str] = PAPER_FAMILIES,
    probability: float = 0.8,
    layers: int = 4,
) -> tuple[Tensor, Tensor]:
    """Add pseudo-anomalies to normal images.

    Every image gets up to ``layers`` anomalies, each of a family of its own, some with soft edges.
    Half of them lie on the part, see `rcae_lite.training.shapes.centres`.

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
    perturbed = images.clone()
    touched = torch.zeros_like(images[:, :1], dtype=torch.bool)
    batch = (len(images),)
    active = choose(generator, batch, probability, images)
    for _ in range(layers):
        family = uniform(generator, batch, 0, len(families), images).long()
        for number, name in enumerate(families):
            chosen = ((family == number) & active).nonzero().squeeze(1)
            if len(chosen):
                before = perturbed[chosen]
                altered, region = _FUNCTIONS[name](before, generator)
                perturbed[chosen] = before + soften(region, generator) * (altered - before)
                touched[chosen] |= region
        active = active & choose(generator, batch, 0.5, images)
    changed = (perturbed - images).abs().amax(dim=1, keepdim=True) > VISIBLE
    share = F.avg_pool2d(changed.to(images.dtype), 5, stride=1, padding=2)
    mask = changed | (touched & (share > GAPS))
    return torch.where(mask, perturbed, images), mask.to(images.dtype)
