"""Draw the contact sheet: ``python -m data_utils.synthetic FILE`` (.jpg or .png)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from data_utils.synthetic import CATEGORIES, SEVERITIES, TEST_GOOD, defects_of, draw

_NORMALS = 3
_CAPTION = 14  # pixels
_GAP = 4


def _tile(image: np.ndarray, caption: str) -> np.ndarray:
    """Put a caption under an image: (H + caption, W, 3) uint8."""
    canvas = Image.new("RGB", (image.shape[1], image.shape[0] + _CAPTION), "white")
    canvas.paste(Image.fromarray(image))
    ImageDraw.Draw(canvas).text((2, image.shape[0] + 1), caption, fill="black")
    return np.asarray(canvas)


def _outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw the outline of a mask in red, two pixels outside it."""
    rim = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask, iterations=2)
    return np.where(rim[..., None], np.array([255, 40, 40], np.uint8), image)


def contact_sheet(size: int = 144, seed: int = 0) -> Image.Image:
    """Draw all categories: a row of normal and defective pictures, below it their outlined masks.

    Parameters
    ----------
    size : int
        Side of a picture in pixels.
    seed : int
        As in `draw`.
    """
    rows = []
    for category in CATEGORIES:
        normals = [draw(category, "train", i, seed=seed, size=size) for i in range(_NORMALS)]
        pictures = [_tile(picture.image, category) for picture in normals]
        outlines = [np.full_like(picture, 255) for picture in pictures]
        for position, defect in enumerate(defects_of(category)):
            severity = list(SEVERITIES)[position % len(SEVERITIES)]
            picture = draw(
                category,
                "test",
                TEST_GOOD + position,
                seed=seed,
                size=size,
                defect=defect,
                severity=severity,
            )
            pictures.append(_tile(picture.image, f"{defect}, {severity}"))
            outlines.append(_tile(_outlined(picture.image, picture.mask), "mask"))
        for tiles in (pictures, outlines):
            padded = [np.pad(t, ((0, 0), (0, _GAP), (0, 0)), constant_values=255) for t in tiles]
            rows.append(np.concatenate(padded, axis=1))
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    """Write the contact sheet to the file given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m data_utils.synthetic", description=__doc__)
    parser.add_argument("file", type=Path, help="where to write it (.jpg or .png)")
    contact_sheet().save(parser.parse_args().file, quality=80)


if __name__ == "__main__":
    main()
