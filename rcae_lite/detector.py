"""The three modules of the paper joined into one detector.

What it shares with the baselines (fit, predict, evaluate, save, load) is in `rcae_lite.base`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.base import Detector
from rcae_lite.config import Config
from rcae_lite.evaluation.scoring import SCORE_RULE
from rcae_lite.model.crd import CrossRecursionDetector, steps_seen
from rcae_lite.model.dpn import DetailPreservationNetwork
from rcae_lite.model.outputs import Trajectory
from rcae_lite.model.rcae import RcAE

__all__ = ["RcAEDetector"]


class RcAEDetector(Detector):
    """RcAE, DPN and CRD, trained one after the other; the map is CRD's.

    See `Detector` for the parameters and methods.
    """

    kind = "full"
    stage_names: ClassVar[tuple[str, ...]] = ("rcae", "dpn", "crd")

    @classmethod
    def _build(cls, config: Config) -> dict[str, nn.Module]:
        rcae, crd = config.rcae, config.crd
        return {
            "rcae": RcAE(
                rcae.depth,
                size=config.size,
                width=rcae.width,
                skips=rcae.skips,
                shared=rcae.shared,
                half_size=rcae.half_size,
                identity=rcae.identity,
            ),
            "dpn": DetailPreservationNetwork(config.dpn.width),
            "crd": CrossRecursionDetector(
                len(crd.depths) or rcae.depth,
                width=crd.width,
                residual_input=crd.residual_input,
                statistics_size=config.size if crd.z_score_weight else 0,
                half_size_eigenimages=crd.half_size_eigenimages,
            ),
        }

    @property
    def rcae(self) -> RcAE:
        """The recursive autoencoder."""
        return self.modules["rcae"]  # type: ignore[return-value]

    @property
    def dpn(self) -> DetailPreservationNetwork:
        """The detail preservation network."""
        return self.modules["dpn"]  # type: ignore[return-value]

    @property
    def crd(self) -> CrossRecursionDetector:
        """The cross recursion detection module."""
        return self.modules["crd"]  # type: ignore[return-value]

    @property
    def score_rule(self) -> str:  # type: ignore[override]
        """How an image becomes a score, and whether position statistics are part of it."""
        if (statistics := self.crd.statistics) is None:
            return SCORE_RULE
        return f"{SCORE_RULE}; position statistics: {statistics.found} ({statistics.structure:.2f})"

    def _trajectory(self, images: Tensor) -> Trajectory:
        reconstructions = self.rcae.trajectory(images)
        return Trajectory(images, reconstructions, self.dpn.enhance(images, reconstructions))

    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        return self.surprise(trajectory, self.crd.z_scores(trajectory.images))

    def surprise(self, trajectory: Trajectory, z_scores: Tensor) -> Tensor:
        """Return how surprising each pixel is: -log(1 - M_A), not smoothed.

        Parameters
        ----------
        trajectory : Trajectory
            Of this detector.
        z_scores : Tensor
            (B, 1, H, W) from `CrossRecursionDetector.z_scores`, or zeros: CRD was blind to them in
            half of its training.

        Returns
        -------
        Tensor
            (B, H, W), from 0 up.
        """
        assert trajectory.enhanced is not None
        images = trajectory.images
        enhanced = steps_seen(images, trajectory.enhanced, self.config.crd.depths)
        logits = self.crd.predict_logits(self.crd.assemble_input(images, enhanced, z_scores))
        # Squared, as in the logarithm of a Gaussian. Added after the training: in it,
        # pseudo-anomalies would teach CRD to distrust them.
        evidence = self.config.crd.z_score_weight * z_scores.square().sum(dim=1)
        return F.softplus(logits.squeeze(1) + evidence)

    def _probability(self, raw: Tensor) -> Tensor:
        return -torch.expm1(-raw)  # undoes the surprise, not the smoothing
