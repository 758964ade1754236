"""Samples, image sets and categories: what every reader produces and everything else consumes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from data_utils.errors import DataError

__all__ = ["Category", "ImageSet", "Record", "Sample", "to_working_size"]


class Sample(NamedTuple):
    """One image as the networks see it; torch's default collate makes a batch of it.

    Parameters
    ----------
    image : tv_tensors.Image
        (3, H, W) float32 in [0, 1], H and W the working size.
    mask : tv_tensors.Mask
        (H, W) bool, True where defective; all False for a normal image and where a defective
        image has no mask.
    label : int
        0 normal, 1 defective.
    path : str
        Relative to the data root, with forward slashes; unique in its category.
    defect : str
        "good" or the family of the defect.
    """

    image: tv_tensors.Image
    mask: tv_tensors.Mask
    label: int
    path: str
    defect: str


@dataclass(frozen=True)
class Record:
    """One image of a split, not yet decoded.

    Parameters
    ----------
    path, label, defect
        As in `Sample`.
    read_image : callable
        Gives (h, w, 3) uint8 RGB at native size.
    read_mask : callable or None
        Gives (h, w) bool at native size; None where no mask is known.
    digest : callable
        Gives the sha256, in hexadecimal, of everything the image and its mask are made of.
    """

    path: str
    label: int
    defect: str
    read_image: Callable[[], np.ndarray]
    read_mask: Callable[[], np.ndarray] | None
    digest: Callable[[], str]


def to_working_size(image: np.ndarray, size: int) -> Tensor:
    """Squash a native image (h, w, 3) uint8 to the working square: (3, H, W) uint8.

    Bilinear with antialiasing, on every path into the networks.
    """
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)  # (3, h, w)
    return resize(planes, [size, size], antialias=True)


class ImageSet(Dataset):
    """The images of one split of one category, decoded once and then kept in memory.

    Parameters
    ----------
    records : sequence of Record
        The images.
    size : int
        Working height and width in pixels.
    category, split : str
        Where the images belong.
    fingerprint : str
        Of the whole category, see `Category`.
    transform : callable, optional
        A torchvision v2 transform; it gets the image and the mask together, so both go through
        the same geometry.
    """

    def __init__(
        self,
        records: Sequence[Record],
        size: int,
        *,
        category: str,
        split: str,
        fingerprint: str,
        transform: Callable | None = None,
    ) -> None:
        self.records = list(records)
        self.size = size
        self.category = category
        self.split = split
        self.fingerprint = fingerprint
        self.transform = transform
        self._images: Tensor | None = None
        self._native: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.records)

    def images(self) -> Tensor:
        """Return all images, (n, 3, H, W) uint8, decoded and resized at the first call.

        Raises
        ------
        DataError
            If an image cannot be read.
        """
        if self._images is None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                decoded = list(pool.map(self._decode, self.records))
            empty = torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
            self._images = torch.stack([image for image, _ in decoded]) if decoded else empty
            self._native = [native for _, native in decoded]
        return self._images

    def _decode(self, record: Record) -> tuple[Tensor, tuple[int, int]]:
        image = record.read_image()
        return to_working_size(image, self.size), (image.shape[0], image.shape[1])

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        image = tv_tensors.Image(self.images()[index].float() / 255)
        mask = tv_tensors.Mask(torch.zeros(self.size, self.size, dtype=torch.bool))
        if record.read_mask is not None:
            native = torch.from_numpy(record.read_mask())[None]
            nearest = InterpolationMode.NEAREST_EXACT
            small = resize(native.byte(), [self.size, self.size], interpolation=nearest)
            mask = tv_tensors.Mask(small[0].bool())
        if self.transform is not None:
            image, mask = self.transform(image, mask)
        return Sample(image, mask, record.label, record.path, record.defect)

    def native_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image as it was photographed."""
        self.images()
        return self._native[index]

    def native_mask(self, index: int) -> np.ndarray | None:
        """Mask at native size, (h, w) bool: all False for a normal image, None where unknown."""
        record = self.records[index]
        if record.read_mask is not None:
            return record.read_mask()
        return None if record.label else np.zeros(self.native_size(index), dtype=bool)

    @property
    def labels(self) -> np.ndarray:
        """0 normal, 1 defective: (n,) int."""
        return np.array([record.label for record in self.records], dtype=int)

    @property
    def paths(self) -> list[str]:
        """Paths relative to the data root."""
        return [record.path for record in self.records]

    @property
    def defects(self) -> list[str]:
        """Family of each image's defect, or "good"."""
        return [record.defect for record in self.records]

    def subset(self, indices: Iterable[int]) -> ImageSet:
        """Return an image set of some of the images, in the given order."""
        chosen = list(indices)
        part = ImageSet(
            [self.records[index] for index in chosen],
            self.size,
            category=self.category,
            split=self.split,
            fingerprint=self.fingerprint,
            transform=self.transform,
        )
        if self._images is not None:
            part._images = self._images[chosen]
            part._native = [self._native[index] for index in chosen]
        return part


@dataclass(frozen=True)
class Category:
    """One category of a data set, opened.

    Parameters
    ----------
    name : str
        For example "bottle".
    format : str
        "visa", "loco", "btad", "mvtec", "folder" or "synthetic".
    root : str
        Where the data lie.
    size : int
        Working height and width in pixels.
    train, test : ImageSet
        Normal images to train on; normal and defective images to test on.
    fingerprint : str
        sha256 over the sorted relative paths and file hashes of both splits.
    """

    name: str
    format: str
    root: str
    size: int
    train: ImageSet
    test: ImageSet
    fingerprint: str

    def decode(self) -> None:
        """Decode every image and mask now, so that a bad file is found before a training starts.

        Raises
        ------
        DataError
            Naming the first file that cannot be read, or whose mask has another size.
        """
        for images in (self.train, self.test):
            images.images()
            for index, record in enumerate(images.records):
                if record.read_mask is None:
                    continue
                found, expected = record.read_mask().shape, images.native_size(index)
                if found != expected:
                    raise DataError(
                        f"{record.path}: its mask is {found[0]}x{found[1]}, the image "
                        f"{expected[0]}x{expected[1]} (height x width); export the mask again at "
                        "the image's size"
                    )


def fingerprint_of(records: Iterable[Record]) -> str:
    """sha256 over the sorted (relative path, digest) pairs."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        listed = list(records)
        digests = list(pool.map(lambda record: record.digest(), listed))
    total = hashlib.sha256()
    for path, digest in sorted(zip((record.path for record in listed), digests, strict=True)):
        total.update(f"{path}\0{digest}\n".encode())
    return total.hexdigest()
