"""CRD, the cross recursion detection module: reads the whole trajectory, answers the anomaly map.

Normal regions settle quickly along the recursion, defective ones keep changing. CRD sees the
image joined to every enhanced reconstruction and convolves over height, width *and* the
recursion step (paper, section 3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.autoencoder import check_divisible

__all__ = ["CrossRecursionDetector"]


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
    """

    LEVELS = 4

    def __init__(self, steps: int = 5, *, width: int = 16, residual_input: bool = True) -> None:
        super().__init__()
        self.steps = steps
        self.residual_input = residual_input
        widths = [width, 2 * width, 4 * width, 4 * width]
        pairs = list(zip(widths, widths[1:], strict=False))
        channels = 9 if residual_input else 6
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
            (B, 6 or 9, N, H, W): I, I_D^n and, with ``residual_input``, ``|I_D^n - I|``.
        """
        repeated = images.unsqueeze(2).expand_as(enhanced)  # (B, 3, N, H, W)
        parts = [repeated, enhanced]
        if self.residual_input:
            parts.append((enhanced - repeated).abs())
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
        """
        check_divisible(*images.shape[-2:], self.LEVELS)
        x = self.first(self.enter(self.join(images, enhanced) - 0.5))  # (B, width, N, H/2, W/2)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(F.avg_pool3d(x, (1, 2, 2)))  # (B, ..., N, H/4 ... H/16, ...)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")
            x = up(torch.cat([skip, x], dim=1))
        folded = self.leave(F.gelu(self.fold(x)))  # (B, 4, 1, H/2, W/2)
        return F.pixel_shuffle(folded.squeeze(2), 2)  # (B, 1, H, W)
