"""Presets: everything a training depends on, as frozen dataclasses.

A preset counts optimiser steps (or epochs, the paper's unit), never seconds, so that the same
preset and seed mean the same training on a fast and on a slow machine.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_utils.errors import KitError
from rcae_lite.pseudo_anomalies import FAMILIES, PAPER_FAMILIES

__all__ = ["PRESETS", "Config", "Stage", "config_from_dict", "get_config", "parse_options"]


@dataclass(frozen=True)
class Stage:
    """Schedule of one training stage.

    Parameters
    ----------
    steps : int
        Optimiser steps; 0 where ``epochs`` counts instead.
    epochs : int
        Counted in batches, as many as a pass over the training images has (images are drawn with
        replacement); 0 where ``steps`` counts.
    batch_size : int
        Images (for CRD: images or crops) in a step.
    learning_rate : float
        Of Adam, with betas (0.9, 0.999) and eps 1e-8.
    schedule : {"cosine", "constant"}
        Cosine decays to 1% of the learning rate after a warm-up of 3% of the steps.
    clip : float
        Gradients are scaled down to this norm where theirs is larger (ours); 0 turns it off.
    """

    steps: int = 0
    epochs: int = 0
    batch_size: int = 16
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    clip: float = 0.0

    def __post_init__(self) -> None:
        if (self.steps > 0) == (self.epochs > 0):
            raise KitError(
                f"steps {self.steps} and epochs {self.epochs}: give exactly one of them, above 0"
            )
        if self.batch_size < 1 or self.learning_rate <= 0:
            raise KitError(
                f"batch_size {self.batch_size} and learning_rate {self.learning_rate} "
                "must be above 0"
            )
        if self.clip < 0:
            raise KitError(f"clip {self.clip} is negative; 0 turns clipping off")
        if self.schedule not in ("cosine", "constant"):
            raise KitError(f"schedule {self.schedule!r}: choose 'cosine' or 'constant'")

    def optimiser_steps(self, images: int) -> int:
        """Optimiser steps for a training set of ``images`` images."""
        return self.steps or self.epochs * -(-images // self.batch_size)


@dataclass(frozen=True)
class Config:
    """Everything that a detector and its training depend on, besides the data and the seed.

    Parameters
    ----------
    preset : str
        Name of the preset it comes from, and of how much of its steps is left, see `shortened`.
    size : int
        Working height and width in pixels, divisible by ``2 ** depth`` and by 16.
    rcae, dpn, crd : Stage
        Schedules of the three stages; the single-pass baseline uses that of ``rcae``.
    depth : int
        N, the recursion depth.
    rcae_width, dpn_width, crd_width : int
        Feature channels, see the modules.
    channels : int
        C, the channels of a compressed image.
    skips, shared : bool
        Identity paths inside E and D, and one E and D for all levels.
    variation : float
        Strength of benign variation in all stages (ours; 0 in the paper).
    families : tuple of str
        Pseudo-anomaly families.
    residual_input : bool
        Give ``|I_D^n - I|`` to CRD (ours).
    normality : float
        How far each residual and each colour is from what normal images show at that place is given
        to CRD as an input, and added to its logits with this weight once it is trained (ours; 0
        turns both off).
    crd_depths : tuple of int
        Depths n whose I_D^n CRD sees, increasing; empty for all of 1..N (ablation ``steps``).
    map_loss : {"bce_dice", "l2"}
        Loss of CRD: ours, or the paper's map and map-gradient L2.
    crop : int
        Side of the square crops that CRD trains on, divisible by 16; 0 for whole images.
    pool_chunk, pool_chunks, pool_every : int
        The sequences that CRD trains on live in a pool of ``pool_chunks`` chunks of ``pool_chunk``
        pseudo-anomalous images; every ``pool_every`` steps the oldest chunk gives way to a new one.
    """

    preset: str
    size: int
    rcae: Stage
    dpn: Stage
    crd: Stage
    depth: int = 5
    rcae_width: int = 32
    dpn_width: int = 16
    crd_width: int = 16
    channels: int = 3
    skips: bool = True
    shared: bool = True
    variation: float = 1.0
    families: tuple[str, ...] = PAPER_FAMILIES
    residual_input: bool = True
    normality: float = 8.0
    crd_depths: tuple[int, ...] = ()
    map_loss: str = "bce_dice"
    crop: int = 0
    pool_chunk: int = 64
    pool_chunks: int = 8
    pool_every: int = 100

    def __post_init__(self) -> None:
        divisor = self.side_multiple
        if self.size < divisor or self.size % divisor:
            raise KitError(
                f"size {self.size} is not a multiple of {divisor} (depth {self.depth}, four levels "
                f"of DPN and CRD); use {max(divisor, round(self.size / divisor) * divisor)}"
            )
        widths = ("rcae_width", "dpn_width", "crd_width")
        for name in widths:
            value = getattr(self, name)
            if value < 8 or value % 8:
                raise KitError(f"{name} {value} is not a positive multiple of 8; use 16 or 32")
        if self.depth < 1 or self.channels < 1:
            raise KitError(f"depth {self.depth} and channels {self.channels} must be at least 1")
        seen = list(self.crd_depths)
        if seen != sorted(set(seen) & set(range(1, self.depth + 1))):
            raise KitError(f"crd_depths {seen} must increase and lie in 1..{self.depth}")
        for name in ("rcae", "dpn", "crd"):
            if not isinstance(getattr(self, name), Stage):
                raise KitError(f"{name} {getattr(self, name)!r} is no stage; use {{'steps': 100}}")
        if self.crop % 16 or not 0 <= self.crop <= self.size:
            raise KitError(f"crop {self.crop} must be a multiple of 16 up to the size {self.size}")
        if self.map_loss not in ("bce_dice", "l2"):
            raise KitError(f"map_loss {self.map_loss!r}: choose 'bce_dice' or 'l2'")
        unknown = set(self.families) - set(FAMILIES)
        if unknown or not self.families:
            raise KitError(
                f"families {sorted(unknown) or 'none'}: choose from {', '.join(FAMILIES)}"
            )
        if min(self.pool_chunk, self.pool_chunks, self.pool_every) < 1:
            raise KitError("pool_chunk, pool_chunks and pool_every must be at least 1")
        for name in ("variation", "normality"):
            if getattr(self, name) < 0:
                raise KitError(f"{name} {getattr(self, name)} is negative; 0 turns it off")

    @property
    def side_multiple(self) -> int:
        """What height and width are multiples of: halved N times by RcAE, four by DPN and CRD."""
        return 2 ** max(self.depth, 4)

    def shortened(self, fraction: float) -> Config:
        """Shorten every stage to a fraction of its steps or epochs; the preset's name says so.

        Parameters
        ----------
        fraction : float
            In (0, 1]; 1 changes nothing.

        Raises
        ------
        KitError
            If the fraction is out of range.
        """
        if not 0 < fraction <= 1:
            raise KitError(f"step_fraction {fraction} is outside (0, 1]; 0.5 halves every stage")
        if fraction == 1:
            return self
        stages: dict[str, Any] = {}
        for name in ("rcae", "dpn", "crd"):
            stage = getattr(self, name)
            unit = "steps" if stage.steps else "epochs"
            length = max(1, round(fraction * getattr(stage, unit)))
            stages[name] = dataclasses.replace(stage, **{unit: length})
        preset = f"{self.preset} ({100 * fraction:g}% of its steps)"
        return dataclasses.replace(self, preset=preset, **stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `config_from_dict` is the way back."""
        return dataclasses.asdict(self)


_LITE = Config(
    preset="lite",
    size=128,
    rcae=Stage(steps=800, batch_size=16, learning_rate=2e-3, clip=1.0),
    dpn=Stage(steps=400, batch_size=16, learning_rate=2e-3, clip=1.0),
    crd=Stage(steps=1600, batch_size=16, learning_rate=2e-3, clip=1.0),
    families=(*PAPER_FAMILIES, "local_distortion"),  # the last one is ours
    crop=64,
)

PRESETS: dict[str, Config] = {
    "demo": dataclasses.replace(
        _LITE,
        preset="demo",
        rcae=Stage(steps=300, batch_size=16, learning_rate=2e-3, clip=1.0),
        dpn=Stage(steps=200, batch_size=16, learning_rate=2e-3, clip=1.0),
        crd=Stage(steps=900, batch_size=16, learning_rate=2e-3, clip=1.0),
        pool_chunk=32,
        pool_every=50,
    ),
    "lite": _LITE,
    "standard": dataclasses.replace(
        _LITE,
        preset="standard",
        size=256,
        rcae=Stage(steps=6000, batch_size=16, learning_rate=2e-3, clip=1.0),
        dpn=Stage(steps=3000, batch_size=16, learning_rate=2e-3, clip=1.0),
        crd=Stage(steps=8000, batch_size=32, learning_rate=2e-3, clip=1.0),
        crop=128,
        pool_chunks=16,
    ),
    # The paper's settings. Its batch size is unknown; we use 4.
    "paper": Config(
        preset="paper",
        size=1024,
        rcae=Stage(epochs=1500, batch_size=4, learning_rate=1e-4, schedule="constant"),
        dpn=Stage(epochs=400, batch_size=4, learning_rate=1e-4, schedule="constant"),
        crd=Stage(epochs=300, batch_size=4, learning_rate=1e-4, schedule="constant"),
        variation=0.0,
        residual_input=False,
        normality=0.0,
        map_loss="l2",
        pool_chunk=4,
        pool_chunks=1,
        pool_every=1,
    ),
}


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Read options of a configuration as typed: ``["normality=0", "map_loss=l2"]``.

    Parameters
    ----------
    words : sequence of str
        NAME=VALUE each; a value that is no Python literal is a string.

    Raises
    ------
    KitError
        If a word has no "=".
    """
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise KitError(f"{word!r} is no option; write NAME=VALUE, for example normality=0")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options


def _check_names(given: Mapping[str, Any], kind: type) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in known:
            guess = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {guess[0]!r}?" if guess else "."
            raise KitError(f"unknown option {name!r}{hint} Known: {', '.join(known)}")


def get_config(preset: str, **overrides: Any) -> Config:
    """Look a preset up and replace some of its options.

    Parameters
    ----------
    preset : {"demo", "lite", "standard", "paper"}
        Name of the preset.
    **overrides
        Fields of `Config`. For ``rcae``, ``dpn`` and ``crd`` a dict of `Stage` fields is enough:
        ``get_config("lite", crd={"steps": 100})``.

    Raises
    ------
    KitError
        If the preset or an option is unknown, or a value is out of range.
    """
    if preset not in PRESETS:
        raise KitError(f"unknown preset {preset!r}; choose from {', '.join(PRESETS)}")
    config = PRESETS[preset]
    _check_names(overrides, Config)
    for name, value in overrides.items():
        if isinstance(value, Mapping):
            _check_names(value, Stage)
            overrides[name] = dataclasses.replace(getattr(config, name), **value)
    return dataclasses.replace(config, **overrides)


def config_from_dict(values: Mapping[str, Any]) -> Config:
    """Rebuild a `Config` from the plain values of `Config.to_dict`.

    Raises
    ------
    KitError
        If a field is unknown, missing or out of range.
    """
    _check_names(values, Config)
    fields = dict(values)
    try:
        for name in ("rcae", "dpn", "crd"):
            _check_names(fields[name], Stage)
            fields[name] = Stage(**fields[name])
        for name in ("families", "crd_depths"):
            fields[name] = tuple(fields.get(name, ()))
        return Config(**fields)
    except (KeyError, TypeError) as error:
        raise KitError(f"not a complete configuration: {error}; was it edited by hand?") from None
