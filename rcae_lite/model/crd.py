"""CRD, the cross recursion detection module: reads the whole trajectory, outputs the anomaly map.

Normal regions settle quickly along the recursion, defective ones keep changing. CRD sees the
image joined to every enhanced reconstruction and convolves over height, width *and* the
recursion step (paper, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.model.normal_statistics import NormalStatistics
from rcae_lite.model.rcae import check_divisible

__all__ = ["CrossRecursionDetector", "steps_seen"]


def steps_seen(images: Tensor, enhanced: Tensor, depths: Sequence[int]) -> Tensor:
    """Select the recursion steps that CRD sees.

    Parameters
    ----------
    images, enhanced : Tensor
        I (B, 3, H, W) and I_D^1 ... I_D^N (B, 3, N, H, W).
    depths : sequence of int
        Out of 0..N, where 0 is the image itself; empty for 1..N.

    Returns
    -------
    Tensor
        (B, 3, len(depths), H, W).
    """
    if not depths:
        return enhanced
    return torch.cat([images.unsqueeze(2), enhanced], dim=2)[:, :, list(depths)]


def _within_steps(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of images (B * N, C, H, W) to every step of (B, C, N, H, W)."""
    y = function(x.transpose(1, 2).flatten(0, 1))
    return y.unflatten(0, (-1, x.shape[2])).transpose(1, 2)


class _WithinSteps(nn.Conv2d):
    """A 3-D convolution (1, k, k): every recursion step on its own.

    It runs as a 2-D one over B * N images. In the memory format `channels_last_3d` that is a view,
    and for one image the CPU is several times faster than with `torch.nn.Conv3d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, N, H, W) to (B, outputs, N, H', W')."""
        return _within_steps(super().forward, x)


class _AcrossSteps(nn.Conv2d):
    """A 3-D convolution (k, 1, 1): every pixel on its own, over k neighbouring recursion steps."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, N, H, W) to (B, outputs, N', H, W)."""
        return super().forward(x.flatten(3)).unflatten(3, x.shape[3:])


class _Block(nn.Sequential):
    """A 3x3x3 convolution in two factors: within each step (1, 3, 3), then across steps (3, 1, 1).

    Two factors need (9 + 3) / 27 of the multiplications of one full kernel of the same width.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            _WithinSteps(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm3d(outputs),
            nn.GELU(),
            _AcrossSteps(outputs, outputs, (3, 1), padding=(1, 0), bias=False),
            nn.BatchNorm3d(outputs),
            nn.GELU(),
        )


class CrossRecursionDetector(nn.Module):
    """A four-level 3-D convolutional autoencoder with skips; the third axis is the recursion step.

    The first layer halves the resolution and the last one shuffles pixels back; inside, only
    height and width are pooled, so all recursion steps stay visible at every level. A last
    convolution over all steps collapses them into one map.

    Parameters
    ----------
    steps : int
        How many recursion steps the input has (N, or fewer in the ablation ``steps``).
    width : int
        Feature channels of the first level, a multiple of 8; deeper levels have 2, 4, 4 times it.
    residual_input : bool
        Whether the absolute residual ``|I_D^n - I|`` is given beside I and I_D^n. **Ours**.
    statistics_size : int
        Working size of `NormalStatistics`, whose z-scores are one more channel; 0 for none.
        **Ours**.
    half_size_eigenimages : bool
        Whether their eigenimages have half that size.
    """

    LEVELS = 4

    def __init__(
        self,
        steps: int = 5,
        *,
        width: int = 16,
        residual_input: bool = True,
        statistics_size: int = 0,
        half_size_eigenimages: bool = False,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.residual_input = residual_input
        widths = [width, 2 * width, 4 * width, 4 * width]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.statistics = None
        if statistics_size:
            self.statistics = NormalStatistics(statistics_size, half_size=half_size_eigenimages)
        channels = 6 + 3 * residual_input + (statistics_size > 0)
        self.stem = _WithinSteps(channels, width, 4, stride=2, padding=1)
        self.first = _Block(width, width)
        self.down = nn.ModuleList(_Block(before, after) for before, after in pairs)
        self.up = nn.ModuleList(_Block(before + after, before) for before, after in pairs)
        self.collapse = _AcrossSteps(width, 2 * width, (steps, 1))
        self.head = _WithinSteps(2 * width, 4, 3, padding=1)

    def z_scores(self, images: Tensor, *, fold: int | None = None) -> Tensor:
        """Return those of `NormalStatistics`, (B, 1, H, W); without it (B, 0, H, W)."""
        return images[:, :0] if self.statistics is None else self.statistics(images, fold=fold)

    def assemble_input(self, images: Tensor, enhanced: Tensor, z_scores: Tensor) -> Tensor:
        """Join the image to every enhanced reconstruction.

        Parameters
        ----------
        images : Tensor
            I, (B, 3, H, W).
        enhanced : Tensor
            I_D^n, (B, 3, N, H, W).
        z_scores : Tensor
            From `z_scores`.

        Returns
        -------
        Tensor
            (B, C, N, H, W): I, I_D^n and, where they are on, ``|I_D^n - I|`` and the z-scores.
        """
        repeated = images.unsqueeze(2).expand_as(enhanced)  # (B, 3, N, H, W)
        parts = [repeated - 0.5, enhanced - 0.5]
        if self.residual_input:
            parts.append((enhanced - repeated).abs())
        parts.append(z_scores.unsqueeze(2).expand(-1, -1, enhanced.shape[2], -1, -1))
        return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last_3d)

    def forward(self, images: Tensor, enhanced: Tensor) -> Tensor:
        """Return anomaly logits.

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
        inputs = self.assemble_input(images, enhanced, self.z_scores(images))
        return self.predict_logits(inputs)

    def predict_logits(self, inputs: Tensor) -> Tensor:
        """Return anomaly logits of `assemble_input`: (B, C, N, H, W) to (B, 1, H, W)."""
        x = self.first(self.stem(inputs))  # (B, width, N, H/2, W/2)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(_within_steps(nn.AvgPool2d(2), x))  # (B, ..., N, H/4 ... H/16, ...)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")
            x = up(torch.cat([skip, x], dim=1))
        collapsed = self.head(F.gelu(self.collapse(x)))  # (B, 4, 1, H/2, W/2)
        return F.pixel_shuffle(collapsed.squeeze(2), 2)  # (B, 1, H, W)
