"""The formats that are recognised, tested in the order of `FORMATS`, by what is in the folder.

Each format is one small class. `find` decides between them; everything that is common (hidden
files, masks found by stem, unions of several masks) stands once, in this file.
"""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path

import numpy as np

from data_utils.errors import DataError
from data_utils.images import hash_files, list_images, read_image, read_mask
from data_utils.samples import Record

__all__ = ["FORMATS", "Format", "find"]

Split = list[Record]


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _union(paths: list[Path]) -> np.ndarray:
    """Union of the masks of one image."""
    masks = [read_mask(path) for path in paths]
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        raise DataError(f"the masks in {paths[0].parent} have different sizes {sorted(sizes)}; "
                        "export them again at the size of their image")
    return np.logical_or.reduce(masks)


def _record(root: Path, image: Path, defect: str, masks: list[Path]) -> Record:
    """Make the record of an image file with any number of mask files; "good" means normal."""
    return Record(
        path=image.relative_to(root).as_posix(),
        label=int(defect != "good"),
        defect=defect,
        read_image=partial(read_image, image),
        read_mask=partial(_union, masks) if masks else None,
        digest=partial(hash_files, [image, *masks]),
    )


def _by_stem(folder: Path, suffix: str = "") -> dict[str, list[Path]]:
    """Mask files of a folder by the stem of their image (their own stem less ``suffix``)."""
    masks: dict[str, list[Path]] = {}
    for path in list_images(folder) if folder.is_dir() else []:
        masks.setdefault(path.stem.removesuffix(suffix), []).append(path)
    return masks


class Format(ABC):
    """A way to lay out a data set.

    Attributes
    ----------
    name : str
        Short name of the format.
    looks_for : str
        What must be there, in words.
    """

    name: str
    looks_for: str

    @abstractmethod
    def categories(self, root: Path) -> list[str]:
        """Names of the categories under a data root; empty when it is not of this format."""

    @abstractmethod
    def records(self, root: Path, category: str) -> tuple[Split, Split]:
        """Records for training and for testing."""


class _PerCategory(Format):
    """A format with one folder per category, recognised by what is in that folder."""

    @abstractmethod
    def fits(self, folder: Path) -> bool:
        """Whether a folder is a category of this format."""

    def categories(self, root: Path) -> list[str]:
        return [folder.name for folder in _subfolders(root) if self.fits(folder)]


class VisA(Format):
    """VisA: the split is read from ``split_csv/1cls.csv``; masks hold class ids."""

    name = "visa"
    looks_for = "split_csv/1cls.csv (VisA)"

    def categories(self, root: Path) -> list[str]:
        return sorted({row["object"] for row in self._rows(root)})

    def records(self, root: Path, category: str) -> tuple[Split, Split]:
        splits: dict[str, Split] = {"train": [], "test": []}
        for row in self._rows(root):
            if row["object"] != category:
                continue
            image = root / row["image"]
            if not image.is_file():
                raise DataError(f"{image} is listed in split_csv/1cls.csv but does not exist; "
                                "unpack the archive again")
            masks = [root / row["mask"]] if row["mask"] else []
            defect = "good" if row["label"] == "normal" else "anomaly"
            splits[row["split"]].append(_record(root, image, defect, masks))
        return splits["train"], splits["test"]

    @staticmethod
    def _rows(root: Path) -> list[dict[str, str]]:
        table = root / "split_csv" / "1cls.csv"
        if not table.is_file():
            return []
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        expected = {"object", "split", "label", "image", "mask"}
        if rows and not expected <= rows[0].keys():
            raise DataError(f"{table} has the columns {list(rows[0])}; expected {sorted(expected)}")
        return rows


class MVTecLOCO(_PerCategory):
    """MVTec LOCO: logical and structural anomalies, a folder of masks per image.

    The validation images are normal; they are added to the training images.
    """

    name = "loco"
    looks_for = "CATEGORY/test/logical_anomalies (MVTec LOCO)"

    def fits(self, folder: Path) -> bool:
        return (folder / "test" / "logical_anomalies").is_dir()

    def records(self, root: Path, category: str) -> tuple[Split, Split]:
        folder = root / category
        train = [
            _record(root, image, "good", [])
            for split in ("train", "validation")
            if (folder / split / "good").is_dir()
            for image in list_images(folder / split / "good")
        ]
        test = []
        for kind in _subfolders(folder / "test"):
            for image in list_images(kind):
                masks = folder / "ground_truth" / kind.name / image.stem
                found = list_images(masks) if masks.is_dir() else []
                test.append(_record(root, image, kind.name, found))
        return train, test


class BTAD(_PerCategory):
    """BTAD: ``ok`` and ``ko``."""

    name = "btad"
    looks_for = "CATEGORY/train/ok (BTAD)"

    def fits(self, folder: Path) -> bool:
        return (folder / "train" / "ok").is_dir()

    def records(self, root: Path, category: str) -> tuple[Split, Split]:
        folder = root / category
        train = [_record(root, image, "good", []) for image in list_images(folder / "train" / "ok")]
        masks = _by_stem(folder / "ground_truth" / "ko")
        test = []
        for name, defect in (("ok", "good"), ("ko", "ko")):
            if (folder / "test" / name).is_dir():
                for image in list_images(folder / "test" / name):
                    found = masks.get(image.stem, []) if defect != "good" else []
                    test.append(_record(root, image, defect, found))
        return train, test


class MVTec(_PerCategory):
    """MVTec AD, and everything laid out like it."""

    name = "mvtec"
    looks_for = "CATEGORY/train/good (MVTec AD)"

    def fits(self, folder: Path) -> bool:
        return (folder / "train" / "good").is_dir()

    def records(self, root: Path, category: str) -> tuple[Split, Split]:
        folder = root / category
        train = [
            _record(root, image, "good", []) for image in list_images(folder / "train" / "good")
        ]
        test = []
        for kind in _subfolders(folder / "test"):
            masks = _by_stem(folder / "ground_truth" / kind.name, "_mask")
            for image in list_images(kind):
                test.append(_record(root, image, kind.name, masks.get(image.stem, [])))
        return train, test


class PlainFolder(_PerCategory):
    """Your own photographs: ``normal/``, optional ``defective/`` and ``masks/<stem>.*``.

    A fifth of the normal images (at least one) is for testing, those with the lowest hash of their
    content, so that the split does not depend on names or on the order of the files.
    """

    name = "folder"
    looks_for = "normal/ (a plain folder)"
    TEST_SHARE = 5

    def fits(self, folder: Path) -> bool:
        return (folder / "normal").is_dir()

    def records(self, root: Path, category: str) -> tuple[Split, Split]:
        folder = root / category
        normal = [_record(root, image, "good", []) for image in list_images(folder / "normal")]
        by_content = sorted(normal, key=lambda record: (record.digest(), record.path))
        tested = {r.path for r in by_content[: max(1, len(normal) // self.TEST_SHARE)]}
        test = [record for record in normal if record.path in tested]
        masks = _by_stem(folder / "masks")
        if (folder / "defective").is_dir():
            for image in list_images(folder / "defective"):
                test.append(_record(root, image, "defective", masks.get(image.stem, [])))
        return [record for record in normal if record.path not in tested], test


FORMATS: tuple[Format, ...] = (VisA(), MVTecLOCO(), BTAD(), MVTec(), PlainFolder())


def find(root: Path) -> tuple[Format, Path, list[str]]:
    """Recognise the format of a data root, or of a single category's own folder.

    Returns
    -------
    format : Format
    root : Path
        The data root; the parent, where the folder is a category itself.
    categories : list of str
        The categories there; just the one where the folder is a category itself.

    Raises
    ------
    DataError
        If the folder does not exist, or nothing that is known is in it.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; name a data set's folder, or 'synthetic'")
    root = root.resolve()
    for layout in FORMATS:
        if categories := layout.categories(root):
            return layout, root, categories
        if isinstance(layout, _PerCategory) and layout.fits(root):
            return layout, root.parent, [root.name]
    wanted = ", ".join(layout.looks_for for layout in FORMATS)
    raise DataError(f"{root} is not a data set that is known; looked for {wanted}")
