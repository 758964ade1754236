"""How many of their four layers E and D use at each depth: fixed by the size, at construction."""

from __future__ import annotations

__all__ = ["LAYERS", "halvings", "layers_at"]

LAYERS = 4  # of E and D, as in the paper
SMALLEST = 4  # side of the smallest feature map at the working size


def layers_at(size: int, depth: int, half_size: bool = True) -> list[tuple[int, int]]:
    """Return the layers of E and of D at each recursion index 1..depth.

    Deep images are small, so they go through fewer than four layers of the same weights: through as
    many as leave a feature map of at least 4x4, and divide the image at half the size, too, on
    which stage 1 may begin (**ours**).

    Parameters
    ----------
    size : int
        Side of the image.
    depth : int
        N.
    half_size : bool
        See `rcae_lite.model.rcae.RcAE`.

    Returns
    -------
    list of (int, int)
        From 1 to 4 each, the more the larger the image.
    """

    def layers(side: int) -> int:
        count = 1
        while count < LAYERS and side % 4 == 0 and side // 2 >= SMALLEST:
            side, count = side // 2, count + 1
        return count

    sides = [size // 2**index for index in range(depth + 1)]
    of_e = sides[1:] if half_size else sides[:-1]
    return [(layers(e), layers(d)) for e, d in zip(of_e, sides[1:], strict=True)]


def halvings(size: int, depth: int, half_size: bool = True) -> int:
    """How often RcAE halves an image, its layers included: sides are multiples of 2 to this."""
    most = depth
    for index, (e, d) in enumerate(layers_at(size, depth, half_size), start=1):
        most = max(most, index - (not half_size) + e - 1, index + d - 1)
    return most
