"""Near-duplicates: a perceptual hash of real numbers, and a tree that finds its neighbours.

The usual hashes of 64 bits (aHash, dHash, pHash; the library `imagehash`) compare an image with
itself: is this frequency stronger than the image's median? On inspection photographs, where every
image shows the same part in the same place, they give different parts nearly the same bits. Here
the low frequencies stay real numbers, and two images are compared in units of how much their
category varies at each frequency. `benchmarks/near_duplicates.py` measures both.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["NEAR", "near_duplicates", "perceptual_hash"]

NEAR = 0.15  # root mean square difference; two unrelated images have about 1.4

_SIDE = 64  # pixels; the image is squashed to this square
_FREQUENCIES = 8  # along each axis
_FINEST = 0.1  # least spread: what 8 bits and a JPEG leave of a frequency


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """Describe an image by its low frequencies, whatever its size, brightness and contrast.

    Parameters
    ----------
    grey : np.ndarray
        (h, w) uint8.

    Returns
    -------
    np.ndarray
        (63,) float32: the coefficients of the orthonormal DCT of the image, squashed to 64x64
        and standardised, at the 8x8 lowest frequencies but the constant one.
    """
    square = Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    values = np.asarray(square, dtype=np.float32)  # (64, 64)
    values = (values - values.mean()) / max(float(values.std()), 1.0)
    return dctn(values, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]


def near_duplicates(hashes: np.ndarray) -> list[list[int]]:
    """Group the images that are nearly the same.

    Each frequency is divided by its spread over the images (median absolute deviation, scaled to
    the standard deviation of a normal distribution), so the root mean square difference of two
    unrelated images is about 1.4, were the frequencies independent. Pairs below `NEAR` are found
    with a k-d tree, and what is connected by pairs is one group.

    Parameters
    ----------
    hashes : np.ndarray
        (n, K), n from 1; see `perceptual_hash`.

    Returns
    -------
    list of list of int
        Groups of two or more indices, ascending.
    """
    count, length = hashes.shape
    spread = 1.4826 * np.median(np.abs(hashes - np.median(hashes, axis=0)), axis=0)  # (K,)
    tree = cKDTree(hashes / np.maximum(spread, _FINEST))
    pairs = tree.query_pairs(NEAR * np.sqrt(length), output_type="ndarray")  # (p, 2)
    ones = np.ones(len(pairs), bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    group = connected_components(graph, directed=False)[1]  # (n,)
    return [np.flatnonzero(group == number).tolist() for number in np.unique(group[pairs[:, 0]])]
