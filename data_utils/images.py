"""Reading one image or one mask, whatever the file is called: the content decides.

An image becomes 8-bit RGB. A mask keeps every value until it is compared with 0, because some data
sets store class ids that look black.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from data_utils.errors import DataError

__all__ = ["MAX_PIXELS", "image_size", "list_images", "read_image", "read_mask"]

MAX_PIXELS = 80_000_000  # more is a decompression bomb, or asks for another tool

_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_EXPECTED = "expected a JPEG, PNG, BMP or TIFF image"
_FIRST_TURNED = 5  # EXIF orientations 5 to 8 exchange height and width


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
        deep = image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PNG")
        upright = ImageOps.exif_transpose(image)
        if deep:
            grey = (np.asarray(upright).astype(np.uint32) + 128) // 257  # (h, w) in [0, 255]
            return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)  # (h, w, 3)
        if upright.mode in ("I", "F"):
            raise DataError(
                f"{path} has 32-bit pixel values, whose range is unknown; expected 8 or 16 bits; "
                "scale it and save it again"
            )
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        return np.array(upright.convert("RGB"))  # (h, w, 3)


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
    path = Path(path)
    with _opened(path) as image:
        background = 127 if image.format in ("JPEG", "MPO") else 0
        upright = ImageOps.exif_transpose(image)
        values = np.asarray(upright)  # (h, w) or (h, w, bands)
        colour = [band != "A" for band in upright.getbands()]
    if values.ndim == 3:
        values = values[..., colour].max(axis=2)  # (h, w)
    return values > background if background else values != 0  # (h, w)


def image_size(path: str | Path, content: bytes | None = None) -> tuple[int, int]:
    """Return height and width in pixels as `read_image` will give them, from the header alone.

    Parameters
    ----------
    path : path
        The file.
    content : bytes, optional
        What is in it, where that was read already.

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
        return (width, height) if orientation >= _FIRST_TURNED else (height, width)


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
    except _BROKEN as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise DataError(
            f"{path} is damaged or cannot be read ({reason}); {_EXPECTED}; copy it again or "
            "remove it"
        ) from None
