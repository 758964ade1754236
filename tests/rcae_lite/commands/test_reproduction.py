"""A run can be repeated from what is in its folder, to the bit, and it is noticed if it cannot."""

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from data_utils import KitError
from rcae_lite import config
from rcae_lite.cli import main
from rcae_lite.commands import run as runs
from rcae_lite.commands.reproduction import SPREAD, Reproduction, reproduce_run
from rcae_lite.storage.tensors import load_tensors, save_tensors
from tests.rcae_lite.conftest import tiny_config
from tests.rcae_lite.test_cli import write_category

pytestmark = pytest.mark.usefixtures("coarse_pictures", "few_resamples")


TINY = replace(tiny_config(), preset="tiny")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train one run for all tests, with a false-alarm rate of its own: folders "data" and "run"."""
    base = tmp_path_factory.mktemp("trained")
    root = write_category(base / "data" / "ring")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(config.PRESETS, "tiny", TINY)
        runs.train_run(
            root, "ring", "tiny", out=base / "run", device="cpu", callbacks=[],
            false_alarm_rate=0.4,
        )  # fmt: skip
    return base


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """Return a copy of that run, on a copy of its data."""
    monkeypatch.setitem(config.PRESETS, "tiny", TINY)
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    described = tmp_path / "run" / "run.json"
    described.write_text(described.read_text().replace(str(trained), str(tmp_path)))
    return tmp_path / "run"


def test_a_run_is_repeated_to_the_bit(run, capsys, monkeypatch):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    monkeypatch.chdir(run)
    assert main(["reproduce", "."]) == 0
    said = capsys.readouterr().out
    assert "identical to the bit" in said and said.endswith("reproduced\n")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    again = json.loads((run.with_name("run-reproduced") / "detector.json").read_text())
    assert again["false_alarm_rate"] == pytest.approx(1 / 3)  # 2 held out: the most 0.4 allows


def test_other_weights_are_noticed(run, capsys):
    path = run / "detector.safetensors"
    tensors = load_tensors(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name] * (1 + 2**-20)
    save_tensors(path, tensors)
    assert main(["reproduce", str(run)]) == 1
    said = capsys.readouterr().out
    assert "not identical" in said and "should have given the same bits" in said
    assert said.endswith("not reproduced\n")


def test_elsewhere_metrics_within_the_spread_are_enough():
    pairs = {name: (0.9, 0.9 + 0.9 * spread) for name, spread in SPREAD.items()}
    there = Reproduction(False, ["torch '2.6' then, '2.9' now"], pairs)
    assert there.succeeded and "not the same place: torch '2.6'" in there.summary()
    assert not dataclasses.replace(there, elsewhere=[]).succeeded
    far = dataclasses.replace(there, metrics=pairs | {"au_pro": (0.9, 0.8)})
    assert not far.succeeded and far.outside == ["au_pro"]
    assert dataclasses.replace(there, metrics=pairs | {"au_pro": (None, None)}).succeeded
    assert not dataclasses.replace(there, metrics=pairs | {"au_pro": (None, 0.9)}).succeeded


def test_data_that_moved_or_changed_are_refused(run):
    root = run.parent / "data"
    (root / "ring/test/good/004.png").unlink()
    with pytest.raises(KitError, match="are not those of the run .* restore them"):
        reproduce_run(run)
    root.rename(run.parent / "elsewhere")
    with pytest.raises(KitError, match="data does not exist; .* say where with --data"):
        reproduce_run(run)
    assert not run.with_name("run-reproduced").exists()


def test_data_that_moved_are_found_with_data(run, capsys):
    """The run's folder on a drive that is read only, too: its results are shown."""
    moved = (run.parent / "data").rename(run.parent / "moved")
    assert main(["evaluate", str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "data does not exist" in line and line.endswith("say where with --data")
    assert main(["evaluate", str(run), "--data", str(moved)]) == 0
    assert main(["reproduce", str(run), "--data", str(moved)]) == 0
    assert "identical to the bit" in capsys.readouterr().out


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_run_that_cannot_be_written_to_is_evaluated(run, monkeypatch, capsys, code):
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    def refuse(path, *_, **__):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    assert main(["evaluate", str(run)]) == 0
    said = capsys.readouterr()
    assert "image AUROC" in said.out
    (line,) = [line for line in said.err.splitlines() if line.startswith("rcae:")]  # no bars
    reason = f"rcae: warning: {run} cannot be written to ({os.strerror(code)}); nothing was written"
    assert line.startswith(reason)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_the_number_of_threads_is_that_of_the_run_and_then_as_before(run):
    values = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(values | {"threads": 2, "machine": "another"}))
    before, seen = torch.get_num_threads(), set()
    found = reproduce_run(run, callbacks=[lambda _: seen.add(torch.get_num_threads())])
    assert seen == {2} and torch.get_num_threads() == before
    assert found.elsewhere[0].startswith("machine 'another' then")


def test_a_detector_that_is_there_is_not_taken_for_a_new_one(run, tmp_path):
    for place in (run, tmp_path / "data"):
        with pytest.raises(KitError, match="holds .*; remove it or name another folder"):
            reproduce_run(run, out=place, callbacks=[])


def test_a_resumed_run_says_so(run, tmp_path):
    described = json.loads((run / "run.json").read_text())
    assert {"torch", "torchvision", "numpy", "scipy", "pillow", "threads"} <= set(described)
    (run / "run.json").write_text(json.dumps(described | {"numpy": "0.1"}))
    runs.train_run(
        described["data"], "ring", "tiny", out=run, device="cpu", resume=True, callbacks=[],
        false_alarm_rate=0.4,
    )  # fmt: skip
    (once,) = json.loads((run / "run.json").read_text())["resumed_with"]
    assert once["numpy"] == described["numpy"]
    found = reproduce_run(run, out=tmp_path / "again", callbacks=[])
    assert found.identical and any("resumed" in line for line in found.elsewhere)


def test_the_spread_is_that_of_the_seeds_in_the_results():
    results = Path(__file__).parents[3] / "results"
    for name, spread in SPREAD.items():
        found = []
        for category in ("bottle", "magnetic_tile"):
            runs = [results / f"{category}-lite-{seed}.json" for seed in range(3)]
            values = [json.loads(run.read_text())[name]["value"] for run in runs]
            found.append(max(values) - min(values))
        assert spread == pytest.approx(max(found), abs=5e-5), name
