"""The losses of the three stages, each one formula of the paper (or named as ours)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["bce_dice_loss", "gradient", "map_loss", "reconstruction_loss"]


def gradient(x: Tensor) -> Tensor:
    """First-order gradient ∇x by forward differences, zero at the last row and column.

    Parameters
    ----------
    x : Tensor
        (B, C, H, W).

    Returns
    -------
    Tensor
        (B, 2C, H, W): the C horizontal differences, then the C vertical ones.
    """
    horizontal = F.pad(x[..., :, 1:] - x[..., :, :-1], (0, 1, 0, 0))
    vertical = F.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([horizontal, vertical], dim=1)


def reconstruction_loss(
    reconstruction: Tensor,
    image: Tensor,
    mask: Tensor | None = None,
    mask_weight: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Intensity and gradient L1: ``||I - I_R||_1 + ||∇I - ∇I_R||_1`` (paper, sections 1 and 2).

    Both norms are means over all elements; RcAE is trained with it on I_R^n, DPN on I_D^n. With a
    mask, the mean of ``|I - I_R|`` over the perturbed region is added (**ours**): the region is
    small in many images, and counts for little in a mean over all pixels. With weights, both norms
    are weighted means (**ours**).

    Parameters
    ----------
    reconstruction, image : Tensor
        (B, 3, H, W).
    mask : Tensor, optional
        M_P, (B, 1, H, W) in {0, 1}.
    mask_weight : float
        Weight of what is added; 0 in the paper.
    weights : Tensor, optional
        Of the pixels, (B, 1, H, W), of mean 1; 1 everywhere in the paper.

    Returns
    -------
    Tensor
        Scalar, 0 if and only if the two are equal.
    """
    error = reconstruction - image
    intensity, slope = error.abs(), gradient(error).abs()  # ∇ is linear
    if weights is not None:
        intensity, slope = weights * intensity, weights * slope
    loss = intensity.mean() + slope.mean()
    if mask is None or mask_weight == 0:
        return loss
    inside = (error.abs() * mask).sum() / (error.shape[1] * mask.sum()).clamp_min(1)
    return loss + mask_weight * inside


def map_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Map and map-gradient L2: ``||M_A - M_P||_2 + ||∇M_A - ∇M_P||_2`` (paper, section 3).

    M_A is the sigmoid of the logits; both norms are root mean squares over all elements.

    Parameters
    ----------
    logits : Tensor
        (B, 1, H, W), the raw anomaly map.
    mask : Tensor
        M_P, (B, 1, H, W) in {0, 1}.

    Returns
    -------
    Tensor
        Scalar.
    """
    error = torch.sigmoid(logits) - mask
    eps = 1e-12  # the square root has no slope at 0
    values = (error.square().mean() + eps).sqrt()
    slopes = (gradient(error).square().mean() + eps).sqrt()  # ∇ is linear
    return values + slopes


def bce_dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross entropy plus soft Dice: **ours**, learns faster when few pixels are anomalous.

    ``BCE(M_A, M_P) + 1 - (2 Σ M_A M_P + 1) / (Σ M_A + Σ M_P + 1)``, sums over the whole batch.

    Parameters
    ----------
    logits, mask : Tensor
        As in `map_loss`.

    Returns
    -------
    Tensor
        Scalar.
    """
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * mask).sum() + 1
    dice = 1 - overlap / (probability.sum() + mask.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, mask) + dice
