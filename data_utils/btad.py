"""BTAD (Mishra et al., ISIE 2021): ``ok`` and ``ko``, .bmp and .png mixed.

::

    01/train/ok/0000.bmp
    01/test/ok/0000.bmp
    01/test/ko/0000.bmp
    01/ground_truth/ko/0000.png
"""

from __future__ import annotations

from pathlib import Path

from data_utils.files import file_records, subfolders
from data_utils.samples import GOOD, Record

__all__ = ["MARKER", "categories", "recognises", "records"]

MARKER = "CATEGORY/train/ok"


def recognises(root: Path) -> bool:
    """Tell whether a folder holds categories in this layout."""
    return bool(categories(root))


def categories(root: Path) -> list[str]:
    """List the categories: the folders with ``train/ok``."""
    return [folder.name for folder in subfolders(root) if (folder / "train" / "ok").is_dir()]


def records(root: Path, category: str) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; the only defect is called "ko"."""
    base = root / category
    train = file_records(root, base / "train" / "ok", GOOD)
    test = file_records(root, base / "test" / "ok", GOOD)
    test += file_records(root, base / "test" / "ko", "ko", base / "ground_truth" / "ko")
    return train, test
