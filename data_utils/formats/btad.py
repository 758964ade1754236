"""BTAD (Mishra et al., ISIE 2021): ``ok`` and ``ko``, .bmp and .png mixed.

::

    01/train/ok/0000.bmp
    01/test/ok/0000.bmp
    01/test/ko/0000.bmp
    01/ground_truth/ko/0000.png
"""

from __future__ import annotations

from pathlib import Path

from data_utils.errors import OnFault, refuse
from data_utils.formats.common import file_records, masks_by_stem
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "is_category", "records"]
MARKER = "CATEGORY/train/ok"
CLASS_IDS = False


def is_category(folder: Path) -> bool:
    """Tell whether a folder has ``train/ok``."""
    return (folder / "train" / "ok").is_dir()


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; the only defect is called "ko"."""
    base = root / category
    train = file_records(root, base / "train" / "ok", GOOD)
    test = []
    for folder, defect in (("ok", GOOD), ("ko", "ko")):
        masks = masks_by_stem(base / "ground_truth" / folder, on_fault)
        test += file_records(root, base / "test" / folder, defect, masks)
    return train, test
