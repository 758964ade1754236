"""Opening a category: the built-in ones, or a folder whose layout is recognised by its content."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data_utils.errors import DataError, OnFault, refuse
from data_utils.formats import btad, folder, loco, mvtec, mvtec_3d, mvtec_ad2, visa
from data_utils.formats.common import refuse_shared, split_by_content, subfolders, with_value_bits
from data_utils.images import DEEP
from data_utils.samples import Category, ImageSet, Record, fingerprint_of, whole_number

__all__ = [
    "FORMATS",
    "SYNTHETIC",
    "Format",
    "Place",
    "find_category",
    "find_data",
    "layouts",
    "list_categories",
    "locate",
    "open_category",
]

SYNTHETIC = "synthetic"


class Format(Protocol):
    """What a module that reads one layout consists of."""

    MARKER: str  # what it is recognised by, for people
    CLASS_IDS: bool  # its masks number the kinds of defect: more than two values are right

    def is_category(self, folder: Path) -> bool:
        """Tell whether a folder is a category in this layout."""

    def records(
        self, root: Path, category: str, on_fault: OnFault = refuse
    ) -> tuple[list[Record], list[Record]]:
        """Return the train and test records of a category.

        Parameters
        ----------
        root : Path
            The folder with the category in it.
        category : str
            Name of the category's folder.
        on_fault : callable
            Gets the faults of the layout; by default the first one is raised.
        """


# In the order in which they are tested: the other data sets of MVTec have its train/good, too.
FORMATS: dict[str, Format] = {
    "visa": visa,
    "loco": loco,
    "btad": btad,
    "mvtec_ad2": mvtec_ad2,
    "mvtec_3d": mvtec_3d,
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
    return locate(data).categories


def open_category(
    data: str | Path,
    name: str | None = None,
    *,
    size: int = 128,
    seed: int = 0,
    bits: int | None = None,
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
    bits : int, optional
        How many the values of 16-bit greyscale have, from 8 to 16; found in the images by default,
        see `data_utils.images.value_bits`. For a detector that is trained take its ``bits``.

    Returns
    -------
    Category

    Raises
    ------
    DataError
        If the folder is missing, its layout or the category is not known, there is nothing to train
        on, an image cannot be read, or a mask has another size than its image.
    """
    size = whole_number("size", size, usual=128)
    if bits is not None and not 8 <= whole_number("bits", bits, usual=12) <= DEEP:
        raise DataError(f"bits is {bits}; expected 8 to {DEEP}; 12 is usual")
    place = locate(data, name)
    if place.root == SYNTHETIC:
        name = name or place.categories[0]
    name = place.choose(name)
    return category_of(place, name, size, *place.records(name, seed=seed, bits=bits))


def find_data(name: str | None = None) -> tuple[str, str]:
    """Find the data that a lecture is about, and print which they are.

    They are those that the environment variable ``RCAE_DATA`` names; without it, the folder
    ``data`` beside the notebook; without that, the synthetic ones.

    Parameters
    ----------
    name : str, optional
        The category; by default what ``RCAE_CATEGORY`` says, or else the first one there is.

    Returns
    -------
    data, name : str
        As `open_category` takes them.

    Raises
    ------
    DataError
        As `locate`.
    """
    data, why = os.environ.get("RCAE_DATA"), "from RCAE_DATA"
    if not data and Path("data").exists():
        data, why = "data", "beside this notebook"
    elif not data:
        data, why = SYNTHETIC, "no RCAE_DATA, and no folder data/ beside this notebook"
    name = name or os.environ.get("RCAE_CATEGORY")
    place = locate(data, name)
    name = place.choose(name or place.categories[0])
    others = f", of {len(place.categories)}: {', '.join(place.categories)}"
    print(f"category {name}{others if len(place.categories) > 1 else ''}")
    print(f"data: {data} ({why})")
    return data, name


def find_category(name: str | None = None, *, size: int = 128) -> Category:
    """Open the category that `find_data` finds; ``size`` and errors as in `open_category`."""
    return open_category(*find_data(name), size=size)


@dataclass(frozen=True)
class Place:
    """Where a data set was found, and what is in it; nothing has been read yet.

    Parameters
    ----------
    root : str
        The data root, or "synthetic".
    formats : dict of str to str
        The layout, one of `FORMATS` or "synthetic", of each category meant: of all of them, or of
        the one whose folder was named.
    """

    root: str
    formats: dict[str, str]

    @property
    def categories(self) -> list[str]:
        """Names of the categories."""
        return list(self.formats)

    def choose(self, name: str | None) -> str:
        """Return the category asked for, or the only one there is.

        Raises
        ------
        DataError
            If there is no such category, or there are several and none is named.
        """
        if name is None and len(self.categories) == 1:
            return self.categories[0]
        if name not in self.categories:
            problem = "several categories" if name is None else f"no category {name!r}"
            known = ", ".join(self.categories) or "(none)"
            raise DataError(f"{self.root} has {problem}; expected one of {known}; name one")
        return name

    def records(
        self, name: str, *, seed: int = 0, bits: int | None = None, on_fault: OnFault = refuse
    ) -> tuple[list[Record], list[Record]]:
        """Return the train and test records of a category; see `open_category`."""
        if self.root == SYNTHETIC:
            from data_utils import synthetic

            return synthetic.records(name, seed)
        train, test = FORMATS[self.formats[name]].records(Path(self.root), name, on_fault)
        if not test:
            train, test = split_by_content(train)
        refuse_shared(test, on_fault)
        return with_value_bits(train, test, bits)


def locate(data: str | Path, name: str | None = None) -> Place:
    """Recognise a data set, or one category of it, by what is in the folder.

    A folder that is a category is taken for one, whatever its subfolders look like, unless ``name``
    is a category in it. Categories beside each other may have different layouts.

    Parameters
    ----------
    data, name
        As in `open_category`.

    Raises
    ------
    DataError
        If the folder is missing or its layout is not known.
    """
    if str(data) == SYNTHETIC:
        from data_utils import synthetic

        return Place(SYNTHETIC, dict.fromkeys(synthetic.CATEGORIES, SYNTHETIC))
    if not isinstance(data, (str, Path)):
        raise DataError(f"data is {data!r}; expected a folder or the word {SYNTHETIC}; name one")
    data = Path(data)
    if not data.is_dir():
        problem = "is a file" if data.exists() else "does not exist"
        raise DataError(
            f"{data} {problem}; expected the folder of a data set, or the word {SYNTHETIC}; check "
            "the path, and unpack archives first"
        )
    data = Path(os.path.abspath(data))  # links keep their names
    formats = layouts(data)
    if name not in formats and (own := _layout_of(data)):
        return Place(str(data.parent), {data.name: own})
    if formats:
        return Place(str(data), formats)
    markers = ", ".join(f"{reader.MARKER} ({layout})" for layout, reader in FORMATS.items())
    raise DataError(
        f"{data} is no data set in a known layout; looked for {markers}; check the path or arrange "
        "the images in one of these ways"
    )


def layouts(root: Path) -> dict[str, str]:
    """Recognise the categories in a folder: their names, and the layout of each."""
    found = {folder.name: _layout_of(folder) for folder in subfolders(root)}
    return {name: layout for name, layout in found.items() if layout}


def _layout_of(folder: Path) -> str | None:
    return next((name for name, reader in FORMATS.items() if reader.is_category(folder)), None)


def category_of(
    place: Place, name: str, size: int, train: list[Record], test: list[Record]
) -> Category:
    """Make a category of its records; errors as `open_category`."""
    if not train:
        raise DataError(
            f"category {name!r} in {place.root} has no images to train on; expected "
            "photographs of normal parts (JPEG, PNG, BMP, TIFF, WEBP or PPM), laid out as "
            f"{place.formats[name]}; add some"
        )
    fingerprint = fingerprint_of(train, test)
    return Category(
        name=name,
        format=place.formats[name],
        root=place.root,
        size=size,
        train=ImageSet(train, size, category=name, split="train", fingerprint=fingerprint),
        test=ImageSet(test, size, category=name, split="test", fingerprint=fingerprint),
        fingerprint=fingerprint,
    )
