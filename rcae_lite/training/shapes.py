"""Random regions, places and textures, batched: what pseudo-anomalies are made of."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from rcae_lite.model.filters import local_mean, pixel_grid
from rcae_lite.model.losses import gradient
from rcae_lite.training.draws import choose, log_uniform, uniform

__all__ = [
    "blend",
    "blob",
    "centres",
    "emphasis",
    "foreground",
    "is_grey",
    "smooth_noise",
    "soften",
    "texture",
]

BLURS = 3  # at most; each spreads an edge by a pixel to either side


def is_grey(images: Tensor) -> Tensor:
    """Tell greyscale images, whose three channels are the same: (B, 3, H, W) to (B, 1, 1, 1)."""
    return (images == images[:, :1]).all(dim=(1, 2, 3), keepdim=True)


def smooth_noise(images: Tensor, generator: torch.Generator, cells: int) -> Tensor:
    """Random field with ``cells`` bumps along a side, about standard normal; (B, 1, H, W)."""
    size = (len(images), 1, cells, cells)
    coarse = torch.randn(size, generator=generator, device=generator.device).to(images.device)
    return F.interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=False)


def foreground(images: Tensor) -> Tensor:
    """Tell where an image is unlike its own border: the part, if it lies on a plain ground.

    A plane fitted to the border's colours stands for the ground and its lighting. Where the border
    shows the part itself, as in textures, only what is rare there stands out.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W) in [0, 1].

    Returns
    -------
    Tensor
        (B, 1, H, W) in [0, 1]: 0 up to three spreads from the ground, 1 from six on. A spread is
        the median deviation along the border, plus 0.01.
    """
    border, plane, fit = (tensor.to(images.device) for tensor in _ground(*images.shape[-2:]))
    smooth = local_mean(images, 5)
    off = (smooth - torch.einsum("bcp,pk,khw->bchw", smooth[..., border], fit, plane)).abs()
    spread = off[..., border].median(dim=2).values + 0.01  # (B, 3)
    return ((off / spread[..., None, None]).amax(dim=1, keepdim=True) / 3 - 1).clamp(0, 1)


def emphasis(images: Tensor, weight: float) -> Tensor:
    """Weigh the pixels of each image so that the part counts, however small it is.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W) in [0, 1].
    weight : float
        Of the `foreground` as a whole, beside the image as a whole; 0 weighs all pixels the same.

    Returns
    -------
    Tensor
        (B, 1, H, W), of mean 1 in each image. A foreground below 5% of the image weighs less.
    """
    if not weight:
        return torch.ones_like(images[:, :1])
    part = foreground(images)
    weights = 1 + weight * part / part.mean(dim=(2, 3), keepdim=True).clamp_min(0.05)
    return weights / weights.mean(dim=(2, 3), keepdim=True)


@lru_cache(maxsize=8)
def _ground(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where the border is, (H, W) bool; 1, x and y, (3, H, W); and what fits them, (P, 3)."""
    ring = max(1, width // 16)
    border = torch.ones(height, width, dtype=torch.bool)
    border[ring:-ring, ring:-ring] = False
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    plane = torch.stack([torch.ones_like(x), x, y])
    return border, plane, torch.linalg.pinv(plane[:, border])


def centres(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one centre (y, x) in (0, 1) per image.

    Half of them on the `foreground`, a quarter where there is structure (gradient energy), and a
    quarter anywhere, so that small defects meet the part and not its background alone.
    """
    height, width = images.shape[-2:]
    energy = gradient(images).abs().mean(dim=1, keepdim=True)  # (B, 1, H, W)
    energy = F.avg_pool2d(energy, 9, stride=1, padding=4)
    on_part, structure = (
        weights.flatten(1) / weights.flatten(1).sum(dim=1, keepdim=True).clamp_min(1e-8)
        for weights in (foreground(images) + 1e-3, energy)
    )
    weights = (2 * on_part + structure + 1 / (height * width)).to(generator.device)
    place = torch.multinomial(weights, 1, generator=generator).squeeze(1).to(images.device)
    return torch.stack([(place // width + 0.5) / height, (place % width + 0.5) / width], dim=1)


def blob(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one region per image: a rotated rectangle, an ellipse or a cloud; (B, 1, H, W) bool.

    The mean diameter is 2% to 40% of the side, of three quarters of them at most 10%: every octave
    up to the limit is equally frequent.
    """
    batch = (len(images), 1, 1, 1)
    y, x = pixel_grid(images)
    centre = centres(images, generator).view(-1, 2, 1, 1, 1)
    octaves = uniform(generator, batch, 0, 1, images)
    limit = torch.where(choose(generator, batch, 0.75, images), 0.10, 0.4)
    size = 0.02 * (limit / 0.02) ** octaves / 2
    stretch = log_uniform(generator, batch, 0.4, 2.5, images).sqrt()
    angle = uniform(generator, batch, 0, torch.pi, images)
    dy, dx = y - centre[:, 0], x - centre[:, 1]
    u = (dx * angle.cos() + dy * angle.sin()) / (size * stretch)
    v = (dy * angle.cos() - dx * angle.sin()) / (size / stretch)
    rectangle = torch.maximum(u.abs(), v.abs()) < 0.89  # the area of the ellipse
    radius = (u.square() + v.square()).sqrt()
    wobble = torch.where(
        choose(generator, batch, 0.5, images),
        smooth_noise(images, generator, 8),
        smooth_noise(images, generator, 24),
    )
    round_ = radius + 0.4 * wobble * choose(generator, batch, 0.6, images) < 1
    return torch.where(choose(generator, batch, 0.25, images), rectangle, round_)


def soften(region: Tensor, generator: torch.Generator) -> Tensor:
    """Blur the edge of each region as optics do: (B, 1, H, W) bool to [0, 1].

    None to three times by a mean over 3x3, each with probability one half: hard edges alone would
    teach CRD to look for seams, which no defect in a photograph has.
    """
    cover = region.float()
    for _ in range(BLURS):
        blurred = choose(generator, (len(cover), 1, 1, 1), 0.5, cover)
        cover = torch.where(blurred, local_mean(cover), cover)
    return cover


def blend(images: Tensor, layer: Tensor, generator: torch.Generator) -> Tensor:
    """Lay a layer over the images with a random opacity per image (0.15 to 1)."""
    opacity = uniform(generator, (len(images), 1, 1, 1), 0.15, 1.0, images)
    return images + opacity * (layer - images)


def texture(images: Tensor, generator: torch.Generator) -> Tensor:
    """Grain to lay on flat colour, a different strength and scale per image; (B, 1, H, W)."""
    strength = uniform(generator, (len(images), 1, 1, 1), 0, 0.12, images)
    fine = smooth_noise(images, generator, max(4, images.shape[-1] // 2))
    return strength * fine
