"""The files of a data set: its folders, the masks of its images, and records made of both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from data_utils.errors import DataError, OnFault, refuse
from data_utils.images import DEEP, image_size, read_image, read_mask, value_bits
from data_utils.listing import THUMBNAILS, list_images, name_of
from data_utils.samples import GOOD, Record, digests_of

__all__ = [
    "child",
    "file_record",
    "file_records",
    "masks_by_stem",
    "read_bytes",
    "refuse_shared",
    "split_by_content",
    "stem_of",
    "subfolders",
    "with_value_bits",
]

_TESTED = 5  # one normal image of so many, where a data set has no test images


def subfolders(folder: str | Path) -> list[Path]:
    """List the visible folders in a folder, sorted; none where it does not exist."""
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        visible = [e for e in entries if e.name[0] != "." and e.name not in THUMBNAILS]
        names = [entry.name for entry in visible if os.path.isdir(entry.path)]  # no error at loops
    return [Path(folder, name) for name in sorted(names)]


def child(folder: Path, *names: str) -> Path:
    """Return the subfolder of a name, however it is composed and in capitals or not.

    Of several names the first there is.
    """
    if (folder / names[0]).is_dir():
        return folder / names[0]
    there = {name_of(path.name).casefold(): path for path in subfolders(folder)}
    wanted = (name_of(name).casefold() for name in names)
    return next((there[name] for name in wanted if name in there), folder / names[0])


def split_by_content(normal: list[Record]) -> tuple[list[Record], list[Record]]:
    """Divide normal images into train and test: of several a fifth, at least one, is tested.

    Their content chooses them: neither renaming nor the order of the files changes the split, and
    copies of one image stay on the same side.
    """
    digests = digests_of(normal, broken="")  # who reads a broken image will say so
    count = min(max(1, len(normal) // _TESTED), len(normal) - 1)
    tested = set(sorted(digests)[: max(0, count)])
    train = [record for record, digest in zip(normal, digests, strict=True) if digest not in tested]
    test = [record for record, digest in zip(normal, digests, strict=True) if digest in tested]
    return train, test


def masks_by_stem(folder: Path, on_fault: OnFault = refuse) -> dict[str, Path]:
    """Find the masks in a folder under the names of their images, see `stem_of`.

    Two files that would be the mask of the same image are a fault.
    """
    masks: dict[str, Path] = {}
    for path in list_images(folder):
        stem = stem_of(path).removesuffix("_mask")
        if stem in masks:
            on_fault(
                f"{path} and {masks[stem].name} are both the mask of {stem!r}; expected one; "
                "remove the other",
                path,
            )
            continue
        masks[stem] = path
    return masks


def stem_of(path: Path) -> str:
    """Return the name of a file without its suffix, in one spelling: see `name_of`."""
    return name_of(path.stem)


def with_value_bits(
    train: list[Record], test: list[Record], bits: int | None = None
) -> tuple[list[Record], list[Record]]:
    """Read both splits with one bit depth: that of a category's images, or a given one.

    Images without a file stay as they are.
    """
    bits = bits or value_bits(record.file for record in (*train, *test) if record.file)
    if bits == DEEP:
        return train, test
    return [_read_with(one, bits) for one in train], [_read_with(one, bits) for one in test]


def _read_with(record: Record, bits: int) -> Record:
    if record.file is None:
        return record
    return replace(record, bits=bits, read_image=partial(read_image, record.file, bits=bits))


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
    root: Path,
    folder: Path,
    defect: str,
    masks: Mapping[str, Path] | None = None,
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
        mask = (masks or {}).get(stem_of(path))
        records.append(file_record(root, path, defect, [mask] if mask else []))
    return records


def refuse_shared(records: Sequence[Record], on_fault: OnFault) -> None:
    """Complain of a mask that two images would have: of one of them it is not."""
    owners: dict[Path, Record] = {}
    for record in records:
        for mask in record.mask_files:
            owner = owners.setdefault(mask, record)
            if owner.path != record.path:
                on_fault(
                    f"{mask} would be the mask of {owner.path} and of {record.path}; expected a "
                    "mask for each; rename images and masks, so that each has its own",
                    mask,
                )
