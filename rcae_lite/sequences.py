"""The pool of sequences that CRD trains on.

RcAE and DPN are frozen while CRD trains, so what CRD sees of a pseudo-anomalous image is computed
once and used many times. The pool holds the newest ``chunks`` chunks; which ones are alive at a
step, and what is in them, depends on (seed, step) only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["SequencePool", "Sequences"]


@dataclass(frozen=True)
class Sequences:
    """What CRD sees of pseudo-anomalous images, and their masks.

    Parameters
    ----------
    joined : Tensor
        (B, C, N, H, W), from `rcae_lite.detection.CrossRecursionDetector.join`.
    masks : Tensor
        M_P, (B, 1, H, W) in {0, 1}.
    """

    joined: Tensor
    masks: Tensor


class SequencePool:
    """A rolling pool of `Sequences`.

    Parameters
    ----------
    make_chunk : callable
        Gives the `Sequences` of chunk number c; must depend on c only.
    chunks : int
        Chunks alive at a time.
    every : int
        Optimiser steps after which the oldest chunk is replaced.
    """

    def __init__(self, make_chunk: Callable[[int], Sequences], chunks: int, every: int) -> None:
        self.make_chunk = make_chunk
        self.chunks = chunks
        self.every = every
        self._alive: dict[int, Sequences] = {}

    def at(self, step: int) -> list[Sequences]:
        """Return the chunks alive at a step, making those that are missing."""
        oldest = step // self.every
        alive = range(oldest, oldest + self.chunks)
        self._alive = {
            number: self._alive.get(number) or self.make_chunk(number) for number in alive
        }
        return list(self._alive.values())

    def batch(self, step: int, size: int, crop: int, generator: torch.Generator) -> Sequences:
        """Draw a batch of whole images or of square crops, in float32.

        Parameters
        ----------
        step : int
            Current optimiser step.
        size : int
            B, number of items.
        crop : int
            Side of the crops; 0 for whole images. Half of the crops are centred near an anomalous
            pixel where the image has one, the others lie anywhere.
        generator : torch.Generator
            Source of all randomness.
        """
        alive = self.at(step)
        per_chunk = len(alive[0].masks)
        drawn = torch.randint(len(alive) * per_chunk, (size,), generator=generator).tolist()
        joined, masks = [], []
        for index in drawn:
            chunk, place = alive[index // per_chunk], index % per_chunk
            mask = chunk.masks[place]
            rows, columns = _window(mask, crop, generator) if crop else (slice(None), slice(None))
            joined.append(chunk.joined[place, ..., rows, columns])
            masks.append(mask[..., rows, columns])
        inputs = torch.stack(joined).float().contiguous(memory_format=torch.channels_last_3d)
        return Sequences(inputs, torch.stack(masks).float())


def _window(mask: Tensor, side: int, generator: torch.Generator) -> tuple[slice, slice]:
    """Draw the window of a crop inside a (1, H, W) mask."""
    height, width = mask.shape[-2:]
    near, u, v, pick = torch.rand(4, generator=generator).tolist()
    top, left = int(u * (height - side + 1)), int(v * (width - side + 1))
    anomalous = mask[0].nonzero() if near < 0.5 else mask.new_empty(0)
    if len(anomalous):
        y, x = anomalous[int(pick * len(anomalous))].tolist()
        top = min(max(y - int(u * side), 0), height - side)
        left = min(max(x - int(v * side), 0), width - side)
    return slice(top, top + side), slice(left, left + side)
