"""Callbacks of the training loop: each is called with an `Event` after every optimiser step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from tqdm.auto import tqdm

from data_utils.errors import KitError
from rcae_lite.training import checkpoint
from rcae_lite.training.events import Callback, Event, StageState

__all__ = ["CheckpointWriter", "Progress", "TensorBoard", "or_progress"]


class CheckpointWriter:
    """Writes a checkpoint every 20 seconds and at the end of each stage.

    Parameters
    ----------
    write : callable
        Writes a checkpoint now, given the name of the stage in training and its state.
    """

    def __init__(self, write: Callable[[str, StageState], None]) -> None:
        self.write = write
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Write when it is time."""
        waited = time.monotonic() - self._last
        if event.done == event.steps or waited >= checkpoint.SECONDS_BETWEEN:
            self.write(event.stage, event.state)
            self._last = time.monotonic()


class Progress:
    """Draws one tqdm bar per stage, with a smoothed loss; says if batches shrink."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._loss = 0.0
        self._parts = 1

    def __call__(self, event: Event) -> None:
        """Advance the bar; a new stage opens a new one."""
        if self._bar is None:
            self._bar = tqdm(desc=event.stage, total=event.steps, initial=event.done - 1)
            self._loss = event.loss
            self._parts = 1
        if event.state.parts > self._parts:
            self._parts = event.state.parts
            self._bar.write(
                f"{event.stage}: out of memory, so each batch now goes through in {self._parts} "
                "parts whose gradients are added up"
            )
        self._loss += 0.05 * (event.loss - self._loss)
        self._bar.set_postfix(loss=f"{self._loss:.4f}", refresh=False)
        self._bar.update()
        if event.done == event.steps:
            self._bar.close()
            self._bar = None


def or_progress(callbacks: Iterable[Callback] | None) -> list[Callback]:
    """Return the callbacks as a list, or a progress bar of its own where none are given."""
    return [Progress()] if callbacks is None else list(callbacks)


class TensorBoard:
    """Writes the losses for TensorBoard (needs the extra ``tensorboard``).

    Parameters
    ----------
    folder : str
        Where the event files go.
    """

    def __init__(self, folder: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise KitError(
                "TensorBoard is not installed; run: pip install 'rcae-lite[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(folder)

    def __call__(self, event: Event) -> None:
        """Write one loss; flush at the end of a stage."""
        self._writer.add_scalar(f"loss/{event.stage}", event.loss, event.done)
        if event.done == event.steps:
            self._writer.flush()
