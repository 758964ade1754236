"""MVTec 3D-AD (Bergmann et al., 2022): its colour images; the positions (``xyz``) are not read.

The validation images are normal and belong to the training images here.

::

    bagel/train/good/rgb/000.png
    bagel/validation/good/rgb/000.png
    bagel/test/crack/rgb/000.png
    bagel/test/crack/gt/000.png
"""

from __future__ import annotations

from pathlib import Path

from data_utils.errors import OnFault, refuse
from data_utils.formats.common import file_records, masks_by_stem, subfolders
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "is_category", "records"]
MARKER = "CATEGORY/train/good/rgb"
CLASS_IDS = True


def is_category(folder: Path) -> bool:
    """Tell whether a folder has ``train/good/rgb``."""
    return (folder / "train" / GOOD / "rgb").is_dir()


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the records of train and validation, and those of test."""
    base = root / category
    train = file_records(root, base / "train" / GOOD / "rgb", GOOD)
    train += file_records(root, base / "validation" / GOOD / "rgb", GOOD)
    test = []
    for folder in subfolders(base / "test"):
        masks = masks_by_stem(folder / "gt", on_fault)
        test += file_records(root, folder / "rgb", folder.name, masks)
    return train, test
