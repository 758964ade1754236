"""DPN, the detail preservation network: gives a smooth reconstruction its fine detail back.

It sees the reconstruction I_R^n and the gradient of the input, and outputs a residual:
``I_D^n = I_R^n + Res^n`` (paper, section 2). Trained on clean images only, as in the paper, it
learns to trust every gradient and draws defects back; trained on perturbed input with the clean
image as target (**ours**), it learns which gradients to leave out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.model.losses import gradient
from rcae_lite.model.rcae import ConvAutoencoder, check_divisible

__all__ = ["DetailPreservationNetwork"]


class DetailPreservationNetwork(nn.Module):
    """A light four-level convolutional autoencoder with skips.

    The input is rearranged from (H, W) to (H/2, W/2) with four times the channels, so that the
    most expensive level costs a quarter; the output is rearranged back (our reading; the paper
    says only "light, 4 levels, skips").

    The gradient enters as what the reconstruction lacks of it, ∇I - ∇I_R^n, softly bounded (ours).
    Beside I_R^n that says the same as ∇I, but defects no longer outweigh texture a hundred times,
    and DPN learns where its residual otherwise stays 0 (results/restoration-search.md).

    Parameters
    ----------
    width : int
        Feature channels of the first level, a multiple of 8; deeper levels have twice as many.
    """

    LEVELS = 4  # halvings of the input, the first by rearranging it
    SOFT = 0.05  # a missing gradient of this size counts half as much as the strongest

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.body = ConvAutoencoder(4 * (3 + 6), width)  # image and gradient, unshuffled
        self.head = nn.Conv2d(width, 4 * 3, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # Res^n = 0 at first: I_D^n starts as I_R^n
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # faster on a CPU

    def forward(self, reconstruction: Tensor, image_gradient: Tensor) -> Tensor:
        """Enhance one depth: I_D^n = I_R^n + Res^n.

        Parameters
        ----------
        reconstruction : Tensor
            I_R^n, (B, 3, H, W); H and W divisible by 16.
        image_gradient : Tensor
            ∇I of the input image, (B, 6, H, W), from `rcae_lite.model.losses.gradient`.

        Returns
        -------
        Tensor
            I_D^n, (B, 3, H, W), not clamped.
        """
        check_divisible(reconstruction, self.LEVELS)
        missing = image_gradient - gradient(reconstruction)  # (B, 6, H, W)
        missing = missing / missing.abs().add_(self.SOFT)  # in -1 ... 1: fine detail counts, too
        joined = torch.cat([reconstruction, missing], dim=1)  # (B, 9, H, W)
        joined = joined.contiguous(memory_format=torch.channels_last)
        x = self.body(F.pixel_unshuffle(joined, 2))  # (B, width, H/2, W/2)
        residual = F.pixel_shuffle(self.head(x), 2)  # Res^n, (B, 3, H, W)
        return reconstruction + residual

    def enhance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Enhance a whole trajectory at once.

        Parameters
        ----------
        images : Tensor
            I, (B, 3, H, W).
        reconstructions : Tensor
            I_R^1 ... I_R^N, (B, 3, N, H, W).

        Returns
        -------
        Tensor
            I_D^1 ... I_D^N, (B, 3, N, H, W).
        """
        depths = reconstructions.shape[2]
        flat = reconstructions.transpose(1, 2).flatten(0, 1)  # (B * N, 3, H, W)
        edges = gradient(images).unsqueeze(1).expand(-1, depths, -1, -1, -1).flatten(0, 1)
        return self(flat, edges).unflatten(0, (-1, depths)).transpose(1, 2)  # (B, 3, N, H, W)
