"""The probe: does the recursion forget defects and keep the part? It needs no test image.

Defects are painted into normal images that no training has seen, giving p from x with the mask M.
``R_n`` is what a network makes of an image at depth n: I_R^n, or I_D^n after DPN.

- `copied_share`, c(n): 1 where the defect passes, 0 where it is gone. Blur alone lowers it for
  small defects, so it means nothing without
- `error_outside`: how far the rest of the image is from x, in grey levels of 255, over all pixels
  and over *structured* ones, the fifth with the most gradient in x;
- `erasure`, e(n): what is left of the defect *and* what is missing of the part, inside M.

The four families, `PROBE_FAMILIES`, are used by no stage of any preset: soft stains, grooves with
a lit and a shadowed side, clusters of specks, and holes through which one sees the background.
This file imports nothing that has to do with training, so they cannot leak into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta, Struct
from torch import Tensor
from torch.nn import functional as F

from data_utils.errors import KitError

__all__ = [
    "AREAS",
    "NothingVisible",
    "PROBE_FAMILIES",
    "SIZE_BINS",
    "Painted",
    "Restoration",
    "copied_share",
    "erasure",
    "error_outside",
    "paint_defects",
    "probe",
    "structured_pixels",
]

AREAS = (0.001, 0.05)  # smallest and largest defect, as shares of the image
SIZE_BINS = (0.001, 0.004, 0.015, 0.05)  # edges of the bins that results are reported by
PAINTINGS = 8  # of every image: each family twice
VISIBLE = 0.02  # a change below this in every channel is undone: it is no defect
STRUCTURED = 0.2  # share of the pixels that count as structured
BATCH = 8  # images that go through the network at a time

Restore = Callable[[Tensor], Mapping[str, Tensor]]
"""What is probed: images (B, 3, H, W) to reconstructions (B, 3, N, H, W), by name."""


# -- the measures ------------------------------------------------------------------------------


def copied_share(
    restored: Tensor, of_clean: Tensor, painted: Tensor, clean: Tensor, mask: Tensor
) -> Tensor:
    """Share of the defects that passes: ``c(n) = Σ_M |R_n(p) - R_n(x)| / Σ_M |p - x|``.

    Parameters
    ----------
    restored, of_clean : Tensor
        R_n(p) and R_n(x), (B, 3, N, H, W).
    painted, clean : Tensor
        p and x, (B, 3, H, W) in [0, 1].
    mask : Tensor
        M, (B, 1, H, W) bool.

    Returns
    -------
    Tensor
        (N,): the sums go over all B images.
    """
    return _share(restored - of_clean, painted, clean, mask)


def erasure(restored: Tensor, painted: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    """How far defects are from being undone: ``e(n) = Σ_M |R_n(p) - x| / Σ_M |p - x|``.

    Parameters
    ----------
    restored : Tensor
        R_n(p), (B, 3, N, H, W).
    painted, clean, mask
        As in `copied_share`.

    Returns
    -------
    Tensor
        (N,): 1 for a network that returns its input, 0 for one that returns x.
    """
    return _share(restored - clean.unsqueeze(2), painted, clean, mask)


def _share(difference: Tensor, painted: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    inside = mask.unsqueeze(2)  # (B, 1, 1, H, W)
    left = (difference.abs() * inside).sum(dim=(0, 1, 3, 4))  # (N,)
    return left / ((painted - clean).abs() * mask).sum()


def error_outside(
    restored: Tensor, clean: Tensor, mask: Tensor, *, structured: bool = False
) -> Tensor:
    """Mean ``|R_n(p) - x|`` outside of M, in grey levels of 255.

    Parameters
    ----------
    restored : Tensor
        R_n(p), (B, 3, N, H, W).
    clean, mask
        As in `copied_share`.
    structured : bool
        Only over the `structured_pixels` of x.

    Returns
    -------
    Tensor
        (N,).
    """
    where = ~mask & structured_pixels(clean) if structured else ~mask  # (B, 1, H, W)
    error = (restored - clean.unsqueeze(2)).abs().mean(dim=1, keepdim=True)  # (B, 1, N, H, W)
    total = (error * where.unsqueeze(2)).sum(dim=(0, 1, 3, 4))  # (N,)
    return 255 * total / where.sum()


def structured_pixels(images: Tensor) -> Tensor:
    """Tell the fifth of each image's pixels with the most gradient: (B, 1, H, W) bool."""
    across = F.pad(images.diff(dim=3).abs(), (0, 1, 0, 0))
    down = F.pad(images.diff(dim=2).abs(), (0, 0, 0, 1))
    energy = (across + down).mean(dim=1, keepdim=True)  # (B, 1, H, W)
    count = max(1, round(STRUCTURED * energy[0].numel()))
    chosen = energy.flatten(1).topk(count, dim=1).indices  # (B, count)
    flat = torch.zeros_like(energy, dtype=torch.bool).flatten(1).scatter(1, chosen, True)
    return flat.view_as(energy)


# -- the painted defects -----------------------------------------------------------------------


class _Place:
    """Pixel coordinates around a centre, in units of the side, turned by a random angle."""

    def __init__(self, image: Tensor, generator: torch.Generator) -> None:
        self.height, self.width = image.shape[-2:]
        y = (torch.arange(self.height) + 0.5) / self.height
        x = (torch.arange(self.width) + 0.5) / self.width
        row, column = divmod(_centre(image, generator), self.width)
        dy, dx = (y - y[row]).unsqueeze(1), (x - x[column]).unsqueeze(0)
        turn = _draw(generator, 0, 2 * math.pi)
        self.u = dx * math.cos(turn) + dy * math.sin(turn)  # (H, W)
        self.v = dy * math.cos(turn) - dx * math.sin(turn)  # (H, W)
        self.radius = (self.u.square() + self.v.square()).sqrt()
        self.angle = torch.atan2(self.v, self.u)
        self.pixel = 1 / self.width


def _draw(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator).item()


def _centre(image: Tensor, generator: torch.Generator) -> int:
    """Draw a pixel: half of the time anywhere, half where there is structure."""
    energy = structured_pixels(image.unsqueeze(0)).float().flatten()
    weights = energy / energy.sum() + 1 / energy.numel()
    return int(torch.multinomial(weights, 1, generator=generator))


def _outline(place: _Place, generator: torch.Generator, area: float) -> Tensor:
    """Distance from the centre of a wobbly ellipse: 1 on its outline; (H, W)."""
    stretch = math.exp(_draw(generator, -0.4, 0.4))
    size = math.sqrt(area / math.pi)
    r = ((place.u / stretch).square() + (place.v * stretch).square()).sqrt() / size
    for waves in (2, 3, 5):
        phase = _draw(generator, 0, 2 * math.pi)
        r = r * (1 + _draw(generator, 0, 0.35 / waves) * torch.sin(waves * place.angle + phase))
    return r


def stain(image: Tensor, generator: torch.Generator, area: float) -> Tensor:
    """Something spilt: a soft-edged darkening that lets the surface show through.

    Parameters
    ----------
    image : Tensor
        x, (3, H, W) in [0, 1].
    generator : torch.Generator
        Source of all randomness, on the CPU.
    area : float
        About which share of the image the defect covers.

    Returns
    -------
    Tensor
        p, (3, H, W) in [0, 1].
    """
    place = _Place(image, generator)
    cover = torch.sigmoid(6 * (1 - _outline(place, generator, area)))  # (H, W)
    tint = 0.25 * torch.rand(3, 1, 1, generator=generator) * (not _is_grey(image))
    return image * (1 - _draw(generator, 0.35, 0.75) * (1 - tint) * cover)


def groove(image: Tensor, generator: torch.Generator, area: float) -> Tensor:
    """Cut a curved stroke into the surface: lit on one side, in shadow on the other.

    Parameters, Returns
        As `stain`.
    """
    place = _Place(image, generator)
    half = _draw(generator, 0.8, 1.4) * max(place.pixel, 1 / 128)  # of the stroke's width
    length = area / (5 * half)
    bow = length / _draw(generator, 0.8, 6.0)  # radius: from a slight bend to almost a ring
    u = place.u + bow  # the centre of the circle lies beside the stroke
    across = (u.square() + place.v.square()).sqrt() - bow  # (H, W)
    along = torch.atan2(place.v, u).abs() * bow
    taper = torch.sigmoid((length / 2 - along) / half)
    profile = across / half * torch.exp(0.5 - (across / half).square() / 2)  # -1 ... 1
    return image + _draw(generator, 0.25, 0.6) * (profile * taper).clamp(-1, 1)


def speckle(image: Tensor, generator: torch.Generator, area: float) -> Tensor:
    """Scatter a cluster of specks, dark or light, each a pixel or two across.

    Parameters, Returns
        As `stain`.
    """
    place = _Place(image, generator)
    speck = _draw(generator, 0.7, 1.3) * max(place.pixel, 1 / 128)  # radius
    count = max(2, round(area / (5 * speck**2)))
    spread = 1.5 * math.sqrt(area)
    positions = spread * torch.randn(2, count, 1, 1, generator=generator)
    squared = (place.u - positions[0]).square() + (place.v - positions[1]).square()
    cover = torch.exp(-squared / speck**2).amax(dim=0)  # (H, W)
    light = float(_draw(generator, 0, 1) < 0.4)
    return image + _draw(generator, 0.5, 0.9) * cover * (light - image)


def hole(image: Tensor, generator: torch.Generator, area: float) -> Tensor:
    """Material is missing: the far background shows, shaded, behind a rim with a lit edge.

    Parameters, Returns
        As `stain`.
    """
    place = _Place(image, generator)
    r = _outline(place, generator, area)
    cover = torch.sigmoid((1 - r) * math.sqrt(area) / place.pixel)
    edge = int(_draw(generator, 0, 4))
    border = torch.rot90(image, edge, (1, 2))[:, : max(1, place.height // 16)]
    far = border.flatten(1).median(dim=1).values[:, None, None]  # (3, 1, 1)
    depth = 1 - _draw(generator, 0.3, 0.9) * (0.5 + 0.5 * torch.tanh(3 * place.u / math.sqrt(area)))
    rim = torch.exp(-((1 - r) * math.sqrt(area) / (2 * place.pixel)).square())
    lit = _draw(generator, 0.1, 0.4) * rim * torch.cos(place.angle)
    return image + cover * (far * depth - image) + lit


def _is_grey(image: Tensor) -> bool:
    return bool((image == image[:1]).all())


Family = Callable[[Tensor, torch.Generator, float], Tensor]
PROBE_FAMILIES: dict[str, Family] = {
    "stain": stain,
    "groove": groove,
    "speckle": speckle,
    "hole": hole,
}


class NothingVisible(KitError):
    """No visible defect can be painted into an image."""


@dataclass(frozen=True)
class Painted:
    """Normal images with painted defects.

    Parameters
    ----------
    images, clean : Tensor
        p and x, (K, 3, H, W) in [0, 1].
    mask : Tensor
        M, (K, 1, H, W) bool: 1 where a channel changed by more than 0.02, else p is x.
    source : Tensor
        (K,) int: which of the given images each is painted into.
    family : tuple of str
        Names out of `PROBE_FAMILIES`, K of them.
    """

    images: Tensor
    clean: Tensor
    mask: Tensor
    source: Tensor
    family: tuple[str, ...]

    @property
    def area(self) -> Tensor:
        """Share of the image that the defect covers, (K,)."""
        return self.mask.float().mean(dim=(1, 2, 3))


def paint_defects(images: Tensor, *, paintings: int = PAINTINGS, seed: int = 0) -> Painted:
    """Paint one defect of 0.1 to 5% of the area into copies of normal images.

    Parameters
    ----------
    images : Tensor
        Normal images x, (B, 3, H, W) in [0, 1], on the CPU.
    paintings : int
        Copies of each image; the families take turns.
    seed : int
        Same seed and images, same defects.

    Raises
    ------
    NothingVisible
        If no visible defect can be painted, as into an image of one colour.
    """
    generator = torch.Generator().manual_seed(seed)
    families = list(PROBE_FAMILIES)
    painted, masks, drawn = [], [], []
    for image in images:
        for turn in range(paintings):
            drawn.append(families[turn % len(families)])
            one, mask = _paint_one(image, drawn[-1], generator)
            painted.append(one)
            masks.append(mask)
    source = torch.arange(len(images)).repeat_interleave(paintings)
    return Painted(torch.stack(painted), images[source], torch.stack(masks), source, tuple(drawn))


def _paint_one(image: Tensor, family: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw until the visible area is within `AREAS`: (3, H, W) and (1, H, W) bool."""
    low, high = AREAS
    for _ in range(100):
        area = math.exp(_draw(generator, math.log(low), math.log(high)))
        altered = PROBE_FAMILIES[family](image, generator, area).clamp(0, 1)
        mask = (altered - image).abs().amax(dim=0, keepdim=True) > VISIBLE
        if low <= mask.float().mean() <= high:
            return torch.where(mask, altered, image), mask
    raise NothingVisible(
        f"no visible {family} of 0.1 to 5% of the area in 100 attempts; are the images of one "
        "colour, or smaller than 32x32? Probe on photographs of the part"
    )


# -- the probe ---------------------------------------------------------------------------------

Curve = tuple[Annotated[float, Meta(ge=0, le=1e30)], ...]


class Restoration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the probe found, each curve over the depths 1..N.

    Parameters
    ----------
    copied_share, erasure : tuple of float
        c(n) and e(n) over all paintings.
    error, error_structured : tuple of float
        Error outside of the defects in grey levels of 255, over all and over structured pixels.
    by_family, by_size : mapping of str to mapping of str to tuple of float
        ``{"stain": {"copied_share": ..., "erasure": ...}, ...}``; sizes are shares of the area, a
        bin without a painting is left out.
    images, paintings : int
        How many normal images, and how many painted ones.
    """

    copied_share: Curve
    erasure: Curve
    error: Curve
    error_structured: Curve
    by_family: dict[str, dict[str, Curve]]
    by_size: dict[str, dict[str, Curve]]
    images: int
    paintings: int


@torch.no_grad()
def probe(
    restore: Restore, images: Tensor, *, paintings: int = PAINTINGS, seed: int = 0
) -> dict[str, Restoration]:
    """Measure what networks keep of painted defects and of the part.

    Parameters
    ----------
    restore : callable
        Images (B, 3, H, W) to reconstructions (B, 3, N, H, W), by the name of what made them.
    images : Tensor
        Normal images that no network was trained on, (B, 3, H, W) in [0, 1].
    paintings : int
        Painted copies of each image.
    seed : int
        Of the paintings.

    Returns
    -------
    dict of str to Restoration
        By the names that ``restore`` gives.
    """
    painted = paint_defects(images.cpu(), paintings=paintings, seed=seed)
    of_clean = _through(restore, images)
    restored = _through(restore, painted.images.to(images.device))
    return {
        name: _measure(painted, of_clean[name][painted.source], restored[name]) for name in restored
    }


def _measure(painted: Painted, of_clean: Tensor, restored: Tensor) -> Restoration:
    """Compare R_n(x) and R_n(p), (K, 3, N, H, W) both, with what was painted."""

    def shares(chosen: Tensor) -> dict[str, Curve]:
        p, x, m = painted.images[chosen], painted.clean[chosen], painted.mask[chosen]
        copied = copied_share(restored[chosen], of_clean[chosen], p, x, m)
        erased = erasure(restored[chosen], p, x, m)
        return {"copied_share": _curve(copied), "erasure": _curve(erased)}

    def error(structured: bool) -> Curve:
        x, m = painted.clean, painted.mask
        return _curve(error_outside(restored, x, m, structured=structured))

    family = {
        name: shares(torch.tensor([name == other for other in painted.family]))
        for name in dict.fromkeys(painted.family)
    }
    sizes = {}
    for low, high in zip(SIZE_BINS, SIZE_BINS[1:], strict=False):
        chosen = (painted.area >= low) & (painted.area < high + (high == SIZE_BINS[-1]))
        if chosen.any():
            sizes[f"{100 * low:g} to {100 * high:g}%"] = shares(chosen)
    return Restoration(
        **shares(torch.ones(len(painted.family), dtype=torch.bool)),
        error=error(False),
        error_structured=error(True),
        by_family=family,
        by_size=sizes,
        images=int(painted.source[-1]) + 1,
        paintings=len(painted.family),
    )


def _through(restore: Restore, images: Tensor) -> dict[str, Tensor]:
    """Send images through the networks in small batches; the answers are on the CPU."""
    parts = [restore(part) for part in images.split(BATCH)]
    return {name: torch.cat([part[name].float().cpu() for part in parts]) for name in parts[0]}


def _curve(values: Tensor) -> Curve:
    return tuple(values.tolist())
