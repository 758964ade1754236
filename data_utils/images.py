"""Reading one image or one mask, whatever the file is called: the content decides.

An image becomes 8-bit RGB. A mask keeps every value until it is compared with 0, because some data
sets store class ids that look black; of a palette it is the colours that count.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from data_utils.errors import DataError

__all__ = [
    "MAX_PIXELS",
    "Header",
    "image_header",
    "image_size",
    "is_deep",
    "mask_values",
    "preview",
    "read_image",
    "read_mask",
    "shrunk",
    "used_bits",
    "value_bits",
]

MAX_PIXELS = 80_000_000  # more is a decompression bomb, or asks for another tool

DEEP = 16  # bits of a file with more than 8
_SAMPLE = 1_000_000  # pixels are enough to know the range of an image

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
_BROKEN = (
    *(OSError, SyntaxError, TypeError, ValueError, KeyError, EOFError),
    *(struct.error, zlib.error),
)
_EXPECTED = "expected a JPEG, PNG, BMP, TIFF, WEBP or PPM image"
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange height and width; others mean nothing
_JPEG = ("JPEG", "MPO")
_HALF = 127  # of the range of a mask
_KINDS = 8  # values of a mask that need no explanation
_FULL = 0.25  # of the bright pixels of a smoothed mask have its brightest tenth
_LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)
_OF_8_BITS = ("LA", "RGB", "RGBA")  # Pillow gives the upper half of 16 bits
_PLAIN = ("1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


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
    pages : int
        Of a TIFF, or pictures of an animation.
    """

    height: int
    width: int
    mode: str
    bits: int
    pages: int = 1


def read_image(path: str | Path, *, bits: int = DEEP) -> np.ndarray:
    """Read an image, upright by its EXIF orientation, as 8-bit RGB.

    Greyscale is repeated over the channels; 16 bits are scaled by their range; transparency is laid
    on white, unless all of the image is equally transparent, which no one means; of several pages
    the first is read.

    Parameters
    ----------
    path : path
        A JPEG, PNG, BMP, TIFF, WEBP or PPM file under any name.

    bits : int
        How many the values of 16-bit greyscale really have, from 8 to 16; see `value_bits`. A few
        values beyond that range, hot pixels, are white.

    Returns
    -------
    np.ndarray
        (h, w, 3) uint8.

    Raises
    ------
    DataError
        If the file cannot be read, is no such image, is damaged or truncated, has more than
        `MAX_PIXELS` pixels, has signed, floating-point or 32-bit values, whose range is unknown,
        16 bits in separate planes, which are read wrong, or values beyond ``bits``.
    """
    path = Path(path)
    with _opened(path) as image:
        return np.array(_upright_rgb(path, image, bits))  # (h, w, 3)


def value_bits(paths: Iterable[Path]) -> int:
    """Find how many bits the values of 16-bit greyscale images have: cameras give 10, 12 or 14.

    Parameters
    ----------
    paths : iterable of Path
        The images of one camera; what is no such image, or cannot be read, is passed over.

    Returns
    -------
    int
        8, 10, 12, 14 or 16: the fewest that hold all values but a few hot pixels of each image; 16
        without such an image.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return max((bits for bits in pool.map(used_bits, paths) if bits), default=DEEP)


def used_bits(path: Path) -> int | None:
    """Find the bits of one image, see `value_bits`; None where it is black, or of another kind."""
    try:
        with _opened(path) as image:
            top = _largest(_deep_values(image)) if _is_deep(image) else 0
    except DataError:
        return None
    return next((bits for bits in (8, 10, 12, 14, DEEP) if top < 2**bits), DEEP) if top else None


def _largest(values: np.ndarray) -> int:
    """Return the largest value that no hot pixel has: of a sensor a few in 10,000 are broken."""
    sample = values.ravel()[:: max(1, values.size // _SAMPLE)]
    sample = sample[sample < 65535]  # what is saturated may be broken
    if not sample.size:
        return 65535
    hot = max(4, sample.size // 10_000)
    if sample.size <= 2 * hot:
        return int(sample.max())
    return int(np.partition(sample, -hot - 1)[-hot - 1])


def is_deep(path: Path) -> bool:
    """Tell whether a file holds 16-bit greyscale; one that cannot be read does not."""
    try:
        with _opened(path) as image:
            return _is_deep(image)
    except DataError:
        return False


def _is_deep(image: Image.Image) -> bool:
    """Tell 16-bit greyscale."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _deep_values(image: Image.Image) -> np.ndarray:
    """Values of 16-bit greyscale as stored, upright: (h, w) uint32."""
    return np.asarray(ImageOps.exif_transpose(image)).astype(np.uint32)


def _upright_rgb(path: Path, image: Image.Image, bits: int = DEEP) -> Image.Image:
    """Turn an open image upright and convert it to 8-bit RGB; `read_image` says how."""
    _refuse_unclear(path, image)
    if _is_deep(image):
        top = 2**bits - 1
        values = _deep_values(image)  # (h, w)
        if bits < DEEP and (largest := _largest(values)) > top:
            raise DataError(
                f"{path} has values up to {largest}; expected {bits} bits, 0 to {top}, as the "
                "other images of its camera have; scale it, or keep it apart from those"
            )
        values = np.minimum(values, top)
        grey = (510 * values + top) // (2 * top)  # 255 / top, rounded
        grey = 255 - grey if _min_is_white(image) else grey
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        low, high = upright.getchannel("A").getextrema()
        if low != high:
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright.convert("RGB")


def _refuse_unclear(path: Path, image: Image.Image) -> None:
    """Refuse pixel values whose range or order is unknown, or which Pillow gets wrong."""
    tags = getattr(image, "tag_v2", {})
    formats = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    if (image.mode in ("I", "F") and not _is_deep(image)) or set(formats) != {1}:
        raise DataError(
            f"{path} has signed, floating-point or 32-bit pixel values, whose range is unknown; "
            "expected 8 or 16 bits without a sign; scale it and save it again"
        )
    _refuse_planes(path, image)


def _refuse_planes(path: Path, image: Image.Image) -> None:
    tags = getattr(image, "tag_v2", {})
    deep = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (8,))) > 8
    if deep and tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) != 1:
        raise DataError(
            f"{path} has 16-bit colours in separate planes; expected interleaved ones; save it "
            "again with one plane"
        )


def _min_is_white(image: Image.Image) -> bool:
    """Tell whether 16-bit values are stored inverted, as radiographs are; Pillow turns 8 bits."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 1) == 0


def preview(
    path: str | Path, side: int, content: bytes | None = None, *, bits: int = DEEP
) -> np.ndarray:
    """Read an image small and grey, but to its last byte: damage is found as by `read_image`.

    A JPEG is decoded at a half, a quarter or an eighth of its size, which is several times faster.

    Parameters
    ----------
    path : path
        A JPEG, PNG, BMP, TIFF, WEBP or PPM file under any name.
    side : int
        The longer side of the result is at most this, in pixels; nothing is enlarged.
    content : bytes, optional
        What is in the file, where that was read already.
    bits : int
        As in `read_image`.

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
        return np.array(shrunk(_upright_rgb(path, image, bits).convert("L"), side))  # (h, w)


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Shrink an image, antialiased, until its longer side is at most ``side`` pixels."""
    scale = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask: foreground is whatever differs from 0 in any colour channel.

    Of a palette the colours count, whatever their order: all but the darkest are foreground, and
    of one colour whatever is not black. Alpha is ignored, unless the mask is in it and the colour
    is the same everywhere. JPEG and its like cannot store exact values: there, and of a smoothed
    mask, the upper half of the range is foreground.

    Parameters
    ----------
    path : path
        A JPEG, PNG, BMP, TIFF, WEBP or PPM file under any name.

    Returns
    -------
    np.ndarray
        (h, w) bool, True where defective.

    Raises
    ------
    DataError
        As `read_image`, except for 32-bit values, which are fine here; and for several pages, of
        which nobody knows the right one.
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
        (h, w), how bright each pixel is: the largest of its colour channels, in the file's own
        type.
    foreground : np.ndarray
        (h, w) bool.

    Raises
    ------
    DataError
        As `read_mask`.
    """
    path = Path(path)
    with _opened(path, content) as image:
        _refuse_planes(path, image)
        if (pages := _pages(image)) > 1:
            raise DataError(f"{path} has {pages} pages; expected a mask of one; save it alone")
        lossy, deep = _is_lossy(image, path, content), _bits(image) > 8
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "P":
            index = np.asarray(upright)  # (h, w)
            return _through_palette(index, upright.getpalette("RGB") or [])
        if upright.mode == "LAB":
            upright = upright.getchannel("L")
        elif upright.mode not in _PLAIN:
            upright = upright.convert("RGB")  # CMYK, say, whose white is 0
        values = _brightest(upright)  # (h, w)
        if _is_deep(image) and _min_is_white(image):
            values = np.uint16(65535) - values.astype(np.uint16)
    if deep and upright.mode in _OF_8_BITS and not values.any():
        raise DataError(
            f"{path} has colours of 16 bits, all below 256, which are read as 0; expected 8 bits; "
            "save it again with those"
        )
    return values, values > _HALF if lossy else _marked(values)


def _brightest(image: Image.Image) -> np.ndarray:
    """Return the largest colour channel, (h, w); alpha where all pixels have one colour."""
    values = np.asarray(image)
    if values.ndim == 2:
        return values
    bands = np.array(image.getbands())
    colours, alpha = values[..., bands != "A"], values[..., bands == "A"]
    if alpha.size and np.ptp(alpha) and not np.ptp(colours, axis=(0, 1)).any():
        return alpha[..., 0]
    return colours.max(axis=2)


def _is_lossy(image: Image.Image, path: Path, content: bytes | None) -> bool:
    """Tell whether values are only about right: JPEG, JPEG inside TIFF, and most of WEBP."""
    if image.format == "WEBP":
        return b"VP8L" not in _chunks(content or path.read_bytes())  # the lossless kind
    return image.format in _JPEG or image.info.get("compression") == "jpeg"


def _chunks(content: bytes) -> list[bytes]:
    """List the names of the chunks of a RIFF file."""
    names, place = [], 12
    while place + 8 <= len(content):
        names.append(content[place : place + 4])
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return names


def _marked(values: np.ndarray) -> np.ndarray:
    """Tell foreground by brightness: not 0; of a smoothed mask, or once a JPEG, the upper half.

    Such a mask has many values, and most of what is bright in it is as bright as can be; a mask of
    class ids has as many pixels of one as of the other.
    """
    top = values.max()
    bright = values > 0.1 * top
    smoothed = (values >= 0.9 * top).sum() > _FULL * bright.sum()
    if top > 0 and smoothed and len(np.unique(values)) > _KINDS:
        return values > top / 2
    return values != 0


def _through_palette(index: np.ndarray, palette: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return how bright the colours of a palette image are, and its foreground; (h, w) both."""
    bright = np.zeros(256, np.int64)
    colours = np.array(palette).reshape(-1, 3)
    bright[: len(colours)] = np.ceil(colours @ _LUMA)  # whatever is not black is above 0
    used = np.unique(index)
    if len(used) > 1 and len(set(bright[used])) == 1:
        return index, index != 0  # all look alike: class ids
    darkest = bright[used].min() if len(used) > 1 else 0
    values = bright[index]
    return values, _marked(values - darkest)


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
        header = Header(height, width, image.mode, _bits(image))
        with suppress(*_BROKEN):  # in the list of pages, of which the first is read
            header = header._replace(pages=_pages(image))
        return header


def _pages(image: Image.Image) -> int:
    """Count the pages; a photograph of a phone has small copies of itself, which do not count."""
    return 1 if image.format in _JPEG else getattr(image, "n_frames", 1)


def _bits(image: Image.Image) -> int:
    """Bits of a channel as stored; Pillow opens RGB images of 16 bits with 8."""
    tiles = getattr(image, "tile", [])
    if image.format in ("PNG", "TIFF") and tiles:
        arguments = tiles[0][3]
        stored = arguments if isinstance(arguments, str) else str(arguments[0])  # "RGB;16B"
        if found := re.search(r";(\d+)", stored):
            return int(found[1])
    return DEEP if _is_deep(image) else {"1": 1, "I": 32, "F": 32}.get(image.mode, 8)


@contextmanager
def _opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong until it is closed becomes one line."""
    try:
        # Not by its path: Pillow would map a turned TIFF into memory with its sides exchanged.
        with (
            BytesIO(content) if content else path.open("rb") as file,
            Image.open(file, formats=_FORMATS) as image,
        ):
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
        known = (content or _head(path)).startswith(_TIFF)
        problem = "is a TIFF of a kind that is" if known else "is"
        remedy = "save it again with 8 or 16 bits" if known else "replace it or remove it"
        raise DataError(
            f"{path} {problem} not an image that can be read; {_EXPECTED}; {remedy}"
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


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
