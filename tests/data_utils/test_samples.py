"""Image sets: one geometry for image and mask, decoded once, at native size where it counts."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from data_utils import DataError, ImageSet, KitError, Record, Sample, open_category
from data_utils.samples import as_batch, batches, check_image_set, to_working_size

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


PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
SQUARE = to_working_size(PIXELS, 16)  # (3, 16, 16) uint8: what an ImageSet makes of it


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        PIXELS[None],
        PIXELS.transpose(2, 0, 1),
        PIXELS[:, ::-1][:, ::-1],  # negative strides, as of BGR turned to RGB
        [PIXELS],
        (SQUARE,),
        SQUARE,
        SQUARE[None],
        tv_tensors.Image(SQUARE),
        Image.fromarray(PIXELS),
    ],
)
def test_eight_bits_of_any_kind_become_the_batch_that_training_saw(images: object) -> None:
    batch = as_batch(images, 16)
    assert type(batch) is torch.Tensor and torch.equal(batch, SQUARE[None] / 255)


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (PIXELS / 255, 0.004),  # float64; no rounding to 8 bits after resizing
        ((PIXELS / 255).astype(np.float16), 0.004),
        ((PIXELS / 255).astype(">f4"), 0.004),
        ((SQUARE / 255).double(), 0),
        ((SQUARE / 255).half(), 3e-4),
    ],
)
def test_floats_of_any_precision_are_the_same_image(images: object, error: float) -> None:
    batch = as_batch(images, 16)
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch, SQUARE[None] / 255, atol=error, rtol=0)


def test_paths_and_lists_are_read_as_an_image_set_reads_them(mvtec_root: Path) -> None:
    test = open_category(mvtec_root, "bottle", size=16).test
    paths = [mvtec_root / path for path in test.paths]
    assert torch.equal(as_batch(paths, 16), test.images() / 255)
    mixed = [str(paths[0]), Image.open(paths[1]), test[2].image]
    assert torch.equal(as_batch(mixed, 16), test.images()[:3] / 255)


def test_tensors_keep_their_size() -> None:
    assert as_batch(torch.rand(2, 3, 8, 24), 16).shape == (2, 3, 8, 24)


def test_a_photograph_is_turned_upright_open_or_on_disk(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    upright = as_batch(tmp_path / "turned.png", 16)
    assert torch.equal(as_batch(Image.open(tmp_path / "turned.png"), 16), upright)
    assert torch.equal(upright, as_batch(np.rot90(PIXELS, -1), 16))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "list of images is empty; expected tensors"),
        (torch.rand(0, 3, 8, 8), r"\(0, 3, 8, 8\); expected tensors"),
        (np.empty((0, 8, 8, 3)), r"\(0, 3, 8, 8\); expected tensors"),
        (torch.rand(8, 8), r"float32 \(8, 8\); expected tensors \(3, H, W\)"),
        (torch.rand(1, 1, 8, 8), r"\(1, 1, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64 .* expected .* of uint8 or of floats in"),
        (np.zeros((8, 8, 3), np.uint16), r"uint16 \(8, 8, 3\); expected .* NumPy arrays"),
        (np.array([["a"]]), "expected .* NumPy arrays"),
        (PIXELS.astype(float), "reach from 0 to 255; expected .* divide 8-bit"),
        ([PIXELS[..., 0]], r"uint8 \(30, 50\)"),
        (torch.full((3, 8, 8), torch.nan), "reach from nan"),
        ([torch.rand(3, 8, 8), torch.rand(3, 8, 16)], "8x16 and 8x8 .* expected one size"),
        (Image.new("RGBA", (8, 8)), r"mode 'RGBA'; expected L or RGB; call its convert\('RGB'\)"),
        (Image.new("I;16", (8, 8)), "mode 'I;16'"),
        (DataLoader([1]), "type DataLoader; expected .* PIL images, paths, or a list of these"),
        (None, "type NoneType; expected"),
        ([1, 2], "type int; expected"),
        ("nowhere.png", "nowhere.png"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(images: object, words: str) -> None:
    with pytest.raises(KitError, match=words) as refusal:
        as_batch(images, 16)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
def test_a_batch_holds_at_least_one_image(batch_size: object) -> None:
    with pytest.raises(KitError, match=f"batch_size is {batch_size}; expected 1 or more"):
        batches(torch.rand(3, 3, 8, 8), batch_size)  # type: ignore[arg-type]
    assert [len(part) for part in batches(torch.rand(3, 3, 8, 8), 2)] == [2, 1]


def test_an_image_set_is_told_from_other_things_and_other_sizes() -> None:
    good = image_set(square_record())
    check_image_set(good, 20, "test")
    for other in (DataLoader(good), ["a.png"], "photos", good.images()):
        name = type(other).__name__
        with pytest.raises(KitError, match=rf"type {name}; expected an ImageSet; .*size=20\).test"):
            check_image_set(other, 20, "test")
    with pytest.raises(KitError, match="20x20, the detector works at 64; .* with size=64"):
        check_image_set(good, 64, "test")
    good.transform = v2.Identity()
    with pytest.raises(KitError, match="have a transform, .* set its transform to None"):
        check_image_set(good, 20, "test")
