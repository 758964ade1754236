"""Files are whole or absent, readable by others, and refused when they are not what they say."""

import errno
import json
import os

import pytest
import torch

from data_utils import KitError
from rcae_lite.storage import atomic as files
from rcae_lite.storage.atomic import require_empty_folder, write_text
from rcae_lite.storage.records import Number, Record, read_record, write_record
from rcae_lite.storage.tensors import load_tensors, save_tensors


class Thing(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind = "thing"
    format_version = 1

    x: Number


def test_write_text_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.json"
    write_text(path, "first")
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError):
        write_text(path, "second")
    assert path.read_text() == "first" and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["ENOTSUP", "EOPNOTSUPP", "ENOLCK", "ENOSYS", "EINVAL", "EBADF", "EPERM"]
)
def test_a_drive_without_locks_is_warned_of_and_used(tmp_path, monkeypatch, name):
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")

    def refuse(*_):
        raise OSError(getattr(errno, name), "refused")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(UserWarning) as warned, files.locked(tmp_path):
        write_text(tmp_path / "a.json", "{}")
    (warning,) = warned
    assert "without file locks" in str(warning.message) or "flock not supp" in str(warning.message)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_lock_that_fails_otherwise_is_an_error(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")

    def fail(*_):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="broken disk"), files.locked(tmp_path):
        pytest.fail("locked")


def test_unreadable_files_are_one_clear_line(tmp_path):
    with pytest.raises(KitError, match="does not exist"):
        load_tensors(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(KitError, match="not a readable safetensors"):
        load_tensors(tmp_path / "bad.safetensors")
    save_tensors(tmp_path / "cut.safetensors", {"a": torch.zeros(100)})
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:-7])
    with pytest.raises(KitError, match="not a readable safetensors"):
        load_tensors(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable JSON"),
        ("[]", "not readable JSON"),
        (json.dumps({"kind": "other"}), "not a 'thing' file"),
        (json.dumps({"kind": "thing", "format_version": 7}), "version 7, this kit reads 1"),
        (json.dumps({"kind": "thing", "format_version": 1}), "missing required field `x`"),
        (
            json.dumps({"kind": "thing", "format_version": 1, "x": "a"}),
            "x is 'a'; expected `float`",
        ),
        (json.dumps({"kind": "thing", "format_version": 1, "x": 1, "y": 2}), "unknown field `y`"),
    ],
)
def test_json_of_another_kind_or_version(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(KitError, match=message):
        read_record(tmp_path / "a.json", Thing)


def test_files_have_the_permissions_of_the_user(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "a.json", "{}")
        save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(1)})
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_a_folder_that_holds_something_is_refused(tmp_path):
    require_empty_folder(tmp_path / "new")
    require_empty_folder(tmp_path)
    (tmp_path / "a").write_text("")
    with pytest.raises(KitError, match="is not empty"):
        require_empty_folder(tmp_path)
    require_empty_folder(tmp_path, resume=True)
    with pytest.raises(KitError, match="is a file"):
        require_empty_folder(tmp_path / "a", resume=True)


def test_a_number_that_no_float_can_hold_is_refused(tmp_path):
    for digits in (40, 400, 5000):
        number = "1" + digits * "0"
        text = f'{{"kind": "thing", "format_version": 1, "x": {number}}}'
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(KitError, match="not complete|not readable JSON") as caught:
            read_record(tmp_path / "a.json", Thing)
        assert len(str(caught.value)) < 500


def test_a_record_comes_back_and_refuses_what_is_no_number(tmp_path):
    write_record(tmp_path / "a.json", Thing(x=0.1))
    assert read_record(tmp_path / "a.json", Thing) == Thing(x=0.1)
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path / "a.json", Thing(x=float("nan")))
    assert read_record(tmp_path / "a.json", Thing) == Thing(x=0.1)
