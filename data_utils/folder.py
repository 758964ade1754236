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

from data_utils.errors import DataError
from data_utils.files import file_records, masks_by_stem, subfolders
from data_utils.images import list_images
from data_utils.samples import GOOD, Record, digests_of

__all__ = ["MARKER", "categories", "recognises", "records"]

MARKER = "normal"

_TESTED = 5  # one normal image of so many


def recognises(root: Path) -> bool:
    """Tell whether a folder holds categories in this layout."""
    return bool(categories(root))


def categories(root: Path) -> list[str]:
    """List the categories: the folders with ``normal``."""
    return [folder.name for folder in subfolders(root) if (folder / MARKER).is_dir()]


def records(root: Path, category: str) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; every defect is called "defective".

    Raises
    ------
    DataError
        If a mask belongs to no image.
    """
    base = root / category
    _refuse_orphans(base)
    train, test = _split_by_content(file_records(root, base / MARKER, GOOD))
    test += file_records(root, base / "defective", "defective", base / "masks")
    return train, test


def _split_by_content(normal: list[Record]) -> tuple[list[Record], list[Record]]:
    """Divide normal images into train and test by their hashes."""
    digests = digests_of(normal)
    count = max(1, len(normal) // _TESTED)
    tested = set(sorted(digests)[:count])
    train = [record for record, digest in zip(normal, digests, strict=True) if digest not in tested]
    test = [record for record, digest in zip(normal, digests, strict=True) if digest in tested]
    return train, test


def _refuse_orphans(base: Path) -> None:
    """Find misnamed masks, which would otherwise be ignored without a word."""
    images = list_images(base / MARKER) + list_images(base / "defective")
    stems = {path.stem for path in images}
    for stem, mask in masks_by_stem(base / "masks").items():
        if stem not in stems:
            raise DataError(
                f"{mask} belongs to no image; expected defective/{stem} with any extension; "
                "rename or remove the mask"
            )
