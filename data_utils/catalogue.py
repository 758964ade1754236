"""Open a category: of a folder in any known format, or of the built-in synthetic ones."""

from __future__ import annotations

from pathlib import Path

from data_utils import synthetic
from data_utils.errors import DataError
from data_utils.formats import find
from data_utils.samples import Category, ImageSet, Record, fingerprint_of

__all__ = ["list_categories", "open_category"]

SYNTHETIC = "synthetic"


def list_categories(data: str | Path) -> list[str]:
    """Names of the categories of a data set.

    Parameters
    ----------
    data : str or Path
        "synthetic", a data set's folder, or a category's own folder.

    Raises
    ------
    DataError
        If the folder does not exist or its format is not known.
    """
    if str(data) == SYNTHETIC:
        return list(synthetic.CATEGORIES)
    return find(Path(data))[2]


def open_category(
    data: str | Path, name: str | None = None, *, size: int = 128, seed: int = 0
) -> Category:
    """Open one category. Images are decoded when they are first needed.

    Parameters
    ----------
    data : str or Path
        "synthetic", a data set's folder (VisA, MVTec LOCO, BTAD, MVTec AD or a plain folder,
        recognised by what is in it) or a category's own folder.
    name : str, optional
        Name of the category; may be left out when there is only one. For "synthetic" the first
        one is the default.
    size : int
        Working height and width in pixels.
    seed : int
        Of the synthetic images; ignored for a folder.

    Returns
    -------
    Category

    Raises
    ------
    DataError
        If the folder, its format or the category is not known, or there are no images.
    """
    if size < 1:
        raise DataError(f"size {size} must be above 0; 128 is usual")
    if str(data) == SYNTHETIC:
        name = _choose(SYNTHETIC, name or synthetic.CATEGORIES[0], list(synthetic.CATEGORIES))
        train, test = synthetic.records(name, seed)
        return _category(name, SYNTHETIC, SYNTHETIC, size, train, test)
    layout, root, categories = find(Path(data))
    name = _choose(str(root), name, categories)
    train, test = layout.records(root, name)
    return _category(name, layout.name, str(root), size, train, test)


def _choose(root: str, name: str | None, categories: list[str]) -> str:
    if name is None and len(categories) == 1:
        return categories[0]
    if name not in categories:
        problem = "several categories; name one" if name is None else f"no category {name!r}"
        raise DataError(f"{root} has {problem} of: {', '.join(categories)}")
    return name


def _category(
    name: str, format_: str, root: str, size: int, train: list[Record], test: list[Record]
) -> Category:
    for split, records in (("training", train), ("test", test)):
        if not records:
            raise DataError(f"category {name!r} in {root} has no {split} images; "
                            "check that the data set was unpacked completely")
    fingerprint = fingerprint_of([*train, *test])
    splits = [
        ImageSet(records, size, category=name, split=split, fingerprint=fingerprint)
        for split, records in (("train", train), ("test", test))
    ]
    return Category(name, format_, root, size, *splits, fingerprint)
