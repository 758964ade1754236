"""RcAE Lite: recursive reconstruction for industrial anomaly detection, to learn from and to use.

Source: Wu et al., "RcAE: Recursive Reconstruction Framework for Unsupervised Industrial Anomaly
Detection", AAAI 2026, doi 10.1609/aaai.v40i13.38048.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rcae_lite.allocator import keep_freed_memory
from rcae_lite.version import __version__

if TYPE_CHECKING:
    from rcae_lite.baselines import SinglePassDetector
    from rcae_lite.config import PRESETS, Config, get_config
    from rcae_lite.detector import RcAEDetector
    from rcae_lite.evaluation.results import Evaluation
    from rcae_lite.example import load_example
    from rcae_lite.model.crd import CrossRecursionDetector
    from rcae_lite.model.dpn import DetailPreservationNetwork
    from rcae_lite.model.outputs import Detection, Trajectory
    from rcae_lite.model.rcae import RcAE
    from rcae_lite.model.single_pass import SinglePassAutoencoder
    from rcae_lite.study.ablation import ablate

__all__ = [
    "Config",
    "CrossRecursionDetector",
    "DetailPreservationNetwork",
    "Detection",
    "Evaluation",
    "PRESETS",
    "RcAE",
    "RcAEDetector",
    "SinglePassAutoencoder",
    "SinglePassDetector",
    "Trajectory",
    "__version__",
    "ablate",
    "get_config",
    "load_example",
]

_HOMES = {
    "Config": "rcae_lite.config",
    "CrossRecursionDetector": "rcae_lite.model.crd",
    "DetailPreservationNetwork": "rcae_lite.model.dpn",
    "Detection": "rcae_lite.model.outputs",
    "Evaluation": "rcae_lite.evaluation.results",
    "PRESETS": "rcae_lite.config",
    "RcAE": "rcae_lite.model.rcae",
    "RcAEDetector": "rcae_lite.detector",
    "SinglePassAutoencoder": "rcae_lite.model.single_pass",
    "SinglePassDetector": "rcae_lite.baselines",
    "Trajectory": "rcae_lite.model.outputs",
    "ablate": "rcae_lite.study.ablation",
    "get_config": "rcae_lite.config",
    "load_example": "rcae_lite.example",
}

keep_freed_memory()


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: `rcae --help` needs no PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
