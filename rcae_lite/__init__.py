"""RcAE Lite: recursive reconstruction for industrial anomaly detection, to learn from and to use.

Source: Wu et al., "RcAE: Recursive Reconstruction Framework for Unsupervised Industrial Anomaly
Detection", AAAI 2026, doi 10.1609/aaai.v40i13.38048.
"""

from importlib.metadata import version

__version__ = version("rcae-lite")  # before the imports: the modules below record it

from rcae_lite.ablation import ablate
from rcae_lite.autoencoder import RcAE, SinglePassAutoencoder
from rcae_lite.config import PRESETS, Config, get_config
from rcae_lite.detail import DetailPreservationNetwork
from rcae_lite.detection import CrossRecursionDetector
from rcae_lite.detector import Detection, RcAEDetector, SinglePassDetector, Trajectory
from rcae_lite.example import load_example
from rcae_lite.results import Evaluation

__all__ = [
    "PRESETS",
    "Config",
    "CrossRecursionDetector",
    "DetailPreservationNetwork",
    "Detection",
    "Evaluation",
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
