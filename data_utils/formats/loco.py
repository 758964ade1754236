"""MVTec LOCO AD (Bergmann et al., IJCV 2022): logical and structural anomalies.

Each image has a folder of masks, one for each place that shows the defect; here they are united.
The validation images are normal and belong to the training images here.

::

    juice_bottle/train/good/000.png
    juice_bottle/validation/good/000.png
    juice_bottle/test/logical_anomalies/000.png
    juice_bottle/ground_truth/logical_anomalies/000/000.png
"""

from __future__ import annotations

from pathlib import Path

from data_utils.errors import OnFault, refuse
from data_utils.formats.common import child, file_record, file_records, subfolders
from data_utils.listing import list_images
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "is_category", "records"]
MARKER = "CATEGORY/test/logical_anomalies"
CLASS_IDS = False


def is_category(folder: Path) -> bool:
    """Tell whether a folder has ``test/logical_anomalies``."""
    return (folder / "test" / "logical_anomalies").is_dir()


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the records of train and validation, and those of test."""
    base = root / category
    train = file_records(root, base / "train" / GOOD, GOOD)
    train += file_records(root, base / "validation" / GOOD, GOOD)
    test = []
    for folder in subfolders(base / "test"):
        truth = child(base / "ground_truth", folder.name)
        for path in list_images(folder):
            masks = list_images(child(truth, path.stem))
            test.append(file_record(root, path, folder.name, masks))
    return train, test
