"""Run the stages of a detector one after the other, or resume them where they stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from torch import Tensor, nn

from rcae_lite.storage.provenance import Origin
from rcae_lite.storage.tensors import load_modules
from rcae_lite.training.callbacks import CheckpointWriter, or_progress
from rcae_lite.training.checkpoint import (
    FinishedStage,
    Snapshot,
    StageInTraining,
    StageStore,
    keep_batch,
    load_checkpoint,
    restore_optimiser,
    save_checkpoint,
)
from rcae_lite.training.distributed import is_leader, leader_first, synchronise
from rcae_lite.training.events import Callback, StageState, Stopped
from rcae_lite.training.loop import LossNotFinite, new_state, train_stage
from rcae_lite.training.stages import STAGES

__all__ = ["Trainer"]


class Trainer:
    """Trains the networks of a detector; what is finished is loaded instead.

    Parameters
    ----------
    modules : dict of str to Module
        The networks in the order of training; changed in place.
    untrained : Snapshot
        What is to be trained: configuration, seed and training images.
    origin : Origin
        What trains them.
    callbacks : iterable of callable, optional
        Each gets an `Event` per optimiser step; a progress bar by default.
    checkpoint : path, optional
        Folder for checkpoints; a training run that was stopped there is resumed.
    store, keys : StageStore and dict of str to str, optional
        Where finished stages are kept, and under which names.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        untrained: Snapshot,
        origin: Origin,
        *,
        callbacks: Iterable[Callback] | None = None,
        checkpoint: str | Path | None = None,
        store: StageStore | None = None,
        keys: Mapping[str, str],
    ) -> None:
        self.modules = modules
        self.snapshot = untrained
        self.origin = origin
        self.callbacks = or_progress(callbacks)
        self.checkpoint = Path(checkpoint) if checkpoint is not None else None
        self.store = store
        self.keys = keys
        self._adam: dict[str, Tensor] = {}
        if self.checkpoint is not None and is_leader():
            self.callbacks.append(CheckpointWriter(self._write_checkpoint))

    def train(self, images: Tensor) -> dict[str, FinishedStage]:
        """Run every stage that is not finished.

        Parameters
        ----------
        images : Tensor
            Normal images to train on, (n, 3, H, W) uint8, on the device of the modules.

        Returns
        -------
        dict of str to FinishedStage
            By name, in the order of training.

        Raises
        ------
        KitError
            If a loss is not finite, or a checkpoint or stage is damaged or of something else.
        Stopped
            If a callback stopped the training; a checkpoint has then been written.
        """
        for module in self.modules.values():
            synchronise(module)
        self._resume()
        for name, module in self.modules.items():
            if name in self.snapshot.stages:
                continue
            stored = self.store.load(self.keys[name], name, module) if self.store else None
            stage = stored or self._train_stage(name, images)
            self.snapshot = replace(
                self.snapshot, stages={**self.snapshot.stages, name: stage}, in_training=None
            )
            if self.store and not stored and is_leader():
                self.store.save(self.keys[name], name, self.snapshot, module)
        return self.snapshot.stages

    def _train_stage(self, name: str, images: Tensor) -> FinishedStage:
        config = self.snapshot.config
        schedule = getattr(config, name)
        state = self._state_of(name)
        stage = STAGES[name](self.modules, images, config, self.snapshot.seed)
        steps = schedule.optimiser_steps(len(images))
        try:
            train_stage(name, state, stage.batch, schedule, steps, self.callbacks)
        except LossNotFinite as error:
            raise keep_batch(error, self.checkpoint) from None
        except Stopped:
            if self.checkpoint is not None and is_leader():
                self._write_checkpoint(name, state)
            raise
        return FinishedStage(**_recorded(state), origin=self.origin)

    def _state_of(self, name: str) -> StageState:
        """Start a stage, or take it up where its checkpoint stands."""
        state = new_state(self.modules[name], getattr(self.snapshot.config, name))
        begun = self.snapshot.in_training
        if begun is not None and begun.name == name:
            state.done, state.seconds, state.parts = begun.done, begun.seconds, begun.batch_parts
            state.losses = list(begun.losses)
            restore_optimiser(state, self._adam, self.checkpoint or Path())
        return state

    def _resume(self) -> None:
        """Load what a checkpoint has of this training."""
        folder = self.checkpoint
        if folder is None:
            return
        found = leader_first(lambda: load_checkpoint(folder, self.snapshot))
        if found:
            self.snapshot, self._adam = found
            load_modules(self.modules, self._adam, folder, besides=("adam",))

    def _write_checkpoint(self, name: str, state: StageState) -> None:
        assert self.checkpoint is not None
        begun = StageInTraining(name=name, done=state.done, **_recorded(state))
        snapshot = replace(self.snapshot, in_training=begun)
        save_checkpoint(self.checkpoint, snapshot, self.modules, state)


def _recorded(state: StageState) -> dict[str, Any]:
    return {
        "seconds": round(state.seconds, 1),
        "losses": list(state.losses),
        "batch_parts": state.parts,
    }
