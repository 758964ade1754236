"""Detectors that ship with the kit, trained already, so that a notebook starts at once.

They were made by ``python -m rcae_lite.example`` on the default synthetic category with the preset
``demo`` and are in half precision; their JSON files say with which data, seed and code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_utils import Category, KitError
from rcae_lite.base import Detector
from rcae_lite.baselines import DETECTORS

__all__ = ["KINDS", "SHIPPED", "detector_for", "load_example"]

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
    shipped = load_example("single_pass" if kind == "single_pass" else "full")
    known = ("synthetic", shipped.trained["category"], shipped.config.size)
    if (category.format, category.name, category.size) == known:
        return shipped
    return DETECTORS[kind].from_preset("demo", **options).fit(category.train, stages=stages)
