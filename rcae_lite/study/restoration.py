"""The table `restoration`: what each network forgets of defects, and what it keeps of the part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import pandas as pd

from data_utils import ImageSet
from rcae_lite.base import Detector, held_out_images
from rcae_lite.baselines import resize_trajectory
from rcae_lite.config import Config
from rcae_lite.evaluation.restoration import Restoration, probe
from rcae_lite.study.paper_tables import Row, on_perturbed
from rcae_lite.study.summary import MEAN, markdown_table

__all__ = ["Probed", "RestorationTable", "probe_detector", "probe_resizing", "rows"]

RESIZING = "plain resizing"


@dataclass(frozen=True)
class Probed:
    """What the probe found of one network.

    Parameters
    ----------
    label : str
        Its name in the table.
    network : str
        Its key in `rcae_lite.config.DETECTOR_NAMES`, for its colour in figures; the label where
        options set it apart.
    category : str
        What it was trained on.
    seed : int
        Of the training.
    seconds : float
        Training time of all stages up to it.
    found : Restoration
        See `rcae_lite.evaluation.restoration`.
    """

    label: str
    network: str
    category: str
    seed: int
    seconds: float
    found: Restoration


@dataclass(frozen=True)
class RestorationTable:
    """The probe of several networks, categories and seeds.

    Parameters
    ----------
    probed : sequence of Probed
        In the order of measuring.
    notes : sequence of str
        How it was made.
    """

    probed: Sequence[Probed]
    notes: Sequence[str]

    def markdown(self) -> str:
        """Return a table for each category and one of their mean; curves over n = 1..N."""
        lines = ["# Ablation: restoration", "", *(f"- {note}" for note in self.notes), ""]
        lines += [
            "Copied share c(n) and erasure e(n) of defects painted into held-out normal images, "
            "and the error outside of them in grey levels of 255, over all and over structured "
            "pixels; for n = 1..N, means over the seeds.",
        ]
        categories = list(dict.fromkeys(one.category for one in self.probed))
        for category in [*categories, *([MEAN] if len(categories) > 1 else [])]:
            chosen = [one for one in self.probed if category in (MEAN, one.category)]
            lines += ["", f"## {category}", "", *_table(chosen)]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Return a line for each network, category, seed and depth."""
        lines: list[dict[str, Any]] = []
        for one in self.probed:
            head = {"row": one.label, "category": one.category, "seed": one.seed}
            head["training_seconds"] = round(one.seconds, 1)
            for n in range(len(one.found.copied_share)):
                values = {name: getattr(one.found, name)[n] for name in _CURVES}
                lines.append(head | {"n": n + 1} | values)
        return pd.DataFrame(lines).to_csv(index=False, float_format="%.4f")


_CURVES = ("copied_share", "erasure", "error", "error_structured")


def _table(probed: Sequence[Probed]) -> list[str]:
    body = []
    for label in dict.fromkeys(one.label for one in probed):
        same = [one for one in probed if one.label == label]
        cells = [_curve([getattr(one.found, name) for one in same], name) for name in _CURVES]
        body.append([label, *cells, f"{mean(one.seconds for one in same):.0f}"])
    head = ["network", "c(n)", "e(n)", "error, all", "error, structured", "training s"]
    return markdown_table(head, body)


def _curve(curves: Sequence[tuple[float, ...]], name: str) -> str:
    digits = 1 if name.startswith("error") else 2
    return " ".join(f"{mean(values):.{digits}f}" for values in zip(*curves, strict=True))


def rows(config: Config) -> list[Row]:
    """Return what is trained for the table."""
    paper = {"dpn.perturbed": 0.0, "dpn.mask_weight": 0.0, "dpn.part_weight": 0.0}
    return [
        Row("single pass, trained on clean images", "single_pass"),
        Row("single pass, perturbed", "single_pass", on_perturbed(config)),
        Row("RcAE", "rcae"),
        Row("+ DPN", "rcae_dpn"),
        Row("+ DPN trained on clean images (paper)", "rcae_dpn", paper),
    ]


def probe_detector(row: Row, detector: Detector, train: ImageSet) -> Probed:
    """Probe the last reconstruction of a row's trained detector."""
    found = list(detector.restoration(train).values())[-1]
    seconds = sum(detector.trained["seconds"].values())
    network = row.label if row.options else row.detector
    return Probed(row.label, network, train.category, detector.seed, seconds, found)


def probe_resizing(config: Config, seed: int, train: ImageSet) -> Probed:
    """Probe the control that has learned nothing."""
    held_out = held_out_images(seed, train)
    depth = config.rcae.depth
    found = probe(lambda x: {RESIZING: resize_trajectory(x, depth=depth)}, held_out)
    return Probed(f"{RESIZING}, no network", RESIZING, train.category, seed, 0.0, found[RESIZING])
