"""Reading one image or one mask, whatever the file is called: the content decides.

An image becomes 8-bit RGB. A mask keeps every value until it is compared with 0, because some data
sets store class ids that look black.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from data_utils.errors import DataError

__all__ = [
    "MAX_PIXELS",
    "Header",
    "image_header",
    "image_size",
    "list_images",
    "mask_values",
    "preview",
    "read_image",
    "read_mask",
    "shrunk",
]

MAX_PIXELS = 80_000_000  # more is a decompression bomb, or asks for another tool

_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_BROKEN = (OSError, SyntaxError, TypeError, ValueError, EOFError, struct.error, zlib.error)
_EXPECTED = "expected a JPEG, PNG, BMP or TIFF image"
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange height and width; others mean nothing
_JPEG = ("JPEG", "MPO")
_JPEG_BACKGROUND = 127  # of a mask


class Header(NamedTuple):
    """What the header of an image says.

    Parameters
    ----------
    height, width : int
        In pixels, as `read_image` gives them.
    mode : str
        Pillow's word for the channels: "L", "RGB", "RGBA", "P", "CMYK", "I;16" and so on.
    bits : int
        Of a channel, as stored.
    """

    height: int
    width: int
    mode: str
    bits: int


def list_images(folder: str | Path, *, recursive: bool = False) -> list[Path]:
    """List the images in a folder, sorted by path; a folder that does not exist has none.

    Hidden files and whatever is no JPEG, PNG, BMP or TIFF image are left out. The content counts,
    but a file that claims to be an image by its name is listed even so: a damaged ``003.png`` is to
    be reported, not skipped.

    Parameters
    ----------
    folder : path
        Where to look.
    recursive : bool
        Look into its visible subfolders, too.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        visible = [Path(place, name) for name in names if not name.startswith(".")]
        found += [path for path in visible if path.is_file() and _looks_like_image(path)]
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
    return sorted(found)


def _looks_like_image(path: Path) -> bool:
    """Tell whether a file is an image by its first bytes, or claims to be one by its name."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    with path.open("rb") as file:
        head = file.read(10)
    is_bmp = head[:2] == b"BM" and head[6:] == bytes(4)  # four reserved zero bytes
    return is_bmp or head.startswith(_SIGNATURES)


def read_image(path: str | Path) -> np.ndarray:
    """Read an image, upright by its EXIF orientation, as 8-bit RGB.

    Greyscale is repeated over the channels; 16 bits are scaled by their full range; transparency is
    laid on white; of several pages the first is read.

    Parameters
    ----------
    path : path
        A JPEG, PNG, BMP or TIFF file under any name.

    Returns
    -------
    np.ndarray
        (h, w, 3) uint8.

    Raises
    ------
    DataError
        If the file cannot be read, is no such image, is damaged or truncated, has more than
        `MAX_PIXELS` pixels, or has 32-bit values, whose range is unknown.
    """
    path = Path(path)
    with _opened(path) as image:
        return np.array(_upright_rgb(path, image))  # (h, w, 3)


def _upright_rgb(path: Path, image: Image.Image) -> Image.Image:
    """Turn an open image upright and convert it to 8-bit RGB; `read_image` says how."""
    deep = image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PNG")
    upright = ImageOps.exif_transpose(image)
    if deep:
        grey = (np.asarray(upright).astype(np.uint32) + 128) // 257  # (h, w) in [0, 255]
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if upright.mode in ("I", "F"):
        raise DataError(
            f"{path} has 32-bit pixel values, whose range is unknown; expected 8 or 16 bits; "
            "scale it and save it again"
        )
    if upright.has_transparency_data:
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright.convert("RGBA"))
    return upright.convert("RGB")


def preview(path: str | Path, side: int, content: bytes | None = None) -> np.ndarray:
    """Read an image small and grey, but to its last byte: damage is found as by `read_image`.

    A JPEG is decoded at a half, a quarter or an eighth of its size, which is several times faster.

    Parameters
    ----------
    path : path
        A JPEG, PNG, BMP or TIFF file under any name.
    side : int
        The longer side of the result is at most this, in pixels; nothing is enlarged.
    content : bytes, optional
        What is in the file, where that was read already.

    Returns
    -------
    np.ndarray
        (h, w) uint8.

    Raises
    ------
    DataError
        As `read_image`.
    """
    path = Path(path)
    with _opened(path, content) as image:
        image.draft("L", (side, side))  # does nothing unless the file is a JPEG
        return np.array(shrunk(_upright_rgb(path, image).convert("L"), side))  # (h, w)


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Shrink an image, antialiased, until its longer side is at most ``side`` pixels."""
    scale = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask: foreground is whatever differs from 0 in any colour channel.

    A palette image counts by index, alpha is ignored. JPEG cannot store exact values: there the
    upper half of the range is foreground.

    Parameters
    ----------
    path : path
        A JPEG, PNG, BMP or TIFF file under any name.

    Returns
    -------
    np.ndarray
        (h, w) bool, True where defective.

    Raises
    ------
    DataError
        As `read_image`, except for 32-bit values, which are fine here.
    """
    return mask_values(path)[1]


def mask_values(path: str | Path, content: bytes | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask as it is stored, and what `read_mask` makes of it.

    Parameters
    ----------
    path, content
        As in `preview`.

    Returns
    -------
    values : np.ndarray
        (h, w), the largest of the colour channels in the file's own type.
    foreground : np.ndarray
        (h, w) bool.

    Raises
    ------
    DataError
        As `read_mask`.
    """
    path = Path(path)
    with _opened(path, content) as image:
        lossy = image.format in _JPEG
        upright = ImageOps.exif_transpose(image)
        values = np.asarray(upright)  # (h, w) or (h, w, bands)
        colour = [band != "A" for band in upright.getbands()]
    if values.ndim == 3:
        values = values[..., colour].max(axis=2)  # (h, w)
    return values, values > _JPEG_BACKGROUND if lossy else values != 0


def image_size(path: str | Path, content: bytes | None = None) -> tuple[int, int]:
    """Return height and width in pixels; see `image_header`."""
    return image_header(path, content)[:2]


def image_header(path: str | Path, content: bytes | None = None) -> Header:
    """Read the header of an image, and nothing else.

    Parameters
    ----------
    path, content
        As in `preview`.

    Raises
    ------
    DataError
        If the header cannot be read.
    """
    path = Path(path)
    with _opened(path, content) as image:
        # Pillow looks for a missing EXIF block behind the pixels of a PNG, decoding all of them.
        searched = image.format != "PNG" or "exif" in image.info
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1) if searched else 1
        # Some versions of Pillow have turned the size of a TIFF already; its tags are as stored.
        tags = getattr(image, "tag_v2", None)
        width, height = (tags[256], tags[257]) if tags else image.size
        if orientation in _TURNED:
            width, height = height, width
        return Header(height, width, image.mode, _bits(image))


def _bits(image: Image.Image) -> int:
    """Bits of a channel as stored; Pillow opens RGB images of 16 bits with 8."""
    tiles = getattr(image, "tile", [])
    if image.format in ("PNG", "TIFF") and tiles:
        arguments = tiles[0][3]
        stored = arguments if isinstance(arguments, str) else str(arguments[0])  # "RGB;16B"
        if found := re.search(r";(\d+)", stored):
            return int(found[1])
    return {"1": 1, "I;16": 16, "I": 32, "F": 32}.get(image.mode, 8)


@contextmanager
def _opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong until it is closed becomes one line."""
    try:
        with Image.open(BytesIO(content) if content else path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(
            f"{path} has too many pixels; expected at most {MAX_PIXELS}; cut it into tiles or "
            "scale it"
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is not an image that can be read; {_EXPECTED}; replace it or remove it"
        ) from None
    except MemoryError:  # damaged lengths ask for gigabytes
        raise DataError(
            f"{path} is damaged, or asks for more memory than there is; {_EXPECTED}; copy it again "
            "or remove it"
        ) from None
    except _BROKEN as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise DataError(
            f"{path} is damaged or cannot be read ({reason}); {_EXPECTED}; copy it again or "
            "remove it"
        ) from None
