"""Data sets built from an independent description of each, not from what the readers expect.

The sentences are those of the data sets' own papers and pages; the expected values below are
written down with the files, pixel by pixel, and the readers have to find them.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_utils import list_categories, open_category

H, W = 20, 30


def put(path: Path, value: int, mode: str = "RGB") -> str:
    """Write an image of one colour, and return its path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode == "L" else (value, value, value)
    Image.new(mode, (W, H), colour).save(path, format="JPEG" if path.suffix == ".JPG" else None)
    return path.as_posix()


def put_mask(path: Path, value: int, rows: slice, columns: slice) -> np.ndarray:
    """Write a mask with ``value`` in a rectangle, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((H, W), np.uint8)
    mask[rows, columns] = value
    Image.fromarray(mask).save(path)
    return mask != 0


def mvtec(root: Path) -> dict[str, np.ndarray | None]:
    """``<category>/train/good/000.png``, ``test/<good|defect>/000.png``,
    ``ground_truth/<defect>/000_mask.png``; no masks for good images; some are greyscale."""
    for number in range(4):
        put(root / f"grid/train/good/{number:03}.png", number, "L")
    put(root / "grid/test/good/000.png", 50, "L")
    put(root / "grid/test/bent/000.png", 60, "L")
    put(root / "grid/test/broken/000.png", 70, "L")
    truth = root / "grid/ground_truth"
    return {
        "grid/test/good/000.png": np.zeros((H, W), bool),
        "grid/test/bent/000.png": put_mask(
            truth / "bent/000_mask.png", 255, np.s_[2:5], np.s_[4:9]
        ),
        "grid/test/broken/000.png": put_mask(
            truth / "broken/000_mask.png", 255, np.s_[0:1], np.s_[0:1]
        ),
    }


def visa(root: Path) -> dict[str, np.ndarray | None]:
    """``<category>/Data/Images/{Normal,Anomaly}/*.JPG``, ``Data/Masks/Anomaly/*.png``; the split is
    in ``split_csv/1cls.csv``; masks hold class ids, foreground is ``!= 0``."""
    lines = ["object,split,label,image,mask"]
    for number in range(5):
        name = f"pcb1/Data/Images/Normal/{number:04}.JPG"
        put(root / name, number)
        lines.append(f"pcb1,{'test' if number == 4 else 'train'},normal,{name},")
    expected: dict[str, np.ndarray | None] = {name: np.zeros((H, W), bool)}
    for number in (1, 2):
        name = f"pcb1/Data/Images/Anomaly/{number:03}.JPG"
        mask = f"pcb1/Data/Masks/Anomaly/{number:03}.png"
        put(root / name, 90 + number)
        expected[name] = put_mask(root / mask, number, np.s_[number:9], np.s_[3:8])  # class 1, 2
        lines.append(f"pcb1,test,anomaly,{name},{mask}")
    (root / "split_csv").mkdir()
    (root / "split_csv/1cls.csv").write_text("\n".join(lines) + "\n")
    return expected


def btad(root: Path) -> dict[str, np.ndarray | None]:
    """``01..03/train/ok``, ``test/{ok,ko}``, ``ground_truth/ko``, .bmp and .png mixed."""
    for number in range(4):
        put(root / f"03/train/ok/{number:04}.bmp", number)
    put(root / "03/test/ok/0000.bmp", 40)
    put(root / "03/test/ko/0000.bmp", 50)
    put(root / "03/test/ko/0001.png", 60)
    truth = root / "03/ground_truth/ko"
    return {
        "03/test/ok/0000.bmp": np.zeros((H, W), bool),
        "03/test/ko/0000.bmp": put_mask(truth / "0000.png", 255, np.s_[5:9], np.s_[5:9]),
        "03/test/ko/0001.png": put_mask(truth / "0001.bmp", 255, np.s_[1:3], np.s_[1:30]),
    }


def loco(root: Path) -> dict[str, np.ndarray | None]:
    """``train|validation|test/{good,logical_anomalies,structural_anomalies}``,
    ``ground_truth/<type>/<id>/*.png``, several masks per image, values other than 255."""
    base = root / "pushpins"
    for number in range(3):
        put(base / f"train/good/{number:03}.png", number)
    put(base / "validation/good/000.png", 9)
    put(base / "test/good/000.png", 40)
    put(base / "test/logical_anomalies/000.png", 50)
    put(base / "test/structural_anomalies/000.png", 60)
    truth = base / "ground_truth"
    first = put_mask(truth / "logical_anomalies/000/000.png", 248, np.s_[0:4], np.s_[0:4])
    second = put_mask(truth / "logical_anomalies/000/001.png", 101, np.s_[8:12], np.s_[20:24])
    return {
        "pushpins/test/good/000.png": np.zeros((H, W), bool),
        "pushpins/test/logical_anomalies/000.png": first | second,
        "pushpins/test/structural_anomalies/000.png": put_mask(
            truth / "structural_anomalies/000/000.png", 3, np.s_[19:20], np.s_[29:30]
        ),
    }


@pytest.mark.parametrize(
    ("build", "category", "train"),
    [
        (mvtec, "grid", 4),
        (visa, "pcb1", 4),
        (btad, "03", 4),
        (loco, "pushpins", 4),
    ],
)
def test_a_data_set_built_from_its_description_is_read(tmp_path, build, category, train):
    expected = build(tmp_path)
    assert list_categories(tmp_path) == [category]
    found = open_category(tmp_path, category, size=32)
    assert (
        found.format
        == {"mvtec": "mvtec", "visa": "visa", "btad": "btad", "loco": "loco"}[build.__name__]
    )
    assert len(found.train) == train and set(found.train.labels) == {0}
    assert found.train.images().shape == (train, 3, 32, 32)
    assert sorted(found.test.paths) == sorted(expected)
    for index, path in enumerate(found.test.paths):
        np.testing.assert_array_equal(found.test.native_mask(index), expected[path], err_msg=path)
        assert found.test.labels[index] == expected[path].any()
    values = {
        path: int(image.float().mean().round())
        for path, image in zip(found.test.paths, found.test.images(), strict=True)
    }
    assert len(set(values.values())) == len(values)  # every path has its own pixels
