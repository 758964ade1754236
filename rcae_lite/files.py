"""Files of a run: written whole or not at all, checked when read. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import jsonschema
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from data_utils.errors import KitError

__all__ = [
    "check_schema",
    "claim_folder",
    "contents",
    "load_tensors",
    "locked",
    "read_json",
    "save_tensors",
    "whole_folder",
    "write_bytes",
    "write_text",
]

_LOCK, _PART = ".lock", ".part"


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
            shutil.rmtree(folder)  # it holds nothing but hidden files, see `claim_folder`
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


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all."""
    write_bytes(path, save({key: t.detach().cpu().contiguous() for key, t in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises
    ------
    KitError
        If it is missing or not a safetensors file.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise KitError(f"{path} does not exist; name the folder that `rcae train` wrote") from None
    except SafetensorError as error:
        raise KitError(f"{path} is not a readable safetensors file ({error})") from None


def read_json(
    path: Path, kind: str, version: int, schema: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a JSON file of this kit and check what it says it is.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        Expected value of its field ``kind``.
    version : int
        Expected value of its field ``format_version``.
    schema : mapping, optional
        JSON schema of the whole file, see `rcae_lite.schemas`.

    Raises
    ------
    KitError
        If the file is missing, is not JSON, is of another kind or version, or does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text, parse_constant=_not_a_number, parse_int=_whole_number)
    except FileNotFoundError:
        raise KitError(f"{path} does not exist; name the folder that `rcae train` wrote") from None
    except (ValueError, RecursionError) as error:
        raise KitError(f"{path} is not readable JSON ({error})") from None
    if not isinstance(values, dict) or values.get("kind") != kind:
        raise KitError(f"{path} is not a {kind!r} file of this kit")
    if values.get("format_version") != version:
        raise KitError(
            f"{path} has format version {values.get('format_version')!r}, this kit reads "
            f"{version}; "
            "train again, or install the version of the kit that wrote it"
        )
    if schema is not None:
        check_schema(path, values, schema)
    return values


def _whole_number(digits: str) -> int:
    """Refuse what no float can hold; nothing this kit writes comes near."""
    if len(digits) > 300:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _not_a_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def check_schema(source: str | Path, values: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check values read from a file against a JSON schema.

    Raises
    ------
    KitError
        Naming the first field that does not fit, and why.
    """
    validator = jsonschema.Draft4Validator(schema)  # the draft in which 3.0 is no integer
    found = next(validator.iter_errors(values), None)
    if found:
        reason = found.message if len(found.message) < 200 else f"{found.message[:200]} ..."
        raise KitError(
            f"{source} is not complete or was changed: at {found.json_path}, {reason}; "
            "take an unchanged copy, or train again"
        )


def contents(folder: Path) -> list[Path]:
    """List what is in a folder, but for hidden files: a lock, what a killed run left behind."""
    return [path for path in folder.iterdir() if path.name[0] != "."] if folder.is_dir() else []


def claim_folder(folder: Path, *, resume: bool = False) -> None:
    """Refuse a folder that is not empty, unless it is to be resumed.

    Raises
    ------
    KitError
        If it is not a folder, or holds something and ``resume`` is False.
    """
    if folder.exists() and not folder.is_dir():
        raise KitError(f"{folder} is a file; name a folder with --out")
    if not resume and contents(folder):
        raise KitError(f"{folder} is not empty; choose another folder, or for a training --resume")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder to one run; half-written files of a killed one are removed first.

    The lock belongs to the process: the system releases it when that ends, however it ends.

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
    try:
        for path in folder.rglob(f".*{_PART}"):
            path.unlink()
        yield
    finally:
        if os.name != "nt":  # there filelock removes it, once nobody holds it open
            with suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()
