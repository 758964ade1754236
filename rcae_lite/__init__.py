"""RcAE Lite: recursive reconstruction for industrial anomaly detection, to learn from and to use.

Source: Wu et al., "RcAE: Recursive Reconstruction Framework for Unsupervised Industrial Anomaly
Detection", AAAI 2026, doi 10.1609/aaai.v40i13.38048.
"""

from importlib.metadata import version

__version__ = version("rcae-lite")
