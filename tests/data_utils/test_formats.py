"""Each layout of protocol.md is read as it is described there."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_utils import Category, DataError, list_categories, open_category

RECTANGLE = np.zeros((12, 20), bool)
RECTANGLE[2:6, 3:10] = True  # what the fixture `save_mask` draws


def listed(category: Category, split: str) -> list[tuple[str, int, str, bool]]:
    """Path, label, defect and whether there is a mask."""
    records = getattr(category, split).records
    return [(r.path, r.label, r.defect, r.read_mask is not None) for r in records]


def test_mvtec(mvtec_root: Path) -> None:
    category = open_category(mvtec_root, "bottle", size=8)
    assert (category.name, category.format, category.root) == ("bottle", "mvtec", str(mvtec_root))
    assert listed(category, "train") == [
        (f"bottle/train/good/00{index}.png", 0, "good", False) for index in range(3)
    ]
    assert listed(category, "test") == [
        ("bottle/test/crack/000.png", 1, "crack", True),
        ("bottle/test/crack/001.png", 1, "crack", True),
        ("bottle/test/crack/002.png", 1, "crack", False),  # no ground truth file
        ("bottle/test/good/000.png", 0, "good", False),
        ("bottle/test/good/001.png", 0, "good", False),
        ("bottle/test/stain/000.png", 1, "stain", True),
    ]
    np.testing.assert_array_equal(category.test.native_mask(0), RECTANGLE)
    assert category.test.native_mask(2) is None
    np.testing.assert_array_equal(category.test.native_mask(3), np.zeros((12, 20), bool))


def test_mvtec_without_test_images_can_be_trained_on(tmp_path: Path, save_image) -> None:
    save_image(tmp_path / "own/train/good/0.png")
    category = open_category(tmp_path)
    assert len(category.train) == 1 and len(category.test) == 0
    assert category.test.images().shape == (0, 3, 128, 128)


def test_visa(visa_root: Path) -> None:
    category = open_category(visa_root, size=8)  # the table names but one
    normal = "candle/Data/Images/Normal/000{}.JPG"
    assert (category.name, category.format) == ("candle", "visa")
    assert listed(category, "train") == [
        (normal.format(index), 0, "good", False) for index in range(3)
    ]
    assert listed(category, "test") == [
        (normal.format(3), 0, "good", False),
        (normal.format(4), 0, "good", False),
        ("candle/Data/Images/Anomaly/000.JPG", 1, "anomaly", True),
    ]
    np.testing.assert_array_equal(category.test.native_mask(2), RECTANGLE)  # stored as 2, not 255


def test_visa_table_may_start_with_a_byte_order_mark(visa_root: Path) -> None:
    table = visa_root / "split_csv/1cls.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(open_category(visa_root).train) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label", "kind", r"1cls\.csv lacks the column 'label'; expected object,split,.*; unpack"),
        ("candle,test", "candle,val", r"1cls\.csv has the split 'val'; expected train or test;"),
        ("Normal/0001", "Normal/9", r"Normal/9\.JPG cannot be read .*; expected an image; check"),
    ],
)
def test_visa_table_with_a_mistake(visa_root: Path, old: str, new: str, message: str) -> None:
    table = visa_root / "split_csv/1cls.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        open_category(visa_root, "candle")


def test_btad(btad_root: Path) -> None:
    category = open_category(btad_root, "01", size=8)
    assert category.format == "btad"
    assert listed(category, "train") == [
        ("01/train/ok/0000.bmp", 0, "good", False),
        ("01/train/ok/0001.bmp", 0, "good", False),
    ]
    assert listed(category, "test") == [
        ("01/test/ok/0000.bmp", 0, "good", False),
        ("01/test/ko/0000.bmp", 1, "ko", True),  # its mask is a .png
        ("01/test/ko/0001.png", 1, "ko", True),  # and this one's a .bmp
    ]
    for index in (1, 2):
        np.testing.assert_array_equal(category.test.native_mask(index), RECTANGLE)


def test_loco_unites_the_masks_and_trains_on_validation(loco_root: Path) -> None:
    category = open_category(loco_root, size=8)
    assert (category.name, category.format) == ("juice", "loco")
    assert listed(category, "train") == [
        ("juice/train/good/000.png", 0, "good", False),
        ("juice/train/good/001.png", 0, "good", False),
        ("juice/validation/good/000.png", 0, "good", False),
    ]
    assert listed(category, "test") == [
        ("juice/test/good/000.png", 0, "good", False),
        ("juice/test/logical_anomalies/000.png", 1, "logical_anomalies", True),
        ("juice/test/structural_anomalies/000.png", 1, "structural_anomalies", True),
    ]
    both = RECTANGLE.copy()
    both[2:6, 12:19] = True
    np.testing.assert_array_equal(category.test.native_mask(1), both)
    np.testing.assert_array_equal(category.test.native_mask(2), RECTANGLE)


def test_plain_folder(folder_root: Path) -> None:
    category = open_category(folder_root, size=8)
    assert (category.name, category.format) == ("parts", "folder")
    assert len(category.train) == 9  # of 11
    assert category.test.defects == ["good", "good", "defective", "defective"]
    assert listed(category, "test")[2:] == [
        ("parts/defective/a.jpg", 1, "defective", True),
        ("parts/defective/b.tif", 1, "defective", False),
    ]
    np.testing.assert_array_equal(category.test.native_mask(2), RECTANGLE)
    assert category.test.native_mask(3) is None


def test_plain_folder_is_split_by_content_alone(folder_root: Path) -> None:
    def tested() -> set[bytes]:
        records = open_category(folder_root).test.records
        return {r.read_image().tobytes() for r in records if not r.label}

    before = tested()
    for path in (folder_root / "normal").iterdir():
        path.rename(path.with_name(f"renamed {path.stem[::-1]}z"))
    assert tested() == before and len(before) == 2


def test_plain_folder_keeps_copies_on_one_side(tmp_path: Path, save_image) -> None:
    for index in range(3):
        content = save_image(tmp_path / f"parts/normal/{index}.png").read_bytes()
        for copy in "abcde":
            (tmp_path / f"parts/normal/{index}{copy}.png").write_bytes(content)
    category = open_category(tmp_path, "parts")
    sides = [{r.digest() for r in split.records} for split in (category.train, category.test)]
    assert sides[0].isdisjoint(sides[1]) and len(category.test) == 6  # at least 18 // 5


def test_plain_folder_of_two_tests_one(tmp_path: Path, save_image) -> None:
    save_image(tmp_path / "normal/a.png")
    alone = open_category(tmp_path)
    assert (len(alone.train), len(alone.test)) == (1, 0)
    save_image(tmp_path / "normal/b.png")
    category = open_category(tmp_path)
    assert len(category.train) == len(category.test) == 1


def test_plain_folder_with_a_misnamed_mask(folder_root: Path) -> None:
    mask = folder_root / "masks/a.png"
    mask.rename(mask.with_name("A-mask.png"))
    with pytest.raises(DataError, match=r"A-mask\.png belongs to no image; .*; rename or remove"):
        open_category(folder_root)


def test_two_masks_of_one_stem_are_ambiguous(mvtec_root: Path, save_mask) -> None:
    save_mask(mvtec_root / "bottle/ground_truth/crack/000.bmp")
    with pytest.raises(DataError, match=r"both the mask of '000'; expected one; remove"):
        open_category(mvtec_root, "bottle")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("data", "name", "train", "good", "defective"),
    [("mvtec", "bottle", 209, 20, 63), ("mtd", "magnetic_tile", 763, 189, 388)],
)
def test_real_counts(
    realdata: Path, data: str, name: str, train: int, good: int, defective: int
) -> None:
    category = open_category(realdata / data, name)
    assert len(category.train) == train
    assert np.bincount(category.test.labels).tolist() == [good, defective]
    assert sum(r.read_mask is not None for r in category.test.records) == defective


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"candle,test,anomaly,/etc/hosts,\n", "names the file '/etc/hosts'"),
        (b"candle,test,anomaly,candle/../../x.png,\n", "inside the data set"),
        (b"candle,test,anomaly,candle/\x00.png,\n", "inside the data set"),
        (b"candle,test,anomaly\n", "fewer than 5 values"),
        (b"candle,test,anomaly,\xff\xfe.png,\n", "no table in UTF-8"),
    ],
)
def test_a_damaged_table_of_visa_is_one_line(visa_root, row, said):
    with (visa_root / "split_csv" / "1cls.csv").open("ab") as file:
        file.write(row)
    with pytest.raises(DataError, match=said):
        open_category(visa_root, "candle", size=32)


def images_at(root: Path, save_image, *names: str) -> None:
    for name in names:
        save_image(root / name)


def test_mvtec_ad_2(tmp_path: Path, save_image, save_mask) -> None:
    images_at(
        tmp_path / "can",
        save_image,
        "train/good/000_regular.png",
        "validation/good/000_regular.png",
        "test_public/good/000_regular.png",
        "test_public/bad/000_regular.png",
        "test_private/000_regular.png",
    )
    save_mask(tmp_path / "can/test_public/ground_truth/bad/000_regular_mask.png")
    category = open_category(tmp_path)
    assert (category.format, category.name) == ("mvtec_ad2", "can")
    assert listed(category, "train") == [
        ("can/train/good/000_regular.png", 0, "good", False),
        ("can/validation/good/000_regular.png", 0, "good", False),
    ]
    assert listed(category, "test") == [
        ("can/test_public/good/000_regular.png", 0, "good", False),
        ("can/test_public/bad/000_regular.png", 1, "bad", True),
    ]


def test_mvtec_3d(tmp_path: Path, save_image, save_mask) -> None:
    images_at(
        tmp_path / "bagel",
        save_image,
        "train/good/rgb/000.png",
        "validation/good/rgb/000.png",
        "test/good/rgb/000.png",
        "test/crack/rgb/000.png",
    )
    save_mask(tmp_path / "bagel/test/crack/gt/000.png")
    category = open_category(tmp_path / "bagel")
    assert category.format == "mvtec_3d"
    assert [path for path, *_ in listed(category, "train")] == [
        "bagel/train/good/rgb/000.png",
        "bagel/validation/good/rgb/000.png",
    ]
    assert listed(category, "test") == [
        ("bagel/test/crack/rgb/000.png", 1, "crack", True),
        ("bagel/test/good/rgb/000.png", 0, "good", False),
    ]


@pytest.mark.parametrize(
    ("normal", "defective", "masks"),
    [
        ("normal", "defective/{}", "masks/{}"),
        ("Normal", "Defective/{}", "Masks/{}"),
        ("good", "{}", "masks/{}"),
        ("good", "{}", "ground_truth/{}"),
    ],
)
def test_kinds_of_defects_in_a_plain_folder(
    tmp_path: Path, save_image, save_mask, normal: str, defective: str, masks: str
) -> None:
    images_at(tmp_path / "own", save_image, *(f"{normal}/{number}.png" for number in range(3)))
    for kind in ("dent", "scratch"):
        save_image(tmp_path / "own" / defective.format(kind) / "0.png")
        save_mask(tmp_path / "own" / masks.format(kind) / "0.png")
    category = open_category(tmp_path)
    found = [(defect, masked) for _, label, defect, masked in listed(category, "test") if label]
    assert found == [("dent", True), ("scratch", True)]


def test_a_mask_of_a_kind_that_belongs_to_no_image(tmp_path: Path, save_image, save_mask) -> None:
    images_at(tmp_path / "own", save_image, "normal/0.png", "normal/1.png", "defective/dent/0.png")
    save_mask(tmp_path / "own/masks/dent/1.png")
    with pytest.raises(DataError, match="belongs to no image; expected dent/1 with any extension"):
        open_category(tmp_path)


def test_names_composed_in_two_ways_are_the_same(tmp_path: Path, save_image, save_mask) -> None:
    images_at(tmp_path / "own", save_image, "normal/0.png", "normal/1.png")
    save_image(tmp_path / "own/defective/Geha\u0308use.png")
    save_mask(tmp_path / "own/masks/Geh\u00e4use.png")
    assert [masked for *_, masked in listed(open_category(tmp_path), "test")] == [False, True]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_values_are_scaled_by_the_bits_that_the_category_uses(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    (tmp_path / "cam/normal").mkdir(parents=True)
    for number in range(5):
        grey = np.full((8, 8), top // 2 + number, np.uint16)
        grey[0, 0] = top
        Image.fromarray(grey).save(tmp_path / f"cam/normal/{number}.png")
    category = open_category(tmp_path, size=8)
    assert category.train.bits == category.test.bits == bits
    values = category.train.images()
    assert values.max() == 255
    assert abs(values[0, 0, 4, 4].item() - 127) <= 3


def test_one_image_of_8_bits_among_deeper_ones_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "cam/normal").mkdir(parents=True)
    for number, top in enumerate([200, *[4000] * 9]):
        grey = np.full((8, 8), top - number, np.uint8 if number == 0 else np.uint16)
        Image.fromarray(grey).save(tmp_path / f"cam/normal/{number}.png")
    category = open_category(tmp_path, size=8)
    assert category.train.bits == category.test.bits == 12


def test_a_link_to_itself_beside_a_category_is_no_error(tmp_path: Path, save_image) -> None:
    (tmp_path / "loop").symlink_to("loop")
    images_at(tmp_path / "own", save_image, "normal/0.png", "normal/1.png")
    assert open_category(tmp_path).name == "own"


def test_the_brightest_image_counts_and_not_only_those_of_the_training(tmp_path: Path) -> None:
    for place, top in (
        ("normal/0", 700),
        ("normal/1", 900),
        ("normal/2", 800),
        ("defective/a", 4000),
    ):
        path = tmp_path / f"cam/{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.linspace(0, top, 64).reshape(8, 8).astype(np.uint16)).save(path)
    assert open_category(tmp_path).train.bits == 12
    with pytest.raises(DataError, match="a.png has values up to .* expected 10 bits"):
        open_category(tmp_path, bits=10).test.images()


def test_a_mask_that_two_images_would_have(tmp_path: Path, save_image, save_mask) -> None:
    own = tmp_path / "own"
    images_at(own, save_image, "normal/0.png", "normal/1.png")
    images_at(own, save_image, "defective/dent/0.png", "defective/scratch/0.png")
    save_mask(own / "masks/0.png")
    with pytest.raises(DataError, match="would be the mask of .*dent/0.png and of .*scratch/0.png"):
        open_category(tmp_path)


def test_loco_images_with_one_folder_of_masks(loco_root: Path, save_image) -> None:
    save_image(loco_root / "juice/test/logical_anomalies/000.bmp")
    with pytest.raises(DataError, match="would be the mask of .*000.bmp and of .*000.png"):
        open_category(loco_root)


def test_kinds_that_differ_in_capitals_have_masks_of_their_own(
    tmp_path: Path, save_image, save_mask
) -> None:
    images_at(tmp_path / "own", save_image, "normal/0.png", "normal/1.png")
    images_at(tmp_path / "own", save_image, "defective/dent/0.png", "defective/Dent/0.png")
    save_mask(tmp_path / "own/masks/dent/0.png")
    with pytest.raises(DataError, match="would be the mask of .*Dent/0.png and of .*dent/0.png"):
        open_category(tmp_path)


def test_capitals_in_mvtec(mvtec_root: Path) -> None:
    before = open_category(mvtec_root, "bottle")
    base = mvtec_root / "bottle"
    (base / "test/good").rename(base / "test/Good")
    (base / "test").rename(base / "Test")
    (base / "ground_truth").rename(base / "Ground_Truth")
    after = open_category(mvtec_root, "bottle")
    assert sorted(after.test.defects) == sorted(before.test.defects)
    masked = [sum(r.read_mask is not None for r in c.test.records) for c in (before, after)]
    assert masked[0] == masked[1] > 0


def test_two_images_of_one_name_and_one_mask(mvtec_root: Path, save_image) -> None:
    save_image(mvtec_root / "bottle/test/crack/000.bmp")
    with pytest.raises(DataError, match="would be the mask of .*000.bmp and of .*000.png"):
        open_category(mvtec_root, "bottle")


@pytest.mark.parametrize(
    "folder", ["mask", "gt", "labels", "annotations", "thumbs", "predictions", "@eaDir", "__MACOSX"]
)
def test_folders_beside_good_that_are_no_kinds_of_defects(
    tmp_path: Path, save_image, save_mask, folder: str
) -> None:
    images_at(tmp_path / "own", save_image, "good/0.png", "good/1.png", "scratch/0.png")
    save_mask(tmp_path / "own" / folder / "0.png")
    found = [(name, label) for name, label, *_ in listed(open_category(tmp_path), "test")]
    assert [name.split("/")[1] for name, label in found if label] == ["scratch"]


@pytest.mark.parametrize(("defective", "masks"), [("Scratch", "scratch"), ("dent", "DENT")])
def test_capitals_of_kinds_do_not_count(
    tmp_path: Path, save_image, save_mask, defective: str, masks: str
) -> None:
    images_at(tmp_path / "own", save_image, "normal/0.png", "normal/1.png")
    save_image(tmp_path / "own/Defective" / defective / "0.png")
    save_mask(tmp_path / "own/Masks" / masks / "0.png")
    assert [masked for *_, masked in listed(open_category(tmp_path), "test")] == [False, True]


COMPOSED, APART = "Ka\u0308fer", "K\u00e4fer"


def test_folders_composed_in_two_ways_are_the_same(tmp_path: Path, save_image, save_mask) -> None:
    own, mvtec = tmp_path / "a/own", tmp_path / "b/mvtec"
    images_at(own, save_image, "normal/0.png", "normal/1.png", f"defective/{COMPOSED}/0.png")
    save_mask(own / f"masks/{APART}/0.png")
    images_at(mvtec, save_image, "train/good/0.png", "train/good/1.png", f"test/{COMPOSED}/0.png")
    save_mask(mvtec / f"ground_truth/{APART}/0_mask.png")
    for root in (own, mvtec):
        assert [masked for *_, masked in listed(open_category(root), "test")][-1]


def test_loco_masks_composed_in_another_way(loco_root: Path, save_image, save_mask) -> None:
    save_image(loco_root / f"juice/test/logical_anomalies/{COMPOSED}.png")
    save_mask(loco_root / f"juice/ground_truth/logical_anomalies/{APART}/000.png")
    assert all(masked for _, label, _, masked in listed(open_category(loco_root), "test") if label)


def test_visa_names_composed_in_another_way_and_capitals(visa_root: Path) -> None:
    table = visa_root / "split_csv/1cls.csv"
    before = open_category(visa_root)
    text = table.read_text(encoding="utf-8").replace("candle", APART).replace("normal,", "Normal,")
    table.write_text(text, encoding="utf-8")
    (visa_root / "candle").rename(visa_root / COMPOSED)
    found = open_category(visa_root)
    assert (found.name, found.train.labels.sum()) == (COMPOSED, 0)
    assert found.test.labels.tolist() == before.test.labels.tolist()


@pytest.mark.parametrize("fixture", ["btad_root", "loco_root", "visa_root", "mvtec_root"])
def test_normal_images_alone_can_be_trained_on(fixture: str, request, save_image) -> None:
    root = request.getfixturevalue(fixture)
    name = list_categories(root)[0]
    if fixture == "visa_root":
        table = root / "split_csv/1cls.csv"
        rows = table.read_text().splitlines(keepends=True)
        table.write_text("".join(row for row in rows if ",test," not in row))
    else:
        for folder in (root / name / "test").iterdir():
            shutil.rmtree(folder)
            folder.mkdir()
        for number in range(5, 9):
            save_image(
                root / name / f"train/{'ok' if fixture == 'btad_root' else 'good'}/{number}.png"
            )
    category = open_category(root, name)
    assert len(category.train) >= 2 and len(category.test) >= 1 and not category.test.labels.any()
