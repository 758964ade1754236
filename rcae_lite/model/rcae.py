"""RcAE, the recursive autoencoder, and the single-pass autoencoder it is compared with.

The whole model is in this file. Read it from top to bottom once:

1. ``Encoder`` halves an image, ``Decoder`` doubles it. Both are small, and both keep an identity
   path around their convolutions, which therefore learn only what is to be added to it.
2. ``RcAE`` applies *one* encoder n times and *one* decoder n times (paper, section 1).
   The reconstruction of depth n is ``I_R^n = D^n(E^n(I))``; all depths are the *trajectory*.
3. ``SinglePassAutoencoder`` is our reading of the paper's ConvAE: own weights per level, one
   depth only.

Letters: B batch, C channels of a compressed image, N recursion depth, H and W height and width.

Source: Wu et al., "RcAE: Recursive Reconstruction Framework for Unsupervised Industrial Anomaly
Detection", AAAI 2026. Where the paper leaves the inside of E and D open, this is our reading.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data_utils.errors import KitError

__all__ = ["Decoder", "Encoder", "RcAE", "check_divisible"]


def check_divisible(images: Tensor, depth: int) -> None:
    """Refuse images (..., H, W) that cannot be halved ``depth`` times.

    Raises
    ------
    KitError
        Naming the side, the divisor and two remedies.
    """
    for name, side in zip(("height", "width"), images.shape[-2:], strict=True):
        divisor = 2**depth
        if side % divisor:
            possible = (side & -side).bit_length() - 1  # how often 2 divides the side
            nearest = max(divisor, round(side / divisor) * divisor)
            raise KitError(
                f"{name} {side} is not divisible by 2^{depth} = {divisor}; "
                f"resize to {nearest} or use depth <= {possible}"
            )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions of constant width; with ``skip`` the input is added to their output."""

    def __init__(self, width: int, skip: bool = True) -> None:
        super().__init__()
        self.skip = float(skip)
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Refine features: (B, width, H, W) to the same."""
        return self.skip * x + self.body(x)  # (B, width, H, W)


class Encoder(nn.Module):
    """E: one compression, which halves height and width.

    A convolution with kernel 2 and stride 2 goes down; all further work happens at the lower
    resolution, where it is four times cheaper. The identity path is average pooling.

    Parameters
    ----------
    channels : int
        Channels of the input and of the output, so that any output is a valid input.
    width : int
        Feature channels inside; a multiple of 8.
    skip : bool
        Whether the identity paths are there (ablation ``sharing``).
    """

    def __init__(self, channels: int = 3, width: int = 32, skip: bool = True) -> None:
        super().__init__()
        self.skip = float(skip)
        self.down = nn.Conv2d(channels, width, 2, stride=2)
        self.block = ResidualBlock(width, skip)
        self.project = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compress once: (B, C, H, W) to (B, C, H/2, W/2)."""
        features = self.block(self.down(x))  # (B, width, H/2, W/2)
        return self.skip * F.avg_pool2d(x, 2) + self.project(F.gelu(features))  # (B, C, H/2, W/2)


class Decoder(nn.Module):
    """D: one reconstruction, which doubles height and width.

    The mirror image of `Encoder`: work at the lower resolution first, then a transposed
    convolution with kernel 2 and stride 2. The identity path is bilinear enlargement.

    Parameters
    ----------
    channels, width, skip
        As in `Encoder`.
    """

    def __init__(self, channels: int = 3, width: int = 32, skip: bool = True) -> None:
        super().__init__()
        self.skip = float(skip)
        self.expand = nn.Conv2d(channels, width, 1)
        self.block = ResidualBlock(width, skip)
        self.up = nn.ConvTranspose2d(width, channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct once: (B, C, H, W) to (B, C, 2H, 2W)."""
        features = self.block(self.expand(x))  # (B, width, H, W)
        larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.skip * larger + self.up(F.gelu(features))  # (B, C, 2H, 2W)


class RcAE(nn.Module):
    """The recursive autoencoder: one encoder and one decoder, each applied N times.

    Parameters
    ----------
    depth : int
        N, the deepest recursion. The paper uses 5.
    width : int
        Feature channels inside E and D; a multiple of 8.
    channels : int
        C, the channels of every compressed image. With 3 a compressed image is an image; with any
        other number a 1x1 convolution goes from RGB to C before and back after the recursion.
    skips : bool
        Whether E and D have identity paths (ablation).
    shared : bool
        True: one E and one D serve every level, and the parameters do not grow with N.
        False: every level has its own (ablation).
    """

    def __init__(
        self,
        depth: int = 5,
        *,
        width: int = 32,
        channels: int = 3,
        skips: bool = True,
        shared: bool = True,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise KitError(f"depth {depth} is below 1; the paper uses 5")
        if width < 8 or width % 8:
            raise KitError(f"width {width} is not a positive multiple of 8; use 32, for example")
        self.depth = depth
        copies = 1 if shared else depth
        self.encoders = nn.ModuleList(Encoder(channels, width, skips) for _ in range(copies))
        self.decoders = nn.ModuleList(Decoder(channels, width, skips) for _ in range(copies))
        image_like = channels == 3
        self.stem = nn.Identity() if image_like else nn.Conv2d(3, channels, 1)
        self.head = nn.Identity() if image_like else nn.Conv2d(channels, 3, 1)

    def encode(self, x: Tensor, level: int) -> Tensor:
        """C_{level} from C_{level-1}: shape (B, C, H, W) to (B, C, H/2, W/2)."""
        return self.encoders[(level - 1) % len(self.encoders)](x)

    def decode(self, x: Tensor, level: int) -> Tensor:
        """One step back from ``level`` to ``level - 1``: (B, C, H, W) to (B, C, 2H, 2W)."""
        return self.decoders[(level - 1) % len(self.decoders)](x)

    def compress(self, images: Tensor, depth: int | None = None) -> list[Tensor]:
        """Return the compressed images C_0 ... C_depth; C_0 is the image (after the stem).

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1]; H and W divisible by ``2 ** depth``.
        depth : int, optional
            How often to compress; N by default.

        Returns
        -------
        list of Tensor
            ``depth + 1`` tensors; element i has shape (B, C, H / 2^i, W / 2^i).

        Raises
        ------
        KitError
            If the depth is outside 1..N or a side is not divisible.
        """
        depth = self.depth if depth is None else depth
        if not 1 <= depth <= self.depth:
            raise KitError(f"depth {depth} is outside 1..{self.depth}, the depths of this RcAE")
        check_divisible(images, depth)
        compressed = [self.stem(images)]  # C_0 = I
        for level in range(1, depth + 1):
            compressed.append(self.encode(compressed[-1], level))  # C_i = E(C_{i-1})
        return compressed

    def forward(self, images: Tensor, depth: int | None = None) -> Tensor:
        """Reconstruct at one depth: I_R^n = D^n(E^n(I)).

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1].
        depth : int, optional
            n in 1..N; N by default.

        Returns
        -------
        Tensor
            (B, 3, H, W), not clamped.
        """
        compressed = self.compress(images, depth)
        reconstruction = compressed[-1]  # R_0 = C_n
        for level in range(len(compressed) - 1, 0, -1):
            reconstruction = self.decode(reconstruction, level)  # R_j = D(R_{j-1})
        return self.head(reconstruction)  # (B, 3, H, W)

    def trajectory(self, images: Tensor, depths: Sequence[int] | None = None) -> Tensor:
        """Reconstruct at several depths, sharing the work.

        Every compressed image is computed once. On the way up, the reconstructions that are at the
        same resolution go through the decoder as one batch.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1].
        depths : sequence of int, optional
            Increasing depths out of 1..N; all of them by default.

        Returns
        -------
        Tensor
            (B, 3, len(depths), H, W): I_R^n for each n in ``depths``.
        """
        depths = list(range(1, self.depth + 1)) if depths is None else list(depths)
        if not depths or depths != sorted(set(depths)) or depths[0] < 1:
            raise KitError(f"depths {depths} must increase and lie in 1..{self.depth}")
        compressed = self.compress(images, depths[-1])
        rising: list[Tensor] = []  # the depths that have started, each (B, C, H / 2^l, W / 2^l)
        for level in range(depths[-1], 0, -1):
            if level in depths:
                rising.insert(0, compressed[level])
            batch = self.decode(torch.cat(rising), level)
            rising = list(batch.unflatten(0, (len(rising), -1)))
        out = self.head(torch.cat(rising)).unflatten(0, (len(depths), -1))
        return torch.stack(list(out), dim=2)  # (B, 3, N, H, W)
