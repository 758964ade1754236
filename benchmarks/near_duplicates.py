"""How well near-duplicates are told from other images of the same part: ours and the usual hashes.

    python benchmarks/near_duplicates.py DATA CATEGORY

Copies of 20 images are made as they happen in practice. For each hash: the largest distance of a
copy to its original, and the smallest distance of two files of the category. A hash can tell them
apart where the first is smaller than the second; ours has to have `NEAR` between them.
"""

import sys
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.spatial.distance import cdist

from data_utils import open_category
from data_utils.doctor.similar import NEAR, perceptual_hash

CHANGED = 20  # images that are copied


def recoded(image: Image.Image, quality: int) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("L")


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 90": lambda image: recoded(image, 90),
    "JPEG, quality 50": lambda image: recoded(image, 50),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "10% darker": lambda image: image.point(lambda value: value * 0.9),
    "1% cropped": lambda image: image.crop(
        (image.width // 100, image.height // 100, image.width * 99 // 100, image.height * 99 // 100)
    ),
}


def phash(image: Image.Image) -> np.ndarray:
    """64 bits: whether a low frequency is above the median of all, as in pHash and `imagehash`."""
    values = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS), float)
    low = dctn(values)[:8, :8].ravel()
    return low > np.median(low)


def dhash(image: Image.Image) -> np.ndarray:
    """64 bits: whether a pixel is brighter than its left neighbour."""
    values = np.asarray(image.resize((9, 8), Image.Resampling.LANCZOS), int)
    return (np.diff(values, axis=1) > 0).ravel()


def main(data: str, name: str) -> None:
    category = open_category(data, name)
    images = [
        Image.fromarray(record.read_image()).convert("L")
        for record in (*category.train.records, *category.test.records)
    ]
    chosen = np.random.default_rng(0).choice(len(images), CHANGED, replace=False)
    ours = np.stack([perceptual_hash(np.asarray(image)) for image in images])
    spread = 1.4826 * np.median(np.abs(ours - np.median(ours, axis=0)), axis=0)
    hashes = {
        f"ours (root mean square; NEAR = {NEAR})": (
            lambda image: perceptual_hash(np.asarray(image)) / spread / np.sqrt(ours.shape[1]),
            "euclidean",
        ),
        "pHash, 64 bits (share of bits)": (phash, "hamming"),
        "dHash, 64 bits (share of bits)": (dhash, "hamming"),
    }
    print(f"{name}: {len(images)} images, {CHANGED} of them copied\n")
    print(
        "| hash | " + " | ".join(COPIES) + " | closest two files |\n|" + "---|" * (len(COPIES) + 2)
    )
    for title, (describe, metric) in hashes.items():
        known = np.stack([describe(image) for image in images])
        between = cdist(known, known, metric)
        np.fill_diagonal(between, np.inf)
        farthest = [
            max(
                cdist(describe(copy(images[i]))[None], known[i : i + 1], metric)[0, 0]
                for i in chosen
            )
            for copy in COPIES.values()
        ]
        cells = [f"{value:.3f}" for value in (*farthest, between.min())]
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
