"""`find_images` gives every image one name, by what it is and not by what it is called."""

import pytest
from PIL import Image

from data_utils import KitError
from rcae_lite.prediction import find_images


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
    with pytest.raises(KitError, match="both be called '1'"):
        find_images([tmp_path / "a", tmp_path / "b"])
