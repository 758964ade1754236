"""The rows of the paper's tables, with the paper's values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rcae_lite.config import PRESETS, Config

__all__ = ["TABLES", "UNKNOWN", "Row", "in_words", "on_perturbed"]

UNKNOWN = (None, None)  # the paper says nothing about this row


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    label : str
        Its name.
    detector : {"single_pass", "rcae", "rcae_dpn", "full"}
        See `rcae_lite.config.DETECTOR_NAMES`: residual of the single pass, of I_R^N, of I_D^N, or
        the map of CRD.
    options : mapping
        Options in which it differs from the preset, by path: see `rcae_lite.config.Config.updated`.
    share : float
        Of the training images, in (0, 1].
    paper : tuple of float or None
        Image and pixel AUROC in the paper, in percent: mean over the categories of MVTec AD.
    paper_visa : tuple of float or None
        The same, over the categories of VisA.
    compared_with : tuple of str
        Labels of rows whose image AUROC is subtracted from this one's, with an interval.
    """

    label: str
    detector: str = "full"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    share: float = 1.0
    paper: tuple[float | None, float | None] = UNKNOWN
    paper_visa: tuple[float | None, float | None] = UNKNOWN
    compared_with: tuple[str, ...] = ()


def _components(config: Config) -> list[Row]:
    ours = [Row("+ position statistics (ours)")] if config.crd.z_score_weight else []
    return [
        Row("single-pass", "single_pass", paper=(82.4, 90.8)),
        Row("RcAE", "rcae", paper=(94.1, 95.8)),
        Row("+ DPN", "rcae_dpn", paper=(95.7, 96.6)),
        Row("+ CRD", options={"crd.z_score_weight": 0.0}, paper=(98.9, 98.7)),
        *ours,
    ]


def _depth(config: Config) -> list[Row]:
    paper = {
        1: ((86.2, 87.4), (89.3, 88.7)),
        2: ((90.8, 89.9), (93.2, 92.1)),
        3: ((96.3, 96.8), (97.3, 96.4)),
        4: ((98.0, 98.3), (98.9, 98.1)),
        5: ((98.9, 98.7), (99.2, 98.6)),
        6: ((98.7, 98.4), (99.2, 98.1)),
    }
    return [
        Row(f"N = {n}", options={"rcae.depth": n}, paper=mvtec, paper_visa=visa)
        for n, (mvtec, visa) in paper.items()
    ]


def _sharing(config: Config) -> list[Row]:
    """Skips and sharing, the five rows of the paper's Table 4."""
    own, bare = {"rcae.shared": False}, {"rcae.skips": False}
    with_skips = {"single_pass.skips": True}
    paper = [
        ("ConvAE, skips", "single_pass", with_skips, (65.2, 72.4), (68.5, 70.1)),
        ("ConvAE, no skips", "single_pass", {}, (82.4, 90.8), (79.7, 78.5)),
        ("RcAE, shared, no skips", "full", bare, (92.2, 95.2), (94.3, 95.9)),
        ("RcAE, own weights per level, skips", "full", own, (71.3, 74.2), (73.5, 75.0)),
        ("RcAE, shared, skips", "full", {}, (98.9, 98.7), (99.2, 98.6)),
    ]
    return [
        Row(label, detector, options, paper=mvtec, paper_visa=visa)
        for label, detector, options, mvtec, visa in paper
    ]


def _data(config: Config) -> list[Row]:
    paper = {
        "full": [(84.1, 93.4), (91.2, 93.7), (95.5, 95.1), (97.2, 96.8), (98.9, 98.7)],
        "single_pass": [(62.3, 61.5), (68.9, 77.2), (71.4, 87.8), (79.1, 88.9), (82.4, 90.8)],
    }
    names = {"full": "RcAE", "single_pass": "single-pass"}
    return [
        Row(f"{names[detector]}, {percent}%", detector, {}, percent / 100, value)
        for detector, values in paper.items()
        for percent, value in zip((10, 25, 50, 75, 100), values, strict=True)
    ]


def _steps(config: Config) -> list[Row]:
    last = config.rcae.depth
    second = tuple(range(last, 0, -2))[::-1]  # every second one: 1, 3, 5 of the paper's five
    return [
        Row("none, the image alone", options={"crd.depths": (0,)}),  # a control of ours
        Row(f"{last} only", options={"crd.depths": (last,)}, paper=(95.7, 96.6)),
        Row(", ".join(map(str, second)), options={"crd.depths": second}, paper=(98.0, 97.1)),
        Row(f"all of 1..{last}", options={"crd.depths": ()}, paper=(98.9, 98.7)),
    ]


def on_perturbed(config: Config) -> dict[str, Any]:
    """Train the single pass on perturbed images, at its best learning rate there: half of it."""
    rate = config.single_pass.learning_rate / 2  # see results/learning_rate.md
    return {"single_pass.perturbed": 1.0, "single_pass.learning_rate": rate}


def _residual(config: Config) -> list[Row]:
    """Compare the plain residual with that of single passes, clean and perturbed."""
    clean, perturbed = "single pass, clean images", "single pass, perturbed images"
    return [
        Row(clean, "single_pass"),
        Row(perturbed, "single_pass", on_perturbed(config)),
        Row(f"RcAE, N = {config.rcae.depth}", "rcae", compared_with=(clean, perturbed)),
        Row("+ DPN", "rcae_dpn", compared_with=(clean, perturbed)),
    ]


def _departures(config: Config) -> list[Row]:
    """Each option in which a preset departs from the paper, set to the paper's, one at a time."""
    here, paper = _flat(config.to_dict()), _flat(PRESETS["paper"].to_dict())
    stages = ("single_pass.", "rcae.", "dpn.", "crd.")
    schedule = ("learning_rate", "schedule", "clip")
    kept = ("steps", "epochs", "batch_size", "pool_chunk", "pool_chunks", "pool_every", *schedule)
    differing = {
        name: paper[name]
        for name in paper
        if paper[name] != here[name] and name not in ("preset", "size")
        if name.rpartition(".")[2] not in kept
    }
    schedules = {f"{stage}{name}": paper[f"{stage}{name}"] for stage in stages for name in schedule}
    fresh = {"crd.pool_chunk": config.crd.batch_size, "crd.pool_chunks": 1, "crd.pool_every": 1}
    rate = PRESETS["paper"].rcae
    return [
        Row(f"as `{config.preset}`"),
        *(Row(f"{name}: {in_words(v)}", options={name: v}) for name, v in differing.items()),
        Row(
            f"{rate.schedule} learning rate {rate.learning_rate:g}, no clipping", "full", schedules
        ),
        Row("no pool: trajectories made anew in every step", options=fresh),
        Row("all of these", options=differing | schedules | fresh, paper=(98.9, 98.7)),
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested options by their path."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def in_words(value: Any) -> str:
    """Show the value of an option."""
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


TABLES: dict[str, Callable[[Config], list[Row]]] = {
    "components": _components,
    "depth": _depth,
    "sharing": _sharing,
    "data": _data,
    "steps": _steps,
    "residual": _residual,
    "departures": _departures,
}
"""The tables by name: each gives its rows for a configuration."""
