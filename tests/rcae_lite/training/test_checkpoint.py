"""Files are whole, checked before use, and never unpickled."""

import json
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from torch import nn

from data_utils import KitError
from rcae_lite.config import Stage
from rcae_lite.detector import RcAEDetector
from rcae_lite.storage import atomic as files
from rcae_lite.storage.tensors import load_state
from rcae_lite.training.batch import Batch
from rcae_lite.training.callbacks import CheckpointWriter
from rcae_lite.training.checkpoint import (
    Snapshot,
    StageInTraining,
    load_checkpoint,
    read_snapshot,
    restore_optimiser,
    save_checkpoint,
)
from rcae_lite.training.events import Event, StageState
from rcae_lite.training.loop import new_state, train_stage
from tests.rcae_lite.conftest import tiny_config

NOTHING = Snapshot(detector="full", config=tiny_config(), seed=0, training_set="abc")


def write(folder: Path, module: nn.Module, state: StageState, done: int = 3) -> None:
    begun = StageInTraining(name="fit", done=done, seconds=1.5, losses=[(1, 0.5)], batch_parts=4)
    save_checkpoint(folder, replace(NOTHING, in_training=begun), {"fit": module}, state)


def trained(steps: int = 3):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    stage = Stage(steps=steps)
    state = new_state(module, stage)
    x = torch.rand(8, 3)
    batch = Batch({"x": x}, lambda x: module(x).square().mean())
    train_stage("fit", state, lambda _: batch, stage, steps)
    return module, state


def test_checkpoint_round_trip(tmp_path):
    module, state = trained()
    write(tmp_path / "checkpoint", module, state)
    snapshot, tensors = load_checkpoint(tmp_path / "checkpoint", NOTHING)
    begun = snapshot.in_training
    assert (begun.name, begun.done, begun.batch_parts, begun.seconds) == ("fit", 3, 4, 1.5)
    assert begun.losses == [(1, 0.5)]
    fresh, fresh_state = trained(steps=1)
    load_state(fresh, tensors, "fit", tmp_path)
    restore_optimiser(fresh_state, tensors, tmp_path)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name])
    before, after = (s.optimiser.state_dict()["state"] for s in (state, fresh_state))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n][k], after[n][k]) for n in before for k in before[n])


def test_an_empty_folder_holds_no_checkpoint_and_takes_one(tmp_path):
    folder = tmp_path / "checkpoint"
    assert load_checkpoint(folder, NOTHING) is None
    folder.mkdir()
    assert load_checkpoint(folder, NOTHING) is None
    write(folder, *trained())
    assert load_checkpoint(folder, NOTHING)[0].in_training.done == 3
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.png").write_bytes(b"mine")
    with pytest.raises(KitError, match=r"detector\.json"):
        load_checkpoint(tmp_path / "other", NOTHING)


def test_a_finished_detector_is_a_snapshot_with_all_stages_done(
    tiny_category, tiny_detector, tmp_path
):
    """One format: what a checkpoint holds after the last stage is what `save` writes."""
    again = RcAEDetector(tiny_config(), 0, "cpu")
    again.fit(tiny_category.train, callbacks=[], checkpoint=tmp_path / "checkpoint")
    tiny_detector.save(tmp_path / "saved")
    checkpoint, saved = (read_snapshot(tmp_path / name) for name in ("checkpoint", "saved"))
    assert list(saved[0].stages) == ["rcae", "dpn", "crd"] and saved[0].in_training is None
    assert list(checkpoint[0].stages) == ["rcae", "dpn"] and checkpoint[0].in_training.done == 6
    saved[0].check_same(checkpoint[0], tmp_path)
    assert all(torch.equal(checkpoint[1][name], tensor) for name, tensor in saved[1].items())


def test_writer_writes_when_it_is_time_and_at_the_end():
    module, state = trained()
    written = []
    patient = CheckpointWriter(lambda stage, state: written.append(stage))
    patient(Event("fit", 1, 3, 0.0, state))
    assert written == []
    patient(Event("fit", 3, 3, 0.0, state))
    assert written == ["fit"]


OTHER = {"seed": 1, "training_set": "other", "config": tiny_config(rcae={"depth": 2})}
OTHER["detector"] = "rcae"


@pytest.mark.parametrize("name", OTHER)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, name):
    write(tmp_path / "c", *trained())
    with pytest.raises(KitError, match=f"another {name.replace('_', ' ')}"):
        load_checkpoint(tmp_path / "c", replace(NOTHING, **{name: OTHER[name]}))


def done_steps(folder: Path) -> int:
    return load_checkpoint(folder, NOTHING)[0].in_training.done


def test_killed_between_the_two_renames(tmp_path):
    write(tmp_path / "c", *trained())
    (tmp_path / "c").rename(tmp_path / ".c.old")
    assert done_steps(tmp_path / "c") == 3


@pytest.mark.parametrize("name", ["lr.1", "best.old", "best.new"])
def test_a_name_with_a_dot_touches_no_other_folder(tmp_path, name):
    others = [tmp_path / "lr.old", tmp_path / "lr.new", tmp_path / "best"]
    for other in others:
        other.mkdir()
        (other / "thesis.txt").write_text("mine")
    module, state = trained()
    for _ in range(2):
        write(tmp_path / name, module, state)
        assert done_steps(tmp_path / name) == 3
    assert all((other / "thesis.txt").exists() for other in others)
    assert len(list(tmp_path.iterdir())) == len(others) + 1


def test_killed_there_and_then_the_disk_is_full(tmp_path, monkeypatch):
    module, state = trained()
    write(tmp_path / "c", module, state)
    (tmp_path / "c").rename(tmp_path / ".c.old")
    monkeypatch.setattr(files.os, "fsync", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError):
        write(tmp_path / "c", module, state)
    assert done_steps(tmp_path / "c") == 3


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    module, state = trained()
    write(tmp_path / "c", module, state)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "c", module, state, done=99)
    monkeypatch.undo()
    assert done_steps(tmp_path / "c") == 3
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_tensors_are_checked_by_name_shape_type_and_value(tmp_path):
    module = nn.Linear(2, 3)
    good = {f"m.{key}": tensor for key, tensor in module.state_dict().items()}

    def load(tensors):
        load_state(module, tensors, "m", Path("file"))

    load(good)
    load({key: tensor.half() for key, tensor in good.items()})  # half precision is welcome
    with pytest.raises(KitError, match="m.bias is missing"):
        load({"m.weight": good["m.weight"]})
    with pytest.raises(KitError, match="m.extra is unexpected"):
        load(good | {"m.extra": torch.zeros(1)})
    with pytest.raises(
        KitError, match=r"m.bias is torch.float32 \(4,\), expected torch.float32 \(3,\)"
    ):
        load(good | {"m.bias": torch.zeros(4)})
    with pytest.raises(KitError, match="m.bias is torch.int64"):
        load(good | {"m.bias": torch.zeros(3, dtype=torch.int64)})
    with pytest.raises(KitError, match="not finite"):
        load(good | {"m.bias": torch.full((3,), float("nan"))})


def test_a_changed_width_is_refused_before_it_takes_memory(tiny_detector, tmp_path, monkeypatch):
    tiny_detector.save(tmp_path)
    values = json.loads((tmp_path / "detector.json").read_text())
    for name in ("rcae", "crd"):
        values["config"][name]["width"] = 4096  # tens of GB
    (tmp_path / "detector.json").write_text(json.dumps(values))
    monkeypatch.setattr(RcAEDetector, "_start_afresh", lambda self: pytest.fail("was built"))
    with pytest.raises(KitError, match=r"tensor rcae\..*, expected torch.float32 \((4096|8192)"):
        RcAEDetector.load(tmp_path, device="cpu")
