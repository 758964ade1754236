"""Opening a category: the built-in ones, or a folder whose layout is recognised by its content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from data_utils import btad, folder, loco, mvtec, visa
from data_utils.errors import DataError
from data_utils.samples import Category, ImageSet, Record, fingerprint_of

__all__ = ["FORMATS", "Format", "SYNTHETIC", "list_categories", "open_category"]

SYNTHETIC = "synthetic"


class Format(Protocol):
    """What a module that reads one layout consists of."""

    MARKER: str  # what it is recognised by, for people

    def recognises(self, root: Path) -> bool:
        """Tell whether a folder is a data set in this layout."""

    def categories(self, root: Path) -> list[str]:
        """List its categories; none where the layout is another."""

    def records(self, root: Path, category: str) -> tuple[list[Record], list[Record]]:
        """Return the train and test records of a category."""


# In the order in which they are tested: LOCO also has MVTec AD's train/good.
FORMATS: dict[str, Format] = {
    "visa": visa,
    "loco": loco,
    "btad": btad,
    "mvtec": mvtec,
    "folder": folder,
}


def list_categories(data: str | Path) -> list[str]:
    """List the categories of a data set.

    Parameters
    ----------
    data : str or Path
        "synthetic", the folder of a data set, or the folder of one category.

    Returns
    -------
    list of str
        Sorted by name, except that the default synthetic category comes first.

    Raises
    ------
    DataError
        If the folder is missing or its layout is not known.
    """
    if str(data) == SYNTHETIC:
        from data_utils import synthetic

        return list(synthetic.CATEGORIES)
    return _recognise(Path(data))[2]


def open_category(
    data: str | Path, name: str | None = None, *, size: int = 128, seed: int = 0
) -> Category:
    """Open one category: find its files, check their headers, take its fingerprint.

    Images are decoded when they are first asked for; see `Category.decode`.

    Parameters
    ----------
    data : str or Path
        "synthetic", the folder of a data set (VisA, MVTec LOCO, BTAD, MVTec AD or plain folders),
        or the folder of one category.
    name : str, optional
        The category. May be left out where there is only one; of the synthetic categories the
        first is the default.
    size : int
        Working height and width in pixels. Images that are not square are squashed.
    seed : int
        Of the synthetic images; ignored for a folder.

    Returns
    -------
    Category

    Raises
    ------
    DataError
        If the folder is missing, its layout or the category is not known, there is nothing to train
        on, an image cannot be read, or a mask has another size than its image.
    """
    if size < 1:
        raise DataError(f"size {size} is too small; expected 1 or more pixels; 128 is usual")
    if str(data) == SYNTHETIC:
        from data_utils import synthetic

        name = _choose(data, name or synthetic.CATEGORIES[0], list(synthetic.CATEGORIES))
        return _category(SYNTHETIC, SYNTHETIC, name, size, synthetic.records(name, seed))
    layout, root, known = _recognise(Path(data))
    name = _choose(data, name, known)
    return _category(layout, str(root), name, size, FORMATS[layout].records(root, name))


def _recognise(data: Path) -> tuple[str, Path, list[str]]:
    """Return the layout's name, the data root, and the categories meant."""
    if not data.is_dir():
        problem = "is a file" if data.exists() else "does not exist"
        raise DataError(
            f"{data} {problem}; expected the folder of a data set, or the word {SYNTHETIC}; check "
            "the path, and unpack archives first"
        )
    data = Path(os.path.abspath(data))  # links keep their names
    for layout, reader in FORMATS.items():
        if reader.recognises(data):
            return layout, data, reader.categories(data)
    for layout, reader in FORMATS.items():  # the folder of one category?
        if data.name in reader.categories(data.parent):
            return layout, data.parent, [data.name]
    markers = ", ".join(f"{reader.MARKER} ({layout})" for layout, reader in FORMATS.items())
    raise DataError(
        f"{data} is no data set in a known layout; looked for {markers}; check the path or arrange "
        "the images in one of these ways"
    )


def _choose(data: str | Path, name: str | None, known: list[str]) -> str:
    """Return the category asked for, or the only one there is."""
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        problem = "several categories" if name is None else f"no category {name!r}"
        raise DataError(
            f"{data} has {problem}; expected one of {', '.join(known) or '(none)'}; name one"
        )
    return name


def _category(
    layout: str, root: str, name: str, size: int, splits: tuple[list[Record], list[Record]]
) -> Category:
    train, test = splits
    if not train:
        raise DataError(
            f"category {name!r} in {root} has no images to train on; expected JPEG, PNG, BMP or "
            f"TIFF images of normal parts, laid out as {layout}; add some"
        )
    fingerprint = fingerprint_of(train, test)
    return Category(
        name=name,
        format=layout,
        root=root,
        size=size,
        train=ImageSet(train, size, category=name, split="train", fingerprint=fingerprint),
        test=ImageSet(test, size, category=name, split="test", fingerprint=fingerprint),
        fingerprint=fingerprint,
    )
