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
from data_utils.formats.common import file_records, masks_by_stem, split_by_content, subfolders
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "categories", "records"]
MARKER = "CATEGORY/train/good"
CLASS_IDS = False


def categories(root: Path) -> list[str]:
    """List the categories: the folders with ``train/good``."""
    return [folder.name for folder in subfolders(root) if (folder / "train" / GOOD).is_dir()]


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; a defective image without a mask file has mask None.

    Without test images a fifth of the normal ones is tested, see `split_by_content`.
    """
    base = root / category
    train = file_records(root, base / "train" / GOOD, GOOD)
    if not (base / "test").is_dir():
        return split_by_content(train)
    test = []
    for folder in subfolders(base / "test"):
        masks = masks_by_stem(base / "ground_truth" / folder.name, on_fault)
        test += file_records(root, folder, folder.name, masks)
    return train, test
