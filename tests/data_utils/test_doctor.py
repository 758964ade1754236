"""The data doctor: every kind of finding from one damage to a healthy data set, and no other."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter

from data_utils import DataError, diagnose, open_category, synthetic
from data_utils.doctor import Diagnosis, Finding, check_dataset, to_html
from data_utils.doctor.findings import KINDS
from data_utils.doctor.similar import near_duplicates, perceptual_hash
from data_utils.download import ARCHIVES
from data_utils.published import PUBLISHED

HEIGHT, WIDTH = 60, 80
TRAIN, GOOD, BAD = 14, 4, 3


def draw(seed: int) -> np.ndarray:
    """Draw a soft random picture that stays as it is through a JPEG: (h, w, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (6, 8, 3), dtype=np.uint8)
    size = (WIDTH, HEIGHT)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def mask(pixels: int = 10) -> Image.Image:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[5 : 5 + pixels, 5 : 5 + pixels] = 255
    return Image.fromarray(values)


def write(path: Path, image: np.ndarray | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A healthy category "lid" in the layout of MVTec AD."""
    base = tmp_path / "set" / "lid"
    for number in range(TRAIN):
        write(base / f"train/good/{number:03}.png", draw(number))
    for number in range(GOOD):
        write(base / f"test/good/{number:03}.png", draw(100 + number))
    for number in range(BAD):
        write(base / f"test/dent/{number:03}.png", draw(200 + number))
        write(base / f"ground_truth/dent/{number:03}_mask.png", mask())
    return tmp_path / "set"


TRAIN_0, TRAIN_1 = "lid/train/good/000.png", "lid/train/good/001.png"
GOOD_0, GOOD_1 = "lid/test/good/000.png", "lid/test/good/001.png"
DENT_0, DENT_1 = "lid/test/dent/000.png", "lid/test/dent/001.png"
MASK_0 = "lid/ground_truth/dent/000_mask.png"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def change(path: Path, function: Callable[[Image.Image], Image.Image]) -> None:
    with Image.open(path) as image:
        changed = function(image.convert("RGB"))
    changed.save(path)


def soft(root: Path) -> None:
    write(root / MASK_0, mask().filter(ImageFilter.GaussianBlur(2)))


def dark(image: Image.Image) -> Image.Image:
    return image.point(lambda value: max(value - 60, 0))


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 60, (HEIGHT, WIDTH, 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def as_pages(root: Path) -> None:
    with Image.open(root / TRAIN_0) as image:
        second = Image.fromarray(draw(900))
        image.save(root / TRAIN_0, format="TIFF", save_all=True, append_images=[second])


def as_deep(root: Path) -> None:
    values = np.random.default_rng(1).integers(90, 170, (6, 8), dtype=np.uint16) * 257
    small = Image.fromarray(values.astype(np.int32)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    )
    Image.fromarray(np.asarray(small).astype(np.uint16)).save(root / TRAIN_0)


Damage = Callable[[Path], object]

# what is done, the kind that is found, the images and the masks that are named
DAMAGES: dict[str, tuple[Damage, str, list[str], list[str]]] = {
    "truncated": (lambda r: cut(r / TRAIN_0), "unreadable", [TRAIN_0], []),
    "text": (lambda r: (r / GOOD_0).write_text("hello"), "unreadable", [GOOD_0], []),
    "truncated mask": (
        lambda r: (r / MASK_0).write_bytes((r / MASK_0).read_bytes()[:60]),
        "unreadable",
        [],
        [MASK_0],
    ),
    "other mask size": (
        lambda r: write(r / MASK_0, mask().resize((40, 30), Image.Resampling.NEAREST)),
        "mask-size",
        [DENT_0],
        [MASK_0],
    ),
    "empty mask": (lambda r: write(r / MASK_0, mask(0)), "mask-empty", [DENT_0], [MASK_0]),
    "soft mask": (soft, "mask-not-binary", [DENT_0], [MASK_0]),
    "inverted mask": (
        lambda r: write(r / MASK_0, mask().point(lambda v: 255 - v)),
        "mask-too-large",
        [DENT_0],
        [MASK_0],
    ),
    "mask without 0": (
        lambda r: write(r / MASK_0, mask().point(lambda v: v | 1)),
        "mask-too-large",
        [DENT_0],
        [MASK_0],
    ),
    "no mask": (lambda r: (r / MASK_0).unlink(), "mask-missing", [DENT_0], []),
    "mask of a normal image": (
        lambda r: write(r / "lid/ground_truth/good/000_mask.png", mask()),
        "mask-on-good",
        [GOOD_0],
        ["lid/ground_truth/good/000_mask.png"],
    ),
    "two masks": (
        lambda r: shutil.copy(r / MASK_0, r / "lid/ground_truth/dent/000.png"),
        "layout",
        [MASK_0],
        [],
    ),
    "speck": (lambda r: write(r / MASK_0, mask(1)), "tiny-defect", [DENT_0], [MASK_0]),
    "copy in train": (
        lambda r: shutil.copy(r / TRAIN_0, r / TRAIN_1),
        "duplicate",
        [TRAIN_0, TRAIN_1],
        [],
    ),
    "copy in test": (lambda r: shutil.copy(r / TRAIN_0, r / GOOD_0), "leak", [TRAIN_0, GOOD_0], []),
    "copy among the defective": (
        lambda r: shutil.copy(r / TRAIN_0, r / DENT_0),
        "leak",
        [TRAIN_0, DENT_0],
        [],
    ),
    "copy with another label": (
        lambda r: shutil.copy(r / GOOD_0, r / DENT_0),
        "label-conflict",
        [DENT_0, GOOD_0],
        [],
    ),
    "JPEG of it in train": (
        lambda r: write(r / "lid/train/good/001.png", Image.open(r / TRAIN_0), format="JPEG"),
        "near-duplicate",
        [TRAIN_0, TRAIN_1],
        [],
    ),
    "darker and smaller in test": (
        lambda r: write(
            r / GOOD_0,
            Image.open(r / TRAIN_0).point(lambda v: v * 9 // 10).resize((40, 30)).resize((80, 60)),
        ),
        "near-leak",
        [TRAIN_0, GOOD_0],
        [],
    ),
    "other size": (
        lambda r: change(r / TRAIN_0, lambda image: image.resize((120, 90))),
        "odd-size",
        [TRAIN_0],
        [],
    ),
    "grey": (
        lambda r: change(r / TRAIN_0, lambda image: image.convert("L")),
        "odd-mode",
        [TRAIN_0],
        [],
    ),
    "16 bits": (as_deep, "odd-mode", [TRAIN_0], []),
    "pages": (as_pages, "pages", [TRAIN_0], []),
    "dark": (lambda r: change(r / TRAIN_0, dark), "brightness", [TRAIN_0], []),
    "noise": (lambda r: change(r / GOOD_0, noisy), "sharpness", [GOOD_0], []),
    "stray image": (
        lambda r: write(r / "lid/train/bad/000.png", draw(300)),
        "unused",
        ["lid/train/bad/000.png"],
        [],
    ),
    "nothing defective": (
        lambda r: [shutil.rmtree(r / "lid" / name) for name in ("test/dent", "ground_truth")],
        "one-class-test",
        [],
        [],
    ),
    "too few": (
        lambda r: [(r / f"lid/train/good/{n:03}.png").unlink() for n in range(2, TRAIN)],
        "no-images",
        [],
        [],
    ),
    "no test images": (
        lambda r: [shutil.rmtree(r / "lid" / name) for name in ("test", "ground_truth")],
        "one-class-test",
        [],
        [],
    ),
    "a GIF": (
        lambda r: (r / "lid/test/good/a.gif").write_bytes(b"GIF89a"),
        "not-read",
        ["lid/test/good/a.gif"],
        [],
    ),
    "thumbnails": (
        lambda r: write(r / "lid/train/good/@eaDir/a.jpg", draw(301)),
        "not-read",
        ["lid/train/good/@eaDir"],
        [],
    ),
    "a link to nothing": (
        lambda r: (r / "lid/train/good/900.png").symlink_to("nowhere"),
        "unreadable",
        ["lid/train/good/900.png"],
        [],
    ),
    "published name": (lambda r: (r / "lid").rename(r / "bottle"), "counts", [], []),
}


def found(root: Path, **options: object) -> list[tuple[str, list[str], list[str]]]:
    return [(f.kind, list(f.paths), list(f.masks)) for f in diagnose(root, **options).findings]


def test_a_healthy_set_has_no_findings(root: Path) -> None:
    diagnosis = diagnose(root)
    assert diagnosis.findings == () and diagnosis.exit_code == 0
    assert "fine: nothing found" in diagnosis.summary()
    assert diagnosis.fix_plan() == "nothing to do"
    (category,) = diagnosis.categories
    assert (category.name, category.counts) == ("lid", (TRAIN, GOOD, BAD))
    assert (category.masks, category.defects, category.small_defects) == (BAD, BAD, 0)
    assert (category.sizes, category.modes) == ("60x80", "8-bit RGB")
    check_dataset(root)


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found_and_nothing_else(root: Path, name: str) -> None:
    damage, kind, paths, masks = DAMAGES[name]
    damage(root)
    diagnosis = diagnose(root, size=64)
    (finding,) = diagnosis.findings
    assert (finding.kind, list(finding.paths), list(finding.masks)) == (kind, paths, masks)
    assert finding.severity == KINDS[kind].severity
    assert finding.message and finding.remedy and "\n" not in finding.message + finding.remedy
    plan = diagnosis.fix_plan()
    assert any(path in plan for path in paths + masks) or not paths


SHOWING_NOTHING = [
    ("no-content", lambda image: image.point(lambda _: 128)),
    ("no-content", lambda image: image.convert("L").point(lambda v: 255 * (v > 127))),
    ("narrow-range", lambda image: image.point(lambda v: v // 8)),
    ("odd-shape", lambda image: image.resize((4000, 40))),
    ("odd-shape", lambda image: image.resize((1, 1))),
]


@pytest.mark.parametrize(("kind", "function"), SHOWING_NOTHING)
def test_images_that_show_nothing(root: Path, kind: str, function: Callable) -> None:
    """They are odd in other ways, too: other kinds are found beside it."""
    change(root / TRAIN_0, function)
    assert (kind, [TRAIN_0], []) in found(root)


def test_only_train_defective_needs_another_layout() -> None:
    """Every kind is among the damages, or has a test of its own below."""
    damages = {kind for _, kind, _, _ in DAMAGES.values()} | {kind for kind, _ in SHOWING_NOTHING}
    assert set(KINDS) == damages | {"train-defective"}


def test_a_table_that_trains_on_defects(visa_root: Path) -> None:
    table = visa_root / "split_csv" / "1cls.csv"
    rows = [[*row] for row in csv.reader(table.read_text().splitlines())]
    rows[-1][1] = "train"
    rows.append(["candle", "valid", "normal", rows[1][3], ""])
    rows.append(["candle", "test", "normal", "candle/Data/Images/Normal/9999.JPG", ""])
    table.write_text("\n".join(map(",".join, rows)))
    kinds = {finding.kind: finding for finding in diagnose(visa_root).findings}
    assert kinds["train-defective"].paths == ("candle/Data/Images/Anomaly/000.JPG",)
    assert kinds["layout"].paths == ("split_csv/1cls.csv",) and "valid" in kinds["layout"].message
    assert kinds["unreadable"].paths == ("candle/Data/Images/Normal/9999.JPG",)


def test_class_ids_are_binary_enough(visa_root: Path) -> None:
    values = np.zeros((12, 20), np.uint8)
    values[2:6, 3:10] = 1
    values[7:9, 3:10] = 2
    write(visa_root / "candle/Data/Masks/Anomaly/000.png", values)
    assert "mask-not-binary" not in {kind for kind, _, _ in found(visa_root)}


@pytest.mark.parametrize("layout", ["mvtec", "visa", "btad", "loco", "folder"])
def test_all_faults_are_reported_in_every_layout(layout: str, request) -> None:  # noqa: ANN001
    """Each of two broken images, where `open_category` stops at the first."""
    root = request.getfixturevalue(f"{layout}_root")
    before = diagnose(root)
    assert before.format == layout
    assert not [f for f in before.findings if f.kind in ("unreadable", "layout")]
    name = before.categories[0].name
    train = open_category(root, name).train.records
    for record in train[:2]:
        record.file.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError):
        open_category(root, name)
    broken = [f.paths[0] for f in diagnose(root, name).findings if f.kind == "unreadable"]
    assert sorted(broken) == sorted(record.path for record in train[:2])


def test_an_orphan_is_named_once(folder_root: Path, save_mask) -> None:  # noqa: ANN001
    save_mask(folder_root / "masks/nobody.png")
    kinds = [kind for kind, *_ in found(folder_root)]
    assert kinds.count("layout") == 1 and "unused" not in kinds


def test_a_mask_of_a_normal_image_in_a_plain_folder(folder_root: Path, save_mask) -> None:  # noqa: ANN001
    save_mask(folder_root / "masks/3.png")
    assert ("mask-on-good", ["parts/normal/3.jpg"], ["parts/masks/3.png"]) in found(folder_root)


def test_stray_pixels_beside_a_real_defect_are_a_note_not_a_finding(root: Path) -> None:
    stray = np.array(mask())
    stray[50, 70] = 255
    write(root / MASK_0, stray)
    diagnosis = diagnose(root, size=64)
    assert diagnosis.findings == () and diagnosis.categories[0].small_defects == 1
    assert "1 of 4 connected defects are smaller than a pixel at 64x64" in diagnosis.summary()


def test_small_masks_ask_for_a_larger_size(root: Path) -> None:
    whole = diagnose(root, size=64)  # masks of 10x10 pixels in 60x80
    share = 10 * 10 / (HEIGHT * WIDTH)
    (category,) = whole.categories
    assert category.small_masks == pytest.approx((64**2 * share, 64**2 * share))
    assert "the smallest mask has 85.3 pixels at 64x64, a tenth of them at most 85.3\n" in (
        whole.summary()
    )
    small = diagnose(root, size=16)  # 5.3 pixels; 16 from sqrt(16 / share) = 27.7 on
    advice = small.size_advice(small.categories[0])
    assert advice is not None and "5.3 pixels at 16x16" in advice and "train at 32x32" in advice
    assert "--set size=32)" in advice
    assert advice.removeprefix("the") in to_html(small)


def test_without_masks_there_is_no_advice_on_the_size(root: Path) -> None:
    shutil.rmtree(root / "lid/ground_truth")
    diagnosis = diagnose(root, size=16)
    assert diagnosis.size_advice(diagnosis.categories[0]) is None
    assert "smallest mask" not in diagnosis.summary()


def test_images_of_a_folder_that_nothing_reads_are_one_finding(root: Path) -> None:
    for number in range(3):
        write(root / f"lid/test_private/{number}.png", draw(400 + number))
    (one,) = diagnose(root).findings
    assert one.kind == "unused" and len(one.paths) == 3
    assert "lid/test_private/ with 3 images is read by nothing" in one.message


def test_what_is_in_no_category_is_named(root: Path) -> None:
    for name in ("nut/images/0", "nut/images/1", "cap/train/fine/0", "loose"):
        write(root / f"{name}.png", draw(900))
    found = {finding.message: finding.kind for finding in diagnose(root).findings}
    assert found == {
        "cap/ with 1 images is in no category": "unused",
        "nut/ with 2 images is in no category": "unused",
        ". with 1 images is in no category": "unused",
    }
    assert diagnose(root, "lid").findings == () == diagnose(root / "lid").findings


def test_the_bits_that_are_used_are_told(tmp_path: Path) -> None:
    for number in range(4):
        grey = np.asarray(Image.fromarray(draw(number)).convert("L")).astype(np.uint16) * 16
        write(tmp_path / f"cam/normal/{number}.png", grey)
    assert "16-bit I;16, values of 12 bits" in diagnose(tmp_path).summary()


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_deep_colours_of_fewer_bits_name_the_factor(tmp_path: Path, bits: int) -> None:
    (tmp_path / "cam/normal").mkdir(parents=True)
    for number in range(4):
        deep = draw(number).astype(np.uint16) * 257 >> (16 - bits)
        tifffile.imwrite(tmp_path / f"cam/normal/{number}.tif", deep, photometric="rgb")
    found = {finding.kind: finding.message for finding in diagnose(tmp_path).findings}
    if bits < 14:  # a quarter of the range and more is nothing odd
        wanted = f"16-bit colours of {bits} bits: multiply them by {2 ** (16 - bits)}"
        assert wanted in found["narrow-range" if bits > 10 else "no-content"]


def test_the_training_size_decides_what_is_tiny(root: Path) -> None:
    write(root / MASK_0, mask(1))
    (finding,) = diagnose(root, size=64).findings
    assert "from 70x70 on" in finding.message  # 60 * 80 = 69.3 squared
    assert found(root, size=70) == []


def test_without_pixels_only_hashes_and_headers_count(root: Path) -> None:
    shutil.copy(root / TRAIN_0, root / GOOD_0)
    cut(root / TRAIN_1)  # the header is whole
    write(root / MASK_0, mask(0))
    assert [kind for kind, *_ in found(root, pixels=False)] == ["leak"]


def test_training_is_refused_in_one_line(root: Path, few_images) -> None:
    shutil.copy(root / TRAIN_0, root / GOOD_0)
    (root / TRAIN_1).write_text("hello")
    with pytest.raises(DataError) as refusal:
        check_dataset(root, "lid")
    line = str(refusal.value)
    assert "\n" not in line and TRAIN_1 in line and f"rcae doctor {root} lid" in line
    assert "1 more of 2 errors" in line
    check_dataset("synthetic")


def test_warnings_do_not_stop_a_training(root: Path) -> None:
    shutil.copy(root / TRAIN_0, root / TRAIN_1)
    (root / MASK_0).unlink()
    check_dataset(root)


def test_nothing_is_changed(root: Path) -> None:
    for damage in ("truncated", "empty mask", "copy in test"):
        DAMAGES[damage][0](root)
    files = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}
    diagnosis = diagnose(root)
    to_html(diagnosis), diagnosis.fix_plan()
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}
    assert after == files


def test_json_says_everything(root: Path) -> None:
    shutil.copy(root / TRAIN_0, root / GOOD_0)
    diagnosis = diagnose(root)
    said = json.loads(diagnosis.to_json())
    assert said["exit_code"] == diagnosis.exit_code == 2
    assert said["findings"] == [json.loads(json.dumps(asdict(f))) for f in diagnosis.findings]
    assert said["categories"][0]["counts"] == [TRAIN, GOOD, BAD]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_escapes_file_names_and_loads_nothing(root: Path) -> None:
    shutil.copy(
        root / TRAIN_0, root / "lid/train/good/<script>alert(1)</script>.png".replace("/s", "∕s")
    )
    write(root / 'lid/test/good/"><img src=x onerror=alert(1)>.png', draw(100))
    (root / "lid/train/good/<script>.png").write_text("no image")
    html = to_html(diagnose(root))
    page = _Page()
    page.feed(html)
    assert "script" not in page.tags and "&lt;script&gt;" in html
    assert page.sources and all(s.startswith("data:image/jpeg;base64,") for s in page.sources)
    assert "cannot be shown" in html and "onerror=" not in html.replace("onerror=alert(1)&gt;", "")


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_odd_bytes_in_names(root: Path) -> None:
    name = os.fsencode(root / "lid/train/good") + b"/\xff\x1b[2J.png"
    with open(name, "wb") as file:
        file.write(b"no image")
    diagnosis = diagnose(root)
    for text in (diagnosis.summary(), diagnosis.fix_plan(), to_html(diagnosis)):
        text.encode()
        assert "xff" in text or "udcff" in text
    assert "\x1b" not in diagnosis.summary()


def test_a_page_of_text_stays_one_page() -> None:
    many = tuple(Finding("warning", kind, (), "x", "y") for kind in KINDS for _ in range(99))
    diagnosis = Diagnosis("mvtec", "root", 128, (), many)
    assert len(diagnosis.summary().splitlines()) < 6 * len(KINDS) + 6
    assert len(diagnosis.fix_plan().splitlines()) > 99 * len(KINDS)


@pytest.mark.slow  # it draws 1,518 images
@pytest.mark.parametrize("category", synthetic.CATEGORIES)
def test_the_synthetic_categories_are_clean(category: str) -> None:
    assert diagnose("synthetic", category).findings == ()


def test_published_counts() -> None:
    assert {n: len(PUBLISHED[n]) for n in ARCHIVES} == {
        n: a.categories for n, a in ARCHIVES.items()
    }
    totals = [sum(column) for column in zip(*PUBLISHED["mvtec"].values(), strict=True)]
    assert totals == [3629, 467, 1258]  # as MVTec says


def test_unknown_data_and_categories_are_one_line(root: Path, tmp_path: Path) -> None:
    for arguments in ((tmp_path / "gone",), (root, "cap"), ("synthetic", "lid")):
        with pytest.raises(DataError):
            diagnose(*arguments)
    with pytest.raises(DataError, match="size is 0; expected 1 or more"):
        diagnose(root, size=0)


# The perceptual hash


def test_hash_knows_neither_brightness_nor_size() -> None:
    grey = np.asarray(Image.fromarray(draw(0)).convert("L")).astype(float)
    other = Image.fromarray((0.7 * grey + 20).astype(np.uint8)).resize((200, 90))
    first, second = perceptual_hash(grey.astype(np.uint8)), perceptual_hash(np.asarray(other))
    assert first.shape == (63,) and np.abs(first - second).max() < 0.2 < np.abs(first).max()
    assert np.isfinite(perceptual_hash(np.zeros((5, 5), np.uint8))).all()


def test_near_duplicates_equal_a_written_out_search() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.normal(0, 2, (300, 63))
    hashes[10] = hashes[5] + 0.1
    hashes[40] = hashes[10] + 0.1
    hashes[200] = hashes[100] - 0.05
    spread = 1.4826 * np.median(np.abs(hashes - np.median(hashes, axis=0)), axis=0)
    scaled = hashes / spread
    pairs = [
        (i, j)
        for i in range(300)
        for j in range(i)
        if np.sqrt(np.mean((scaled[i] - scaled[j]) ** 2)) <= 0.15
    ]
    assert sorted(pairs) == [(10, 5), (40, 5), (40, 10), (200, 100)]
    assert sorted(near_duplicates(hashes)) == [[5, 10, 40], [100, 200]]


def test_two_identical_and_few_others() -> None:
    few = np.random.default_rng(0).normal(0, 2, (3, 63))
    assert near_duplicates(np.concatenate([few, few[:1]])) == [[0, 3]]
    assert near_duplicates(few) == [] and near_duplicates(few[:1]) == []


# Real data


@pytest.mark.realdata
def test_bottle_is_fine(realdata: Path) -> None:
    diagnosis = diagnose(realdata / "mvtec", "bottle")
    assert diagnosis.findings == ()
    assert diagnosis.categories[0].counts == diagnosis.categories[0].published


@pytest.mark.realdata
def test_magnetic_tile_has_one_tile_in_both_splits(realdata: Path) -> None:
    """Tile 114376 and the next numbers: one tile at several exposures, on both sides."""
    diagnosis = diagnose(realdata / "mtd", "magnetic_tile")
    leaks = {frozenset(f.paths) for f in diagnosis.findings if f.kind == "near-leak"}
    names = (
        "train/good/exp1_num_114376",
        "train/good/exp2_num_114403",
        "test/good/exp5_num_114453",
    )
    assert frozenset(f"magnetic_tile/{name}.jpg" for name in names) in leaks
    assert diagnosis.exit_code == 1
