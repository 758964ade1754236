"""Opening categories: what DATA and CATEGORY may be, and what is said when they are wrong."""

import shutil
from pathlib import Path

import pytest

from data_utils import DataError, diagnose, list_categories, open_category
from data_utils.catalogue import find_category, find_data, locate


def test_categories_are_listed(mvtec_root: Path, visa_root: Path, folder_root: Path) -> None:
    assert list_categories(mvtec_root) == ["bottle", "screw"]
    assert list_categories(str(visa_root)) == ["candle"]
    assert list_categories(folder_root) == ["parts"]
    assert list_categories(folder_root.parent / "mvtec" / "screw") == ["screw"]


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("mvtec_root", "bottle"),
        ("visa_root", "candle"),
        ("btad_root", "01"),
        ("loco_root", "juice"),
    ],
)
def test_the_folder_of_the_category_itself_gives_the_same(
    fixture: str, name: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(fixture)
    whole, own = open_category(root, name), open_category(root / name)
    assert (own.name, own.format, own.root) == (whole.name, whole.format, whole.root)
    assert own.test.paths == whole.test.paths
    assert own.fingerprint == whole.fingerprint
    assert open_category(root / name, name).fingerprint == whole.fingerprint


def test_relative_paths_and_links_work(
    mvtec_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_category(mvtec_root, "bottle")
    monkeypatch.chdir(mvtec_root / "bottle")
    assert open_category(".").test.paths == expected.test.paths
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/flask").symlink_to(mvtec_root / "bottle")
    linked = open_category(tmp_path / "elsewhere/flask")
    assert linked.name == "flask" and linked.fingerprint == expected.fingerprint


def test_categories_of_several_layouts_lie_beside_each_other(
    loco_root: Path, folder_root: Path
) -> None:
    """LOCO comes before MVTec AD, whose ``train/good`` it has, too."""
    (loco_root / "other/train/good").mkdir(parents=True)
    folder_root.rename(loco_root / "parts")
    formats = locate(loco_root).formats
    assert formats == {"juice": "loco", "other": "mvtec", "parts": "folder"}
    for name in ("juice", "parts"):
        assert open_category(loco_root, name).format == formats[name]
        assert open_category(loco_root / name).format == formats[name]
    assert diagnose(loco_root, "parts").format == "folder"
    assert diagnose(loco_root).format == "loco, mvtec, folder"


@pytest.mark.parametrize(
    "inner", ["masks/good", "backup/normal", "defective/good", "other/train/good"]
)
def test_a_category_is_one_whatever_its_subfolders_look_like(folder_root: Path, inner: str) -> None:
    before = open_category(folder_root).train.paths
    (folder_root / inner).mkdir(parents=True)
    assert locate(folder_root).formats == {"parts": "folder"}
    assert open_category(folder_root).train.paths == before


def test_a_category_may_be_called_good(mvtec_root: Path) -> None:
    (mvtec_root / "bottle").rename(mvtec_root / "good")
    assert list_categories(mvtec_root) == ["good", "screw"]
    assert list_categories(mvtec_root / "good") == ["good"]


@pytest.mark.parametrize("bits", [7, 17, "12", 0])
def test_bits_that_no_image_has(mvtec_root: Path, bits: object) -> None:
    with pytest.raises(DataError, match="bits is .*; expected"):
        open_category(mvtec_root, "bottle", bits=bits)  # type: ignore[arg-type]


def test_a_category_in_a_category_is_found_by_its_name(folder_root: Path) -> None:
    inner = folder_root / "backup"
    shutil.copytree(folder_root / "normal", inner / "normal")
    assert open_category(folder_root, "backup").name == "backup"
    assert open_category(inner).root == str(folder_root)


def test_thumbnails_and_hidden_folders_are_no_categories(folder_root: Path) -> None:
    for name in ("__MACOSX", "@eaDir", ".trash"):
        (folder_root.parent / name / "normal").mkdir(parents=True)
    assert list_categories(folder_root.parent) == ["parts"]
    folder_root.rename(folder_root.parent / ".parts")
    assert open_category(folder_root.parent / ".parts").name == ".parts"


@pytest.mark.parametrize("data", [None, 3, ["a"]])
def test_data_of_another_type_are_named(data: object) -> None:
    with pytest.raises(DataError, match="expected a folder or the word synthetic"):
        open_category(data)  # type: ignore[arg-type]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone does not exist; expected the folder .*; check"):
        open_category(tmp_path / "gone")


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "set.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"set\.tar is a file; expected the folder .* unpack"):
        list_categories(tmp_path / "set.tar")


def test_an_unknown_layout_says_what_was_looked_for(tmp_path: Path, save_image) -> None:
    save_image(tmp_path / "photos/a.png")
    with pytest.raises(DataError) as caught:
        open_category(tmp_path / "photos")
    message = str(caught.value)
    for marker in (
        "split_csv/1cls.csv",
        "test/logical_anomalies",
        "train/ok",
        "train/good",
        "normal",
    ):
        assert marker in message
    assert "\n" not in message


def test_an_unknown_category_lists_those_there_are(mvtec_root: Path) -> None:
    with pytest.raises(DataError, match=r"no category 'botle'; expected one of bottle, screw;"):
        open_category(mvtec_root, "botle")
    with pytest.raises(DataError, match=r"no category 'screw'; expected one of bottle;"):
        open_category(mvtec_root / "bottle", "screw")


def test_one_of_several_must_be_named(mvtec_root: Path) -> None:
    with pytest.raises(DataError, match=r"has several categories; expected one of bottle, screw;"):
        open_category(mvtec_root)


def test_an_empty_category(mvtec_root: Path) -> None:
    shutil.rmtree(mvtec_root / "bottle/train/good")
    (mvtec_root / "bottle/train/good").mkdir()
    (mvtec_root / "bottle/train/good/.DS_Store").write_bytes(b"\0")
    with pytest.raises(
        DataError, match="category 'bottle' in .* has no images to train on; expected"
    ):
        open_category(mvtec_root, "bottle")


@pytest.mark.parametrize("size", [0, -3, 64.5, "64", True])
def test_a_size_that_is_none(mvtec_root: Path, size: object) -> None:
    with pytest.raises(DataError, match=rf"size is {size!r}; expected 1 or more; 128 is"):
        open_category(mvtec_root, "bottle", size=size)  # type: ignore[arg-type]


def test_an_unreadable_header_is_found_at_opening(mvtec_root: Path) -> None:
    (mvtec_root / "bottle/test/stain/000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"test/stain/000\.png is not an image"):
        open_category(mvtec_root, "bottle")


def test_a_mask_of_another_size_is_found_at_opening(mvtec_root: Path, save_mask) -> None:
    save_mask(mvtec_root / "bottle/ground_truth/stain/000_mask.png", size=(12, 21))
    message = r"000_mask\.png is 12x21 .*; expected the size of its image 000\.png, 12x20; export"
    with pytest.raises(DataError, match=message):
        open_category(mvtec_root, "bottle")


def test_truncation_is_found_by_decoding(mvtec_root: Path) -> None:
    path = mvtec_root / "bottle/train/good/001.png"
    path.write_bytes(path.read_bytes()[:-200])
    category = open_category(mvtec_root, "bottle", size=8)
    with pytest.raises(DataError, match=r"train/good/001\.png is damaged"):
        category.decode()


def test_the_word_synthetic_is_no_folder(mvtec_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mvtec_root.parent)
    mvtec_root.rename("synthetic")
    known = list_categories("synthetic")
    assert "bottle" not in known and list_categories("./synthetic") == ["bottle", "screw"]
    with pytest.raises(DataError, match=rf"no category 'bottle'; expected one of {known[0]}, "):
        open_category("synthetic", "bottle")


def test_the_fingerprint_follows_content_and_paths_only(mvtec_root: Path, tmp_path: Path) -> None:
    def fingerprint(root: Path = mvtec_root, name: str = "bottle") -> str:
        return open_category(root, name).fingerprint

    first = fingerprint()
    for path in mvtec_root.rglob("*.png"):
        path.touch()  # another mtime
    shutil.copytree(mvtec_root / "bottle", tmp_path / "moved/flask")
    assert fingerprint() == fingerprint(tmp_path / "moved", "flask") == first
    assert len(first) == 64 and fingerprint(name="screw") == first  # the same files once more

    base = mvtec_root / "bottle"
    changed = {first}
    (base / "test/good/000.png").rename(base / "test/good/100.png")
    changed.add(fingerprint())
    mask = base / "ground_truth/crack/000_mask.png"
    mask.write_bytes(mask.read_bytes() + b"\0")
    changed.add(fingerprint())
    (base / "train/good/000.png").rename(base / "test/good/000.png")
    changed.add(fingerprint())
    (base / "test/stain/000.png").unlink()
    changed.add(fingerprint())
    assert len(changed) == 5


def test_the_fingerprint_follows_the_split(visa_root: Path) -> None:
    before = open_category(visa_root).fingerprint
    table = visa_root / "split_csv/1cls.csv"
    table.write_text(
        table.read_text()
        .replace("train", "TMP")
        .replace("test", "train", 1)
        .replace("TMP", "train")
    )
    assert open_category(visa_root).fingerprint != before


# What a lecture is about


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a notebook, and nobody has said where the data are."""
    for name in ("RCAE_DATA", "RCAE_CATEGORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_data_a_lecture_is_about_synthetic_ones(beside: Path, capsys) -> None:
    assert find_data() == ("synthetic", "washer")
    assert find_data("bracket") == ("synthetic", "bracket")
    said = capsys.readouterr().out
    assert "category washer, of 6: washer, bracket" in said
    assert "data: synthetic (no RCAE_DATA, and no folder data/ beside this notebook)" in said


def test_a_folder_beside_the_notebook_is_found(beside: Path, mvtec_root: Path, capsys) -> None:
    (beside / "data").symlink_to(mvtec_root)
    category = find_category("screw", size=32)
    assert (category.name, category.format, category.size) == ("screw", "mvtec", 32)
    assert "data: data (beside this notebook)" in capsys.readouterr().out


def test_the_environment_comes_first(
    beside: Path, mvtec_root: Path, visa_root: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (beside / "data").symlink_to(visa_root)
    monkeypatch.setenv("RCAE_DATA", str(mvtec_root))
    monkeypatch.setenv("RCAE_CATEGORY", "screw")
    assert find_data() == (str(mvtec_root), "screw")
    assert "(from RCAE_DATA)" in capsys.readouterr().out
    assert find_data("bottle") == (str(mvtec_root), "bottle")  # what stands in the cell wins
    monkeypatch.setenv("RCAE_DATA", str(mvtec_root / "screw"))
    assert find_category(size=32).fingerprint == open_category(mvtec_root, "screw").fingerprint


@pytest.mark.parametrize("name", ["RCAE_DATA", "RCAE_CATEGORY"])
def test_what_the_environment_names_must_exist(
    beside: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nowhere")
    with pytest.raises(DataError, match="nowhere"):
        find_data()


def test_a_folder_data_that_is_none_is_not_passed_over(beside: Path) -> None:
    (beside / "data").mkdir()
    with pytest.raises(DataError, match="no data set in a known layout"):
        find_data()
