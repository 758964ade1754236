"""Files of a run: written whole or not at all, checked when read. Nothing is ever unpickled."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from data_utils.errors import KitError

__all__ = [
    "require_empty_folder",
    "contents",
    "locked",
    "whole_folder",
    "write_bytes",
    "write_text",
]

_LOCK, _PART = ".lock", ".part"
_NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS}  # of network drives
_NO_LOCKS |= {errno.EINVAL, errno.EBADF, errno.EPERM}


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a temporary path; make its bytes durable, then give them their name in one step."""
    if path.is_dir():
        raise KitError(f"{path} is a folder; name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:  # Windows syncs only what is open for writing
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that takes the name of ``folder``, new or empty, when all is done."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=_PART) as place:
        filled = Path(place, "filled")
        filled.mkdir()
        yield filled
        if folder.exists():
            shutil.rmtree(folder)  # it holds nothing but hidden files, see `require_empty_folder`
        os.replace(filled, folder)


def write_text(path: Path, text: str) -> None:
    r"""Write a text file whole or not at all (temporary file, fsync, rename).

    In UTF-8; what has no place in it (a file name of an old system) is written as ``\\udcff``.
    """
    with _whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file whole or not at all."""
    with _whole(path) as temporary:
        temporary.write_bytes(content)


def contents(folder: Path) -> list[Path]:
    """List what is in a folder, but for hidden files: a lock, what a killed run left behind."""
    return [path for path in folder.iterdir() if path.name[0] != "."] if folder.is_dir() else []


def require_empty_folder(folder: Path, *, resume: bool = False) -> None:
    """Refuse a folder that is not empty, unless it is to be resumed.

    Raises
    ------
    KitError
        If it is not a folder, or holds something and ``resume`` is False.
    """
    if folder.exists() and not folder.is_dir():
        raise KitError(f"{folder} is a file; name a folder with --out")
    if not resume and contents(folder):
        raise KitError(
            f"{folder} is not empty; choose another, or resume a training run with --resume"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder to one run; half-written files of a killed one are removed first.

    The lock belongs to the process: the system releases it when that ends, however it ends. A drive
    without file locks is warned of, and used.

    Raises
    ------
    KitError
        If another run has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise KitError(
            f"another run is writing to {folder}; wait until it has ended, or choose another --out"
        ) from None
    except (OSError, NotImplementedError) as error:  # the latter: ENOSYS, in older filelocks
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"{folder} is on a drive without file locks; see that no other run writes to it",
            stacklevel=3,
        )
    try:
        for path in folder.rglob(f".*{_PART}"):
            path.unlink()
        yield
    finally:
        if os.name != "nt":  # there filelock removes it, once nobody holds it open
            with suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()
