"""``scores.csv``: a row per image, on disk as soon as it is made; the next call goes on from there.

Beside it ``rcae_predictions.json`` says by which detector and how, and marks the folder as the
kit's own, see `rcae_lite.commands.prediction.find_images`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TextIO

from data_utils import KitError
from rcae_lite.base import Detector
from rcae_lite.storage.atomic import require_empty_folder, write_text
from rcae_lite.storage.records import Rate, Record, read_record, to_json

__all__ = [
    "RECORD",
    "Maps",
    "Predictions",
    "Row",
    "finished_rows",
    "fingerprint",
    "new_row",
    "open_table",
    "require_same",
]

RECORD = "rcae_predictions.json"
COLUMNS = (
    *("image", "score", "threshold", "defective", "p_value", "error"),
    *("file", "bytes", "modified"),  # which file was scored; the time in nanoseconds
)
Row = dict[str, str]
Maps = Literal["working", "full", "none"]


class Predictions(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``rcae_predictions.json``: what all rows of a table have in common.

    Parameters
    ----------
    detector : str
        Its `fingerprint`.
    false_alarm_rate : float
        Bound of the threshold.
    maps : {"working", "full", "none"}
        Size of the heat maps.
    """

    kind = "rcae-lite-predictions"
    format_version = 1

    detector: str
    false_alarm_rate: Rate
    maps: Maps


def fingerprint(detector: Detector) -> str:
    """Return a hash of a detector: its weights, and all that stands in ``detector.json``."""
    digest = hashlib.sha256(to_json(detector.snapshot().to_dict()).encode())
    for module in detector.modules.values():
        for tensor in module.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def require_same(folder: Path, now: Predictions) -> None:
    """Refuse a folder that holds anything but predictions like those to come.

    Raises
    ------
    KitError
        Naming what differs.
    """
    if not (folder / RECORD).exists():
        require_empty_folder(folder)
        return
    before = read_record(folder / RECORD, Predictions)
    for name in before.__struct_fields__:
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            raise KitError(
                f"{folder} holds predictions with {name} {old}, these would have {new}; "
                "choose another --out"
            )


def new_row(path: Path, name: str) -> Row:
    """Start the row of an image: its name, and which file it is."""
    row = {"image": _utf8(name), "file": _utf8(os.path.abspath(path))}
    with suppress(OSError):  # it is gone: whoever reads it will say so
        about = path.stat()
        row |= {"bytes": str(about.st_size), "modified": str(about.st_mtime_ns)}
    return row


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def finished_rows(table: Path, wanted: Sequence[Row]) -> list[Row]:
    """Read the rows that need not be made again.

    An image is to be scored again if its row has an error or is not whole, or if the file has
    another size or time by now.

    Parameters
    ----------
    table : Path
        Need not exist.
    wanted : sequence of Row
        Of `new_row`, for all images.

    Raises
    ------
    KitError
        If the columns are others, or a row has the name of an image but is of another file.
    """
    images = {row["image"]: row for row in wanted}
    files = {row["file"] for row in wanted}
    kept = []
    for row in _whole_rows(table):
        image = images.get(row["image"])
        if image is None:
            if row["file"] not in files:  # else it has another name now
                kept.append(row)
        elif image.items() <= row.items():
            kept.append(row)
        elif image["file"] != row["file"]:
            raise KitError(
                f"{table} has a row {row['image']!r} of {row['file']}, so {image['file']} needs "
                "another one; choose another --out"
            )
    return kept


def _whole_rows(table: Path) -> list[Row]:
    """Read the rows that have a score; the last one may be cut off."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise KitError(
                f"{table} has columns {reader.fieldnames}, expected {', '.join(COLUMNS)}; "
                "choose another --out"
            )
        return [row for row in reader if None not in row.values() and not row["error"]]


@contextmanager
def open_table(path: Path, kept: Iterable[Row]) -> Iterator[Callable[[Iterable[Row]], None]]:
    """Write a table anew with the rows to keep, then give a function that appends more."""
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writeheader()
    _write_rows(text, kept)
    write_text(path, text.getvalue())
    with path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:

        def append(rows: Iterable[Row]) -> None:
            _write_rows(file, rows)
            file.flush()

        yield append


def _write_rows(file: TextIO, rows: Iterable[Row]) -> None:
    plain = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    quoted = csv.DictWriter(file, COLUMNS, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:  # before Python 3.13 a carriage return in a name is not quoted on its own
        (quoted if any("\r" in value for value in row.values()) else plain).writerow(row)
