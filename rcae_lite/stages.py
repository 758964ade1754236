"""Finished stages on disk, found again by everything that their weights depend on.

Two trainings that differ only in a later stage share the earlier ones: an ablation trains each of
them once. The key of a stage is a hash over the part of the configuration that it and the stages
before it see, the seed and the training images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from data_utils.errors import KitError
from rcae_lite.checkpoint import load_state
from rcae_lite.config import Config
from rcae_lite.files import load_tensors, read_json, save_tensors, write_text
from rcae_lite.schemas import STAGE

__all__ = ["STAGE_VERSION", "StageStore", "stage_key"]

STAGE_VERSION = 3  # raise it when the same configuration comes to mean other weights

# What a stage does not see. A field that stands nowhere here counts for every stage, so a new
# option can cost a training, but never reuse a wrong one.
_CRD_ONLY = {
    "crd",
    "crd_width",
    "families",
    "residual_input",
    "normality",
    "crd_depths",
    "map_loss",
    "crop",
    "pool_chunk",
    "pool_chunks",
    "pool_every",
}
_AFTER_RCAE = {"dpn", "dpn_width"} | _CRD_ONLY
UNSEEN: dict[str, set[str]] = {
    "single_pass": {"rcae_width", "channels", "skips", "shared"} | _AFTER_RCAE,
    "rcae": _AFTER_RCAE,
    "dpn": _CRD_ONLY,
    "crd": set(),
}


def stage_key(name: str, config: Config, seed: int, fingerprint: str, paths: Sequence[str]) -> str:
    """Hash everything that the weights of a stage depend on.

    Parameters
    ----------
    name : {"single_pass", "rcae", "dpn", "crd"}
        The stage.
    config : Config
        Of the detector; only what the stage and those before it see counts.
    seed : int
        Of the detector.
    fingerprint : str
        Of the data.
    paths : sequence of str
        The training images among them, in order.

    Returns
    -------
    str
        20 hexadecimal digits.
    """
    unseen = UNSEEN[name] | {"preset"}  # a name changes no weight
    seen = {key: value for key, value in config.to_dict().items() if key not in unseen}
    identity = [STAGE_VERSION, name, seen, seed, fingerprint, list(paths)]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


class StageStore:
    """A folder of finished stages: ``KEY/stage.safetensors`` and ``KEY/stage.json``.

    Parameters
    ----------
    folder : path
        Made when the first stage is saved.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __contains__(self, key: str) -> bool:
        """Tell whether a stage is there and whole."""
        return (self.folder / key / "stage.json").exists()

    def load(self, key: str, name: str, module: nn.Module) -> dict[str, Any] | None:
        """Load a finished stage into its module.

        Returns
        -------
        dict or None
            What `save` was told about it; None where the stage is not there.

        Raises
        ------
        KitError
            If its files are damaged.
        """
        folder = self.folder / key
        if key not in self:
            return None
        values = read_json(folder / "stage.json", "rcae-lite-stage", STAGE_VERSION, STAGE)
        if values.get("stage") != name:
            raise KitError(f"{folder} holds stage {values.get('stage')!r}, expected {name!r}")
        weights = folder / "stage.safetensors"
        load_state(module, load_tensors(weights), name, weights)
        return values

    def save(self, key: str, name: str, module: nn.Module, record: Mapping[str, Any]) -> None:
        """Write a finished stage; the JSON comes last, so that it marks a whole one."""
        tensors = {f"{name}.{field}": t for field, t in module.state_dict().items()}
        head = {"kind": "rcae-lite-stage", "format_version": STAGE_VERSION, "stage": name}
        save_tensors(self.folder / key / "stage.safetensors", tensors)
        write_text(self.folder / key / "stage.json", json.dumps(head | dict(record), indent=1))
