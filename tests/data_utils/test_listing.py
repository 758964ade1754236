"""What is read in a folder, and what is not but is counted and named."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_utils import DataError, open_category
from data_utils.images import read_image
from data_utils.listing import list_files, list_images, name_of, notes

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def image(path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RGB).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [("webp", "WEBP"), ("ppm", "PPM"), ("bin", "WEBP"), ("x", "PPM"), ("jfif", "PNG")],
)
def test_webp_and_ppm_are_read(tmp_path, suffix, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    path = image(tmp_path / f"a.{suffix}", format=kind, **options)
    assert list_images(tmp_path) == [path]
    assert np.array_equal(read_image(path), RGB)


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic", "HEIC image"),
        ("a.jpg", b"\0\0\0\x18ftypmif1", "HEIC image"),
        ("a", b"\0\0\0\x1cftypavif", "AVIF image"),
        ("a.gif", b"GIF89a", "GIF image"),
        ("a.png", b"GIF87a", "GIF image"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 image"),
        ("a.dng", b"II*\0\x08\0\0\0", "camera raw image"),
        ("a.jxl", b"", "JPEG XL image"),
        ("a.dcm", bytes(16), "DICOM image"),
        ("a.fits", b"SIMPLE  =", "FITS image"),
        ("a.hdr", b"#?RADIANCE", "Radiance image"),
        ("a.pfm", b"Pf\n", "portable image"),
        ("a.pef", b"II*\0\x08\0\0\0", "camera raw image"),
        ("a.tga", bytes(16), "old image"),
        ("a.pdf", b"%PDF-1.7", "vector image"),
        ("a.npy", b"\x93NUMPY", "array file"),
        ("a.mp4", b"\0\0\0\x18ftypisom", "video file"),
        ("a", b"PK\3\4", "archive file"),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path, name, head, kind):
    (tmp_path / name).write_bytes(head)
    assert list_files(tmp_path) == ([], {kind: [tmp_path / name]})


def test_bitmaps_and_large_tiffs_are_read(tmp_path):
    bitmap = Image.fromarray(RGB[..., 0]).convert("1")
    bitmap.save(tmp_path / "a.pbm")
    bitmap.save(tmp_path / "b", format="PPM")
    tifffile.imwrite(tmp_path / "c.btf", RGB, bigtiff=True)
    assert [path.name for path in list_images(tmp_path)] == ["a.pbm", "b", "c.btf"]
    assert np.array_equal(read_image(tmp_path / "a.pbm"), np.asarray(bitmap.convert("RGB")))
    assert np.array_equal(read_image(tmp_path / "c.btf"), RGB)


def test_what_is_no_image_is_not_mentioned(tmp_path):
    (tmp_path / "readme.txt").write_text("II is how a TIFF starts")
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7")
    os.mkfifo(tmp_path / "pipe.png")  # reading it would never end
    assert list_files(tmp_path, recursive=True) == ([], {})


def test_links_are_followed_once_and_loops_end(tmp_path):
    store, root = tmp_path / "store", tmp_path / "root"
    image(store / "b.png")
    image(root / "a.png")
    (root / "there").symlink_to(store)
    (root / "twice").symlink_to(store)
    (store / "loop").symlink_to(root)
    assert list_images(root, recursive=True) == [root / "a.png", root / "there/b.png"]


def test_links_to_nothing_are_images_by_their_name_or_named(tmp_path):
    (tmp_path / "a.png").symlink_to("nowhere")
    (tmp_path / "b").symlink_to("nowhere")
    (tmp_path / "c").symlink_to("c")
    found = list_files(tmp_path)
    assert found.images == [tmp_path / "a.png"]
    assert found.left_out == {"link to nothing": [tmp_path / "b", tmp_path / "c"]}


def test_a_training_refuses_a_link_to_nothing(tmp_path):
    for number in range(4):
        image(tmp_path / f"own/normal/{number}.png")
    (tmp_path / "own/normal/9.png").symlink_to("../../annex/9.png")
    with pytest.raises(DataError, match=r"9\.png cannot be read \(No such file or directory\)"):
        open_category(tmp_path)


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    image(tmp_path / "shut/a.png")
    scan = os.scandir

    def refused(folder):
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refused)
    kind = "folder that cannot be opened (Permission denied)"
    assert list_files(tmp_path, recursive=True).left_out == {kind: [tmp_path / "shut"]}


def test_thumbnails_are_left_out(tmp_path):
    image(tmp_path / "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg")
    found = list_files(tmp_path, recursive=True)
    assert found == ([], {"folder of thumbnails": [tmp_path / "@eaDir"]})


def test_notes_have_a_line_for_each_kind(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.gif").write_bytes(b"GIF89a")
    (tmp_path / "a.heic").write_bytes(b"")
    assert notes(list_files(tmp_path).left_out, tmp_path) == [
        "5 not read, GIF image: 0.gif, 1.gif, 2.gif, ...",
        "1 not read, HEIC image: a.heic",
    ]


def test_names_are_compared_as_they_look():
    assert name_of("Geha\u0308use") == name_of("Geh\u00e4use") != name_of("Gehause")
