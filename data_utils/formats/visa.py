"""VisA (Zou et al., ECCV 2022): the split is read from ``split_csv/1cls.csv``.

::

    split_csv/1cls.csv                      object,split,label,image,mask
    candle/Data/Images/Normal/0000.JPG
    candle/Data/Images/Anomaly/000.JPG
    candle/Data/Masks/Anomaly/000.png       class ids, which look black
"""

from __future__ import annotations

import csv
import os
from pathlib import Path, PurePosixPath

from data_utils.errors import DataError, OnFault, refuse
from data_utils.formats.common import file_record
from data_utils.listing import name_of
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "is_category", "records"]
MARKER = "split_csv/1cls.csv"
CLASS_IDS = True
_COLUMNS = ("object", "split", "label", "image", "mask")
_SPLITS = ("train", "test")


def is_category(folder: Path) -> bool:
    """Tell whether the table beside a folder names it."""
    if not (folder.parent / MARKER).is_file():
        return False
    return name_of(folder.name) in {name_of(row["object"]) for row in _rows(folder.parent)}


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; every defect is an "anomaly".

    A split other than train and test is a fault.

    Raises
    ------
    DataError
        If the table cannot be read, lacks a column, or names a file outside the data set.
    """
    splits: dict[str, list[Record]] = {split: [] for split in _SPLITS}
    for row in _rows(root):
        if name_of(row["object"]) != name_of(category):
            continue
        if row["split"] not in splits:
            on_fault(
                f"{root / MARKER} has the split {row['split']!r}; expected train or test; "
                "unpack the archive again",
                root / MARKER,
            )
            continue
        defect = GOOD if row["label"].strip().casefold() == "normal" else "anomaly"
        masks = [_place(root, row["mask"])] if row["mask"] else []
        image = _place(root, row["image"])
        splits[row["split"]].append(file_record(root, image, defect, masks))
    return splits["train"], splits["test"]


def _place(root: Path, name: str) -> Path:
    """Return the path of a file that the table names, which must lie in the data set."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\0" in name or ":" in parts[0]:
        raise DataError(
            f"{root / MARKER} names the file {name!r}; expected a path inside the data set, such "
            "as candle/Data/Images/Normal/0000.JPG; unpack the archive again"
        )
    path = root
    for part in parts:
        path = path / part if (path / part).exists() else _spelt(path, part)
    return path


def _spelt(folder: Path, name: str) -> Path:
    """Return the entry that looks like a name, composed in another way; else what is not there."""
    entries = os.listdir(folder) if folder.is_dir() else []
    return folder / next((one for one in entries if name_of(one) == name_of(name)), name)


def _rows(root: Path) -> list[dict[str, str]]:
    try:
        return _read_rows(root)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{root / MARKER} is no table in UTF-8 ({error}); unpack the archive again"
        ) from None


def _read_rows(root: Path) -> list[dict[str, str]]:
    with (root / MARKER).open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (table.fieldnames or [])]
        if missing:
            raise DataError(
                f"{root / MARKER} lacks the column {missing[0]!r}; expected "
                f"{','.join(_COLUMNS)}; unpack the archive again"
            )
        rows = list(table)
    for row in rows:
        if any(row[name] is None for name in _COLUMNS):
            raise DataError(
                f"{root / MARKER} has a row with fewer than {len(_COLUMNS)} values, "
                f"{[row[name] for name in _COLUMNS if row[name]]}; unpack the archive again"
            )
    return rows
