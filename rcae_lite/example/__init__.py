"""Detectors that ship with the kit, trained already, so that a notebook starts at once.

They were made by ``python -m rcae_lite.example`` on the default synthetic category with the preset
``demo`` and are in half precision; their JSON files say with which data, seed and code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_utils import Category, KitError
from rcae_lite.base import Detector
from rcae_lite.baselines import DETECTORS
from rcae_lite.training.callbacks import or_progress
from rcae_lite.training.events import Callback
from rcae_lite.training.side_by_side import side_by_side

__all__ = ["KINDS", "SHIPPED", "detector_for", "detectors_for", "load_example"]

SHIPPED = Path(__file__).parent
KINDS = ("full", "single_pass")


def load_example(kind: str = "full", *, device: str = "auto") -> Detector:
    """Load a detector that ships with the kit.

    Parameters
    ----------
    kind : {"full", "single_pass"}
        The method of the paper, or the ConvAE baseline.
    device : str
        As in `rcae_lite.base.Detector`.

    Returns
    -------
    Detector
        Trained on the synthetic category that its ``trained["category"]`` names.

    Raises
    ------
    KitError
        If the kind is unknown, or the files do not fit this version of the kit.
    """
    if kind not in KINDS:
        raise KitError(f"unknown detector {kind!r}; choose from {', '.join(KINDS)}")
    try:
        return DETECTORS[kind].load(SHIPPED / kind, device=device)
    except KitError as error:
        raise KitError(
            f"the shipped detector {kind!r} does not fit this kit ({error}); make it again: "
            "python -m rcae_lite.example"
        ) from None


def detector_for(
    category: Category,
    kind: str = "full",
    *,
    stages: str | Path = Path("runs") / "stages",
    **options: Any,
) -> Detector:
    """Return a trained detector for a category: a shipped one, or one that is trained now.

    Parameters
    ----------
    category : Category
        For the synthetic category that the shipped detectors know, they are returned. For any
        other one the preset ``demo`` is trained, in minutes on a CPU.
    kind : {"full", "rcae_dpn", "rcae", "single_pass"}
        What has to be trained: all of RcAE, DPN and CRD, or the first of them only, or the ConvAE
        baseline. The shipped detector with all three stands for the first three kinds.
    stages : path
        Folder that keeps finished stages, so that the next call loads them.
    **options
        What differs from the preset, as in `rcae_lite.base.Detector.from_preset`.

    Raises
    ------
    KitError
        As `load_example` and `Detector.fit`.
    """
    return detectors_for(category, (kind,), stages=stages, **options)[0]


def detectors_for(
    category: Category,
    kinds: Sequence[str] = KINDS,
    *,
    stages: str | Path = Path("runs") / "stages",
    **options: Any,
) -> list[Detector]:
    """Return several at once; those that have to be trained are trained at the same time.

    Parameters
    ----------
    category, stages, **options
        As in `detector_for`.
    kinds : sequence of str
        Each as in `detector_for`; by default the method of the paper and its control.

    Returns
    -------
    list of Detector
        In the order of the kinds.

    Raises
    ------
    KitError
        As `detector_for`.
    """
    shipped = [load_example("single_pass" if one == "single_pass" else "full") for one in kinds]
    known = ("synthetic", shipped[0].trained["category"], shipped[0].config.size)
    if (category.format, category.name, category.size) == known:
        return shipped

    def train(kind: str, also: Callback) -> Detector:
        detector = DETECTORS[kind].from_preset("demo", **options)
        return detector.fit(category.train, callbacks=[*or_progress(None), also], stages=stages)

    return side_by_side([partial(train, kind) for kind in kinds])
