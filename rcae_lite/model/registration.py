"""Where a part lies in an image, against the mean of the normal ones (**ours**).

A part in a fixture still lies a few pixels off from image to image, a little turned, a little
nearer. `NormalStatistics` are taken, and looked up, in the frame of the part. The algorithm is the
inverse compositional one of Lucas and Kanade (Baker and Matthews, IJCV 2004): the template's
derivatives are taken once, so each round is one warp of a small image and one product of matrices,
on any device and in the exported model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.model.filters import local_mean

__all__ = ["Registration", "inverse", "warp"]


class Registration(nn.Module):
    """Finds the shift, turn and scale that bring a part onto the template.

    A *pose* (u, v, a, b) is a similarity: ``(1 + a) x - b y + u`` and ``b x + (1 + a) y + v`` is
    where in the image the template's point (x, y) lies, in coordinates that run from -1 to 1.

    Parameters
    ----------
    size : int
        Height and width of the images that the template is made from.
    """

    SIDE = 64  # of the template, in pixels
    ROUNDS = 10
    REACH = (0.12, 0.12, 0.08, 0.15)  # 6% of the side, 8% of the scale, 9 degrees

    template: Tensor
    solver: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.shrink = max(1, size // self.SIDE)
        side = size // self.shrink
        self.register_buffer("template", torch.zeros(1, side, side))
        self.register_buffer("solver", torch.zeros(4, side * side))  # pose by residual

    def fit(self, normals: Tensor, *, rounds: int = 4) -> None:
        """Make the template: the mean of normal images (n, 3, H, W), registered to it in turn."""
        pictures = self._prepared(normals)
        self._set_template(pictures.mean(dim=0))
        for _ in range(rounds):
            poses = self._poses(pictures)
            self._set_template(warp(pictures, poses).mean(dim=0))

    def forward(self, images: Tensor) -> Tensor:
        """Return the pose of each image: (B, 3, H, W) to (B, 4), all 0 if none fits better."""
        return self._poses(self._prepared(images))

    def _prepared(self, images: Tensor) -> Tensor:
        """Small, grey, without shading, of contrast 1: (B, 3, H, W) to (B, 1, S, S)."""
        size = (self.size, self.size)
        grey = images.mean(dim=1, keepdim=True)
        grey = F.interpolate(grey, size, mode="bilinear", align_corners=False)
        grey = local_mean(F.avg_pool2d(grey, self.shrink))
        detail = grey - local_mean(grey, 17)
        return detail / (detail.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1e-3)

    def _set_template(self, template: Tensor) -> None:
        """Keep the template (1, S, S), and what turns a residual into a change of the pose."""
        side = template.shape[-1]
        slope_y, slope_x = (side / 2 * slope for slope in torch.gradient(template[0]))
        place = (torch.arange(side, device=template.device) + 0.5) * 2 / side - 1
        y, x = place[:, None], place[None, :]
        parts = [slope_x, slope_y, slope_x * x + slope_y * y, slope_y * x - slope_x * y]
        slopes = torch.stack(parts).flatten(1)  # (4, S * S): by u, v, a and b
        normal = slopes @ slopes.T
        damped = normal + torch.diag(1e-3 * normal.diagonal() + 1e-6)  # flat images have no pose
        self.template.copy_(template)
        self.solver.copy_(torch.linalg.solve(damped, slopes))

    def _poses(self, pictures: Tensor) -> Tensor:
        """Return poses (B, 4) of `_prepared` images (B, 1, S, S)."""
        reach = torch.tensor(self.REACH, device=pictures.device)
        still = pose = pictures.new_zeros(len(pictures), 4)
        for _ in range(self.ROUNDS):
            off = (warp(pictures, pose) - self.template).flatten(1)
            limit = 2 * off.abs().mean(dim=1, keepdim=True)  # a defect counts no more than an edge
            change = off.clamp(-limit, limit) @ self.solver.T
            pose = _compose(pose, inverse(change)).clamp(-reach, reach)
        better = self._misfit(pictures, pose) < self._misfit(pictures, still)
        return torch.where(better[:, None], pose, still)

    def _misfit(self, pictures: Tensor, pose: Tensor) -> Tensor:
        return (warp(pictures, pose) - self.template).abs().mean(dim=(1, 2, 3))


def warp(images: Tensor, pose: Tensor) -> Tensor:
    """Bring images to the template's frame, or, by the `inverse` pose, from it.

    Parameters
    ----------
    images : Tensor
        (B, C, H, W); beyond the border it is repeated.
    pose : Tensor
        (B, 4), see `Registration`.

    Returns
    -------
    Tensor
        (B, C, H, W).
    """
    u, v, a, b = pose.unbind(dim=1)
    rows = torch.stack([1 + a, -b, u, b, 1 + a, v], dim=1).unflatten(1, (2, 3))
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bilinear", "border", align_corners=False)


def inverse(pose: Tensor) -> Tensor:
    """Return the poses that undo poses: (B, 4) to (B, 4)."""
    u, v, a, b = pose.unbind(dim=1)
    square = (1 + a).square() + b.square()
    cosine, sine = (1 + a) / square, -b / square
    return torch.stack([sine * v - cosine * u, -sine * u - cosine * v, cosine - 1, sine], dim=1)


def _compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the pose that does the inner one first, then the outer: (B, 4) each."""
    (u, v, a, b), (s, t, c, d) = outer.unbind(dim=1), inner.unbind(dim=1)
    a, c = 1 + a, 1 + c
    parts = [a * s - b * t + u, b * s + a * t + v, a * c - b * d - 1, b * c + a * d]
    return torch.stack(parts, dim=1)
