"""A plain folder of one's own images: ``normal``, and where there are any ``defective``, ``masks``.

::

    parts/normal/a.jpg
    parts/defective/b.jpg
    parts/masks/b.png

A mask belongs to the image of the same stem. A fifth of the normal images, at least one, is tested.
Their content chooses them: neither renaming nor the order of the files changes the split, and
copies of one image stay on the same side.
"""

from __future__ import annotations

from pathlib import Path

from data_utils.errors import OnFault, refuse
from data_utils.formats.common import file_records, masks_by_stem, subfolders
from data_utils.images import list_images
from data_utils.samples import GOOD, Record, digests_of

__all__ = ["CLASS_IDS", "MARKER", "categories", "recognises", "records"]
MARKER = "normal"
CLASS_IDS = False
_TESTED = 5  # one normal image of so many


def recognises(root: Path) -> bool:
    """Tell whether a folder holds categories in this layout."""
    return bool(categories(root))


def categories(root: Path) -> list[str]:
    """List the categories: the folders with ``normal``."""
    return [folder.name for folder in subfolders(root) if (folder / MARKER).is_dir()]


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; every defect is called "defective".

    A mask that belongs to no image is a fault.
    """
    base = root / category
    masks = masks_by_stem(base / "masks", on_fault)
    defective = {path.stem for path in list_images(base / "defective")}
    of_normal = {stem: mask for stem, mask in masks.items() if stem not in defective}
    normal = file_records(root, base / MARKER, GOOD, of_normal)
    train, test = _split_by_content(normal)
    test += file_records(root, base / "defective", "defective", masks)
    for stem in sorted(of_normal.keys() - {path.stem for path in list_images(base / MARKER)}):
        on_fault(  # without a word it would be ignored
            f"{masks[stem]} belongs to no image; expected defective/{stem} with any extension; "
            "rename or remove the mask",
            masks[stem],
        )
    return train, test


def _split_by_content(normal: list[Record]) -> tuple[list[Record], list[Record]]:
    """Divide normal images into train and test by their hashes."""
    digests = digests_of(normal, broken="")  # who reads a broken image will say so
    count = max(1, len(normal) // _TESTED)
    tested = set(sorted(digests)[:count])
    train = [record for record, digest in zip(normal, digests, strict=True) if digest not in tested]
    test = [record for record, digest in zip(normal, digests, strict=True) if digest in tested]
    return train, test
