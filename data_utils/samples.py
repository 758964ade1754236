"""Samples, image sets and categories: what every reader produces and everything else consumes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize
from tqdm.auto import tqdm

from data_utils.errors import DataError, KitError
from data_utils.images import DEEP, is_deep, read_image

__all__ = [
    "ACCEPTED",
    "GOOD",
    "Category",
    "ImageSet",
    "Record",
    "Sample",
    "as_batch",
    "batches",
    "check_image_set",
    "check_images",
    "digests_of",
    "fingerprint_of",
    "to_working_size",
    "whole_number",
]

GOOD = "good"  # the defect of a normal image

_SHOW_PROGRESS_AFTER = 2.0  # seconds


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
        Gives (h, w) bool at native size; None for a normal image, and where the mask is unknown.
    digest : callable
        Gives the sha256, in hexadecimal, of everything the image and its mask are made of.
    image_digest : callable or None
        Gives that of the image file alone; None where the image is drawn.
    file : Path or None
        The image on disk; None where it is drawn.
    mask_files : tuple of Path
        Its masks on disk. A normal image should have none; if it has, they are not read.
    bits : int
        Of the values of 16-bit greyscale, see `data_utils.images.value_bits`; 16 for all others.
    """

    path: str
    label: int
    defect: str
    read_image: Callable[[], np.ndarray]
    read_mask: Callable[[], np.ndarray] | None
    digest: Callable[[], str]
    image_digest: Callable[[], str] | None = None
    file: Path | None = None
    mask_files: tuple[Path, ...] = ()
    bits: int = DEEP


def to_working_size(image: np.ndarray, size: int) -> Tensor:
    """Squash a native image (h, w, 3) uint8 to the working square: (3, H, W) uint8.

    Bilinear with antialiasing, on every path into the networks.
    """
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)  # (3, h, w)
    return resize(planes, [size, size], antialias=True)


def _mask_to_working_size(mask: np.ndarray, size: int) -> Tensor:
    """Squash a native mask (h, w) bool to the working square, nearest: (H, W) bool."""
    plane = torch.from_numpy(mask)[None].byte()  # (1, h, w)
    nearest = InterpolationMode.NEAREST_EXACT
    return resize(plane, [size, size], interpolation=nearest)[0].bool()  # (H, W)


def _check_sizes(path: str, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    if image != mask:
        raise DataError(
            f"{path} has a mask of {mask[0]}x{mask[1]} (height x width); expected the image's "
            f"size, {image[0]}x{image[1]}; export the mask again at that size"
        )


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
        self._masks = torch.empty(0)
        self._native: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.records)

    def images(self) -> Tensor:
        """Return all images, (n, 3, H, W) uint8, decoded and resized at the first call.

        Raises
        ------
        DataError
            If an image or a mask cannot be read, or they differ in size.
        """
        if self._images is None:
            self._decode_all()
        assert self._images is not None
        return self._images

    def _decode_all(self) -> None:
        count, side = len(self.records), self.size
        with torch.inference_mode(False):  # others may write into them outside of the caller's mode
            images = torch.empty(count, 3, side, side, dtype=torch.uint8)
            masks = torch.zeros(count, side, side, dtype=torch.bool)

        def decode(index: int) -> tuple[int, int]:
            record = self.records[index]
            image = record.read_image()  # (h, w, 3)
            images[index] = to_working_size(image, side)  # (3, H, W)
            if record.read_mask is not None:
                mask = record.read_mask()  # (h, w)
                _check_sizes(record.path, image.shape[:2], mask.shape)
                masks[index] = _mask_to_working_size(mask, side)  # (H, W)
            return image.shape[0], image.shape[1]

        progress = {"desc": f"reading {self.category}/{self.split}", "unit": "image"}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sizes = pool.map(decode, range(count))
            self._native = list(
                tqdm(sizes, total=count, leave=False, delay=_SHOW_PROGRESS_AFTER, **progress)
            )
        self._images, self._masks = images, masks

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        image = tv_tensors.Image(self.images()[index].float() / 255)  # (3, H, W)
        mask = tv_tensors.Mask(self._masks[index].clone())  # (H, W)
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

    @cached_property
    def bits(self) -> int | None:
        """Bits of the values of 16-bit greyscale images, see `Record`; None where they are none."""
        bits = next((one.bits for one in self.records if one.file), DEEP)  # of all in a category
        deep = bits < DEEP or any(is_deep(one.file) for one in self.records if one.file)
        return bits if deep else None

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
            part._masks = self._masks[chosen]
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
        sha256 over the sorted relative paths and file hashes, see `fingerprint_of`.
    """

    name: str
    format: str
    root: str
    size: int
    train: ImageSet
    test: ImageSet
    fingerprint: str

    def decode(self) -> None:
        """Decode every image and mask now, so that a bad file is found before training starts.

        Raises
        ------
        DataError
            Naming the first file that cannot be read, or whose mask has another size.
        """
        self.train.images()
        self.test.images()


def digests_of(records: Sequence[Record], *, broken: str | None = None) -> list[str]:
    """Take the digest of every record, in parallel.

    Parameters
    ----------
    records : sequence of Record
        What to hash.
    broken : str, optional
        Stands for the digest of a record whose files cannot be read; without it, that raises.
    """

    def digest(record: Record) -> str:
        try:
            return record.digest()
        except DataError:
            if broken is None:
                raise
            return broken

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(digest, records))


def fingerprint_of(train: Iterable[Record], test: Iterable[Record]) -> str:
    """Hash both splits of a category: sha256 over the sorted (split, path, digest).

    The path counts from the category's folder on, so that a copy elsewhere, or under another name,
    has the same fingerprint.

    Raises
    ------
    DataError
        If the header of a file cannot be read, or a mask has another size than its image.
    """
    labelled = [("train", record) for record in train] + [("test", record) for record in test]
    digests = digests_of([record for _, record in labelled])
    lines = [
        f"{split}\0{record.path.partition('/')[2]}\0{digest}\n"
        for (split, record), digest in zip(labelled, digests, strict=True)
    ]
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


ACCEPTED = (
    "tensors (3, H, W) or (B, 3, H, W) and NumPy arrays (H, W, 3) or (B, H, W, 3), of uint8 or of "
    "floats in [0, 1]; PIL images, paths, or a list of these"
)
"""What `as_batch` takes, in words."""


def as_batch(images: Any, size: int, bits: int = DEEP) -> Tensor:
    """Bring images of any plain kind to what the networks take.

    Files, PIL images and NumPy arrays are photographs: they are squashed to the working square as
    in an `ImageSet`. Tensors are taken for finished and keep their height and width.

    Parameters
    ----------
    images : Tensor, np.ndarray, PIL.Image.Image, path, or a list of these
        Tensors (3, H, W) or (B, 3, H, W), arrays (h, w, 3) or (B, h, w, 3) or with the channels
        first; uint8 in 0..255, or floats of any precision in [0, 1]. PIL images of mode L or RGB.
    size : int
        Working height and width in pixels.
    bits : int
        Of 16-bit greyscale files, see `data_utils.images.read_image`.

    Returns
    -------
    Tensor
        (B, 3, H, W) float32 in [0, 1].

    Raises
    ------
    KitError
        If they are something else, none at all, out of range, or of sizes that do not go together.
    DataError
        If a file cannot be read.
    """
    if type(images) in (list, tuple):
        return _joined([as_batch(image, size, bits) for image in images])
    if isinstance(images, (str, os.PathLike)):
        images = read_image(Path(images), bits=bits)  # (h, w, 3)
    if isinstance(images, Image.Image):
        images = _pixels(images)  # (h, w, 3)
    photographs = isinstance(images, np.ndarray)
    if photographs:
        images = _channels_first(images)
    if not isinstance(images, Tensor) or images.layout != torch.strided:
        raise KitError(f"images are of type {type(images).__name__}; expected {ACCEPTED}")
    batch = images.as_subclass(Tensor)
    batch = batch[None] if batch.ndim == 3 else batch
    check_images(batch)
    batch = batch if batch.dtype == torch.uint8 else batch.float()
    if photographs:
        batch = resize(batch, [size, size], antialias=True)  # as `to_working_size`
    return batch / 255 if batch.dtype == torch.uint8 else batch


def _joined(parts: list[Tensor]) -> Tensor:
    if not parts:
        raise KitError(f"the list of images is empty; expected {ACCEPTED}")
    sizes = sorted({f"{part.shape[2]}x{part.shape[3]}" for part in parts})
    if len(sizes) > 1:
        raise KitError(
            f"the tensors in the list are {' and '.join(sizes)} (height x width); expected one "
            "size; resize them, or give paths or NumPy arrays, which are resized"
        )
    return torch.cat(parts)


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of an open image, upright as in `read_image`: (h, w, 3) uint8."""
    if image.mode not in ("L", "RGB"):
        deep = image.mode[0] in "IF"  # Pillow would clip its values, not scale them
        remedy = "" if deep else "call its convert('RGB'), or "
        raise KitError(
            f"a PIL image has mode {image.mode!r}; expected L or RGB; {remedy}give the path of its "
            "file"
        )
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def _channels_first(images: np.ndarray) -> Tensor:
    """Copy arrays, as (B, 3, h, w) or (3, h, w) where three channels are to be found."""
    images = images.astype(np.float32) if images.dtype.kind == "f" else images
    if images.dtype not in (np.uint8, np.float32):
        raise KitError(f"images are {images.dtype} {images.shape}; expected {ACCEPTED}")
    if images.ndim in (3, 4) and images.shape[-1] == 3:
        images = np.moveaxis(images, -1, -3)
    return torch.from_numpy(np.array(images, order="C"))


def check_images(images: Tensor) -> None:
    """Refuse what is no batch of images: (B, 3, H, W), uint8 or floats in [0, 1].

    Raises
    ------
    KitError
        Naming type and shape, or the range of values.
    """
    is_batch = (
        not images.is_meta and images.ndim == 4 and images.shape[1] == 3 and images.numel() > 0
    )
    if not is_batch or not (images.is_floating_point() or images.dtype == torch.uint8):
        raise KitError(f"images are {images.dtype} {tuple(images.shape)}; expected {ACCEPTED}")
    if images.dtype == torch.uint8:
        return
    low, high = images.min().item(), images.max().item()
    if not -0.01 <= low <= high <= 1.01:  # NaN fails this too
        raise KitError(
            f"image values reach from {low:.3g} to {high:.3g}; expected [0, 1]: divide 8-bit "
            "images by 255"
        )


def batches(images: Tensor, batch_size: int) -> Sequence[Tensor]:
    """Split images (B, ...) into batches; a DataError if ``batch_size`` is no positive integer."""
    return images.split(whole_number("batch_size", batch_size, usual=4))


def whole_number(name: str, value: Any, *, usual: int) -> int:
    """Return a whole number of at least 1, of Python or NumPy; a DataError for anything else."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise DataError(f"{name} is {value!r}; expected 1 or more; {usual} is usual")
    return int(value)


def check_image_set(images: Any, size: int, split: str) -> None:
    """Refuse what is no `ImageSet` at the working size, or has a transform, which would be ignored.

    Parameters
    ----------
    images : ImageSet
        What is to be trained on, or evaluated.
    size : int
        Working height and width in pixels.
    split : {"train", "test"}
        Which of a category's sets was expected.

    Raises
    ------
    KitError
    """
    if not isinstance(images, ImageSet):
        raise KitError(
            f"the images are of type {type(images).__name__}; expected an ImageSet; get one with "
            f"data_utils.open_category(FOLDER, size={size}).{split}"
        )
    if images.size != size:
        raise KitError(
            f"the images are {images.size}x{images.size}, the detector works at {size}; open the "
            f"category with size={size}"
        )
    if images.transform is not None:
        raise KitError(
            f"the {split} images have a transform, which neither training nor evaluation applies; "
            "set its transform to None, and see Config.augmentation for training"
        )
