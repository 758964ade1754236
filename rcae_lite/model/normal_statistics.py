"""What normal images show at each place of the part (**ours**): inputs of CRD."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.model.filters import local_mean
from rcae_lite.model.losses import gradient
from rcae_lite.model.registration import Registration, inverse, warp

__all__ = ["NormalStatistics", "common_structure", "match_exposure"]

COMMON = 0.55  # structure in common from which place says something; see `common_structure`


def common_structure(images: Tensor) -> float:
    """Tell how much of their structure images have in the same place.

    The mean correlation between the gradients of two of them, over all pairs, at 32x32 pixels. It
    does not depend on how many images there are.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W), at least two.

    Returns
    -------
    float
        About 0 where parts lie in any pose and in textures, 1 where all images are the same.
    """
    slopes = gradient(F.adaptive_avg_pool2d(images, 32))  # (B, 6, 32, 32)
    count, energy = len(slopes), slopes.square().mean()
    common = (count * slopes.mean(dim=0).square().mean() - energy) / (count - 1)
    return float(common / energy.clamp_min(1e-12))


class NormalStatistics(nn.Module):
    """What normal images look like at each place, and what residual is normal there (**ours**).

    A part has edges and highlights which never reconstruct well; the same residual elsewhere is a
    defect. And a colour that is normal in one place is a defect in another, however well it
    reconstructs. *Place* means that of the part: each image is registered first, see
    `rcae_lite.model.registration`, and brought to the same exposure. Where images have no frame in
    common, as in most textures, all z-scores are 0: `fit` decides by the `common_structure` of
    registered images, first with parts that lie still, then with parts that turn.

    Parameters
    ----------
    steps : int
        N, recursion steps.
    size : int
        Height and width of the images that the statistics are taken from.
    """

    mean: Tensor
    spread: Tensor
    structure: Tensor

    def __init__(self, steps: int, size: int) -> None:
        super().__init__()
        # (N + 3, H, W): the residual at each depth, then the three colours.
        self.register_buffer("mean", torch.zeros(steps + 3, size, size))
        self.register_buffer("spread", torch.ones(steps + 3, size, size))
        self.register_buffer("structure", torch.ones(()))  # in common to the training images
        self.registration = Registration(size)

    @property
    def used(self) -> Tensor:
        """Whether the images have a frame in common: () bool."""
        return self.structure >= COMMON

    @property
    def found(self) -> str:
        """How parts lie, and whether that is used, in words."""
        if not self.used:
            return "not used, parts lie in any place"
        return f"added, parts {'turned to one pose' if self.registration.turning else 'lie still'}"

    @staticmethod
    def _observe(images: Tensor, enhanced: Tensor, normal: Tensor) -> Tensor:
        """Join ``|I_D^n - I|`` to the colours at the exposure of what is normal (B, 3, H, W).

        Everything is a mean over 3x3 pixels; (B, N + 3, H, W).
        """
        residual = (enhanced - images.unsqueeze(2)).abs().mean(dim=1)  # (B, N, H, W)
        return torch.cat([local_mean(residual), match_exposure(local_mean(images), normal)], dim=1)

    def fit(self, normals: Tensor, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take the statistics.

        Parameters
        ----------
        normals : Tensor
            Normal images, (n, 3, H, W) in [0, 1].
        batches : iterable of (Tensor, Tensor)
            The same (B, 3, H, W), or varied, and their enhanced trajectories (B, 3, N, H, W).
        """
        for turning in (False, True):
            self.registration.fit(normals, turning=turning)
            normal = self._mean_registered(normals)
            if self.used:
                break
        count, total, squares = 0, torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        for images, enhanced in batches:
            pose = self.registration(images)
            expected = warp(normal.expand_as(images), inverse(pose))
            seen = warp(self._observe(images, enhanced, expected), pose)
            count += len(seen)
            total += seen.sum(dim=0)
            squares += seen.square().sum(dim=0)
        mean = total / count
        spread = (squares / count - mean.square()).clamp_min(0).sqrt()
        # Residuals wander by a few pixels, so their mean is smoothed; colours have sharp edges.
        self.mean.copy_(torch.cat([local_mean(mean[:-3], 5), mean[-3:]]))
        # Add 30% of the mean spread, so a pixel that hardly varied in training does not dominate.
        self.spread.copy_(
            local_mean(spread, 5) + 0.3 * spread.mean(dim=(1, 2), keepdim=True) + 1e-4
        )

    def _mean_registered(self, normals: Tensor) -> Tensor:
        """Return the mean image (3, H, W) of registered ones; keep their structure in common."""
        total, small = torch.zeros_like(normals[0]), []
        for part in normals.split(16):
            registered = warp(part, self.registration(part))
            total += registered.sum(dim=0)
            small.append(F.adaptive_avg_pool2d(registered, 32))
        self.structure.fill_(common_structure(torch.cat(small)))
        return local_mean(total / len(normals))

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
            then the colour (the mean over the three of them, never below 0). All 0 unless
            `used`.
        """
        from_part = inverse(self.registration(images))
        known = torch.cat([self.mean, self.spread])[None]  # (1, 2N + 6, H, W)
        known = F.interpolate(known, images.shape[-2:], mode="bilinear", align_corners=False)
        known = warp(known.expand(images.shape[0], -1, -1, -1), from_part)
        mean, spread = known.chunk(2, dim=1)  # (B, N + 3, H, W) each
        seen = self._observe(images, enhanced, mean[:, -3:])
        z_scores = (0.3 * (seen - mean) / spread).clamp(-1, 3)  # (B, N + 3, H, W)
        colour = z_scores[:, -3:].abs().mean(dim=1, keepdim=True)
        in_frame = warp(torch.ones_like(colour), from_part, beyond="zeros")  # (B, 1, H, W)
        return self.used * in_frame * torch.cat([z_scores[:, :-3], colour], dim=1)


def match_exposure(images: Tensor, reference: Tensor, *, rounds: int = 4) -> Tensor:
    """Bring images to the exposure of a reference: the best gain and offset per channel.

    Weighted least squares, weighted anew each round so that what fits badly (a defect, a part that
    lies elsewhere) hardly counts.

    Parameters
    ----------
    images : Tensor
        (B, C, H, W).
    reference : Tensor
        (B, C, H, W), or (C, H, W) for all of them.
    rounds : int
        Fits, one after the other.

    Returns
    -------
    Tensor
        (B, C, H, W).
    """
    x, y = images.flatten(2).contiguous(), reference.flatten(-2)  # ([B,] C, H * W)
    weight, fitted = torch.ones_like(x), x
    for _ in range(rounds):
        share = weight / weight.sum(dim=2, keepdim=True)
        centre_x = (share * x).sum(dim=2, keepdim=True)
        centre_y = (share * y).sum(dim=2, keepdim=True)
        covariance = (share * (x - centre_x) * (y - centre_y)).sum(dim=2, keepdim=True)
        variance = (share * (x - centre_x).square()).sum(dim=2, keepdim=True)
        gain = (covariance / (variance + 1e-6)).clamp(0.5, 2.0)
        fitted = gain * (x - centre_x) + centre_y
        misfit = (fitted - y).abs()
        weight = 1 / (1 + (misfit / (misfit.mean(dim=2, keepdim=True) + 1e-3)).square()).square()
    return fitted.unflatten(2, images.shape[-2:])
