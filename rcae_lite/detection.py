"""CRD, the cross recursion detection module: reads the whole trajectory, answers the anomaly map.

Normal regions settle quickly along the recursion, defective ones keep changing. CRD sees the
image joined to every enhanced reconstruction and convolves over height, width *and* the
recursion step (paper, section 3).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.autoencoder import check_divisible

__all__ = ["CrossRecursionDetector", "ResidualNormality"]


class _Block(nn.Sequential):
    """A 3x3x3 convolution in two factors: within each step (1, 3, 3), then across steps (3, 1, 1).

    Two factors need (9 + 3) / 27 of the multiplications of one full kernel of the same width.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False),
            nn.BatchNorm3d(outputs),
            nn.GELU(),
            nn.Conv3d(outputs, outputs, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(outputs),
            nn.GELU(),
        )


class ResidualNormality(nn.Module):
    """What residual is normal at each place and depth (**ours**).

    A part that lies still has edges and highlights which never reconstruct well; the same residual
    elsewhere is a defect. Where parts lie anywhere, the statistics are nearly the same everywhere
    and do no harm.

    Parameters
    ----------
    steps : int
        N, recursion steps.
    size : int
        Height and width of the images that the statistics are taken from.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, steps: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(steps, size, size))
        self.register_buffer("spread", torch.ones(steps, size, size))

    @staticmethod
    def residual(images: Tensor, enhanced: Tensor) -> Tensor:
        """``|I_D^n - I|``, mean over the channels and over 3x3 pixels: (B, N, H, W)."""
        residual = (enhanced - images.unsqueeze(2)).abs().mean(dim=1)
        return F.avg_pool2d(residual, 3, stride=1, padding=1, count_include_pad=False)

    def fit(self, normal: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take the statistics from batches of normal images and their enhanced trajectories."""
        residuals = torch.cat([self.residual(*batch) for batch in normal])  # (n, N, H, W)
        mean, spread = (
            F.avg_pool2d(statistic, 5, stride=1, padding=2, count_include_pad=False)
            for statistic in (residuals.mean(dim=0), residuals.std(dim=0))
        )
        self.mean.copy_(mean)
        # No place is more certain than a third of the average, or a lucky pixel would shout.
        self.spread.copy_(spread + 0.3 * spread.mean(dim=(1, 2), keepdim=True) + 1e-4)

    def forward(self, images: Tensor, enhanced: Tensor) -> Tensor:
        """How many spreads each residual is off, clamped and scaled to about [-1, 3].

        Parameters
        ----------
        images, enhanced : Tensor
            (B, 3, H, W) and (B, 3, N, H, W).

        Returns
        -------
        Tensor
            (B, 1, N, H, W).
        """
        mean, spread = (
            F.interpolate(s[None], images.shape[-2:], mode="bilinear", align_corners=False)
            for s in (self.mean, self.spread)
        )
        deviation = (self.residual(images, enhanced) - mean) / spread  # (B, N, H, W)
        return 0.3 * deviation.clamp(-3, 10).unsqueeze(1)


class CrossRecursionDetector(nn.Module):
    """A four-level 3-D convolutional autoencoder with skips; the third axis is the recursion step.

    The first layer halves the resolution and the last one shuffles pixels back; inside, only
    height and width are pooled, so all recursion steps stay visible at every level. A last
    convolution over all steps folds them into one map.

    Parameters
    ----------
    steps : int
        How many recursion steps the input has (N, or fewer in the ablation ``steps``).
    width : int
        Feature channels of the first level, a multiple of 8; deeper levels have 2, 4, 4 times it.
    residual_input : bool
        Whether the absolute residual ``|I_D^n - I|`` is given beside I and I_D^n. **Ours**.
    normality_size : int
        Working size for a `ResidualNormality`, given as one more channel; 0 for none. **Ours**.
    """

    LEVELS = 4

    def __init__(
        self,
        steps: int = 5,
        *,
        width: int = 16,
        residual_input: bool = True,
        normality_size: int = 0,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.residual_input = residual_input
        widths = [width, 2 * width, 4 * width, 4 * width]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.normality = ResidualNormality(steps, normality_size) if normality_size else None
        channels = 6 + 3 * residual_input + (normality_size > 0)
        self.enter = nn.Conv3d(channels, width, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1))
        self.first = _Block(width, width)
        self.down = nn.ModuleList(_Block(before, after) for before, after in pairs)
        self.up = nn.ModuleList(_Block(before + after, before) for before, after in pairs)
        self.fold = nn.Conv3d(width, 2 * width, (steps, 1, 1))
        self.leave = nn.Conv3d(2 * width, 4, (1, 3, 3), padding=(0, 1, 1))

    def join(self, images: Tensor, enhanced: Tensor) -> Tensor:
        """Join the image to every enhanced reconstruction.

        Parameters
        ----------
        images : Tensor
            I, (B, 3, H, W).
        enhanced : Tensor
            I_D^n, (B, 3, N, H, W).

        Returns
        -------
        Tensor
            (B, C, N, H, W): I, I_D^n and, where they are on, ``|I_D^n - I|`` and its normality.
        """
        repeated = images.unsqueeze(2).expand_as(enhanced)  # (B, 3, N, H, W)
        parts = [repeated - 0.5, enhanced - 0.5]
        if self.residual_input:
            parts.append((enhanced - repeated).abs())
        if self.normality is not None:
            parts.append(self.normality(images, enhanced))
        return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last_3d)

    def forward(self, images: Tensor, enhanced: Tensor) -> Tensor:
        """Answer the raw anomaly map.

        Parameters
        ----------
        images : Tensor
            I, (B, 3, H, W) in [0, 1]; H and W divisible by 16.
        enhanced : Tensor
            I_D^n, (B, 3, N, H, W), N equal to ``steps``.

        Returns
        -------
        Tensor
            Logits (B, 1, H, W); the paper's map M_A in [0, 1] is their sigmoid.

        Raises
        ------
        KitError
            If a side is not divisible by 16.
        """
        check_divisible(images, self.LEVELS)
        return self.map(self.join(images, enhanced))

    def map(self, joined: Tensor) -> Tensor:
        """Answer the raw anomaly map of what `join` gives: (B, C, N, H, W) to (B, 1, H, W)."""
        x = self.first(self.enter(joined))  # (B, width, N, H/2, W/2)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(F.avg_pool3d(x, (1, 2, 2)))  # (B, ..., N, H/4 ... H/16, ...)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")
            x = up(torch.cat([skip, x], dim=1))
        folded = self.leave(F.gelu(self.fold(x)))  # (B, 4, 1, H/2, W/2)
        return F.pixel_shuffle(folded.squeeze(2), 2)  # (B, 1, H, W)
