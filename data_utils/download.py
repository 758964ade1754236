"""Downloading a public data set: only when asked to, resumable, checked, unpacked with care.

An archive that is already in the folder comes first, the network second: links to data sets die.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pooch
from tqdm.auto import tqdm

from data_utils.catalogue import FORMATS, layouts
from data_utils.errors import DataError, KitError

__all__ = ["ARCHIVES", "Archive", "download", "unpack"]

_TIMEOUT = 60  # seconds without a byte
_BLOCK = 1 << 20  # bytes
_DEAD_LINK = (URLError, ConnectionError, TimeoutError, HTTPException)
_MAX_FILES = 100_000  # ten times what the largest of the archives holds
_MAX_BYTES = 50 << 30  # unpacked; likewise
_DAMAGED = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)


@dataclass(frozen=True)
class Archive:
    """A data set as its authors publish it.

    Parameters
    ----------
    url, sha256
        The archive.
    page : str
        Where a person finds it when the link is dead.
    licence : str
        What one agrees to.
    layout : str
        One of `data_utils.catalogue.FORMATS`.
    categories : int
        How many there are when it is complete.
    """

    url: str
    sha256: str
    page: str
    licence: str
    layout: str
    categories: int

    @property
    def file_name(self) -> str:
        """Name of the archive."""
        return self.url.rpartition("/")[2]


ARCHIVES = {
    "mvtec": Archive(
        url="https://www.mydrive.ch/shares/150996/b52ecdcbf521176e9db9c731f2304b27/download/"
        "420938113-1629960298/mvtec_anomaly_detection.tar.xz",
        sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
        page="https://www.mvtec.com/company/research/datasets/mvtec-ad",
        licence="MVTec AD, Copyright 2019 MVTec Software GmbH: CC BY-NC-SA 4.0, not for commercial "
        "use (https://creativecommons.org/licenses/by-nc-sa/4.0/)",
        layout="mvtec",
        categories=15,
    ),
    "visa": Archive(
        url="https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",
        sha256="2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362",
        page="https://github.com/amazon-science/spot-diff",
        licence="VisA, Amazon: CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
        layout="visa",
        categories=12,
    ),
}


def download(name: str, out: str | Path) -> Path:
    """Bring a data set into a folder: unpack the archive lying there, or fetch it first.

    The licence is printed before anything else happens. An interrupted download resumes where it
    stopped when it is started again. The archive stays in the folder.

    Parameters
    ----------
    name : str
        "mvtec" or "visa".
    out : path
        The folder; it is made where it is missing. Nothing is done where the data set is complete.

    Returns
    -------
    Path
        ``out``, to be opened with `open_category`.

    Raises
    ------
    KitError
        If the name is not known, the folder holds a part of the data set already, the link is dead,
        the archive is not the one expected, or this Python cannot unpack it safely.
    """
    if name not in ARCHIVES:
        raise KitError(f"no data set {name!r}; expected one of {', '.join(ARCHIVES)}; name one")
    archive, out = ARCHIVES[name], Path(out)
    print(f"licence: {archive.licence}")
    present = _categories(out, archive)
    if len(present) >= archive.categories:
        return out
    if present:
        raise KitError(
            f"{out} holds {len(present)} categories ({', '.join(present)}); expected none or all "
            f"{archive.categories} of {name}; choose another folder"
        )
    _require_safe_unpacking()
    out.mkdir(parents=True, exist_ok=True)
    file = out / archive.file_name
    if file.exists():
        _check_hash(file, archive)
    else:
        _fetch(archive, out)
    _unpack_categories(file, archive, out)
    return out


def unpack(archive: str | Path, out: str | Path) -> None:
    """Unpack a tar archive, compressed or not; nothing in it can reach out of the folder.

    Paths that leave the folder, links and devices are refused: a data set needs none of them.

    Parameters
    ----------
    archive : path
        The file.
    out : path
        The folder.

    Raises
    ------
    KitError
        If it is no tar archive, is damaged, has an unsafe member, unpacks to too many files or too
        many bytes, or this Python is too old.
    """
    _require_safe_unpacking()
    try:
        with tarfile.open(archive) as tar:
            members = tqdm(
                _within_limits(tar), desc=f"unpacking {Path(archive).name}", unit="file", delay=1
            )
            tar.extractall(out, members=members, filter="data")
    except _DAMAGED as error:
        raise DataError(
            f"{archive} cannot be unpacked ({error}); expected a complete and safe tar archive; "
            "get it again"
        ) from None


def _within_limits(members: Iterable[tarfile.TarInfo]) -> Iterator[tarfile.TarInfo]:
    """Pass members on as long as they are files and folders, and not too much in all.

    The ``data`` filter allows links inside the folder, which have been a way out of it before
    (CVE-2025-4517), and knows no limits.
    """
    total = 0
    for count, member in enumerate(members, start=1):
        if not (member.isreg() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
        total += member.size
        if count > _MAX_FILES or total > _MAX_BYTES:
            raise tarfile.TarError(
                f"more than {_MAX_FILES} files or {_MAX_BYTES >> 30} GiB, from {member.name!r} on"
            )
        yield member


def _require_safe_unpacking() -> None:
    if not hasattr(tarfile, "data_filter"):
        raise KitError(
            "this Python unpacks archives unsafely (no tarfile.data_filter); expected 3.10.12, "
            "3.11.4, 3.12 or later; update it"
        )


def _check_hash(file: Path, archive: Archive) -> None:
    found = pooch.file_hash(str(file))
    if found != archive.sha256:
        raise DataError(
            f"{file} has sha256 {found}; expected {archive.sha256}; remove it, then run this again "
            f"or get it from {archive.page}"
        )


def _fetch(archive: Archive, out: Path) -> None:
    """Download the archive into the folder, and check it."""
    part = out / f"{archive.file_name}.part"
    by_hand = f"get {archive.file_name} from {archive.page} by hand, put it into {out}"
    try:
        pooch.retrieve(
            archive.url,
            known_hash=f"sha256:{archive.sha256}",
            fname=archive.file_name,
            path=out,
            downloader=partial(_continue, part),
        )
    except _DEAD_LINK as error:
        raise DataError(
            f"{archive.url} cannot be fetched ({error}); expected the archive; run this again to "
            f"resume, or {by_hand} and run this again"
        ) from None
    except ValueError:  # pooch's word for another hash
        raise DataError(
            f"{archive.url} sent another file; expected sha256 {archive.sha256}; {by_hand} and run "
            "this again"
        ) from None


def _continue(part: Path, url: str, target: str, _: object) -> None:
    """Download the rest of a file that is there in part; a pooch downloader once `part` is bound.

    A server that knows no ranges answers 200 and sends all of it; 416 says that nothing is missing.
    """
    there = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "rcae-lite"} | ({"Range": f"bytes={there}-"} if there else {})
    try:
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as answer:
            goes_on = answer.status == 206
            start = there if goes_on else 0
            total = None if answer.length is None else start + answer.length
            with (
                part.open("ab" if goes_on else "wb") as file,
                tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem) as bar,
            ):
                while block := answer.read(_BLOCK):
                    file.write(block)
                    bar.update(len(block))
            if answer.length:  # bytes still to come
                raise ConnectionError(f"{answer.length} bytes are missing")
    except HTTPError as error:
        if error.code != 416:
            raise
    os.replace(part, target)


def _categories(root: Path, archive: Archive) -> list[str]:
    return [name for name, layout in layouts(root).items() if layout == archive.layout]


def _unpack_categories(file: Path, archive: Archive, out: Path) -> None:
    """Unpack aside, then move into place, so that no half of a data set is ever seen."""
    aside = out / ".unpacking"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        unpack(file, aside)
        places = [aside, *(path for path in aside.iterdir() if path.is_dir())]
        root = next((place for place in places if _categories(place, archive)), None)
        if root is None:
            raise DataError(
                f"{file} holds no data set; expected {FORMATS[archive.layout].MARKER}; get it from "
                f"{archive.page}"
            )
        for path in root.iterdir():
            os.replace(path, out / path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
