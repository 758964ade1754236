"""What lies in a folder: the images that are read, and everything else that looks like one."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["THUMBNAILS", "Listing", "list_files", "list_images", "name_of", "notes"]

_READ = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".btf", ".webp"}
_READ |= {".pbm", ".pgm", ".ppm", ".pnm"}
_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(
        b"P" + kind + space
        for kind in (b"1", b"2", b"3", b"4", b"5", b"6")
        for space in (b"\n", b" ")
    ),
)
_NOT_READ = {  # suffixes, and what the files begin with
    "HEIC": ((".heic", ".heif", ".hif"), (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1")),
    "AVIF": ((".avif",), (b"ftypavi",)),
    "GIF": ((".gif",), (b"GIF8",)),
    "JPEG 2000": ((".jp2", ".j2k", ".jpf", ".jpx"), (b"jP  \r\n", b"\xff\x4f\xff\x51")),
    "JPEG XL": ((".jxl",), (b"JXL \r\n",)),
    "camera raw": (
        (
            *(
                ".dng",
                ".cr2",
                ".cr3",
                ".crw",
                ".nef",
                ".nrw",
                ".arw",
                ".srf",
                ".sr2",
                ".srw",
                ".orf",
            ),
            *(
                ".rw2",
                ".raf",
                ".pef",
                ".3fr",
                ".fff",
                ".iiq",
                ".rwl",
                ".erf",
                ".kdc",
                ".dcr",
                ".mrw",
            ),
            *(".mos", ".mef", ".x3f", ".gpr", ".raw"),
        ),
        (),
    ),
    "Photoshop": ((".psd", ".psb"), (b"8BPS",)),
    "OpenEXR": ((".exr",), (b"\x76\x2f\x31\x01",)),
    "Radiance": ((".hdr", ".pic"), (b"#?RADIANCE", b"#?RGBE")),
    "portable": ((".pam", ".pfm"), (b"P7\n", b"PF\n", b"Pf\n")),
    "DICOM": ((".dcm", ".dicom", ".ima"), ()),
    "FITS": ((".fits", ".fit", ".fts"), (b"SIMPLE  =",)),
    "JPEG XR": ((".jxr", ".wdp", ".hdp"), (b"II\xbc",)),
    "icon": ((".ico", ".icns", ".cur"), (b"\0\0\1\0", b"icns")),
    "old": (
        (".tga", ".pcx", ".sgi", ".rgb", ".ras", ".dib", ".dds", ".xbm", ".xpm", ".iff"),
        (b"DDS ", b"\1\xda\0", b"\1\xda\1"),
    ),
    "vector": ((".svg", ".eps", ".ps", ".pdf", ".ai"), (b"%PDF", b"%!PS")),
    "array": ((".npy", ".npz", ".mat", ".h5", ".hdf5"), (b"\x93NUMPY", b"\x89HDF")),
    "video": (
        (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm"),
        (b"ftypisom", b"ftypmp4", b"ftypqt"),
    ),
    "archive": (
        (".zip", ".tar", ".gz", ".tgz", ".xz", ".7z", ".rar"),
        (b"PK\3\4", b"7z\xbc\xaf", b"Rar!"),
    ),
}
_NO_IMAGES = {"array", "video", "archive"}  # but what may hold them
THUMBNAILS = {"@eaDir", "__MACOSX"}
_NAMED = 3  # files in one line


class Listing(NamedTuple):
    """What lies in a folder.

    Parameters
    ----------
    images : list of Path
        What is read, sorted by path.
    left_out : dict of str to list of Path
        What is not read and might be missed, by its kind.
    """

    images: list[Path]
    left_out: dict[str, list[Path]]


def list_images(folder: str | Path, *, recursive: bool = False) -> list[Path]:
    """List the images in a folder; see `list_files`."""
    return list_files(folder, recursive=recursive).images


def list_files(folder: str | Path, *, recursive: bool = False) -> Listing:
    """List the images in a folder, sorted by path; a folder that does not exist has none.

    The content counts, but a file that claims to be an image by its name is listed even so, and a
    link to nothing, too: a damaged ``003.png`` is to be reported, not skipped. Links to folders are
    followed once, so a loop ends. Hidden files, and files that are no images, are not mentioned.

    Parameters
    ----------
    folder : path
        Where to look.
    recursive : bool
        Look into its visible subfolders, too.

    Returns
    -------
    Listing
        The images, and by kind what might be missed: images in formats that are not read, folders
        that may not be opened, thumbnails.
    """
    images: list[Path] = []
    left_out: defaultdict[str, list[Path]] = defaultdict(list)
    for path, kind in _walk(Path(folder), recursive, set()):
        if kind:
            left_out[kind].append(path)
        else:
            images.append(path)
    return Listing(sorted(images), {kind: sorted(paths) for kind, paths in left_out.items()})


def notes(left_out: dict[str, list[Path]], root: Path | None = None) -> list[str]:
    """Say what is not read: one line for each kind, with its count.

    Parameters
    ----------
    left_out : dict of str to list of Path
        See `Listing`.
    root : Path, optional
        Names are given relative to it.
    """
    lines = []
    for kind, paths in left_out.items():
        names = [str(path.relative_to(root) if root else path) for path in paths[:_NAMED]]
        more = ["..."] if len(paths) > _NAMED else []
        lines.append(f"{len(paths)} not read, {kind}: {', '.join(names + more)}")
    return lines


def name_of(name: str) -> str:
    """Bring a file name to one spelling, so that names that look the same are the same.

    An "ä" may be one character or two: a Mac writes names in another way than others do.
    """
    return unicodedata.normalize("NFC", name)


def _walk(folder: Path, recursive: bool, seen: set[tuple[int, int]]) -> Iterator[tuple[Path, str]]:
    """Visit the files of a folder: each with why it is not read, or "" where it is."""
    try:
        status = folder.stat()
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield folder, f"folder that cannot be opened ({error.strerror})"
        return
    if (place := (status.st_dev, status.st_ino)) in seen:
        return
    seen.add(place)
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if os.path.isfile(path) or not os.path.exists(path):
            if (kind := _kind(path)) is not None:
                yield path, kind
        elif not os.path.isdir(path):
            continue  # a pipe, say, which would never end
        elif recursive and entry.name in THUMBNAILS:
            yield path, "folder of thumbnails"
        elif recursive:
            yield from _walk(path, recursive, seen)


def _kind(path: Path) -> str | None:
    """Tell why a file is not read: "" where it is an image that is, None where it is no image."""
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        head = b""  # whoever reads it will say so
    is_bmp = head[:2] == b"BM" and head[6:10] == bytes(4)  # four reserved zero bytes
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    raw = suffix in _NOT_READ["camera raw"][0]  # most of them are TIFF inside, with a thumbnail
    if is_bmp or is_webp or (head.startswith(_SIGNATURES) and not raw):
        return ""
    for kind, (suffixes, starts) in _NOT_READ.items():
        if suffix in suffixes or head.startswith(starts) or head[4:].startswith(starts):
            return f"{kind} file" if kind in _NO_IMAGES else f"{kind} image"
    if suffix in _READ:
        return ""
    return None if os.path.exists(path) else "link to nothing"
