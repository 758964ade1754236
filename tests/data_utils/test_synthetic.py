"""The synthetic categories: repeatable, exactly masked, balanced, fast and at any size."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from data_utils import synthetic
from data_utils.errors import KitError
from data_utils.synthetic import (
    CATEGORIES,
    DEFECTS,
    NATIVE_SIZE,
    SEVERITIES,
    TEST_GOOD,
    defects_of,
    draw,
    records,
    render,
    severity_of,
    write,
)
from data_utils.synthetic.__main__ import contact_sheet

STILL = ("washer", "bracket", "tablet")
OBJECTS = (*STILL, "bolt")
TEXTURES = ("twill", "brushed")
PART_SHARE = {"bolt": (0.05, 0.12)}  # of the image; the others' is in the test
EVERY_DEFECT = pytest.mark.parametrize(
    ("category", "defect"), [(c, d) for c in CATEGORIES for d in defects_of(c)]
)
FIRST_DEFECTIVE = TEST_GOOD
FAMILIES = len(defects_of(CATEGORIES[0]))  # that a category has


def change(image: np.ndarray, normal: np.ndarray) -> np.ndarray:
    return np.abs(image.astype(int) - normal).max(axis=-1)


def test_objects_and_textures_with_the_default_first():
    assert CATEGORIES[0] == "washer"
    assert set(CATEGORIES) == {*OBJECTS, *TEXTURES}
    assert {defect for category in CATEGORIES for defect in defects_of(category)} == set(DEFECTS)
    assert {len(defects_of(category)) for category in CATEGORIES} == {FAMILIES}


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_picture_depends_on_category_split_index_and_seed_only(category):
    image, mask, defect = render(category, "test", 33, seed=1, size=64)
    again = render(category, "test", 33, seed=1, size=64)
    assert np.array_equal(image, again[0]) and np.array_equal(mask, again[1])
    for other in ({"index": 34}, {"seed": 2}, {"split": "train"}):
        arguments = {"split": "test", "index": 33, "seed": 1, **other}
        assert change(render(category, size=64, **arguments)[0], image).mean() > 2


def test_rendering_leaves_numpys_global_generator_alone():
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    render("washer", "test", 33, size=32)
    assert np.random.rand() == expected  # noqa: NPY002


@EVERY_DEFECT
def test_the_mask_is_where_the_picture_changed(category, defect):
    normal = draw(category, "test", 40, size=128, defect="good")
    picture = draw(category, "test", 40, size=128, defect=defect, severity="strong")
    changed = change(picture.image, normal.image)
    assert not changed[~picture.mask].any()  # outside it every pixel is the same, bit for bit
    assert (changed[picture.mask] > 0).mean() > 0.95
    height, width = (np.ptp(axis) + 1 for axis in np.nonzero(picture.mask))
    if category == "bolt":  # its defects are small
        assert 8 < picture.mask.sum() < 0.01 * picture.mask.size and max(height, width) >= 4
    else:
        assert 20 < picture.mask.sum() < 0.15 * picture.mask.size and max(height, width) >= 8


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_good_picture_has_no_mask_and_the_defective_one_shows_the_same_scene(category):
    assert not draw(category, "train", 5, size=64).mask.any()
    assert not draw(category, "test", TEST_GOOD - 1, size=64).mask.any()
    good = draw(category, "test", 50, size=64, defect="good")
    assert not good.mask.any()
    assert np.array_equal(good.part, draw(category, "test", 50, size=64).part)


@pytest.mark.parametrize(("category", "defect"), [(c, d) for c in OBJECTS for d in defects_of(c)])
def test_defects_lie_on_the_part(category, defect):
    for index in range(40, 46):
        picture = draw(category, "test", index, size=64, defect=defect, severity="strong")
        near = ndimage.binary_dilation(picture.part, iterations=6)
        assert (picture.mask & near).sum() > 0.6 * picture.mask.sum()
        assert (picture.mask & picture.part).any()


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_texture_fills_the_frame_and_an_object_does_not(category):
    share = draw(category, "train", 0, size=64).part.mean()
    low, high = PART_SHARE.get(category, (0.25, 0.6))
    assert share == 1 if category in TEXTURES else low < share < high


def test_a_bolt_lies_in_any_rotation():
    angles = []
    for index in range(40):
        y, x = np.argwhere(draw("bolt", "train", index, size=64).part).T
        angles.append(0.5 * np.arctan2(2 * np.cov(x, y)[0, 1], x.var() - y.var()))
    counts, _ = np.histogram(angles, bins=4, range=(-np.pi / 2, np.pi / 2))
    assert counts.min() >= 4


def test_defects_of_a_bolt_have_two_to_ten_pixels():
    masks = [draw("bolt", "test", i, size=128).mask for i in range(FIRST_DEFECTIVE, 93)]
    sides = np.sqrt([mask.sum() for mask in masks])  # of squares of the same area
    assert sides.min() >= 2 and sides.max() < 11
    assert 2 < np.percentile(sides, 10) and np.percentile(sides, 90) < 8


def test_test_images_of_the_bolt_are_darker_good_and_defective_alike():
    def mean(split: str, indices: range) -> float:
        return float(np.mean([draw("bolt", split, i, size=32).image.mean() for i in indices]))

    usual = mean("train", range(TEST_GOOD))
    for indices in (range(TEST_GOOD), range(TEST_GOOD, 2 * TEST_GOOD)):
        assert 0.80 < mean("test", indices) / usual < 0.90


@pytest.mark.parametrize("category", STILL)
def test_spread_is_how_far_light_and_pose_wander(category):
    def wandering(spread: float) -> tuple[float, float]:
        pictures = [draw(category, "train", i, size=64, spread=spread) for i in range(12)]
        places = np.std([np.argwhere(picture.part).mean(axis=0) for picture in pictures], axis=0)
        values = np.std([picture.image for picture in pictures], axis=0)
        return float(places.mean()), float(values.mean())

    still, usual, far = wandering(0), wandering(1), wandering(2)
    assert still[0] == 0  # every part lies in the same place
    assert 1.5 < far[0] / usual[0] < 2.5
    assert still[1] < usual[1] < far[1]


@pytest.mark.parametrize("size", [32, 100, 177, 512])
def test_any_size(size):
    picture = draw("twill", "test", FIRST_DEFECTIVE, size=size)
    assert picture.image.shape == (size, size, 3) and picture.image.dtype == np.uint8
    assert picture.mask.shape == picture.part.shape == (size, size)
    assert picture.mask.dtype == picture.part.dtype == bool


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("index", range(FIRST_DEFECTIVE, FIRST_DEFECTIVE + FAMILIES))
def test_the_scene_does_not_depend_on_the_size(category, index):
    large = draw(category, "test", index, size=256, severity="strong")
    small = draw(category, "test", index, size=128, severity="strong")

    def halved(field: np.ndarray) -> np.ndarray:
        return field.reshape(128, 2, 128, 2, -1).mean(axis=(1, 3)).squeeze()

    def smoothed(field: np.ndarray) -> np.ndarray:  # neither sensor noise nor the finest grain
        return ndimage.gaussian_filter(field.astype(float), (3, 3, 0))

    assert np.abs(smoothed(halved(large.image)) - smoothed(small.image)).mean() < 4
    assert np.abs(halved(large.part) - small.part).mean() < 0.01
    both = np.stack([halved(large.mask) > 0.5, small.mask])
    assert both.all(axis=0).sum() > 0.6 * both.any(axis=0).sum()


@pytest.mark.parametrize("category", CATEGORIES)
def test_families_and_severities_are_balanced(category):
    train, test = records(category)
    assert [record.label for record in train] == [0] * 160
    assert {record.defect for record in train} == {"good"}
    cells = Counter((r.defect, severity_of("test", i)) for i, r in enumerate(test) if r.label)
    assert set(cells) == {
        (defect, severity) for defect in defects_of(category) for severity in SEVERITIES
    }
    assert set(cells.values()) == {3}
    assert sum(record.label == 0 for record in test) == TEST_GOOD
    assert len({record.path for record in (*train, *test)}) == len(train) + len(test)


@EVERY_DEFECT
def test_a_higher_severity_changes_more(category, defect):
    total = dict.fromkeys(SEVERITIES, 0.0)
    for index in range(40, 44):
        normal = draw(category, "test", index, size=64, defect="good")
        for severity in SEVERITIES:
            picture = draw(category, "test", index, size=64, defect=defect, severity=severity)
            total[severity] += change(picture.image, normal.image).mean()
    assert 0 < total["mild"] < total["medium"] < total["strong"]


@pytest.mark.parametrize("category", CATEGORIES)
def test_defects_are_darker_and_brighter_and_coloured(category):
    signed, chroma = [], []
    for index in range(FIRST_DEFECTIVE, FIRST_DEFECTIVE + 42):
        normal = draw(category, "test", index, size=64, defect="good")
        picture = draw(category, "test", index, size=64)
        difference = (picture.image.astype(float) - normal.image)[picture.mask].mean(axis=0)
        signed.append(difference.mean())
        chroma.append(np.ptp(difference))
    assert min(signed) < -20 and max(signed) > 8
    assert max(chroma) > 30


@pytest.mark.parametrize("category", CATEGORIES)
def test_normal_pictures_vary_and_use_the_range_without_clipping(category):
    pictures = np.stack([draw(category, "train", index, size=64).image for index in range(12)])
    assert np.percentile(pictures, 99) - np.percentile(pictures, 1) > 90
    assert (pictures == 255).mean() < 0.01 and (pictures == 0).mean() < 0.01
    assert pictures.mean(axis=(1, 2, 3)).std() > 2  # exposure


@pytest.mark.parametrize("category", sorted({*CATEGORIES} - {"bolt"}))
def test_test_goods_look_like_training_images(category):
    train = np.array([draw(category, "train", i, size=32).image.mean() for i in range(TEST_GOOD)])
    test = np.array([draw(category, "test", i, size=32).image.mean() for i in range(TEST_GOOD)])
    error = np.hypot(train.std(), test.std()) / np.sqrt(TEST_GOOD)
    assert abs(train.mean() - test.mean()) < 3.5 * error


def test_written_files_are_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(synthetic, "TRAIN_IMAGES", 2)  # a small set is enough, and fast
    monkeypatch.setattr(synthetic, "TEST_DEFECTIVE", FAMILIES)
    (folder,) = write(tmp_path, "washer", seed=3)
    train, test = records("washer", seed=3)
    masks = {file.relative_to(folder).as_posix() for file in folder.glob("ground_truth/*/*.png")}
    assert len(list(folder.glob("train/good/*.png"))) == len(train)
    for record in (*train, *test[TEST_GOOD - 1 :]):
        image = np.asarray(Image.open(tmp_path / record.path))
        assert image.shape == (NATIVE_SIZE, NATIVE_SIZE, 3)
        assert np.array_equal(image, record.read_image())
        name = f"ground_truth/{record.defect}/{Path(record.path).stem}_mask.png"
        assert (name in masks) == (record.label == 1)
        if record.read_mask is not None:
            assert np.array_equal(np.asarray(Image.open(folder / name)) == 255, record.read_mask())
    assert len(masks) == sum(record.label for record in test)
    with pytest.raises(KitError, match="not empty"):
        write(tmp_path, "washer")


def test_records_are_safe_to_change_and_their_digest_follows_the_pixels():
    train, test = records("washer")
    digest = train[0].digest()
    train[0].read_image()[:] = 0
    assert train[0].digest() == digest and train[0].read_image().any()
    others = [train[1].digest(), test[0].digest(), records("washer", seed=1)[0][0].digest()]
    assert len({digest, *others}) == 4
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gasket", "test", 0), "unknown synthetic category 'gasket'; choose from washer"),
        (("washer", "val", 0), "unknown split 'val'; choose from train, test"),
        (("washer", "test", -1), "index -1"),
        (("washer", "test", 0, -1), "seed -1"),
        (("washer", "test", 0, 0, 16), "size 16"),
    ],
)
def test_wrong_requests_are_one_line(arguments, message):
    with pytest.raises(KitError, match=message) as caught:
        render(*arguments)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused():
    with pytest.raises(KitError, match="unknown defect of washer 'misprint'"):
        draw("washer", "test", 0, defect="misprint")
    with pytest.raises(KitError, match="unknown severity 'huge'"):
        draw("washer", "test", 0, severity="huge")
    with pytest.raises(KitError, match="gasket"):
        records("gasket")


def test_a_picture_is_fast():
    render("washer", "test", 0)
    seconds = []
    for index in range(5):
        start = time.process_time()
        render("washer", "test", FIRST_DEFECTIVE + index)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.15  # about 0.025 s on a quiet core


def test_contact_sheet_shows_every_category_and_family():
    sheet = contact_sheet(size=48)
    assert sheet.width > (3 + FAMILIES) * 48
    assert sheet.height > 2 * len(CATEGORIES) * 48
