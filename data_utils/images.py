"""Read image and mask files. What a file is, is decided by its content, never by its extension."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_utils.errors import DataError

__all__ = ["hash_files", "list_images", "read_image", "read_mask"]

MAX_PIXELS = 100_000_000  # more is a decompression bomb, or needs another tool
_SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L", "I;16N"}


def list_images(folder: Path, *, recursive: bool = False) -> list[Path]:
    """List the image files of a folder, sorted; hidden files and files of other kinds are left out.

    A file is an image when its first bytes say so, whatever its name.
    """
    paths = folder.rglob("*") if recursive else folder.iterdir()
    visible = (path for path in paths if not path.name.startswith(".") and path.is_file())
    return sorted(path for path in visible if _looks_like_image(path))


def _looks_like_image(path: Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(16)
    signatures = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"GIF8")
    return start.startswith(signatures) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _open(path: Path) -> Image.Image:
    """Open and decode a file with one clear line for everything that can be wrong with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        if image.width * image.height > MAX_PIXELS:
            raise DataError(
                f"{path} has {image.width}x{image.height} pixels, more than the limit of "
                f"{MAX_PIXELS}; resize it first"
            )
        image.load()
        return image
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is not an image that can be read; expected PNG, JPEG, BMP or TIFF: "
            "replace or remove it"
        ) from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is refused ({error}); resize it first") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError | FileNotFoundError | PermissionError):
            raise
        raise DataError(
            f"{path} is damaged or truncated ({error}); copy it again or remove it"
        ) from None


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as RGB.

    Greyscale is repeated, transparency laid on white, 16 bits scaled from their full range to 8,
    EXIF orientation applied.

    Parameters
    ----------
    path : path
        PNG, JPEG, BMP, TIFF, GIF or WebP, whatever the extension says.

    Returns
    -------
    np.ndarray
        (h, w, 3) uint8.

    Raises
    ------
    DataError
        If it is not an image, damaged, truncated or larger than 100 million pixels.
    """
    image = ImageOps.exif_transpose(_open(Path(path)))
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image).astype(np.float64)
        grey = np.clip(np.rint(values / 257), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise DataError(f"{path} holds floating-point values; save it with 8 or 16 bits per channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return np.array(image.convert("RGB"))


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask: foreground is every value other than 0.

    Parameters
    ----------
    path : path
        Image file; of several channels any may mark the foreground, transparency is ignored.

    Returns
    -------
    np.ndarray
        (h, w) bool.

    Raises
    ------
    DataError
        As `read_image`.
    """
    image = ImageOps.exif_transpose(_open(Path(path)))
    if image.mode in ("P", "PA", "LA", "RGBA", "CMYK", "YCbCr"):
        image = image.convert("L" if image.mode == "LA" else "RGB")
    values = np.asarray(image)
    return (values != 0) if values.ndim == 2 else (values != 0).any(axis=2)


def hash_files(paths: list[Path]) -> str:
    """sha256 over the bytes of some files, one after the other."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()
