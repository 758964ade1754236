"""The recursion as something one can hold: interactive views for Jupyter, and a standalone page.

``state`` and ``page`` are plain Python; the views need the extra ``lab`` (anywidget).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from data_utils.errors import KitError

__all__ = [
    "ComponentLadder",
    "DefectPainter",
    "ModelComparison",
    "Predictions",
    "RecursionExplorer",
    "ThresholdExplorer",
    "TrainingMonitor",
    "quiz",
]
# Of all others: "views".
HOMES = {"ComponentLadder": "ladder_view", "Predictions": "predictions", "quiz": "quiz_view"}


def __getattr__(name: str) -> Any:
    """Import the views when one of them is asked for, so that the page works without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = HOMES.get(name, "views")
    try:
        return getattr(import_module(f"rcae_lite.widgets.{module}"), name)
    except ModuleNotFoundError as error:
        raise KitError(
            f"{name} needs the package {error.name!r}, which is not installed; "
            'run: pip install "rcae-lite[lab]"'
        ) from None
