"""What a terminal cannot take stops no command and changes no exit code."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from msgspec.structs import replace

from rcae_lite import cli, config
from rcae_lite.cli import main
from tests.rcae_lite.conftest import tiny_config
from tests.rcae_lite.test_cli import write_category

pytestmark = pytest.mark.usefixtures("coarse_pictures", "few_resamples")

ROOT = Path(__file__).parents[3]


@pytest.fixture
def parts(tmp_path, monkeypatch) -> Path:
    """Return a data root with two categories, one of them with a warning: a mask is missing."""
    monkeypatch.setitem(config.PRESETS, "tiny", replace(tiny_config(), preset="tiny"))
    write_category(tmp_path / "data" / "零件")
    root = write_category(tmp_path / "data" / "ring")
    (root / "ring/ground_truth/square/000_mask.png").unlink()
    return root


def python(code: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_characters_that_the_terminal_lacks_are_escaped(parts, monkeypatch, encoding):
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding=encoding))
    assert main(["doctor", str(parts), "--preset", "tiny"]) == 1
    assert rb"\u96f6\u4ef6: 40x48" in screen.getvalue() and b"1 warning" in screen.getvalue()


def test_all_goes_on_to_the_next_category(parts, tmp_path, monkeypatch):
    """Where the name of the first cannot be shown, and nobody reads any more."""
    out = tmp_path / "runs"
    with left_pipe() as stream:
        stream.reconfigure(encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["train", str(parts), "--all", "--preset", "tiny", "--out", str(out)]) == 0
    assert {p.name for p in out.iterdir()} == {"零件", "ring", "summary.csv"}


def left_pipe() -> io.TextIOWrapper:
    """Return a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def test_a_reader_that_has_left_changes_neither_exit_code_nor_stderr(parts, monkeypatch, capsys):
    for arguments, code in ((["doctor", str(parts), "ring"], 1), (["doctor", "nowhere"], 2)):
        with left_pipe() as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            assert main(arguments) == code
        assert ("nowhere" in capsys.readouterr().err) == (code == 2)


def test_a_closed_pipe_is_quiet_to_the_interpreters_end():
    with left_pipe() as stream:
        done = python(
            "import sys; from rcae_lite.cli import main; sys.exit(main(['--help']))",
            stdout=stream.fileno(),
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_warning_is_one_line(monkeypatch, capsys):
    def command(_):
        warnings.warn("two\nlines", stacklevel=1)

    monkeypatch.setattr(cli, "_download", command)
    assert main(["download", "mvtec", "there"]) == 0
    assert capsys.readouterr().err == "rcae: warning: two\\nlines\n"


def test_without_any_stream_a_command_does_its_work(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["doctor", str(parts), "ring", "--out", str(tmp_path / "page.html")]) == 1
    assert (tmp_path / "page.html").exists() and main(["doctor", "nowhere"]) == 2


BARS = """
from rcae_lite import cli
def draw(args):
    from tqdm.auto import tqdm
    list(tqdm(range(3), desc="drawn"))
cli._train = cli._evaluate = cli._predict = draw
assert cli.main({words}) == 0
"""


@pytest.mark.parametrize("words", ["train x", "evaluate x", "predict x y --out z"])
def test_quiet_draws_no_bars(monkeypatch, words):
    """In a process that has not loaded tqdm: it asks once, as that happens."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for quiet in ([], ["--quiet"]):
        done = python(BARS.format(words=[*words.split(), *quiet]))
        assert done.returncode == 0 and ("drawn" in done.stderr) == (not quiet), done.stderr
