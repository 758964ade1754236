"""Detectors that stop earlier than CRD: their map is a plain residual. They exist for the tables.

Trained on the same configuration and seed, they hold the same weights as the whole detector.
"""

from __future__ import annotations

from torch import Tensor, nn

from rcae_lite.detector import (
    Detector,
    RcAEDetector,
    ResidualDetector,
    SinglePassDetector,
    Trajectory,
)

__all__ = ["VARIANTS", "EnhancedResidual", "ReconstructionResidual", "last_reconstruction"]


class ReconstructionResidual(ResidualDetector, RcAEDetector):
    """RcAE alone: the map is ``|I - I_R^N|``."""

    kind = "rcae_residual"
    parts: tuple[str, ...] = ("rcae",)

    def _build(self) -> dict[str, nn.Module]:
        modules = super()._build()  # all of them, so that each gets the same initial weights
        return {name: modules[name] for name in self.parts}

    def _trajectory(self, images: Tensor) -> Trajectory:
        return Trajectory(images, self.rcae.trajectory(images))


class EnhancedResidual(ReconstructionResidual):
    """RcAE and DPN: the map is ``|I - I_D^N|``."""

    kind = "dpn_residual"
    parts = ("rcae", "dpn")

    def _trajectory(self, images: Tensor) -> Trajectory:
        return RcAEDetector._trajectory(self, images)

    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        return (trajectory.images - last_reconstruction(trajectory)).abs().mean(dim=1)  # (B, H, W)


def last_reconstruction(trajectory: Trajectory) -> Tensor:
    """Return the deepest enhanced reconstruction, or the plain one without DPN: (B, 3, H, W)."""
    enhanced = trajectory.enhanced
    return (trajectory.reconstructions if enhanced is None else enhanced)[:, :, -1]


VARIANTS: dict[str, type[Detector]] = {
    "single_pass": SinglePassDetector,
    "rcae": ReconstructionResidual,
    "dpn": EnhancedResidual,
    "crd": RcAEDetector,
}
"""What gives the map, by the last module that is trained."""
