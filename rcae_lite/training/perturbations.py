"""The paper's perturbations: many small regions of a normal image altered, with an exact mask.

An image is cut into blocks of 1/32, 1/16 or 1/8 of its side (32, 64 or 128 pixels at 1024). A
random share of the blocks, from none to all, is filled with a colour each or with a piece copied
from elsewhere; then 2 to 4 short lines are drawn, 4 in half of the images. RcAE learns to undo
this. (The paper draws 1 to 4; ours is an oversight that every result here was made with.)

Everything is batched without a loop over images, runs on the device of the images, and draws from
one generator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from data_utils.errors import KitError
from rcae_lite.config import SMALLEST_PERTURBED
from rcae_lite.model.filters import pixel_grid
from rcae_lite.training.draws import uniform
from rcae_lite.training.shapes import is_grey

__all__ = ["BLOCKS", "perturb"]

BLOCKS = (SMALLEST_PERTURBED, 16, 8)  # blocks along a side; an image draws one of the three
LINES = 4  # the most lines in an image
LINE_LENGTH = (0.05, 0.15)  # of the side
LINE_THICKNESS = (0.004, 0.014)  # of the side: one to two pixels of 128 (the paper: like cracks)
VISIBLE = 0.02  # a change below this in every channel is undone


def perturb(
    images: Tensor, generator: torch.Generator, *, share: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Perturb normal images as the paper does, every image on its own.

    The share of altered blocks is uniform in [0, 1]; the paper says only: from 0 to 100%.

    Parameters
    ----------
    images : Tensor
        Normal images, (B, 3, H, W) in [0, 1], sides from 32.
    generator : torch.Generator
        Source of all randomness.
    share : float
        Share of the batch that is perturbed: its last images.

    Returns
    -------
    perturbed : Tensor
        (B, 3, H, W) in [0, 1].
    mask : Tensor
        (B, 1, H, W) in {0, 1}: 1 where a channel changed by more than 0.02; all other pixels equal
        the input bit for bit.

    Raises
    ------
    KitError
        If the images are smaller than 32x32, where the smallest block is below a pixel.
    """
    if not share:
        return images, torch.zeros_like(images[:, :1])
    if min(images.shape[-2:]) < BLOCKS[0]:
        raise KitError(
            f"images of {images.shape[-2]}x{images.shape[-1]} pixels cannot be cut into "
            f"{BLOCKS[0]} blocks along a side; use images from {BLOCKS[0]}x{BLOCKS[0]} on"
        )
    altered = _fill_blocks(images, generator)
    altered = _draw_lines(altered, generator)
    kept = round((1 - share) * len(images))
    altered[:kept] = images[:kept]
    changed = (altered - images).abs().amax(dim=1, keepdim=True) > VISIBLE  # (B, 1, H, W)
    return torch.where(changed, altered, images), changed.to(images.dtype)


def _fill_blocks(images: Tensor, generator: torch.Generator) -> Tensor:
    """Fill a random share of the blocks with a colour each, or with a copied piece."""
    batch, _, height, width = images.shape
    cell = _cells(images, generator)  # (B, H, W)
    count = (BLOCKS[0] + 1) ** 2  # of blocks at most, with those cut off at the border

    def per_block(fields: int, low: float, high: float) -> Tensor:
        drawn = uniform(generator, (batch, fields, count), low, high, images)
        index = cell.flatten(1).unsqueeze(1).expand(-1, fields, -1)  # (B, fields, H * W)
        return drawn.gather(2, index).unflatten(2, (height, width))  # (B, fields, H, W)

    coverage = uniform(generator, (batch, 1, 1, 1), 0, 1, images)
    chosen = per_block(1, 0, 1) < coverage  # (B, 1, H, W)
    colour = per_block(3, 0, 1)  # (B, 3, H, W)
    colour = torch.where(is_grey(images), colour[:, :1], colour)
    piece = _moved(images, per_block(2, -1, 1), per_block(1, 0, 1) < 0.5)
    filling = torch.where(per_block(1, 0, 1) < 0.5, colour, piece)
    return torch.where(chosen, filling, images)


def _cells(images: Tensor, generator: torch.Generator) -> Tensor:
    """Give every pixel the number of its block, from a random offset on; (B, H, W) int."""
    batch, _, height, width = images.shape
    kind = uniform(generator, (batch,), 0, len(BLOCKS), images).long()
    blocks = torch.tensor(BLOCKS, device=images.device)[kind].view(-1, 1, 1)  # (B, 1, 1)
    start = uniform(generator, (2, batch, 1, 1), 0, 1, images)
    y, x = pixel_grid(images)  # (H, 1), (1, W)
    row = (y * blocks + start[0]).long()  # (B, H, 1)
    column = (x * blocks + start[1]).long()  # (B, 1, W)
    return row * (BLOCKS[0] + 1) + column


def _moved(images: Tensor, shift: Tensor, other: Tensor) -> Tensor:
    """Take every pixel from elsewhere, of the image itself or of the one before in the batch.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W).
    shift : Tensor
        How far away, (B, 2, H, W) in units of the sides; beyond the border it goes round.
    other : Tensor
        Where to take the other image, (B, 1, H, W) bool.
    """
    batch, _, height, width = images.shape
    rows = torch.arange(height, device=images.device).unsqueeze(1)
    columns = torch.arange(width, device=images.device)
    rows = (rows + (shift[:, 0] * height).round().long()) % height  # (B, H, W)
    columns = (columns + (shift[:, 1] * width).round().long()) % width
    own = torch.arange(batch, device=images.device).view(-1, 1, 1)
    number = torch.where(other.squeeze(1), (own - 1) % batch, own)  # (B, H, W)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3)  # (B * H * W, 3)
    taken = pixels.index_select(0, ((number * height + rows) * width + columns).flatten())
    return taken.view(batch, height, width, 3).permute(0, 3, 1, 2)  # (B, 3, H, W)


def _draw_lines(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw 2 to 4 straight lines of a colour each, like cracks.

    A line is a dense set of points, half a pixel apart, each of which hits one pixel.
    """
    batch, _, height, width = images.shape
    longest = math.ceil(2 * LINE_LENGTH[1] * max(height, width))
    widest = math.ceil(2 * LINE_THICKNESS[1] * max(height, width))

    def draw(low: float, high: float) -> Tensor:
        return uniform(generator, (batch, LINES, 1, 1), low, high, images)

    centre_y, centre_x, angle = draw(0, 1), draw(0, 1), draw(0, 2 * math.pi)
    along = torch.linspace(-0.5, 0.5, longest, device=images.device).unsqueeze(1)
    along = along * draw(*LINE_LENGTH)  # (B, LINES, longest, 1)
    across = torch.linspace(-0.5, 0.5, widest, device=images.device)
    across = across * draw(*LINE_THICKNESS)  # (B, LINES, 1, widest)
    y = (centre_y + along * angle.sin() + across * angle.cos()) * height
    x = (centre_x + along * angle.cos() - across * angle.sin()) * width
    y, x = y.long().clamp(0, height - 1), x.long().clamp(0, width - 1)
    number = torch.arange(1, LINES + 1, device=images.device).view(-1, 1, 1)
    number = number * (number < draw(2, LINES + 2)[:, :1])  # 0: this image has fewer lines
    pixel, number = (y * width + x).flatten(1), number.expand_as(y).flatten(1)
    line = torch.zeros(batch, height * width, dtype=torch.long, device=images.device)
    line = line.scatter_reduce(1, pixel, number, "amax").view(batch, 1, height, width)
    colour = uniform(generator, (batch, 3, LINES + 1), 0, 1, images)  # number 0 is no line
    colour = torch.where(is_grey(images)[:, 0], colour[:, :1], colour)
    drawn = colour.gather(2, line.flatten(2).expand(-1, 3, -1)).view_as(images)
    return torch.where(line > 0, drawn, images)
