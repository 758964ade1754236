"""VisA (Zou et al., ECCV 2022): the split is read from ``split_csv/1cls.csv``.

::

    split_csv/1cls.csv                      object,split,label,image,mask
    candle/Data/Images/Normal/0000.JPG
    candle/Data/Images/Anomaly/000.JPG
    candle/Data/Masks/Anomaly/000.png       class ids, which look black
"""

from __future__ import annotations

import csv
from pathlib import Path

from data_utils.errors import Complain, DataError, refuse
from data_utils.files import file_record
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "categories", "recognises", "records"]

MARKER = "split_csv/1cls.csv"
CLASS_IDS = True

_COLUMNS = ("object", "split", "label", "image", "mask")
_SPLITS = ("train", "test")


def recognises(root: Path) -> bool:
    """Tell whether a folder has the table of the one-class split."""
    return (root / MARKER).is_file()


def categories(root: Path) -> list[str]:
    """List the categories that the table names and that are there."""
    if not recognises(root):
        return []
    named = {row["object"] for row in _rows(root)}
    return sorted(name for name in named if (root / name).is_dir())


def records(
    root: Path, category: str, complain: Complain = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; every defect is an "anomaly".

    A split other than train and test is a fault.

    Raises
    ------
    DataError
        If the table lacks a column.
    """
    splits: dict[str, list[Record]] = {split: [] for split in _SPLITS}
    for row in _rows(root):
        if row["object"] != category:
            continue
        if row["split"] not in splits:
            complain(
                f"{root / MARKER} has the split {row['split']!r}; expected train or test; "
                "unpack the archive again",
                root / MARKER,
            )
            continue
        defect = GOOD if row["label"] == "normal" else "anomaly"
        masks = [root / row["mask"]] if row["mask"] else []
        splits[row["split"]].append(file_record(root, root / row["image"], defect, masks))
    return splits["train"], splits["test"]


def _rows(root: Path) -> list[dict[str, str]]:
    with (root / MARKER).open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (table.fieldnames or [])]
        if missing:
            raise DataError(
                f"{root / MARKER} lacks the column {missing[0]!r}; expected "
                f"{','.join(_COLUMNS)}; unpack the archive again"
            )
        return list(table)
