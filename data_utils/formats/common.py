"""The files of a data set: its folders, the masks of its images, and records made of both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data_utils.errors import DataError, OnFault, refuse
from data_utils.images import image_size, list_images, read_image, read_mask
from data_utils.samples import GOOD, Record

__all__ = ["file_record", "file_records", "masks_by_stem", "read_bytes", "subfolders"]


def subfolders(folder: str | Path) -> list[Path]:
    """List the visible folders in a folder, sorted; none where it does not exist."""
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]
    return [Path(folder, name) for name in sorted(names)]


def masks_by_stem(folder: Path, on_fault: OnFault = refuse) -> dict[str, Path]:
    """Find the masks in a folder under the stems of their images; a ``_mask`` suffix is dropped.

    Two files that would be the mask of the same image are a fault.
    """
    masks: dict[str, Path] = {}
    for path in list_images(folder):
        stem = path.stem.removesuffix("_mask")
        if stem in masks:
            on_fault(
                f"{path} and {masks[stem].name} are both the mask of {stem!r}; expected one; "
                "remove the other",
                path,
            )
            continue
        masks[stem] = path
    return masks


@dataclass(frozen=True)
class ImageFile:
    """An image on disk and the files of its masks; several are united."""

    path: Path
    masks: tuple[Path, ...] = ()

    def read_image(self) -> np.ndarray:
        """Decode the image: (h, w, 3) uint8."""
        return read_image(self.path)

    def read_mask(self) -> np.ndarray:
        """Decode the union of the masks: (h, w) bool."""
        return np.logical_or.reduce([read_mask(path) for path in self.masks])

    def digest(self) -> str:
        """Hash the image's bytes and then its masks', checking their headers on the way.

        Raises
        ------
        DataError
            If a header cannot be read, or a mask has not the size of its image.
        """
        return self._digest

    def image_digest(self) -> str:
        """Hash the image's bytes alone."""
        return self._image_hash.hexdigest()

    @cached_property
    def _image_hash(self) -> hashlib._Hash:
        return hashlib.sha256(read_bytes(self.path))

    @cached_property
    def _digest(self) -> str:
        total = self._image_hash.copy()
        expected = None
        for path in (self.path, *self.masks):
            content = None
            if path != self.path:
                content = read_bytes(path)
                total.update(content)
            size = image_size(path, content)
            expected = expected or size
            if size != expected:
                raise DataError(
                    f"{path} is {size[0]}x{size[1]} (height x width); expected the size of its "
                    f"image {self.path.name}, {expected[0]}x{expected[1]}; export the mask again "
                    "at that size"
                )
        return total.hexdigest()


def read_bytes(path: Path) -> bytes:
    """Read all bytes of an image file.

    Raises
    ------
    DataError
        If the system does not give them.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); expected an image; check that it exists "
            "and that you may read it"
        ) from None


def file_record(root: Path, path: Path, defect: str, masks: Sequence[Path] = ()) -> Record:
    """Make the record of an image on disk.

    Parameters
    ----------
    root : Path
        The data root.
    path : Path
        The image, below the root.
    defect : str
        "good" for a normal image, else the family of the defect.
    masks : sequence of Path
        Its masks; none means that the mask is unknown, or that the image is normal. What a normal
        image has is remembered and not read.
    """
    file = ImageFile(path, tuple(masks) if defect != GOOD else ())
    return Record(
        path=path.relative_to(root).as_posix(),
        label=int(defect != GOOD),
        defect=defect,
        read_image=file.read_image,
        read_mask=file.read_mask if file.masks else None,
        digest=file.digest,
        image_digest=file.image_digest,
        file=path,
        mask_files=tuple(masks),
    )


def file_records(
    root: Path, folder: Path, defect: str, masks: Mapping[str, Path] | None = None
) -> list[Record]:
    """Make the records of all images in a folder, with the masks of the same stem.

    Parameters
    ----------
    root : Path
        The data root.
    folder : Path
        Where the images are.
    defect : str
        "good" for normal images, else the family of the defect.
    masks : mapping, optional
        What `masks_by_stem` found.
    """
    records = []
    for path in list_images(folder):
        mask = (masks or {}).get(path.stem)
        records.append(file_record(root, path, defect, [mask] if mask else []))
    return records
