"""`find_images` gives every image one name, by what it is and not by what it is called."""

import pytest
from PIL import Image

from data_utils import KitError
from rcae_lite.commands import prediction
from rcae_lite.commands.prediction import find_images, predict_files


def test_folders_are_searched_and_names_are_relative(tmp_path):
    for name in ("a/1.png", "a/b/2.jpg", "c.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    found = find_images([tmp_path / "a", tmp_path / "c.bmp"])
    assert {name for _, name in found} == {"1", "b/2", "c"}


def test_two_images_of_one_name_are_refused(tmp_path):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(KitError, match="both be called '1.png'"):
        find_images([tmp_path / "a", tmp_path / "b"])


def test_the_extension_is_part_of_the_name_only_where_it_must_be(tmp_path):
    for name in ("1.png", "1.bmp", "2.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert {name for _, name in find_images([tmp_path])} == {"1.png", "1.bmp", "2"}


def test_a_prediction_that_fails_leaves_nothing(tmp_path, tiny_detector, monkeypatch):
    for name in ("1.png", "2.png"):
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    written = []

    def full(target, *rest):
        if written:
            raise OSError(28, "No space left on device")
        written.append(target)
        target.with_suffix(".png").write_text("")

    with monkeypatch.context() as patch:
        patch.setattr(prediction, "_write_map", full)
        with pytest.raises(OSError, match="No space"):
            predict_files(tiny_detector, [tmp_path], tmp_path / "out" / "deeper")
    assert written and list((tmp_path / "out").iterdir()) == []
    assert predict_files(tiny_detector, [tmp_path / "1.png"], tmp_path / "out" / "deeper") == 1
    assert (tmp_path / "out" / "deeper" / "scores.csv").exists()
