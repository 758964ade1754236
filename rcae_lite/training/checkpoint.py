"""One snapshot format for a checkpoint, a finished stage in a store, and a finished detector.

A snapshot is ``detector.json`` and ``detector.safetensors`` in a folder. A finished detector is a
snapshot with all stages done; a checkpoint has one stage in training, with Adam's moments beside
the weights; a `StageStore` holds snapshots of single stages, found by what their weights depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from msgspec import Meta, Struct
from msgspec.structs import replace
from torch import Tensor, nn

from data_utils.errors import KitError
from rcae_lite.config import Config
from rcae_lite.storage.provenance import Origin
from rcae_lite.storage.records import Count, Number, Rate, Record, read_record, write_record
from rcae_lite.storage.tensors import load_state, load_tensors, save_tensors
from rcae_lite.training.events import StageState
from rcae_lite.training.loop import LossNotFinite

__all__ = [
    "FinishedStage",
    "Snapshot",
    "StageInTraining",
    "StageStore",
    "keep_batch",
    "load_checkpoint",
    "read_snapshot",
    "restore_optimiser",
    "save_checkpoint",
    "save_snapshot",
    "stage_keys",
]

# Raise a stage's, and those of the stages after it, when its options come to mean other weights.
KEY_VERSIONS = {"single_pass": 4, "rcae": 4, "dpn": 4, "crd": 7}
SECONDS_BETWEEN = 20.0  # of two checkpoints

Parts = Annotated[int, Meta(ge=1, le=1 << 20)]
Losses = list[tuple[Count, Number]]


class FinishedStage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage that is trained.

    Parameters
    ----------
    seconds : float
        Time of the optimiser steps.
    losses : list of (int, float)
        Step and loss of every optimiser step.
    batch_parts : int
        Into how many parts each batch was divided for lack of memory; 1 as a rule.
    origin : Origin
        What trained it.
    """

    seconds: Number
    losses: Losses
    batch_parts: Parts = 1
    origin: Origin


class StageInTraining(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage that is half trained: ``done`` optimiser steps; the rest as in `FinishedStage`."""

    name: str
    done: Count
    seconds: Number
    losses: Losses
    batch_parts: Parts = 1


class Snapshot(Record, frozen=True, kw_only=True):
    """A detector at some point of its training, but for the tensors.

    Parameters
    ----------
    detector : str
        One of `rcae_lite.config.DETECTOR_NAMES`.
    config : Config
        Its configuration.
    seed : int
        Of the initial weights and every random draw.
    training_set : str
        Hash of all that the weights depend on, the training images among them: `stage_keys`.
    stages : dict of str to FinishedStage
        By name, in the order of their training.
    in_training : StageInTraining or None
        The stage in training, in a checkpoint.
    threshold, false_alarm_rate : float or None
        Operating threshold and its bound, once calibrated.
    calibration_scores : list of float
        Scores of the held-out normal images.
    data : dict
        Category, fingerprint and image counts of the training data; the command, where known.
    """

    kind = "rcae-lite-detector"
    format_version = 7

    detector: Literal["single_pass", "rcae", "rcae_dpn", "full"]
    config: Config
    seed: Count
    training_set: str
    stages: dict[str, FinishedStage] = {}
    in_training: StageInTraining | None = None
    threshold: Number | None = None
    false_alarm_rate: Rate | None = None
    calibration_scores: list[Number] = []
    data: dict[str, str | Count] = {}

    def check_same(self, other: Snapshot, folder: Path) -> None:
        """Refuse to resume a training run of something else.

        Raises
        ------
        KitError
            Naming what differs.
        """
        for name in ("detector", "config", "seed", "training_set"):
            if getattr(self, name) != getattr(other, name):
                raise KitError(
                    f"{folder} was written with another {name.replace('_', ' ')}; resume with the "
                    "same data, preset and seed, or train into another folder"
                )


def save_snapshot(
    folder: Path,
    snapshot: Snapshot,
    modules: Mapping[str, nn.Module],
    *,
    half: bool = False,
    more: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a snapshot, each file whole or not at all; the JSON comes last and marks a whole one.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    snapshot : Snapshot
        Becomes ``detector.json``.
    modules : mapping of str to Module
        Their tensors become ``detector.safetensors``, named ``MODULE.TENSOR``.
    half : bool
        Write weights as float16, in half the bytes.
    more : mapping of str to Tensor, optional
        Other tensors, under their names.
    """
    tensors = {
        f"{name}.{key}": tensor.half() if half and tensor.is_floating_point() else tensor
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    save_tensors(folder / "detector.safetensors", tensors | dict(more or {}))
    write_record(folder / "detector.json", snapshot)


def read_snapshot(folder: str | Path) -> tuple[Snapshot, dict[str, Tensor]]:
    """Read a snapshot; the tensors are not checked yet, see `rcae_lite.storage.tensors`.

    Raises
    ------
    KitError
        If this is no folder, or a file is missing, damaged, of another version or of another kind.
    """
    if not isinstance(folder, (str, Path)):
        raise KitError(f"{folder!r} is no folder; name the one with detector.json in it")
    folder = Path(folder)
    if folder.is_file():
        raise KitError(f"{folder} is a file; name the folder with detector.json in it")
    snapshot = read_record(folder / "detector.json", Snapshot)
    return snapshot, load_tensors(folder / "detector.safetensors")


# -- checkpoints ---------------------------------------------------------------------------------


def save_checkpoint(
    folder: Path, snapshot: Snapshot, modules: Mapping[str, nn.Module], state: StageState
) -> None:
    """Write a snapshot with Adam's moments beside the old checkpoint, then swap the two."""
    moments = {
        f"adam.{number}.{key}": tensor
        for number, values in state.optimiser.state_dict()["state"].items()
        for key, tensor in values.items()
    }
    _recover(folder)
    fresh, old = _beside(folder, "new"), _beside(folder, "old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        save_snapshot(fresh, snapshot, modules, more=moments)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path, expected: Snapshot) -> tuple[Snapshot, dict[str, Tensor]] | None:
    """Read a checkpoint; None where there is none, or an empty folder.

    Raises
    ------
    KitError
        If it is damaged, or of another configuration, seed or data set than ``expected``.
    """
    _recover(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    snapshot, tensors = read_snapshot(folder)
    snapshot.check_same(expected, folder)
    return snapshot, tensors


def _beside(folder: Path, which: str) -> Path:
    """Name the new or old one of two checkpoints that are swapped: hidden, and no one else's."""
    return folder.with_name(f".{folder.name}.{which}")


def _recover(folder: Path) -> None:
    """Undo half a swap: killed between its two renames, the old checkpoint is the only one."""
    old = _beside(folder, "old")
    if old.exists() and not folder.exists():
        os.replace(old, folder)


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


# -- finished stages, found by what their weights depend on --------------------------------------


def stage_keys(
    stages: Sequence[str], config: Config, seed: int, fingerprint: str, paths: Sequence[str]
) -> dict[str, str]:
    """Hash everything that the weights of each stage depend on.

    Training runs that differ only in a later stage share the earlier ones: an ablation trains each
    of them once. An option counts for its stage and all later ones, because what a stage depends on
    is a prefix of the configuration, see `Config.prefix`.

    Parameters
    ----------
    stages : sequence of str
        Names in the order of training.
    config : Config
        Of the detector.
    seed : int
        Of the detector.
    fingerprint : str
        Of the data.
    paths : sequence of str
        The training images among them, in order.

    Returns
    -------
    dict of str to str
        20 hexadecimal digits for each stage.
    """
    keys = {}
    for number, name in enumerate(stages, start=1):
        seen = config.prefix(stages[:number])
        identity = [KEY_VERSIONS[name], name, seen, seed, fingerprint, list(paths)]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        keys[name] = digest.hexdigest()[:20]
    return keys


class StageStore:
    """A folder of finished stages: a snapshot of a single stage in each ``KEY/``.

    Parameters
    ----------
    folder : path
        Made when the first stage is saved.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __contains__(self, key: str) -> bool:
        """Tell whether a stage is there and whole."""
        return (self.folder / key / "detector.json").exists()

    def load(self, key: str, name: str, module: nn.Module) -> FinishedStage | None:
        """Load a finished stage into its module; None where it is not there.

        Raises
        ------
        KitError
            If its files are damaged.
        """
        if key not in self:
            return None
        folder = self.folder / key
        snapshot, tensors = read_snapshot(folder)
        if name not in snapshot.stages:
            raise KitError(f"{folder} holds stage {', '.join(snapshot.stages)}, expected {name}")
        load_state(module, tensors, name, folder / "detector.safetensors")
        return snapshot.stages[name]

    def save(self, key: str, name: str, snapshot: Snapshot, module: nn.Module) -> None:
        """Write one finished stage of a snapshot, with its module."""
        alone = replace(snapshot, stages={name: snapshot.stages[name]})
        save_snapshot(self.folder / key, alone, {name: module})
