"""What a detector returns: the trajectory of the recursion, and the detection."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Detection", "Trajectory", "concatenate"]


@dataclass(frozen=True)
class Trajectory:
    """What the recursion does to a batch of images.

    Parameters
    ----------
    images : Tensor
        I, (B, 3, H, W).
    reconstructions : Tensor
        I_R^1 ... I_R^N, (B, 3, N, H, W).
    enhanced : Tensor or None
        I_D^1 ... I_D^N, (B, 3, N, H, W); None for the single-pass baseline.
    """

    images: Tensor
    reconstructions: Tensor
    enhanced: Tensor | None = None

    @property
    def restored(self) -> Tensor:
        """I_D^n where there is a DPN, else I_R^n: (B, 3, N, H, W)."""
        return self.reconstructions if self.enhanced is None else self.enhanced

    @property
    def residuals(self) -> Tensor:
        """``|I - I_R^n|``, mean over the colour channels: (B, N, H, W)."""
        return (self.images.unsqueeze(2) - self.reconstructions).abs().mean(dim=1)

    @property
    def changes(self) -> Tensor:
        """``|I_R^{n+1} - I_R^n|``, mean over the colour channels: (B, N - 1, H, W)."""
        return self.reconstructions.diff(dim=2).abs().mean(dim=1)


@dataclass(frozen=True)
class Detection:
    """What a detector says about a batch of images.

    Parameters
    ----------
    anomaly_map : Tensor
        Raw float32 map, (B, H, W), for metrics, smoothed by `rcae_lite.evaluation.scoring.smooth`;
        its scale is the detector's own. For RcAE it is the surprise ``-log(1 - M_A)``, which has no
        upper end and so no ties where a probability would saturate.
    probability : Tensor
        The same brought to [0, 1], (B, H, W), for display.
    score : Tensor
        Maximum of the raw map, (B,).
    label : Tensor
        Score above the threshold, (B,) bool.
    """

    anomaly_map: Tensor
    probability: Tensor
    score: Tensor
    label: Tensor


def concatenate(parts: Sequence[Detection]) -> Detection:
    """Join the detections of several batches into one."""
    names = [field.name for field in dataclasses.fields(Detection)]
    return Detection(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
