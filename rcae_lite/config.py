"""Presets: everything a training depends on, nested in the shape of the method.

A preset counts optimiser steps (or epochs, the paper's unit), never seconds, so that the same
preset and seed mean the same training on a fast and on a slow machine. What a stage depends on is a
prefix of the configuration: ``size`` and ``augmentation``, then the stages up to and with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from data_utils.errors import KitError
from rcae_lite.model.layers import halvings
from rcae_lite.storage.records import Rate, convert

__all__ = [
    "DETECTOR_NAMES",
    "FAMILIES",
    "PRESETS",
    "CRDConfig",
    "Config",
    "DPNConfig",
    "RcAEConfig",
    "SinglePassConfig",
    "Stage",
    "config_from_dict",
    "get_config",
]

DETECTOR_NAMES = {
    "single_pass": "single-pass autoencoder",
    "rcae": "RcAE",
    "rcae_dpn": "RcAE + DPN",
    "full": "RcAE + DPN + CRD",
}
"""The detectors, by the last network that is trained; the one registry of their names."""

PAPER_FAMILIES = ("colour_patches", "copy_paste", "random_lines")
FAMILIES = (*PAPER_FAMILIES, "local_distortion")
"""Families of pseudo-anomalies, see `rcae_lite.training.pseudo_anomalies`; the last is ours."""

SMALLEST_PERTURBED = 32  # side of the smallest images that `perturb` takes

# Upper bounds are generous: a detector beyond them fits into no memory. They keep a file that was
# tampered with from asking for all of it.
Count = Annotated[int, Meta(ge=0, le=2**31)]
Positive = Annotated[int, Meta(ge=1, le=1 << 20)]
Width = Annotated[int, Meta(ge=8, le=4096, multiple_of=8)]
Depth = Annotated[int, Meta(ge=1, le=13)]
Strength = Annotated[float, Meta(ge=0, le=1e6)]


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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

    steps: Count = 0
    epochs: Count = 0
    batch_size: Positive = 16
    learning_rate: Annotated[float, Meta(gt=0, le=1e6)] = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: Strength = 0.0

    def __post_init__(self) -> None:
        if (self.steps > 0) == (self.epochs > 0):
            raise KitError(
                f"steps {self.steps} and epochs {self.epochs}: give exactly one of them, above 0"
            )

    def phases(self, steps: int) -> list[int]:
        """Divide the steps into phases, each with its own warm-up and decay."""
        return [steps]

    def optimiser_steps(self, images: int) -> int:
        """Optimiser steps for a training set of ``images`` images."""
        return self.steps or self.epochs * -(-images // self.batch_size)

    @property
    def length(self) -> str:
        """Steps or epochs, in words."""
        return f"{self.steps} steps" if self.steps else f"{self.epochs} epochs"


class SinglePassConfig(Stage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The single-pass baseline and its stage; see `rcae_lite.model.single_pass`.

    Parameters
    ----------
    levels : int
        Number of halvings.
    width : int
        Feature channels of every level, a multiple of 8.
    skips : bool
        Skips between its levels (ablation; the paper's ConvAE has none).
    perturbed : float
        Share of each batch that is perturbed, as in stage 1 of RcAE (control; 0 in the paper).
    """

    levels: Depth = 5
    width: Width = 40
    skips: bool = False
    perturbed: Rate = 0.0


class RcAEConfig(Stage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """RcAE and stage 1; see `rcae_lite.model.rcae`.

    Parameters
    ----------
    depth : int
        N, the recursion depth. Our rule: no compressed image below 16x16, so 3 at 128 and 4 at 256;
        the paper has 5 at 1024.
    width : int
        Features of the first layer of E and D, a multiple of 8; the others have twice as many.
    skips, shared : bool
        Skips inside E and D, and one E and D for all levels.
    half_size, identity : bool
        E works at half the size; identity paths around E and D (ours).
    half_size_steps : int
        So many steps come first, at half the size of the images (ours): E and D are shared over
        the scales, and these steps cost a third. Each part has its own schedule.
    """

    depth: Depth = 3
    width: Width = 16
    skips: bool = True
    shared: bool = True
    half_size: bool = True
    identity: bool = True
    half_size_steps: Count = 0

    def phases(self, steps: int) -> list[int]:
        """Count the steps at half the size, then the others."""
        first = min(self.half_size_steps, steps)
        return [first, steps - first]


class DPNConfig(Stage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """DPN and stage 2; see `rcae_lite.model.dpn`.

    Parameters
    ----------
    width : int
        Feature channels of the first level, a multiple of 8.
    perturbed : float
        Share of each batch that is perturbed, the clean images being the target (ours; 0 in the
        paper). Trained on clean images alone, DPN trusts every gradient, a defect's too.
    mask_weight : float
        Weight of the error inside the perturbed region, added to the loss (ours; 0 in the paper).
    part_weight : float
        Weight of the part beside that of the whole image (ours; 0 in the paper): a small part on a
        plain ground counts for little in a mean over all pixels.
    """

    width: Width = 16
    perturbed: Rate = 0.0
    mask_weight: Strength = 0.0
    part_weight: Strength = 0.0


class CRDConfig(Stage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CRD and stage 3; see `rcae_lite.model.crd`.

    Parameters
    ----------
    width : int
        Feature channels of the first level, a multiple of 8.
    depths : tuple of int
        Depths n whose I_D^n CRD sees, increasing, where I_D^0 is the image itself; empty for all of
        1..N (ablation ``steps``).
    families : tuple of str
        Pseudo-anomaly families, out of `FAMILIES`; empty for the paper's blocks and lines, which
        are those of stage 1.
    residual_input : bool
        Give ``|I_D^n - I|`` to CRD (ours).
    z_score_weight : float
        Weight of the squared z-scores of `rcae_lite.model.normal_statistics`, added to CRD's
        logits after training; the z-scores are an input of CRD, too (ours; 0 disables both).
    half_size_eigenimages : bool
        Keep what they are made of at half the size: a quarter of the memory (ours).
    map_loss : {"bce_dice", "l2"}
        Loss of CRD: ours, or the paper's map and map-gradient L2.
    crop : int
        Side of the square crops that CRD trains on, divisible by 16; 0 for whole images.
    pool_chunk, pool_chunks, pool_every : int
        CRD trains on a pool of ``pool_chunks`` chunks of ``pool_chunk`` pseudo-anomalous images;
        every ``pool_every`` steps the oldest chunk gives way to a new one.
    """

    width: Width = 16
    depths: tuple[int, ...] = ()  # `Config` checks them against N
    families: tuple[str, ...] = FAMILIES
    residual_input: bool = True
    z_score_weight: Strength = 24.0
    half_size_eigenimages: bool = True
    map_loss: Literal["bce_dice", "l2"] = "bce_dice"
    crop: Annotated[int, Meta(ge=0, le=8192, multiple_of=16)] = 0
    pool_chunk: Positive = 64
    pool_chunks: Positive = 8
    pool_every: Positive = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := sorted(set(self.families) - set(FAMILIES)):
            raise KitError(f"families {unknown}: choose from {', '.join(FAMILIES)}")


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a detector and its training depend on, besides the data and the seed.

    Parameters
    ----------
    preset : str
        Name of the preset it comes from, and of how much of its steps is left, see `shortened`.
    size : int
        Working height and width in pixels, divisible by ``2 ** depth`` and by 16.
    augmentation : float
        Strength of benign augmentation in all stages (ours; 0 in the paper).
    single_pass : SinglePassConfig
        The baseline.
    rcae, dpn, crd : RcAEConfig, DPNConfig, CRDConfig
        The three stages, in the order of their training.
    """

    preset: str
    size: Annotated[int, Meta(ge=16, le=8192)]
    augmentation: Strength = 1.0
    single_pass: SinglePassConfig
    rcae: RcAEConfig
    dpn: DPNConfig
    crd: CRDConfig

    def __post_init__(self) -> None:
        begins_halved = self.rcae.half_size_steps > 0
        if self.size < (smallest := SMALLEST_PERTURBED << begins_halved):
            remedy = ", or rcae.half_size_steps=0" if begins_halved else ""
            raise KitError(f"size {self.size} is too small; use size={smallest} or more{remedy}")
        divisor = max(self.side_multiple(), 2 ** (self.rcae.depth + begins_halved))
        if self.size % divisor:
            raise KitError(
                f"size {self.size} is not a multiple of {divisor} (depth {self.rcae.depth}, four "
                f"layers of each network); use {max(divisor, round(self.size / divisor) * divisor)}"
            )
        if self.crd.crop > self.size:
            remedy = f"use crd.crop={self.size // 16 * 16} or less, 0 for whole images"
            raise KitError(f"crop {self.crd.crop} is larger than the size {self.size}; {remedy}")
        seen = list(self.crd.depths)
        if seen != sorted(set(seen) & set(range(self.rcae.depth + 1))):
            raise KitError(f"crd.depths {seen} must increase and lie in 0..{self.rcae.depth}")

    def side_multiple(self, detector: str = "full") -> int:
        """Return what the sides of images are multiples of: a detector's networks halve them."""
        if detector == "single_pass":
            return 2**self.single_pass.levels
        return 2 ** max(halvings(self.size, self.rcae.depth, self.rcae.half_size), 4)

    def prefix(self, stages: Sequence[str]) -> dict[str, Any]:
        """Return what the weights of the last of some stages depend on, as plain values.

        Parameters
        ----------
        stages : sequence of str
            The stages up to and with it, for example ``("rcae", "dpn")``.
        """
        values = self.to_dict()
        return {name: values[name] for name in ("size", "augmentation", *stages)}

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

        def shorter(stage: Any) -> Any:
            units = ["steps" if stage.steps else "epochs"]
            units += ["half_size_steps"] * (stage is self.rcae)
            return replace(stage, **{u: _share(getattr(stage, u), fraction) for u in units})

        stages = {name: shorter(getattr(self, name)) for name in _STAGES}
        preset = f"{self.preset} ({100 * fraction:g}% of its steps)"
        return replace(self, preset=preset, **stages)

    def updated(self, options: Mapping[str, Any]) -> Config:
        """Replace some options.

        Parameters
        ----------
        options : mapping
            Fields of `Config`, or of a stage by its path (``"crd.width"``); for a stage a dict of
            its fields is enough: ``{"crd": {"steps": 100}}``.

        Raises
        ------
        KitError
            If an option is unknown, or a value has another type or is out of range.
        """
        values = self.to_dict()
        for name, value in options.items():
            _set(values, Config, name.split("."), value)
        return config_from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `config_from_dict` is the way back."""
        return msgspec.to_builtins(self)


_STAGES = ("single_pass", "rcae", "dpn", "crd")
# Batches of 8: as good as more images in fewer steps, in less time (results/*-search.md).
_FAST: dict[str, Any] = {"batch_size": 8, "learning_rate": 2e-3, "clip": 1.0}
_SINGLE_PASS = _FAST | {"learning_rate": 4e-3}  # the best of three, results/learning_rate.md
_LITE = Config(
    preset="lite",
    size=128,
    single_pass=SinglePassConfig(steps=1000, **_SINGLE_PASS),  # as long as stage 1, about
    rcae=RcAEConfig(steps=2300, half_size_steps=1800, **_FAST),
    dpn=DPNConfig(steps=500, perturbed=0.75, mask_weight=3.0, part_weight=1.0, **_FAST),
    crd=CRDConfig(steps=1600, families=FAMILIES, crop=64, **_FAST),
)
_PAPER: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-4, "schedule": "constant"}

PRESETS: dict[str, Config] = {
    "demo": replace(
        _LITE,
        preset="demo",
        single_pass=SinglePassConfig(steps=400, **_SINGLE_PASS),
        rcae=replace(_LITE.rcae, steps=1300, half_size_steps=1000),
        dpn=replace(_LITE.dpn, steps=300),
        crd=replace(_LITE.crd, steps=800, pool_chunk=32, pool_every=50),
    ),
    "lite": replace(_LITE, crd=replace(_LITE.crd, half_size_eigenimages=False)),
    "standard": replace(
        _LITE,
        preset="standard",
        size=256,
        single_pass=SinglePassConfig(steps=10000, **_SINGLE_PASS),
        rcae=replace(_LITE.rcae, depth=4, steps=12000, half_size_steps=6000),
        dpn=replace(_LITE.dpn, steps=3000),
        crd=replace(_LITE.crd, steps=8000, batch_size=32, crop=128, pool_chunks=16),
    ),
    # The paper's settings. It leaves open: the batch size (we use 4), the widths (ours), whether
    # layers are normalised (in groups), how the share of perturbed blocks is drawn (uniformly), and
    # the target of stage 1 (the clean image).
    # Different without a switch: CRD's kernels in two factors, at half size, for cost; DPN's input
    # (the gradient that a reconstruction lacks); 2 to 4 lines in a perturbed image, not 1 to 4, by
    # oversight.
    "paper": Config(
        preset="paper",
        size=1024,
        augmentation=0.0,
        single_pass=SinglePassConfig(epochs=1500, **_PAPER),
        rcae=RcAEConfig(epochs=1500, depth=5, half_size=False, identity=False, **_PAPER),
        dpn=DPNConfig(epochs=400, perturbed=0.0, **_PAPER),
        crd=CRDConfig(
            epochs=300,
            families=(),
            residual_input=False,
            z_score_weight=0.0,
            map_loss="l2",
            pool_chunk=4,
            pool_chunks=1,
            pool_every=1,
            **_PAPER,
        ),
    ),
}


def get_config(preset: str, /, **overrides: Any) -> Config:
    """Look a preset up and replace some of its options.

    Parameters
    ----------
    preset : {"demo", "lite", "standard", "paper"}
        Name of the preset.
    **overrides
        See `Config.updated`: ``get_config("lite", size=64, crd={"steps": 100})``, or by path:
        ``get_config("lite", **{"crd.steps": 100})``.

    Raises
    ------
    KitError
        If the preset or an option is unknown, or a value is out of range.
    """
    if preset not in PRESETS:
        raise KitError(f"unknown preset {preset!r}; choose from {', '.join(PRESETS)}")
    return PRESETS[preset].updated(overrides)


def _share(count: int, fraction: float) -> int:
    return max(1, round(fraction * count)) if count else 0


def config_from_dict(values: Mapping[str, Any]) -> Config:
    """Rebuild a `Config` from the plain values of `Config.to_dict`.

    Raises
    ------
    KitError
        If a field is unknown, missing, of another type or out of range.
    """
    return convert(dict(values), Config)


def _set(values: dict[str, Any], kind: type[Struct], path: Sequence[str], value: Any) -> None:
    """Replace one option, or several of a stage, in plain values; refuse unknown names."""
    fields = msgspec.structs.fields(kind)
    known = {field.name: field.type for field in fields if field.name != "preset"}
    name, rest = path[0], path[1:]
    if name not in known:
        guess = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {guess[0]!r}?" if guess else "."
        raise KitError(f"unknown option {name!r}{hint} Known: {', '.join(known)}")
    try:
        value = msgspec.to_builtins(value)
    except TypeError:
        raise KitError(f"option {name!r} is {value!r}; expected a number or a word") from None
    if name in _STAGES:
        if not rest and not isinstance(value, Mapping):
            raise KitError(f"{name} is {value!r}; expected options of it, as in {name}.steps=100")
        for inner, one in {rest[0]: value}.items() if rest else value.items():
            _set(values[name], known[name], [inner, *rest[1:]], one)
    elif rest:
        raise KitError(f"option {name!r} has no part {'.'.join(rest)!r}; write {name}=VALUE")
    else:
        values[name] = value
