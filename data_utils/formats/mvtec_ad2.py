"""MVTec AD 2 (Heckler-Kram et al., 2025): as MVTec AD, with validation images and other folders.

The validation images are normal and belong to the training images here. The private test images
have no labels and are not read.

::

    can/train/good/000_regular.png
    can/validation/good/000_regular.png
    can/test_public/good/000_regular.png
    can/test_public/bad/000_regular.png
    can/test_public/ground_truth/bad/000_regular_mask.png
"""

from __future__ import annotations

from pathlib import Path

from data_utils.errors import OnFault, refuse
from data_utils.formats.common import file_records, masks_by_stem
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "is_category", "records"]
MARKER = "CATEGORY/test_public"
CLASS_IDS = False


def is_category(folder: Path) -> bool:
    """Tell whether a folder has ``test_public``."""
    return (folder / "test_public").is_dir()


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the records of train and validation, and those of the public test images."""
    base, public = root / category, root / category / "test_public"
    train = file_records(root, base / "train" / GOOD, GOOD)
    train += file_records(root, base / "validation" / GOOD, GOOD)
    masks = masks_by_stem(public / "ground_truth" / "bad", on_fault)
    test = file_records(root, public / GOOD, GOOD)
    return train, test + file_records(root, public / "bad", "bad", masks)
