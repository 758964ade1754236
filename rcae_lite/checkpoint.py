"""Checkpoints of a training, and loading of tensors that are checked before use."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data_utils.errors import KitError
from rcae_lite.files import load_tensors, read_json, save_tensors, write_text
from rcae_lite.schemas import CHECKPOINT
from rcae_lite.training import Event, LossNotFinite, StageState

__all__ = [
    "CheckpointWriter",
    "check_modules",
    "keep_batch",
    "load_checkpoint",
    "load_modules",
    "load_state",
    "restore_optimiser",
]


def load_modules(
    modules: Mapping[str, nn.Module],
    tensors: Mapping[str, Tensor],
    source: Path,
    *,
    besides: tuple[str, ...] = (),
) -> None:
    """Load a file's tensors into all modules after checking them; see `load_state`.

    Parameters
    ----------
    modules : mapping of str to Module
        By the first part of their tensors' names.
    tensors : mapping
        What is in the file.
    source : Path
        The file, for messages.
    besides : tuple of str
        First parts of names that belong to no module and are read elsewhere.

    Raises
    ------
    KitError
        Naming the first tensor that is missing, unexpected, or of another shape or type.
    """
    check_modules(modules, tensors, source, besides=besides)
    for name, module in modules.items():
        load_state(module, tensors, name, source)


def check_modules(
    modules: Mapping[str, nn.Module],
    tensors: Mapping[str, Tensor],
    source: Path,
    *,
    besides: tuple[str, ...] = (),
) -> None:
    """Check what `load_modules` would load; parameters and errors as there.

    The modules may be on the device "meta", where they take no memory.
    """
    for name in tensors:
        if name.partition(".")[0] not in (*modules, *besides):
            raise KitError(
                f"{source}: tensor {name} is unexpected; the file does not match its configuration"
            )
    for name, module in modules.items():
        _checked(module, tensors, name, source)


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, source: Path) -> None:
    """Load the tensors under ``prefix.`` into a module after checking names, shapes and types.

    Raises
    ------
    KitError
        Naming the first tensor that is missing, unexpected, or of another shape or type.
    """
    module.load_state_dict(_checked(module, tensors, prefix, source))


def _checked(
    module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, source: Path
) -> dict[str, Tensor]:
    """Return the tensors under ``prefix.`` by their names in the module; see `load_state`."""
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
        halved = want.is_floating_point() and have.dtype == torch.float16  # by Detector.save
        if want.shape != have.shape or (want.dtype != have.dtype and not halved):
            raise KitError(
                f"{source}: tensor {start}{name} is {have.dtype} {tuple(have.shape)}, expected "
                f"{want.dtype} {tuple(want.shape)}"
            )
        if have.is_floating_point() and not have.isfinite().all():
            raise KitError(f"{source}: tensor {start}{name} holds values that are not finite")
    return found


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
            "parts": state.parts,
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
    path = folder / "state.json"
    values = read_json(path, "rcae-lite-checkpoint", CHECKPOINT_VERSION, CHECKPOINT)
    for name, expected in identity.items():
        if values.get(name) != expected:
            raise KitError(
                f"{folder} was written with another {name}; resume with the same data, preset and "
                "seed, or train into another folder"
            )
    return values, load_tensors(folder / "state.safetensors")


_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


def restore_optimiser(state: StageState, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Put Adam's moments back into a fresh optimiser after checking them.

    Raises
    ------
    KitError
        If the moments are not those of the module's parameters.
    """
    parameters = list(state.module.parameters())
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, rest = key.partition(".")
        number, _, name = rest.partition(".")
        if kind != "adam":
            continue
        if not number.isdecimal() or int(number) >= len(parameters) or name not in _MOMENTS:
            raise KitError(f"{source}: tensor {key} is unexpected; train into another folder")
        want = torch.zeros(()) if name == "step" else parameters[int(number)]
        if tensor.shape != want.shape or tensor.dtype != want.dtype or not tensor.isfinite().all():
            raise KitError(
                f"{source}: tensor {key} is {tensor.dtype} {tuple(tensor.shape)}, expected finite "
                f"{want.dtype} {tuple(want.shape)}; train into another folder"
            )
        moments.setdefault(int(number), {})[name] = tensor
    for place, found in moments.items():
        if missing := ", ".join(sorted(_MOMENTS - found.keys())):
            raise KitError(f"{source}: adam.{place} lacks {missing}; train into another folder")
    values = state.optimiser.state_dict()
    state.optimiser.load_state_dict({"state": moments, "param_groups": values["param_groups"]})


def keep_batch(error: LossNotFinite, checkpoint: str | Path | None) -> KitError:
    """Write the batch of a loss that is not finite beside the checkpoint, and name the file."""
    if checkpoint is None:
        return KitError(f"{error}; with a checkpoint folder its batch would be saved")
    path = Path(checkpoint).with_name(f"not-finite-{error.name}.safetensors")
    save_tensors(path, error.tensors)
    return KitError(f"{error}; its batch is in {path}")
