"""Files of a run: written whole or not at all, checked when read. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from data_utils.errors import KitError

__all__ = ["claim_folder", "load_tensors", "read_json", "save_tensors", "write_text"]


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a temporary path; make its bytes durable, then give them their name in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:  # Windows syncs only what is open for writing
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all (temporary file, fsync, rename)."""
    with _whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all."""
    content = save({key: t.detach().cpu().contiguous() for key, t in tensors.items()})
    with _whole(path) as temporary:
        temporary.write_bytes(content)


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


def read_json(path: Path, kind: str, version: int) -> dict[str, Any]:
    """Read a JSON file of this kit and check what it says it is.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        Expected value of its field ``kind``.
    version : int
        Expected value of its field ``format_version``.

    Raises
    ------
    KitError
        If the file is missing, is not JSON, is of another kind or of another version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise KitError(f"{path} does not exist; name the folder that `rcae train` wrote") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise KitError(f"{path} is not readable JSON ({error})") from None
    if not isinstance(values, dict) or values.get("kind") != kind:
        raise KitError(f"{path} is not a {kind!r} file of this kit")
    if values.get("format_version") != version:
        raise KitError(
            f"{path} has format version {values.get('format_version')!r}, this kit reads "
            f"{version}; "
            "train again, or install the version of the kit that wrote it"
        )
    return values


def claim_folder(folder: Path, *, resume: bool = False) -> None:
    """Refuse a folder that is not empty, unless it is to be resumed.

    Raises
    ------
    KitError
        If it is not a folder, or holds something and ``resume`` is False.
    """
    if folder.exists() and not folder.is_dir():
        raise KitError(f"{folder} is a file; name a folder with --out")
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise KitError(f"{folder} is not empty; choose another folder, or for a training --resume")
