"""What normal images show at each place of the part (**ours**): inputs of CRD."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.model.filters import local_mean
from rcae_lite.model.losses import gradient
from rcae_lite.model.registration import Registration, inverse, warp

__all__ = ["NormalStatistics", "common_structure", "match_exposure"]

COMMON = 0.55  # structure from which images have a frame in common; see `common_structure`


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
    """What normal images look like at each place of the part (**ours**): their eigenimages.

    A colour that is normal in one place is a defect in another, however well it reconstructs.
    *Place* means that of the part: each image is registered first, see
    `rcae_lite.model.registration`, and brought to the same exposure. What is left to vary, light
    that falls from elsewhere, a part that is a little wider, is in the eigenimages of the normal
    ones (Turk and Pentland, *Eigenfaces for recognition*, 1991): the mean and the principal
    components of the registered images. An image is off where it differs from its projection on
    them. Where images have no frame in common, as in most textures, they are taken as they lie:
    `fit` decides by the `common_structure` of registered images, first with parts that lie still,
    then with parts that turn.

    Parameters
    ----------
    size : int
        Height and width of the images that the statistics are taken from, an even number.
    half_size : bool
        Keep the eigenimages at half that size: a quarter of the memory. Where parts turn, edges
        want all of it.
    """

    MODES = 64  # eigenimages at most, and no more than there are images
    MOST = 512  # images that they are made of
    FOLDS = 4  # of the images; the spread is that of a fold against the eigenimages of the others

    mean: Tensor
    modes: Tensor
    spread: Tensor
    structure: Tensor

    def __init__(self, size: int, *, half_size: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3, size, size))
        self.shrink = 2 if half_size else 1
        side = size // self.shrink
        modes = torch.zeros(self.MODES, 3, side, side, dtype=torch.int8)
        self.register_buffer("modes", modes)  # directions, of any length
        self.register_buffer("spread", torch.ones(3, size, size))
        self.register_buffer("structure", torch.ones(()))  # in common to the training images
        self.registration = Registration(size)
        self.without: list[Tensor] = []  # the eigenimages made without each fold, after `fit`

    @property
    def aligned(self) -> Tensor:
        """Whether the images have a frame in common: () bool."""
        return self.structure >= COMMON

    @property
    def found(self) -> str:
        """How parts lie, in words."""
        if not self.aligned:
            return "no pose in common, images as they lie"
        return "parts turned to one pose" if self.registration.turning else "parts lie still"

    def fit(self, normals: Tensor, varied: Tensor) -> None:
        """Take the statistics.

        Parameters
        ----------
        normals : Tensor
            Normal images, (n, 3, H, W) in [0, 1].
        varied : Tensor
            The same in another light and place, (n, 3, H, W).
        """
        for turning in (False, True):
            self.registration.fit(normals, turning=turning)
            self.mean.copy_(self._mean_registered(normals))
            if self.aligned:
                break
        else:
            self.mean.copy_(local_mean(normals.mean(dim=0)))
        every = -(-len(normals) // self.MOST)
        images = torch.cat([normals[::every], varied[::every]])
        fold = self.folds(len(normals))[::every].repeat(2)
        seen = torch.cat([self._shrunk(self._registered(part)[0]) for part in images.split(16)])
        self.without = [self._principal(seen[fold != number]) for number in fold.unique()]
        self.modes.copy_(self._principal(seen))
        squares = torch.zeros_like(self.mean)
        for number, modes in enumerate(self.without):
            for part in images[fold == number].split(16):
                squares += self._off(self._registered(part)[0], modes).square().sum(dim=0)
        spread = (squares / len(images)).sqrt()
        # Add 60% of the mean spread, so a pixel that hardly varied in training does not dominate.
        self.spread.copy_(
            local_mean(spread, 5) + 0.6 * spread.mean(dim=(1, 2), keepdim=True) + 1e-4
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

    def _registered(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, S, S) in the part's frame, at its exposure, and poses (B, 4)."""
        pose = self.aligned * self.registration(images)
        normal = warp(self.mean.expand_as(images), inverse(pose))
        return warp(match_exposure(local_mean(images), normal), pose), pose

    def _shrunk(self, registered: Tensor) -> Tensor:
        """Return what is off the mean, at the size of ``modes``: (B, 3, S, S) to (B, D)."""
        return F.avg_pool2d(registered - self.mean, self.shrink).flatten(1)

    def _principal(self, seen: Tensor) -> Tensor:
        """Return the principal components of `_shrunk` images (n, D), in the shape of ``modes``."""
        if not len(seen):  # the only image is the one that is left out
            return torch.zeros_like(self.modes)
        centred = seen - seen.mean(dim=0)
        count = min(self.MODES, len(seen) // 2)  # each image is there twice
        _, vectors = torch.linalg.eigh((centred @ centred.T).cpu().double())  # n is far below D
        modes = vectors[:, len(seen) - count :].T.float().to(seen.device) @ centred
        highest = modes.abs().amax(dim=1, keepdim=True)
        modes = torch.where(highest > 1e-3 * highest.max(), modes / highest, 0)  # or it is rounding
        kept = torch.zeros_like(self.modes)
        kept[:count] = (127 * modes).round().unflatten(1, self.modes.shape[1:])
        return kept

    def _off(self, registered: Tensor, modes: Tensor) -> Tensor:
        """Return how far images are off their projection on the eigenimages: (B, 3, S, S)."""
        flat = modes.flatten(1).float()  # (K, D), at right angles
        shares = self._shrunk(registered) @ flat.T / flat.square().sum(dim=1).clamp_min(1)  # (B, K)
        explained = (shares @ flat).unflatten(1, modes.shape[1:])
        if self.shrink > 1:
            explained = F.interpolate(explained, scale_factor=2.0, mode="bilinear")
        return registered - self.mean - explained

    def folds(self, count: int) -> Tensor:
        """Return the fold of each of the images that `fit` was given, (count,) int64."""
        every = -(-count // self.MOST)
        return torch.arange(count) // every % min(self.FOLDS, count)

    def forward(self, images: Tensor, *, fold: int | None = None) -> Tensor:
        """How many spreads an image is off what is normal at each place, times 0.3, at most 3.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1].
        fold : int, optional
            That of the images, if `fit` saw them: only against the eigenimages of the others are
            they as unusual as new images.

        Returns
        -------
        Tensor
            (B, 1, H, W): that colour which is off most; 0 beyond the frame of the part.
        """
        modes = self.without[fold] if fold is not None and self.without else self.modes
        size = self.mean.shape[-2:]
        registered, pose = self._registered(
            F.interpolate(images, size, mode="bilinear", align_corners=False)
        )
        z_scores = (0.3 * self._off(registered, modes) / self.spread).abs().clamp_max(3)
        z_scores = z_scores.amax(dim=1, keepdim=True)
        z_scores = warp(z_scores, inverse(pose), beyond="zeros")
        return F.interpolate(z_scores, images.shape[-2:], mode="bilinear", align_corners=False)


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
