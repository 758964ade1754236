"""The pool of trajectories that CRD trains on.

RcAE and DPN are frozen while CRD trains, so what CRD sees of a pseudo-anomalous image is computed
once and used many times. The pool holds the newest ``chunks`` chunks; which ones are alive at a
step, and what is in them, depends on (seed, step) only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from rcae_lite.training.shapes import centres

__all__ = ["TrajectoryPool", "CRDExamples", "concatenate"]


class CRDExamples(NamedTuple):
    """What CRD sees of pseudo-anomalous images, and their masks.

    Parameters
    ----------
    images : Tensor
        I, (B, 3, H, W).
    enhanced : Tensor
        I_D^n, (B, 3, N, H, W).
    z_scores : Tensor
        From `rcae_lite.model.crd.CrossRecursionDetector.z_scores`, (B, 1 or 0, H, W).
    masks : Tensor
        M_P, (B, 1, H, W) in {0, 1}.
    """

    images: Tensor
    enhanced: Tensor
    z_scores: Tensor
    masks: Tensor


def concatenate(parts: Iterable[CRDExamples]) -> CRDExamples:
    """Join several into one."""
    return CRDExamples(*(torch.cat(field) for field in zip(*parts, strict=True)))


class TrajectoryPool:
    """A rolling pool of `CRDExamples`.

    Parameters
    ----------
    make_chunk : callable
        Gives the `CRDExamples` of chunk number c; must depend on c only.
    chunks : int
        Chunks alive at a time.
    every : int
        Optimiser steps after which the oldest chunk is replaced.
    """

    def __init__(self, make_chunk: Callable[[int], CRDExamples], chunks: int, every: int) -> None:
        self.make_chunk = make_chunk
        self.chunks = chunks
        self.every = every
        self._alive: dict[int, CRDExamples] = {}

    def at(self, step: int) -> list[CRDExamples]:
        """Return the chunks alive at a step, making those that are missing."""
        oldest = step // self.every
        alive = range(oldest, oldest + self.chunks)
        self._alive = {
            number: self._alive.get(number) or self.make_chunk(number) for number in alive
        }
        return list(self._alive.values())

    def batch(self, step: int, size: int, crop: int, generator: torch.Generator) -> CRDExamples:
        """Draw a batch of whole images or of square crops, in float32; none twice if it can be.

        Parameters
        ----------
        step : int
            Current optimiser step.
        size : int
            B, number of items.
        crop : int
            Side of the crops; 0 for whole images. Half of the crops lie around an anomalous pixel
            where the image has one, the others around one of `rcae_lite.training.shapes.centres`.
        generator : torch.Generator
            Source of all randomness.
        """
        alive = self.at(step)
        per_chunk = len(alive[0].masks)
        order = torch.randperm(len(alive) * per_chunk, generator=generator)
        items = []
        for index in order[torch.arange(size) % len(order)].tolist():
            chunk, place = alive[index // per_chunk], index % per_chunk
            rows, columns = slice(None), slice(None)
            if crop:
                rows, columns = _window(chunk.images[place], chunk.masks[place], crop, generator)
            items.append(CRDExamples(*(f[place : place + 1, ..., rows, columns] for f in chunk)))
        return CRDExamples(*(field.float() for field in concatenate(items)))


def _window(
    image: Tensor, mask: Tensor, side: int, generator: torch.Generator
) -> tuple[slice, slice]:
    """Draw the window of a crop inside an image (3, H, W) and its mask (1, H, W)."""
    height, width = mask.shape[-2:]
    near, u, v, pick = torch.rand(4, generator=generator).tolist()
    anomalous = mask[0].nonzero() if near < 0.5 else mask.new_empty(0)
    if len(anomalous):
        y, x = anomalous[int(pick * len(anomalous))].tolist()
    else:
        down, across = centres(image.unsqueeze(0).float(), generator)[0].tolist()
        y, x = int(down * height), int(across * width)
    top = min(max(y - int(u * side), 0), height - side)
    left = min(max(x - int(v * side), 0), width - side)
    return slice(top, top + side), slice(left, left + side)
