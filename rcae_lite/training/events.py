"""What the training loop tells its callbacks after every optimiser step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

__all__ = ["Callback", "Event", "StageState", "Stopped"]


@dataclass
class StageState:
    """The moving parts of one stage: module, optimiser, steps done, seconds spent, losses.

    ``parts`` is 1, or into how many parts a batch is divided because it did not fit the memory.
    """

    module: nn.Module
    optimiser: torch.optim.Optimizer
    done: int = 0
    seconds: float = 0.0
    parts: int = 1
    losses: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Event:
    """What happened: one optimiser step has been done, or a stage has ended (``done == steps``).

    Parameters
    ----------
    stage : str
        "rcae", "dpn", "crd" or "single_pass".
    done, steps : int
        Optimiser steps done so far and in all.
    loss : float
        Loss of this step's batch.
    state : StageState
        Everything needed to continue from here.
    """

    stage: str
    done: int
    steps: int
    loss: float
    state: StageState


Callback = Callable[[Event], None]


class Stopped(Exception):
    """Raised by a callback to stop between two steps; `Detector.fit` then writes a checkpoint."""
