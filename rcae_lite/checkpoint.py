"""Checkpoints of a training, and loading of tensors that are checked before use."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from data_utils.errors import KitError
from rcae_lite.files import load_tensors, read_json, save_tensors, write_text
from rcae_lite.training import Event, StageState

__all__ = ["CheckpointWriter", "load_checkpoint", "load_state", "restore_optimiser"]


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, source: Path) -> None:
    """Load the tensors under ``prefix.`` into a module after checking names, shapes and types.

    Raises
    ------
    KitError
        Naming the first tensor that is missing, unexpected, or of another shape or type.
    """
    expected = module.state_dict()
    start = f"{prefix}."
    found = {key[len(start) :]: t for key, t in tensors.items() if key.startswith(start)}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected:
            state = "missing" if name not in found else "unexpected"
            raise KitError(
                f"{source}: tensor {start}{name} is {state}; the file does not match its "
                "configuration"
            )
        want, have = expected[name], found[name]
        if want.shape != have.shape or want.dtype.is_floating_point != have.is_floating_point():
            raise KitError(
                f"{source}: tensor {start}{name} is {have.dtype} {tuple(have.shape)}, expected "
                f"{want.dtype} {tuple(want.shape)}"
            )
        if have.is_floating_point() and not have.isfinite().all():
            raise KitError(f"{source}: tensor {start}{name} holds values that are not finite")
    module.load_state_dict(found)


CHECKPOINT_VERSION = 1
SECONDS_BETWEEN = 20.0


class CheckpointWriter:
    """Listener that writes a checkpoint every 20 seconds and at the end of each stage.

    A checkpoint is a folder with ``state.safetensors`` (all finished modules, the module in
    training, Adam's moments) and ``state.json``. It is written beside the old one and swapped in.

    Parameters
    ----------
    folder : Path
        The checkpoint's folder, e.g. ``RUN/checkpoint``.
    modules : mapping of str to Module
        All modules of the detector by name.
    identity : mapping
        Configuration, seed and data fingerprint, checked when it is loaded.
    record : mapping
        What has been recorded so far (``seconds`` of the finished stages, ``losses``); written as
        it stands at that moment.
    """

    def __init__(
        self,
        folder: Path,
        modules: Mapping[str, nn.Module],
        identity: Mapping[str, Any],
        record: Mapping[str, Any],
    ) -> None:
        self.folder = Path(folder)
        self.modules = modules
        self.identity = identity
        self.record = record
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Write when it is time."""
        if event.done == event.steps or time.monotonic() - self._last >= SECONDS_BETWEEN:
            self.write(event.stage, event.state)
            self._last = time.monotonic()

    def write(self, stage: str, state: StageState) -> None:
        """Write a checkpoint now."""
        tensors = {
            f"{name}.{key}": tensor
            for name, module in self.modules.items()
            for key, tensor in module.state_dict().items()
        }
        for number, moments in state.optimiser.state_dict()["state"].items():
            tensors.update({f"adam.{number}.{key}": tensor for key, tensor in moments.items()})
        values = {
            "kind": "rcae-lite-checkpoint",
            "format_version": CHECKPOINT_VERSION,
            "stage": stage,
            "done": state.done,
            "stage_seconds": state.seconds,
            **self.record,
            **self.identity,
        }
        _recover(self.folder)
        fresh, old = self.folder.with_suffix(".new"), self.folder.with_suffix(".old")
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            save_tensors(fresh / "state.safetensors", tensors)
            write_text(fresh / "state.json", json.dumps(values, indent=1))
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if self.folder.exists():
            os.replace(self.folder, old)
        os.replace(fresh, self.folder)
        shutil.rmtree(old, ignore_errors=True)


def _recover(folder: Path) -> None:
    """Undo half a swap: killed between its two renames, the old checkpoint is the only one."""
    old = folder.with_suffix(".old")
    if old.exists() and not folder.exists():
        os.replace(old, folder)


def load_checkpoint(
    folder: Path, identity: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Read a checkpoint: its JSON and its tensors; None where there is none.

    Raises
    ------
    KitError
        If it belongs to another configuration, seed or data set, or is damaged.
    """
    folder = Path(folder)
    _recover(folder)
    if not folder.exists():
        return None
    values = read_json(folder / "state.json", "rcae-lite-checkpoint", CHECKPOINT_VERSION)
    for name, expected in identity.items():
        if values.get(name) != expected:
            raise KitError(
                f"{folder} was written with another {name}; resume with the same data, preset and "
                "seed, or train into another folder"
            )
    return values, load_tensors(folder / "state.safetensors")


def restore_optimiser(state: StageState, tensors: Mapping[str, Tensor]) -> None:
    """Put Adam's moments back into a fresh optimiser."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("adam."):
            _, number, name = key.split(".", 2)
            moments.setdefault(int(number), {})[name] = tensor
    values = state.optimiser.state_dict()
    state.optimiser.load_state_dict({"state": moments, "param_groups": values["param_groups"]})
