"""The training loop: it knows a module, a loss and a schedule, and tells callbacks what happens.

Nothing here logs, plots or writes files. A progress bar, a checkpoint writer or a live plot is a
*callback*: a callable that is given an `Event`. All randomness of a step comes from
``(seed, stage, step)``, so a resumed training draws the same numbers as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from data_utils.errors import KitError
from rcae_lite.config import Stage
from rcae_lite.training.batch import Objective, backward, drawn_ahead
from rcae_lite.training.events import Callback, Event, StageState

__all__ = ["LossNotFinite", "train_stage"]


class LossNotFinite(KitError):
    """Loss or gradient became NaN or infinite; ``name`` says where, ``tensors`` is the batch."""

    def __init__(self, message: str, name: str, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(message)
        self.name = name
        self.tensors = tensors


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Learning rate of step ``step`` (0-based) out of ``steps``; each phase starts anew."""
    if stage.schedule == "constant":
        return stage.learning_rate
    phases = stage.phases(steps)
    while step >= phases[0]:
        step -= phases.pop(0)
    steps = phases[0]
    warm_up = max(1, round(0.03 * steps))
    if step < warm_up:
        return stage.learning_rate * (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return stage.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def new_state(module: nn.Module, stage: Stage) -> StageState:
    """Start a stage: Adam with the paper's betas (0.9, 0.999) and eps 1e-8."""
    optimiser = torch.optim.Adam(  # foreach: a step at half the size is a tenth faster on a CPU
        module.parameters(), lr=stage.learning_rate, betas=(0.9, 0.999), eps=1e-8, foreach=True
    )
    return StageState(module, optimiser)


def train_stage(
    name: str,
    state: StageState,
    objective: Objective,
    stage: Stage,
    steps: int,
    callbacks: Iterable[Callback] = (),
) -> None:
    """Train until ``steps`` optimiser steps are done, from wherever ``state`` stands.

    Parameters
    ----------
    name : str
        Name of the stage, for the callbacks.
    state : StageState
        Changed in place.
    objective : callable
        Gives the `Batch` of step ``step``, see `rcae_lite.training.batch.drawn_ahead`.
    stage : Stage
        Learning rate and schedule.
    steps : int
        Steps in all.
    callbacks : iterable of callable
        Each is called with an `Event` after every step. An exception from a callback stops the
        training between two steps.

    Raises
    ------
    LossNotFinite
        With the batch.
    torch.OutOfMemoryError
        See `rcae_lite.training.batch.backward`, which divides what does not fit the memory.
    """
    callbacks = list(callbacks)
    state.module.train()
    batches = drawn_ahead(objective, state.done, steps)
    try:
        while state.done < steps:
            started = time.perf_counter()
            for group in state.optimiser.param_groups:
                group["lr"] = learning_rate(stage, state.done, steps)
            batch = next(batches).of_this_process()
            value, state.parts = backward(batch, state.module, state.parts)
            parameters = state.module.parameters()
            norm = nn.utils.clip_grad_norm_(parameters, stage.clip or math.inf).item()
            for what, number in (("loss", value), ("gradient", norm)):
                if not math.isfinite(number):
                    lower = f'{name}={{"learning_rate": {stage.learning_rate / 4:g}}}'
                    raise LossNotFinite(
                        f"the {what} of stage {name} became {number} at step {state.done}; lower "
                        f"its learning rate: RcAEDetector.from_preset(..., {lower})",
                        f"{name}-{state.done}",
                        batch.tensors,
                    )
            state.optimiser.step()
            state.done += 1
            state.losses.append((state.done, value))
            state.seconds += time.perf_counter() - started
            for callback in callbacks:
                callback(Event(name, state.done, steps, value, state))
    finally:  # also after an interrupt: a module left in training mode would change as it predicts
        batches.close()
        state.module.eval()
