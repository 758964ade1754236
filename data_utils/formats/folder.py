"""A plain folder of one's own images: normal ones, and where there are any, defects and masks.

::

    parts/normal/a.jpg                    or parts/good/a.jpg
    parts/defective/b.jpg                 or parts/defective/scratch/b.jpg, or parts/scratch/b.jpg
    parts/masks/b.png                     or parts/masks/scratch/b.png

A mask belongs to the image of the same name, whatever its suffix; capitals in the names of the
folders do not count. A fifth of the normal images, at least one, is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_utils.errors import OnFault, refuse
from data_utils.formats.common import (
    child,
    file_records,
    masks_by_stem,
    split_by_content,
    stem_of,
    subfolders,
)
from data_utils.listing import list_images
from data_utils.samples import GOOD, Record

__all__ = ["CLASS_IDS", "MARKER", "is_category", "records"]
MARKER = "normal or CATEGORY/good"
CLASS_IDS = False
_NORMAL, _DEFECTIVE = ("normal", GOOD), "defective"
_MASKS = ("masks", "ground_truth", "mask", "gt")
_NO_KINDS = {"labels", "annotations", "thumbs", "thumbnails", "predictions", *_MASKS}
_SPLITS = ("train", "test", "validation", "val")  # of another layout, they hold "good", too


def is_category(folder: Path) -> bool:
    """Tell whether a folder has ``normal`` or ``good``, and is no part of another layout."""
    if folder.name.casefold() in _SPLITS:
        return False
    normal = child(folder, *_NORMAL)  # with images in it, it is no category that is called so
    return normal.is_dir() and bool(list_images(normal) or not subfolders(normal))


def records(
    root: Path, category: str, on_fault: OnFault = refuse
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records; a defect is called by its folder.

    A mask that belongs to no image is a fault.
    """
    base = root / category
    normal, masks = child(base, *_NORMAL), child(base, *_MASKS)
    common = masks_by_stem(masks, on_fault)
    unclaimed = dict(common)
    defective: list[Record] = []
    for folder, kind in _kinds(base, normal):
        own = child(masks, folder.name)
        found = masks_by_stem(own, on_fault) if own.is_dir() else common
        images = file_records(root, folder, kind, found)
        defective += images
        left = unclaimed if found is common else dict(found)
        for record in images:
            left.pop(stem_of(Path(record.path)), None)
        if found is not common:
            _refuse_masks(left, folder, on_fault)
    good = file_records(root, normal, GOOD, unclaimed)
    for record in good:
        unclaimed.pop(stem_of(Path(record.path)), None)
    _refuse_masks(unclaimed, base / _DEFECTIVE, on_fault)
    train, test = split_by_content(good)
    return train, test + defective


def _kinds(base: Path, normal: Path) -> Iterator[tuple[Path, str]]:
    """Find the folders of defective images, and what the defects are called."""
    folder = child(base, _DEFECTIVE)
    if list_images(folder):
        yield folder, _DEFECTIVE
    for kind in subfolders(folder):
        yield kind, kind.name if kind.name != GOOD else _DEFECTIVE
    if normal.name.casefold() == GOOD:
        for kind in subfolders(base):
            if kind not in (normal, folder) and kind.name.casefold() not in _NO_KINDS:
                yield kind, kind.name


def _refuse_masks(masks: dict[str, Path], folder: Path, on_fault: OnFault) -> None:
    """Complain of masks that belong to no image: without a word they would be ignored."""
    for stem, mask in sorted(masks.items()):
        on_fault(
            f"{mask} belongs to no image; expected {folder.name}/{stem} with any extension; "
            "rename or remove the mask",
            mask,
        )
