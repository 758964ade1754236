"""The single-pass autoencoder that RcAE is compared with: the paper's ConvAE."""

from __future__ import annotations

from torch import Tensor, nn

from data_utils.errors import KitError
from rcae_lite.model.rcae import check_divisible

__all__ = ["SinglePassAutoencoder"]


class SinglePassAutoencoder(nn.Module):
    """The paper's ConvAE baseline: independent levels, one pass, no recursion.

    Each of the ``depth`` levels has its own weights, as in any convolutional autoencoder. The
    paper's baseline is the one without skips; its table of skips and sharing has both.

    Parameters
    ----------
    depth : int
        Number of halvings.
    width : int
        Feature channels of every level, a multiple of 8.
    skips : bool
        Add the features of every level of the way down on the way up (ablation).
    """

    def __init__(self, depth: int = 5, *, width: int = 40, skips: bool = False) -> None:
        super().__init__()
        if depth < 1:
            raise KitError(f"depth {depth} is below 1; use 5, for example")
        if width < 8 or width % 8:
            raise KitError(f"width {width} is not a positive multiple of 8; use 40, for example")
        self.depth = depth
        self.skips = skips
        widths = [width] * depth
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for before, after in zip([3, *widths], widths, strict=False):
            down = nn.Conv2d(before, after, 2, stride=2)
            self.encoder.append(nn.Sequential(down, self._refine(after)))
        for before, after in zip(widths[::-1], [*widths[-2::-1], 3], strict=True):
            up = nn.ConvTranspose2d(before, after, 2, stride=2)
            self.decoder.append(nn.Sequential(self._refine(before), up))

    @staticmethod
    def _refine(width: int) -> nn.Module:
        return nn.Sequential(
            nn.GroupNorm(8, width), nn.GELU(), nn.Conv2d(width, width, 3, padding=1), nn.GELU()
        )

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct once: (B, 3, H, W) in [0, 1] to (B, 3, H, W), not clamped."""
        check_divisible(images, self.depth)
        x, passed = images, []
        for level in self.encoder:
            x = level(x)  # (B, width, H / 2^l, W / 2^l)
            passed.append(x)
        x = self.decoder[0](passed.pop())
        for level in self.decoder[1:]:
            skip = passed.pop()
            x = level(x + skip if self.skips else x)
        return x  # (B, 3, H, W)

    def trajectory(self, images: Tensor) -> Tensor:
        """Return the one reconstruction as a trajectory of length 1: (B, 3, 1, H, W)."""
        return self(images).unsqueeze(2)
