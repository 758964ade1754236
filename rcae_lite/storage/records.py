"""JSON on disk: each kind of file is a `Record`, checked whole before anything in it is used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta, Struct

from data_utils.errors import KitError
from rcae_lite.storage.atomic import write_text

__all__ = [
    "Count",
    "Number",
    "Rate",
    "Record",
    "convert",
    "convert_record",
    "parse_json",
    "read_json",
    "read_record",
    "to_json",
    "write_record",
]

R = TypeVar("R", bound="Record")
Number = Annotated[float, Meta(ge=-1e30, le=1e30)]  # JSON's 1e999 would be infinite
Rate = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one kind of JSON file holds, besides its ``kind`` and ``format_version``.

    A subclass says both; a file of another kind or version is refused by name and version.
    """

    kind: ClassVar[str]
    format_version: ClassVar[int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the kind and version first."""
        head = {"kind": self.kind, "format_version": self.format_version}
        return head | msgspec.to_builtins(self, enc_hook=_of_numpy)


def _of_numpy(value: Any) -> Any:
    """Turn a number of NumPy into Python's."""
    return value.item()


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(path, to_json(record.to_dict()))


def to_json(values: Mapping[str, Any]) -> str:
    """Return plain values as JSON, a line for each field; refuses NaN and infinity."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in values.items()]
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def read_record(path: str | Path, kind: type[R]) -> R:
    """Read a JSON file of this kit and check everything in it.

    Raises
    ------
    KitError
        If the file is missing, not JSON, of another kind or version, or a field is missing,
        unknown, of another type or out of range; names the file and the first such field.
    """
    path = Path(path)
    return convert_record(read_json(path), kind, str(path))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    KitError
        If the file is missing, not readable, or holds something else.
    """
    try:
        return parse_json(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise KitError(f"{path} does not exist; name the folder that `rcae train` wrote") from None


def parse_json(text: str | bytes, source: str) -> dict[str, Any]:
    """Parse a JSON object; ``source`` names it in the errors, which are those of `read_json`."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise KitError(f"{source} is not readable JSON ({error}); take an unchanged copy") from None


def convert_record(values: Mapping[str, Any], kind: type[R], source: str) -> R:
    """Make a record of the plain values of `Record.to_dict`; errors as `read_record`."""
    fields = dict(values)
    found, version = fields.pop("kind", None), fields.pop("format_version", None)
    if found != kind.kind:
        raise KitError(f"{source} is not a {kind.kind!r} file of this kit")
    if version != kind.format_version:
        raise KitError(
            f"{source} has format version {version!r}, this kit reads {kind.format_version}; "
            "train again, or install the version of the kit that wrote it"
        )
    try:
        return convert(fields, kind)
    except KitError as error:
        raise KitError(
            f"{source} is not complete or was changed: {error}; take an unchanged copy, or train "
            "again"
        ) from None


def convert(values: Any, kind: Any) -> Any:
    """Make typed values of plain ones.

    Raises
    ------
    KitError
        Naming the first field that does not fit, its value, and what was expected.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        path = place.rstrip("`").lstrip(".")
        if path and message.startswith("Expected "):
            message = f"{path} is {_shown(_find(values, path))}; {_lower(message)}"
        elif path:
            message += f" (in {path})"
        raise KitError(message) from None


def _find(values: Any, path: str) -> Any:
    """Look a value up by the path of an error, as far as it leads."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d*|\.\.\.)\]", path):
        try:
            values = values[name] if name else values[int(index)]
        except (KeyError, IndexError, TypeError, ValueError):
            break
    return values


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:80]} ..."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
