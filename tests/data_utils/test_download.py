"""Downloading from a server on this machine: resuming, checking, unpacking, what can go wrong."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import data_utils.download
from data_utils import DataError, KitError, list_categories, open_category
from data_utils.download import ARCHIVES, Archive, download, unpack


class Server:
    """Serves one file and remembers what was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        self.stops_after: int | None = None  # bytes, of one answer
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        if not handler.path.endswith("/set.tar.xz"):
            handler.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.knows_ranges else 0
        if start >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.stops_after])


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *args: object) -> None:
        self.told = server
        super().__init__(*args)

    def do_GET(self) -> None:
        self.told.answer(self)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def archive(mvtec_root: Path, tmp_path: Path) -> Path:
    """Two categories and a licence, as the original is packed."""
    path = tmp_path / "set.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for part in ("bottle", "screw", "license.txt"):
            tar.add(mvtec_root / part, arcname=part)
    return path


@pytest.fixture
def server(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(archive.read_bytes())
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, state))
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}/set.tar.xz"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    publish(monkeypatch, state.url, state.content)
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def publish(monkeypatch: pytest.MonkeyPatch, url: str, content: bytes, categories: int = 2) -> None:
    """Let "mvtec" be this file."""
    entry = Archive(
        url=url,
        sha256=hashlib.sha256(content).hexdigest(),
        page="https://example.org/set",
        licence="CC BY-NC-SA 4.0",
        layout="mvtec",
        categories=categories,
    )
    monkeypatch.setitem(ARCHIVES, "mvtec", entry)


def test_what_is_published_is_what_protocol_md_says() -> None:
    assert ARCHIVES["mvtec"].file_name == "mvtec_anomaly_detection.tar.xz"
    assert ARCHIVES["visa"].file_name == "VisA_20220922.tar"
    for entry in ARCHIVES.values():
        assert len(bytes.fromhex(entry.sha256)) == 32 and "CC BY" in entry.licence


def test_it_is_fetched_checked_and_unpacked(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], mvtec_root: Path
) -> None:
    out = tmp_path / "new" / "out"
    assert download("mvtec", out) == out
    assert capsys.readouterr().out.startswith("licence: CC BY-NC-SA 4.0")
    assert list_categories(out) == ["bottle", "screw"]
    again = open_category(out, "bottle").fingerprint
    assert again == open_category(mvtec_root, "bottle").fingerprint
    names = sorted(path.name for path in out.iterdir())
    assert names == ["bottle", "license.txt", "screw", "set.tar.xz"]  # nothing half-made is left
    download("mvtec", out)
    assert server.ranges == [None]  # complete: nothing more was asked for


def test_an_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.stops_after = 1000
    with pytest.raises(DataError, match=r"bytes are missing.*; run this again to resume, or get "):
        download("mvtec", tmp_path / "out")
    assert (tmp_path / "out/set.tar.xz.part").read_bytes() == server.content[:1000]
    server.stops_after = None
    download("mvtec", tmp_path / "out")
    assert server.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "out/set.tar.xz").read_bytes() == server.content
    assert not (tmp_path / "out/set.tar.xz.part").exists()


def test_a_server_without_ranges_sends_all_of_it(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "out").mkdir()
    (tmp_path / "out/set.tar.xz.part").write_bytes(b"from an older archive")
    download("mvtec", tmp_path / "out")
    assert (tmp_path / "out/set.tar.xz").read_bytes() == server.content


def test_a_part_that_is_complete_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/set.tar.xz.part").write_bytes(server.content)
    download("mvtec", tmp_path / "out")
    assert list_categories(tmp_path / "out") == ["bottle", "screw"]


def test_another_file_than_expected_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>this share has expired</html>"
    message = r"sent another file; expected sha256 .* from https://example\.org/set by hand"
    with pytest.raises(DataError, match=message):
        download("mvtec", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_dead_link_says_where_to_get_it_by_hand(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = ("http://127.0.0.1:9/set.tar.xz", server.url.replace("set.tar", "gone.tar"))
    for url, reason in zip(nowhere, ("refused", "404"), strict=True):
        publish(monkeypatch, url, server.content)
        with pytest.raises(DataError) as caught:
            download("mvtec", tmp_path / "out")
        message = str(caught.value)
        assert url in message and reason in message and "\n" not in message
        assert f"from https://example.org/set by hand, put it into {tmp_path / 'out'}" in message


def test_an_archive_on_disk_comes_first(server: Server, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    archive.rename(tmp_path / "out/set.tar.xz")
    download("mvtec", tmp_path / "out")
    assert server.ranges == [] and list_categories(tmp_path / "out") == ["bottle", "screw"]


def test_a_wrong_archive_on_disk_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/set.tar.xz").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"set\.tar\.xz has sha256 .*; expected .*; remove it"):
        download("mvtec", tmp_path / "out")
    assert (tmp_path / "out/set.tar.xz").read_bytes() == b"mine" and server.ranges == []


def test_a_folder_with_a_part_of_the_set_is_refused(
    server: Server, mvtec_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.url, server.content, categories=15)
    with pytest.raises(
        KitError, match=r"holds 2 categories \(bottle, screw\); expected none or all"
    ):
        download("mvtec", mvtec_root)


def test_an_archive_with_one_folder_around_it(
    mvtec_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    file = tmp_path / "out/set.tar"
    with tarfile.open(file, "w") as tar:
        tar.add(mvtec_root, arcname="mvtec")
    publish(monkeypatch, "http://127.0.0.1:9/set.tar", file.read_bytes())
    assert list_categories(download("mvtec", tmp_path / "out")) == ["bottle", "screw"]


def test_an_archive_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    file = tmp_path / "out/set.tar"
    with tarfile.open(file, "w") as tar:
        tar.addfile(tarfile.TarInfo("readme"))
    publish(monkeypatch, "http://127.0.0.1:9/set.tar", file.read_bytes())
    with pytest.raises(DataError, match="holds no data set; expected CATEGORY/train/good; get it"):
        download("mvtec", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["set.tar"]


def test_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no data set 'mvtek'; expected one of mvtec, visa;"):
        download("mvtek", tmp_path)


def packed(path: Path, *members: tuple[str, bytes, str, bytes]) -> Path:
    """Write a tar of (name, type, target of a link, content)."""
    with tarfile.open(path, "w") as tar:
        for name, kind, target, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../outside", tarfile.REGTYPE, ""),
        ("a/../../outside", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "../outside"),
        ("link", tarfile.SYMTYPE, "/etc/passwd"),
        ("link", tarfile.SYMTYPE, "inside"),
        ("link", tarfile.LNKTYPE, "../outside"),
        ("link", tarfile.LNKTYPE, "inside"),
        ("device", tarfile.CHRTYPE, ""),
        ("device", tarfile.BLKTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_a_member_that_could_reach_out_is_refused(
    tmp_path: Path, name: str, kind: bytes, target: str
) -> None:
    fine = ("inside", tarfile.REGTYPE, "", b"fine")
    file = packed(tmp_path / "evil.tar", fine, (name, kind, target, b""))
    (tmp_path / "outside").write_text("precious")
    with pytest.raises(
        DataError, match=r"evil\.tar cannot be unpacked .*; expected a complete and"
    ):
        unpack(file, tmp_path / "out")
    assert (tmp_path / "outside").read_text() == "precious"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["inside"]


def test_an_absolute_path_stays_inside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    unpack(
        packed(tmp_path / "a.tar", (str(outside), tarfile.REGTYPE, "", b"content")),
        tmp_path / "out",
    )
    assert not outside.exists()
    assert (tmp_path / "out" / str(outside).lstrip("/")).read_bytes() == b"content"


def test_a_link_and_then_a_file_through_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    file = packed(
        tmp_path / "evil.tar",
        ("door", tarfile.SYMTYPE, str(tmp_path / "target"), b""),
        ("door/file", tarfile.REGTYPE, "", b"content"),
    )
    with pytest.raises(DataError, match="'door' is neither a file nor a folder"):
        unpack(file, tmp_path / "out")
    assert not any((tmp_path / "target").iterdir())


@pytest.mark.parametrize(("limit", "value"), [("_MAX_FILES", 3), ("_MAX_BYTES", 30)])
def test_too_much_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    members = [(f"{n}.png", tarfile.REGTYPE, "", b"0123456789") for n in range(4)]
    file = packed(tmp_path / "bomb.tar", *members)
    monkeypatch.setattr(data_utils.download, limit, value)
    with pytest.raises(DataError, match=r"more than .* from '3\.png' on"):
        unpack(file, tmp_path / "out")
    assert not (tmp_path / "out/3.png").exists()
    monkeypatch.setattr(data_utils.download, limit, value + 10)
    unpack(file, tmp_path / "whole")
    assert len(list((tmp_path / "whole").iterdir())) == 4


def test_a_damaged_archive(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"set\.tar\.xz cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(b"no tar")
    with pytest.raises(DataError, match=r"set\.tar\.xz cannot be unpacked"):
        unpack(archive, tmp_path / "out")


def test_an_old_python_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(KitError, match=r"expected 3\.10\.12, 3\.11\.4, 3\.12 or later; update"):
        unpack(tmp_path / "a.tar", tmp_path)
