"""MVTec AD (Bergmann et al., CVPR 2019): ``CATEGORY/train/good``, ``test``, ``ground_truth``.

::

    bottle/train/good/000.png
    bottle/test/good/000.png
    bottle/test/broken_large/000.png
    bottle/ground_truth/broken_large/000_mask.png
"""

from __future__ import annotations

from pathlib import Path

from data_utils.errors import OnFault, refuse
from data_utils.formats.common import child, file_records, masks_by_stem, subfolders
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "is_category", "records"]
MARKER = "CATEGORY/train/good"
CLASS_IDS = False


def is_category(folder: Path) -> bool:
    """Tell whether a folder has ``train/good``."""
    return (folder / "train" / GOOD).is_dir()


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; a defective image without a mask file has mask None."""
    base = root / category
    train = file_records(root, base / "train" / GOOD, GOOD)
    test = []
    for folder in subfolders(child(base, "test")):
        masks = masks_by_stem(child(child(base, "ground_truth"), folder.name), on_fault)
        defect = GOOD if folder.name.casefold() == GOOD else folder.name
        test += file_records(root, folder, defect, masks)
    return train, test
