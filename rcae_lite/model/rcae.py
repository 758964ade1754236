"""RcAE, the recursive autoencoder.

The whole model is in this file. Read it from top to bottom once:

1. ``ConvAutoencoder`` is a 4-layer convolutional autoencoder with skips, from image to image.
2. ``Encoder`` is one of them and halves the image, ``Decoder`` is another and doubles it.
3. ``RcAE`` applies *one* encoder n times and *one* decoder n times (paper, section 1).
   The reconstruction of depth n is ``I_R^n = D^n(E^n(I))``; all depths are the *trajectory*.

Letters: B batch, N recursion depth, H and W height and width. C_i is a compressed image, R_j a
reconstruction on its way back; both have the three channels of the image.

Source: Wu et al., "RcAE: Recursive Reconstruction Framework for Unsupervised Industrial Anomaly
Detection", AAAI 2026. The paper says of E and D: a standard 4-layer convolutional autoencoder with
skip connections, E followed by a convolution with kernel 2 and stride 2, D ending in a transposed
one. What is **ours**, the first two with a switch of the constructor:

- ``half_size``: E's convolution with stride 2 comes first instead of last, so that its autoencoder
  works at half the size, at a quarter of the cost. (D's does anyway: it works on what it doubles.)
- ``identity``: an average pooling around E and a bilinear enlargement around D, so that both learn
  only what is to be added.
- Each layer is normalised within the image (group normalisation), on which the paper is silent.
- As deep images are small, they go through fewer than four layers of the same weights: through as
  many as leave a map of at least 4x4, see `rcae_lite.model.layers`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data_utils.errors import KitError
from rcae_lite.model.layers import LAYERS, halvings, layers_at

__all__ = [
    "ConvAutoencoder",
    "Decoder",
    "Encoder",
    "RcAE",
    "check_divisible",
]

GROUPS = 4  # of features that are normalised together


def check_divisible(images: Tensor, depth: int) -> None:
    """Refuse images (..., H, W) that cannot be halved ``depth`` times.

    Raises
    ------
    KitError
        Naming the side, the divisor and the remedy.
    """
    for name, side in zip(("height", "width"), images.shape[-2:], strict=True):
        divisor = 2**depth
        if side % divisor:
            nearest = max(divisor, round(side / divisor) * divisor)
            raise KitError(
                f"{name} {side} is not divisible by 2^{depth} = {divisor}; resize to {nearest}"
            )


def _layer(inputs: int, outputs: int) -> nn.Module:
    """One layer: a 3x3 convolution, group normalisation and the nonlinearity."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(GROUPS, outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


class ConvAutoencoder(nn.Module):
    """A 4-layer convolutional autoencoder, each layer at half the size of the one before.

    Way down: average pooling and a 3x3 convolution. Way up: a 1x1 convolution to the features of
    the larger layer, enlargement, the skip added, and a 3x3 convolution.

    Parameters
    ----------
    inputs : int
        Channels of the input. The output has ``width`` features, not yet turned into an image.
    width : int
        Features of the first layer; the others have twice as many.
    skips : bool
        Whether each layer of the way up is given the layer of the way down at its size.
    """

    def __init__(self, inputs: int, width: int = 16, skips: bool = True) -> None:
        super().__init__()
        self.skips = skips
        widths = [width] + [2 * width] * (LAYERS - 1)
        pairs = list(zip(widths, widths[1:], strict=False))  # of neighbouring layers
        self.stem = _layer(inputs, width)
        self.down = nn.ModuleList(_layer(above, below) for above, below in pairs)
        self.lift = nn.ModuleList(nn.Conv2d(below, above, 1) for above, below in pairs)
        self.up = nn.ModuleList(_layer(above, above) for above, _ in pairs)

    def forward(self, x: Tensor, layers: int = LAYERS) -> Tensor:
        """Code and decode with the first ``layers`` layers: (B, inputs, H, W) to (B, width, H, W).

        H and W are divisible by ``2 ** (layers - 1)``.
        """
        x = self.stem(x)  # (B, width, H, W)
        skips = []
        for down in self.down[: layers - 1]:
            skips.append(x)
            x = down(F.avg_pool2d(x, 2))  # (B, 2 width, H/2 ... H/8, ...)
        for layer in range(layers - 2, -1, -1):
            x = F.interpolate(self.lift[layer](x), scale_factor=2, mode="nearest")
            x = self.up[layer](x + skips[layer] if self.skips else x)
        return x


class Encoder(nn.Module):
    """E: one compression, which halves height and width.

    The paper's order is autoencoder, then the convolution with kernel 2 and stride 2. With
    ``half_size`` that convolution comes first, and a 1x1 convolution last.

    Parameters
    ----------
    width : int
        Features of the first layer, see `ConvAutoencoder`.
    skips, half_size, identity : bool
        See `RcAE`.
    """

    def __init__(
        self, width: int = 16, *, skips: bool = True, half_size: bool = True, identity: bool = True
    ) -> None:
        super().__init__()
        self.identity = identity
        if half_size:
            self.first: nn.Module = nn.PixelUnshuffle(2)
            self.last = nn.Conv2d(width, 3, 1)
        else:
            self.first = nn.Identity()
            self.last = nn.Conv2d(width, 3, 2, stride=2)
        self.body = ConvAutoencoder(12 if half_size else 3, width, skips)
        _start_small(self.last, identity)

    def forward(self, x: Tensor, layers: int = LAYERS) -> Tensor:
        """Compress once: (B, 3, H, W) to (B, 3, H/2, W/2)."""
        added = self.last(self.body(self.first(x), layers))  # (B, 3, H/2, W/2)
        return F.avg_pool2d(x, 2) + added if self.identity else added


class Decoder(nn.Module):
    """D: one reconstruction, which doubles height and width.

    An autoencoder at the size of the input that ends with a transposed convolution with kernel 2
    and stride 2.

    Parameters
    ----------
    width, skips, identity
        As in `Encoder`.
    """

    def __init__(self, width: int = 16, *, skips: bool = True, identity: bool = True) -> None:
        super().__init__()
        self.identity = identity
        self.body = ConvAutoencoder(3, width, skips)
        self.last = nn.ConvTranspose2d(width, 3, 2, stride=2)
        _start_small(self.last, identity)

    def forward(self, x: Tensor, layers: int = LAYERS) -> Tensor:
        """Reconstruct once: (B, 3, H, W) to (B, 3, 2H, 2W)."""
        added = self.last(self.body(x, layers))  # (B, 3, 2H, 2W)
        if not self.identity:
            return added
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) + added


def _start_small(last: nn.Module, identity: bool) -> None:
    """With an identity path, start next to it: the untrained RcAE resizes."""
    if identity:
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.mul_(0.1)


class RcAE(nn.Module):
    """The recursive autoencoder: one encoder and one decoder, each applied N times.

    Parameters
    ----------
    depth : int
        N, the deepest recursion. The paper uses 5 at 1024x1024.
    size : int
        Side of the images it is made for. It fixes how many of the four layers the deep, small
        images go through, see `rcae_lite.model.layers`; larger and other shapes are possible.
    width : int
        Features of the first layer of E and D, a multiple of 8; the others have twice as many.
    skips : bool
        Whether the autoencoders inside E and D have skips (ablation). Without them there is no
        identity path either, whatever ``identity`` says: it is a skip around a whole autoencoder,
        and would hand on what the others are not to.
    shared : bool
        True: one E and one D serve every level, and the parameters do not grow with N.
        False: every level has its own (ablation).
    half_size : bool
        Work at half the size in E (ours), see `Encoder`.
    identity : bool
        Identity paths around E and D (ours).
    """

    def __init__(
        self,
        depth: int = 5,
        *,
        size: int = 128,
        width: int = 16,
        skips: bool = True,
        shared: bool = True,
        half_size: bool = True,
        identity: bool = True,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise KitError(f"depth {depth} is below 1; the paper uses 5")
        if width < 8 or width % 8:
            raise KitError(f"width {width} is not a positive multiple of 8; use 16, for example")
        if size < 2**depth or size % 2**depth:
            raise KitError(
                f"size {size} is not divisible by 2^{depth} = {2**depth}; use a multiple of it"
            )
        self.depth = depth
        self.layers = layers_at(size, depth, half_size)
        self.halvings = halvings(size, depth, half_size)
        copies = 1 if shared else depth
        own = {"skips": skips, "identity": identity and skips}
        self.encoders = nn.ModuleList(
            Encoder(width, half_size=half_size, **own) for _ in range(copies)
        )
        self.decoders = nn.ModuleList(Decoder(width, **own) for _ in range(copies))
        self.to(memory_format=torch.channels_last)  # faster on a CPU

    def encode(self, x: Tensor, level: int) -> Tensor:
        """C_{level} from C_{level-1}: (B, 3, H, W) to (B, 3, H/2, W/2)."""
        layers, _ = self.layers[level - 1]
        return self.encoders[(level - 1) % len(self.encoders)](x, layers)

    def decode(self, x: Tensor, level: int) -> Tensor:
        """One step back from ``level`` to ``level - 1``: (B, 3, H, W) to (B, 3, 2H, 2W)."""
        _, layers = self.layers[level - 1]
        return self.decoders[(level - 1) % len(self.decoders)](x, layers)

    def compress(self, images: Tensor, depth: int | None = None) -> list[Tensor]:
        """Return the compressed images C_0 ... C_depth; C_0 is the image.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1]; H and W divisible by ``2 ** self.halvings``.
        depth : int, optional
            How often to compress; N by default.

        Returns
        -------
        list of Tensor
            ``depth + 1`` tensors; element i has shape (B, 3, H / 2^i, W / 2^i).

        Raises
        ------
        KitError
            If the depth is outside 1..N or a side is not divisible.
        """
        depth = self.depth if depth is None else depth
        if not 1 <= depth <= self.depth:
            raise KitError(f"depth {depth} is outside 1..{self.depth}, the depths of this RcAE")
        check_divisible(images, self.halvings)
        compressed = [images]  # C_0 = I
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
        return reconstruction  # (B, 3, H, W)

    def trajectory(self, images: Tensor) -> Tensor:
        """Reconstruct at every depth, sharing the work.

        Every compressed image is computed once. On the way up, the reconstructions that are at the
        same resolution go through the decoder as one batch.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1].

        Returns
        -------
        Tensor
            (B, 3, N, H, W): I_R^1 ... I_R^N.
        """
        compressed = self.compress(images)
        rising: list[Tensor] = []  # the depths that have started, each (B, 3, H / 2^l, W / 2^l)
        for level in range(self.depth, 0, -1):
            rising.insert(0, compressed[level])
            batch = self.decode(torch.cat(rising), level)
            rising = list(batch.unflatten(0, (len(rising), -1)))
        return torch.stack(rising, dim=2)  # (B, 3, N, H, W)
