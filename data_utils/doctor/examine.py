"""What a doctor wants to know of one image and its masks: read once, nothing raised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from data_utils.doctor.similar import perceptual_hash
from data_utils.errors import DataError
from data_utils.formats.common import read_bytes
from data_utils.images import Header, image_header, mask_values, preview, shrunk
from data_utils.samples import Record

__all__ = ["Facts", "Look", "MaskFacts", "examine"]

_SIDE = 256  # longer side of what is looked at, in pixels
_EIGHT = np.ones((3, 3))  # defects that touch at a corner are one, as in AU-PRO


@dataclass(frozen=True)
class Look:
    """What an image looks like.

    Parameters
    ----------
    brightness : float
        Mean grey value, in [0, 255].
    sharpness : float
        log2 of the mean absolute Laplacian over the standard deviation, at a longer side of 256
        pixels: a step of 1 is a factor of 2, contrast does not count.
    span : int
        Between the darkest and the brightest thousandth of the pixels, in grey values.
    top : int
        What a thousandth of the pixels lies above, in grey values.
    levels : int
        The fewest grey values that 95% of the pixels have.
    hash : np.ndarray
        (K,) float32; see `perceptual_hash`.
    """

    brightness: float
    sharpness: float
    span: int
    top: int
    levels: int
    hash: np.ndarray


@dataclass(frozen=True)
class MaskFacts:
    """What is known of one file with a mask; None or 0 where it could not be read.

    Parameters
    ----------
    path : str
        Relative to the data root.
    fault : str or None
        Why it cannot be read.
    header : Header or None
        What its header says.
    values : int
        How many different values it has.
    area : int
        Foreground pixels.
    share : float
        Foreground pixels as a share of all.
    """

    path: str
    fault: str | None = None
    header: Header | None = None
    values: int = 0
    area: int | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Facts:
    """What is known of one image; None where it could not be read, or was not asked for.

    Parameters
    ----------
    record : Record
        The image.
    split : str
        "train" or "test".
    fault : str or None
        Why it cannot be read.
    digest : str or None
        sha256 of the image file alone, without masks.
    header : Header or None
        What its header says.
    look : Look or None
        What it looks like.
    masks : tuple of MaskFacts
        Its masks.
    defects : tuple of float
        Areas of its connected defects, as fractions of the image, the smallest first.
    """

    record: Record
    split: str
    fault: str | None
    digest: str | None
    header: Header | None
    look: Look | None
    masks: tuple[MaskFacts, ...]
    defects: tuple[float, ...]


def examine(record: Record, split: str, root: Path, *, pixels: bool) -> Facts:
    """Read an image and its masks.

    Parameters
    ----------
    record : Record
        The image.
    split : str
        "train" or "test".
    root : Path
        The data root.
    pixels : bool
        Decode everything; otherwise only hash the file and read the headers.
    """
    fault, digest, header, look = None, None, None, None
    try:
        if record.file is None:
            digest, header, grey = _drawn(record)
            look = _look(grey)
        elif pixels:
            content = read_bytes(record.file)
            digest = hashlib.sha256(content).hexdigest()
            header = image_header(record.file, content)
            look = _look(preview(record.file, _SIDE, content, bits=record.bits))
        else:
            assert record.image_digest is not None
            digest = record.image_digest()  # kept: the fingerprint of the category needs it, too
            header = image_header(record.file)
    except DataError as error:
        fault = str(error)
    masks, defects = _masks(record, root, pixels)
    return Facts(record, split, fault, digest, header, look, masks, defects)


def _drawn(record: Record) -> tuple[str, Header, np.ndarray]:
    """Digest, header and grey preview of an image that has no file."""
    image = record.read_image()  # (h, w, 3)
    grey = np.asarray(shrunk(Image.fromarray(image).convert("L"), _SIDE))  # (h, w)
    header = Header(image.shape[0], image.shape[1], "RGB", 8)
    return hashlib.sha256(image.tobytes()).hexdigest(), header, grey


def _look(grey: np.ndarray) -> Look:
    values = grey.astype(np.float32)  # (h, w)
    contrast = max(float(values.std()), 1.0)
    detail = float(np.abs(ndimage.laplace(values)).mean())
    sharpness = float(np.log2(max(detail / contrast, 1e-6)))
    low, high = np.percentile(grey, [0.1, 99.9], method="nearest")
    counts = np.sort(np.bincount(grey.ravel(), minlength=256))[::-1]
    levels = int(np.searchsorted(counts.cumsum(), 0.95 * grey.size)) + 1
    low, high = int(low), int(high)
    return Look(float(values.mean()), sharpness, high - low, high, levels, perceptual_hash(grey))


def _masks(
    record: Record, root: Path, pixels: bool
) -> tuple[tuple[MaskFacts, ...], tuple[float, ...]]:
    """Facts of every mask file, and the areas of the defects in their union."""
    facts, planes = [], []
    for path in record.mask_files:
        name = path.relative_to(root).as_posix()
        header, values, area, share = None, 0, None, 0.0
        try:
            content = read_bytes(path) if pixels else None
            header = image_header(path, content)
            if pixels:
                stored, foreground = mask_values(path, content)  # (h, w)
                values, area = _distinct(stored), int(foreground.sum())
                share = float(foreground.mean())
                planes.append(foreground)
            facts.append(MaskFacts(name, None, header, values, area, share))
        except DataError as error:
            facts.append(MaskFacts(name, str(error), header))
    if record.file is None and record.read_mask is not None and pixels:
        planes.append(record.read_mask())
    if len({plane.shape for plane in planes}) != 1:
        return tuple(facts), ()
    return tuple(facts), _areas(np.logical_or.reduce(planes))


def _distinct(values: np.ndarray) -> int:
    if values.dtype == np.uint8:
        return int(np.count_nonzero(np.bincount(values.ravel(), minlength=256)))
    return len(np.unique(values))


def _areas(mask: np.ndarray) -> tuple[float, ...]:
    """Areas of the connected defects, 8-connected, as fractions of the image."""
    defects = ndimage.label(mask, structure=_EIGHT)[0]
    return tuple(np.sort(np.bincount(defects.ravel())[1:] / mask.size).tolist())
