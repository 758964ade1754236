"""Random draws: everything that training draws comes from a generator made here.

The generators are on the CPU whatever the device, so that a seed means the same draws everywhere.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

__all__ = ["Size", "choose", "generator_for", "log_uniform", "uniform"]

Size = tuple[int, ...]


def generator_for(seed: int, *names: str | int) -> torch.Generator:
    """Return a generator that depends on the seed and the names only."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def uniform(
    generator: torch.Generator, size: Size, low: float, high: float, like: Tensor
) -> Tensor:
    """Draw uniform numbers on the generator's device and move them beside ``like``."""
    draw = torch.rand(size, generator=generator, device=generator.device)
    return (low + (high - low) * draw).to(like.device)


def log_uniform(
    generator: torch.Generator, size: Size, low: float, high: float, like: Tensor
) -> Tensor:
    """Draw sizes such that every octave between ``low`` and ``high`` is equally frequent."""
    return uniform(generator, size, math.log(low), math.log(high), like).exp()


def choose(generator: torch.Generator, size: Size, probability: float, like: Tensor) -> Tensor:
    """Draw booleans that are True with the given probability."""
    return uniform(generator, size, 0, 1, like) < probability
