"""The single-pass baseline, and detectors that stop before CRD: their map is a plain residual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data_utils import KitError
from rcae_lite.base import Detector
from rcae_lite.config import Config
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.scoring import SCORE_RULE
from rcae_lite.model.outputs import Trajectory
from rcae_lite.model.single_pass import SinglePassAutoencoder

__all__ = [
    "DETECTORS",
    "EnhancedResidualDetector",
    "RcAEResidualDetector",
    "ResidualDetector",
    "SinglePassDetector",
    "check_same_size",
    "resize_trajectory",
]


def resize_trajectory(images: Tensor, depth: int) -> Tensor:
    """Halve images n times and enlarge them n times, without any network: the control of RcAE.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W); H and W divisible by ``2 ** depth``.
    depth : int
        N.

    Returns
    -------
    Tensor
        (B, 3, N, H, W), for n = 1..N: average pooling down, bilinear interpolation up.
    """
    steps, small = [], images
    for n in range(1, depth + 1):
        small = large = F.avg_pool2d(small, 2)
        for _ in range(n):
            large = F.interpolate(large, scale_factor=2, mode="bilinear", align_corners=False)
        steps.append(large)
    return torch.stack(steps, dim=2)  # (B, 3, N, H, W)


def check_same_size(detectors: Mapping[str, Detector]) -> None:
    """Refuse to compare detectors that see images of different sizes.

    Parameters
    ----------
    detectors : mapping of str to Detector
        By name.

    Raises
    ------
    KitError
        If one works at another size than the first.
    """
    sizes = [(name, detector.config.size) for name, detector in detectors.items()]
    for name, size in sizes[1:]:
        first, wanted = sizes[0]
        if size != wanted:
            raise KitError(
                f"{name} works at {size}x{size} and {first} at {wanted}x{wanted}; to compare them, "
                "train both at one size"
            )


class ResidualDetector(Detector):
    """A detector whose map is the plain residual of its last reconstruction."""

    @property
    def score_rule(self) -> str:  # type: ignore[override]
        """How an image becomes a score."""
        return SCORE_RULE

    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        return (trajectory.images - trajectory.restored[:, :, -1]).abs().mean(dim=1)  # (B, H, W)

    def _probability(self, raw: Tensor) -> Tensor:
        return raw.clamp(0, 1)


class SinglePassDetector(ResidualDetector):
    """The ConvAE baseline: one pass, and the residual ``|I - I_R|`` is the map.

    See `Detector` for the parameters and methods.
    """

    kind = "single_pass"
    stage_names = ("single_pass",)

    @classmethod
    def _build(cls, config: Config) -> dict[str, nn.Module]:
        options = config.single_pass
        return {
            "single_pass": SinglePassAutoencoder(
                options.levels, width=options.width, skips=options.skips
            )
        }

    def _trajectory(self, images: Tensor) -> Trajectory:
        module: Any = self.modules["single_pass"]
        return Trajectory(images, module.trajectory(images))


class RcAEResidualDetector(ResidualDetector, RcAEDetector):
    """RcAE alone: the map is ``|I - I_R^N|``.

    Trained on the same configuration and seed, it holds the same weights as the whole detector.
    """

    kind = "rcae"
    stage_names: ClassVar[tuple[str, ...]] = ("rcae",)

    @classmethod
    def _build(cls, config: Config) -> dict[str, nn.Module]:
        modules = super()._build(config)  # all of them: each gets the same initial weights
        return {name: modules[name] for name in cls.stage_names}

    def _trajectory(self, images: Tensor) -> Trajectory:
        return Trajectory(images, self.rcae.trajectory(images))


class EnhancedResidualDetector(RcAEResidualDetector):
    """RcAE and DPN: the map is ``|I - I_D^N|``."""

    kind = "rcae_dpn"
    stage_names = ("rcae", "dpn")

    def _trajectory(self, images: Tensor) -> Trajectory:
        return RcAEDetector._trajectory(self, images)


DETECTORS: dict[str, type[Detector]] = {
    "single_pass": SinglePassDetector,
    "rcae": RcAEResidualDetector,
    "rcae_dpn": EnhancedResidualDetector,
    "full": RcAEDetector,
}
"""The detectors by name; `rcae_lite.config.DETECTOR_NAMES` says them in words."""
