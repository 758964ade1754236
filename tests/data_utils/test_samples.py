"""Image sets: one geometry for image and mask, decoded once, at native size where it counts."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from data_utils import DataError, ImageSet, Record, Sample, open_category
from data_utils.samples import to_working_size

HEIGHT, WIDTH = 30, 50


def square_record(path: str = "c/test/hole/0.png", label: int = 1) -> Record:
    """Make an image that is white exactly where its mask is True."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[6:21, 15:45] = True
    image = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    return Record(
        path, label, "hole" if label else "good", image.copy, mask.copy if label else None, str
    )


def image_set(*records: Record, size: int = 20, **options: object) -> ImageSet:
    return ImageSet(records, size, category="c", split="test", fingerprint="f", **options)


def test_a_sample_is_what_it_says(mvtec_root: Path) -> None:
    category = open_category(mvtec_root, "bottle", size=16)
    sample = category.test[0]
    assert isinstance(sample, Sample)
    assert isinstance(sample.image, tv_tensors.Image) and isinstance(sample.mask, tv_tensors.Mask)
    assert sample.image.shape == (3, 16, 16) and sample.image.dtype == torch.float32
    assert 0 <= sample.image.min() and 0.5 < sample.image.max() <= 1
    assert sample.mask.shape == (16, 16) and sample.mask.dtype == torch.bool and sample.mask.any()
    assert sample[2:] == (1, "bottle/test/crack/000.png", "crack")
    for index in (2, 3):  # a defect without a mask, a normal image
        assert not category.test[index].mask.any()


def test_batches_are_made_by_default(mvtec_root: Path) -> None:
    category = open_category(mvtec_root, "bottle", size=16)
    batch = next(iter(DataLoader(category.test, batch_size=6)))
    assert batch.image.shape == (6, 3, 16, 16) and batch.mask.shape == (6, 16, 16)
    assert batch.label.tolist() == category.test.labels.tolist() == [1, 1, 1, 0, 0, 1]
    assert list(batch.path) == category.test.paths and list(batch.defect) == category.test.defects


def test_image_and_mask_are_squashed_alike() -> None:
    image, mask = image_set(square_record())[0][:2]
    assert torch.equal(image[0] > 0.5, mask.as_subclass(torch.Tensor))
    assert set(mask.unique().tolist()) == {False, True}
    assert abs(mask.float().mean() - 15 * 30 / (HEIGHT * WIDTH)) < 0.03


@pytest.mark.parametrize(
    "transform",
    [
        v2.RandomHorizontalFlip(p=1.0),
        v2.RandomAffine(degrees=(30, 30), translate=(0.1, 0.1)),
        v2.RandomCrop(12),
    ],
)
def test_image_and_mask_go_through_the_same_geometry(transform: v2.Transform) -> None:
    torch.manual_seed(0)
    plain = image_set(square_record())
    image, mask = image_set(square_record(), transform=transform)[0][:2]
    assert not torch.equal(image, plain[0].image)
    assert mask.dtype == torch.bool and mask.any()
    assert ((image[0] > 0.5) != mask).float().mean() < 0.02


def test_a_transform_does_not_reach_the_cache() -> None:
    images = image_set(square_record(), transform=lambda image, mask: (image.zero_(), mask.zero_()))
    before = images.images().clone()
    assert not images[0].image.any() and not images[0].mask.any()
    images.transform = None
    assert images[0].mask.any() and torch.equal(images.images(), before)


def test_resizing_is_antialiased_bilinear_on_eight_bits() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, 3::8] = stripes[:, 4::8] = 255  # a quarter, and just where single samples would fall
    small = to_working_size(stripes, 8)
    assert small.dtype == torch.uint8 and small.shape == (3, 8, 8)
    assert (small[..., 1:-1].int() - 64).abs().max() <= 2  # without antialiasing: 255


def test_every_image_and_mask_is_decoded_once(mvtec_root: Path) -> None:
    calls: Counter[str] = Counter()

    def counted(name: str, read):  # noqa: ANN001, ANN202
        def reading() -> np.ndarray:
            calls[name] += 1
            return read()

        return reading

    records = [
        replace(
            record,
            read_image=counted(record.path, record.read_image),
            read_mask=record.read_mask and counted(f"mask of {record.path}", record.read_mask),
        )
        for record in open_category(mvtec_root, "bottle").test.records
    ]
    images = image_set(*records)
    assert not calls  # nothing before it is asked for
    for _ in range(3):
        _ = [images[index] for index in range(len(images))]
        images.images()
    part = images.subset([0, 2])
    _ = part[0], part.native_size(1)
    assert len(calls) == 6 + 3 and set(calls.values()) == {1}


def test_a_subset_is_the_same_decoded_or_not(mvtec_root: Path) -> None:
    fresh = open_category(mvtec_root, "bottle", size=8).test
    early = fresh.subset(np.array([4, 0]))
    assert early.paths == ["bottle/test/good/001.png", "bottle/test/crack/000.png"]
    assert len(early) == 2 and early.fingerprint == fresh.fingerprint
    images = fresh.images()
    late = fresh.subset([4, 0])
    for part in (early, late):
        assert torch.equal(part.images(), images[[4, 0]])
        assert part[1].mask.any() and not part[0].mask.any()
        assert part.native_size(0) == (12, 20)


def test_native_sizes_and_masks() -> None:
    images = image_set(square_record(), square_record("c/test/good/1.png", label=0))
    assert images.native_size(0) == (HEIGHT, WIDTH)
    native = images.native_mask(0)
    assert native is not None and native.dtype == bool and native.sum() == 15 * 30
    normal = images.native_mask(1)
    assert normal is not None and normal.shape == (HEIGHT, WIDTH) and not normal.any()
    assert image_set(replace(square_record(), read_mask=None)).native_mask(0) is None


def test_a_mask_of_another_size_is_refused() -> None:
    wrong = replace(square_record(), read_mask=lambda: np.zeros((HEIGHT, WIDTH + 1), bool))
    with pytest.raises(
        DataError, match=r"0\.png has a mask of 30x51 .*; expected .* 30x50; export"
    ):
        image_set(wrong).images()


def test_images_may_be_decoded_in_inference_mode() -> None:
    images = image_set(square_record(), square_record())
    with torch.inference_mode():
        decoded = images.images()
    assert not decoded.is_inference() and decoded[0].float().requires_grad_().requires_grad
