"""Where a part lies in an image, against the mean of the normal ones (**ours**).

A part in a fixture still lies a few pixels off from image to image, a little turned, a little
nearer; a part on a table lies in any rotation. `NormalStatistics` are taken, and looked up, in the
frame of the part. A coarse search over rotations and shifts finds where to start, for parts that
turn; then the inverse compositional algorithm of Lucas and Kanade (Baker and Matthews, IJCV 2004)
takes over: the template's derivatives are taken once, so each round is one warp of a small image
and one product of matrices. All of it runs on any device, and in the exported model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.model.filters import local_mean, pixel_grid
from rcae_lite.model.losses import gradient

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
    REACH = (0.12, 0.12, 0.08, 0.15)  # of the rounds: 6% of the side, 8% of the scale, 9 degrees
    ALIKE = 0.5  # correlation with the template from which a pose counts
    TURNS = 24  # rotations of the search, 15 degrees apart
    KEPT = (0.2, 0.4, 0.6, 0.8, 1.0, 1.0)  # share of the images that each template is a mean of

    template: Tensor
    solver: Tensor
    turned: Tensor
    turning: Tensor
    starts: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.shrink = max(1, size // self.SIDE)
        side = size // self.shrink
        self.shifts = 3 * side // 32  # of the search, in pixels of half the side, either way
        self.register_buffer("template", torch.zeros(1, side, side))
        self.register_buffer("solver", torch.zeros(4, side * side))  # pose by residual
        self.register_buffer("turned", torch.zeros(self.TURNS, 1, side // 2, side // 2))
        self.register_buffer("turning", torch.zeros((), dtype=torch.bool))  # whether to search
        self.register_buffer("starts", self._starts(side // 2), persistent=False)

    def fit(self, normals: Tensor, *, turning: bool = False) -> None:
        """Make the template from normal images, registering them to it in turn.

        It starts as their mean, or, where parts turn, as one of them; the images that are most like
        it come first, lest it becomes a mean of several poses.

        Parameters
        ----------
        normals : Tensor
            (n, 3, H, W).
        turning : bool
            Whether parts may lie in any rotation.
        """
        self.turning.fill_(turning)
        pictures = self._prepared(normals)
        self._set_template(pictures[0] if turning else pictures.mean(dim=0))
        for share in self.KEPT:
            registered = warp(pictures, self._poses(pictures))
            likeness = self._likeness(registered)
            self._set_template(registered[likeness >= likeness.quantile(1 - share)].mean(dim=0))

    def forward(self, images: Tensor) -> Tensor:
        """Return the pose of each image: (B, 3, H, W) to (B, 4), 0 where it is unlike the part."""
        return self._poses(self._prepared(images))

    def _prepared(self, images: Tensor) -> Tensor:
        """How steep the image is, whichever way the light falls: (B, 3, H, W) to (B, 1, S, S)."""
        size = (self.size, self.size)
        grey = images.mean(dim=1, keepdim=True)
        grey = local_mean(F.interpolate(grey, size, mode="bilinear", align_corners=False))
        steep = gradient(grey).square().sum(dim=1, keepdim=True).sqrt()
        steep = local_mean(F.avg_pool2d(steep, self.shrink)).sqrt()
        steep = steep - steep.mean(dim=(2, 3), keepdim=True)
        return steep / (steep.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1e-3)

    def _starts(self, side: int) -> Tensor:
        """Return the poses that the search tries, ``side`` pixels wide: (turns * shifts^2, 4)."""
        angle = torch.arange(self.TURNS) * (2 * math.pi / self.TURNS)
        shift = torch.arange(-self.shifts, self.shifts + 1) * (2 / side)
        angle, v, u = torch.meshgrid(angle, shift, shift, indexing="ij")
        return torch.stack([u, v, angle.cos() - 1, angle.sin()], dim=3).flatten(0, 2)

    def _set_template(self, template: Tensor) -> None:
        """Keep the template (1, S, S), and what turns a residual into a change of the pose."""
        side = template.shape[-1]
        slope_y, slope_x = (side / 2 * slope for slope in torch.gradient(template[0]))
        y, x = _coordinates(template)
        parts = [slope_x, slope_y, slope_x * x + slope_y * y, slope_y * x - slope_x * y]
        slopes = torch.stack(parts).flatten(1)  # (4, S * S): by u, v, a and b
        normal = slopes @ slopes.T
        damped = normal + torch.diag(1e-3 * normal.diagonal() + 1e-6)  # flat images have no pose
        self.template.copy_(template)
        self.solver.copy_(torch.linalg.solve(damped, slopes))
        round_part = template * (x.square() + y.square() < 1)  # what stays in sight as it turns
        small = F.avg_pool2d(round_part[None], 2).expand(self.TURNS, -1, -1, -1)
        middle = (2 * self.shifts + 1) ** 2 // 2  # the start without a shift
        turned = warp(small, inverse(self.starts.unflatten(0, (self.TURNS, -1))[:, middle]))
        self.turned.copy_(turned / (turned.square().sum(dim=(2, 3), keepdim=True).sqrt() + 1e-6))

    def _search(self, pictures: Tensor) -> Tensor:
        """Return the best of ``starts`` by correlation (B, 4); 0 where parts do not turn."""
        small = F.pad(F.avg_pool2d(pictures, 2), (self.shifts,) * 4)
        likeness = F.conv2d(small, self.turned).flatten(1)  # (B, turns * shifts^2)
        return self.turning * self.starts[likeness.argmax(dim=1)]

    def _poses(self, pictures: Tensor) -> Tensor:
        """Return poses (B, 4) of `_prepared` images (B, 1, S, S)."""
        start = self._search(pictures)
        reach = torch.tensor(self.REACH, device=start.device)
        change = torch.zeros_like(start)
        for _ in range(self.ROUNDS):
            off = (warp(pictures, _compose(start, change)) - self.template).flatten(1)
            limit = 2 * off.abs().mean(dim=1, keepdim=True)  # a defect counts no more than an edge
            step = off.clamp(-limit, limit) @ self.solver.T
            change = _compose(change, inverse(step)).clamp(-reach, reach)
        pose = _compose(start, change)
        alike = self._likeness(warp(pictures, pose)) > self.ALIKE
        return torch.where(alike[:, None], pose, 0)

    def _likeness(self, registered: Tensor) -> Tensor:
        """Return the correlation of images (B, 1, S, S) with the template, (B,)."""
        product = (registered * self.template).mean(dim=(1, 2, 3))
        energy = registered.square().mean(dim=(1, 2, 3)) * self.template.square().mean()
        return product / (energy.sqrt() + 1e-6)


def warp(images: Tensor, pose: Tensor, *, beyond: str = "border") -> Tensor:
    """Bring images to the template's frame, or, by the `inverse` pose, from it.

    Parameters
    ----------
    images : Tensor
        (B, C, H, W).
    pose : Tensor
        (B, 4), see `Registration`.
    beyond : {"border", "zeros"}
        What lies beyond the border: the border again, or 0.

    Returns
    -------
    Tensor
        (B, C, H, W).
    """
    y, x = _coordinates(images)
    u, v, a, b = pose[:, :, None, None].unbind(dim=1)  # (B, 1, 1) each
    grid = torch.stack([(1 + a) * x - b * y + u, b * x + (1 + a) * y + v], dim=3)
    return F.grid_sample(images, grid, "bilinear", beyond, align_corners=False)


def _coordinates(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return y (H, 1) and x (1, W) of the pixels, from -1 to 1."""
    y, x = pixel_grid(images)
    return 2 * y - 1, 2 * x - 1


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
