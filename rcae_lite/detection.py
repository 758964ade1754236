"""CRD, the cross recursion detection module: reads the whole trajectory, outputs the anomaly map.

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
from rcae_lite.distributed import BatchNorm3d
from rcae_lite.variation import match_exposure

__all__ = ["CrossRecursionDetector", "Normality"]


class _WithinSteps(nn.Conv2d):
    """A 3-D convolution (1, k, k): every recursion step on its own.

    It runs as a 2-D one over B * N images. In the memory format `channels_last_3d` that is a view,
    and for one image the CPU is several times faster than with `torch.nn.Conv3d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, N, H, W) to (B, outputs, N, H', W')."""
        y = super().forward(x.transpose(1, 2).flatten(0, 1))  # (B * N, outputs, H', W')
        return y.unflatten(0, (-1, x.shape[2])).transpose(1, 2)


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
            BatchNorm3d(outputs),
            nn.GELU(),
            _AcrossSteps(outputs, outputs, (3, 1), padding=(1, 0), bias=False),
            BatchNorm3d(outputs),
            nn.GELU(),
        )


def _mean3(x: Tensor) -> Tensor:
    """Mean over 3x3 pixels."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Normality(nn.Module):
    """What normal images look like at each place, and what residual is normal there (**ours**).

    A part that lies still has edges and highlights which never reconstruct well; the same residual
    elsewhere is a defect. And a colour that is normal in one place is a defect in another, however
    well it reconstructs. Where parts lie anywhere, the statistics are nearly the same everywhere,
    their spread is wide, and they say little.

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
        # (N + 3, H, W): the residual at each depth, then the three colours.
        self.register_buffer("mean", torch.zeros(steps + 3, size, size))
        self.register_buffer("spread", torch.ones(steps + 3, size, size))

    @staticmethod
    def _observe(images: Tensor, enhanced: Tensor, normal: Tensor) -> Tensor:
        """Join ``|I_D^n - I|`` to the colours at the exposure of a normal image (3, H, W).

        Everything is a mean over 3x3 pixels; (B, N + 3, H, W).
        """
        residual = (enhanced - images.unsqueeze(2)).abs().mean(dim=1)  # (B, N, H, W)
        return torch.cat([_mean3(residual), match_exposure(_mean3(images), normal)], dim=1)

    def fit(self, normal: Tensor, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take the statistics.

        Parameters
        ----------
        normal : Tensor
            The mean normal image, (3, H, W).
        batches : iterable of (Tensor, Tensor)
            Normal images (B, 3, H, W) and their enhanced trajectories (B, 3, N, H, W).
        """
        normal = _mean3(normal)
        count, total, squares = 0, torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        for images, enhanced in batches:
            seen = self._observe(images, enhanced, normal)
            count += len(seen)
            total += seen.sum(dim=0)
            squares += seen.square().sum(dim=0)
        mean = total / count
        spread = (squares / count - mean.square()).clamp_min(0).sqrt()
        smooth = [
            F.avg_pool2d(s, 5, stride=1, padding=2, count_include_pad=False) for s in (mean, spread)
        ]
        steps = len(mean) - 3
        # Residuals wander by a few pixels, so their mean is smoothed; colours have sharp edges.
        self.mean.copy_(torch.cat([smooth[0][:steps], mean[steps:]]))
        # No place is more certain than a third of the average, or a lucky pixel would shout.
        self.spread.copy_(smooth[1] + 0.3 * spread.mean(dim=(1, 2), keepdim=True) + 1e-4)

    def forward(self, images: Tensor, enhanced: Tensor) -> Tensor:
        """How many spreads each residual, and the colour, is off; scaled to about [-1, 3].

        Parameters
        ----------
        images, enhanced : Tensor
            (B, 3, H, W) and (B, 3, N, H, W).

        Returns
        -------
        Tensor
            (B, N + 1, H, W): the residual at each depth (below 0 where it is smaller than normal),
            then the colour (the mean over the three of them, never below 0).
        """
        mean, spread = (
            F.interpolate(s[None], images.shape[-2:], mode="bilinear", align_corners=False)
            for s in (self.mean, self.spread)
        )
        seen = self._observe(images, enhanced, mean[0, -3:])
        deviation = (0.3 * (seen - mean) / spread).clamp(-1, 3)  # (B, N + 3, H, W)
        colour = deviation[:, -3:].abs().mean(dim=1, keepdim=True)
        return torch.cat([deviation[:, :-3], colour], dim=1)


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
        Working size for a `Normality`, given as two more channels; 0 for none. **Ours**.
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
        self.normality = Normality(steps, normality_size) if normality_size else None
        channels = 6 + 3 * residual_input + 2 * (normality_size > 0)
        self.enter = _WithinSteps(channels, width, 4, stride=2, padding=1)
        self.first = _Block(width, width)
        self.down = nn.ModuleList(_Block(before, after) for before, after in pairs)
        self.up = nn.ModuleList(_Block(before + after, before) for before, after in pairs)
        self.fold = _AcrossSteps(width, 2 * width, (steps, 1))
        self.leave = _WithinSteps(2 * width, 4, 3, padding=1)

    def deviation(self, images: Tensor, enhanced: Tensor) -> Tensor:
        """Return what `Normality` says, (B, N + 1, H, W); without it no channels, (B, 0, H, W)."""
        return images[:, :0] if self.normality is None else self.normality(images, enhanced)

    def join(self, images: Tensor, enhanced: Tensor, deviation: Tensor) -> Tensor:
        """Join the image to every enhanced reconstruction.

        Parameters
        ----------
        images : Tensor
            I, (B, 3, H, W).
        enhanced : Tensor
            I_D^n, (B, 3, N, H, W).
        deviation : Tensor
            From `deviation`.

        Returns
        -------
        Tensor
            (B, C, N, H, W): I, I_D^n and, where they are on, ``|I_D^n - I|`` and the deviations of
            this depth's residual and of the colour.
        """
        repeated = images.unsqueeze(2).expand_as(enhanced)  # (B, 3, N, H, W)
        parts = [repeated - 0.5, enhanced - 0.5]
        if self.residual_input:
            parts.append((enhanced - repeated).abs())
        if self.normality is not None:
            residual, colour = deviation[:, None, :-1], deviation[:, None, -1:]
            parts += [residual, colour.expand_as(residual)]  # (B, 1, N, H, W) each
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
        return self.map(self.join(images, enhanced, self.deviation(images, enhanced)))

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
