"""Files are whole, checked before use, and never unpickled."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from data_utils import KitError
from rcae_lite.config import Stage
from rcae_lite.detector import RcAEDetector
from rcae_lite.storage import atomic as files
from rcae_lite.storage.tensors import load_state
from rcae_lite.training.callbacks import CheckpointWriter
from rcae_lite.training.checkpoint import load_checkpoint, restore_optimiser
from rcae_lite.training.loop import Batch, Event, new_state, train_stage
from tests.rcae_lite.conftest import tiny_config

IDENTITY = {"config": json.loads(json.dumps(tiny_config().to_dict())), "seed": 0, "data": "abc"}
IDENTITY["training_images"] = "of them"
RECORD = {"seconds": {}, "losses": {}, "batch_parts": {}}


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
    record = RECORD | {"seconds": {"before": 1.5}, "losses": {"fit": [[1, 0.5]]}}
    state.parts = 4
    writer = CheckpointWriter(tmp_path / "checkpoint", {"fit": module}, IDENTITY, record)
    writer.write("fit", state)
    values, tensors = load_checkpoint(tmp_path / "checkpoint", IDENTITY)
    assert (values["stage"], values["done"], values["parts"]) == ("fit", 3, 4)
    assert values["seconds"] == {"before": 1.5} and values["losses"] == {"fit": [[1, 0.5]]}
    fresh, fresh_state = trained(steps=1)
    load_state(fresh, tensors, "fit", tmp_path)
    restore_optimiser(fresh_state, tensors, tmp_path)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name])
    before, after = (s.optimiser.state_dict()["state"] for s in (state, fresh_state))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n][k], after[n][k]) for n in before for k in before[n])


def test_writer_writes_when_it_is_time_and_at_the_end(tmp_path):
    module, state = trained()
    folder = tmp_path / "checkpoint"
    patient = CheckpointWriter(folder, {"fit": module}, IDENTITY, RECORD)
    patient(Event("fit", 1, 3, 0.0, state))
    assert load_checkpoint(folder, IDENTITY) is None
    patient(Event("fit", 3, 3, 0.0, state))
    assert load_checkpoint(folder, IDENTITY) is not None


OTHER = {"seed": 1, "data": "other", "config": IDENTITY["config"] | {"depth": 4}}
OTHER["training_images"] = "others of them"


@pytest.mark.parametrize("name", OTHER)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, name):
    module, state = trained()
    CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, RECORD).write("fit", state)
    with pytest.raises(KitError, match=f"another {name}"):
        load_checkpoint(tmp_path / "c", IDENTITY | {name: OTHER[name]})


def test_killed_between_the_two_renames(tmp_path):
    module, state = trained()
    CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, RECORD).write("fit", state)
    (tmp_path / "c").rename(tmp_path / "c.old")
    assert load_checkpoint(tmp_path / "c", IDENTITY)[0]["done"] == 3


def test_killed_there_and_then_the_disk_is_full(tmp_path, monkeypatch):
    module, state = trained()
    writer = CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, RECORD)
    writer.write("fit", state)
    (tmp_path / "c").rename(tmp_path / "c.old")
    monkeypatch.setattr(files.os, "fsync", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError):
        writer.write("fit", state)
    assert load_checkpoint(tmp_path / "c", IDENTITY)[0]["done"] == 3


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    module, state = trained()
    writer = CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, RECORD)
    writer.write("fit", state)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    state.done = 99
    with pytest.raises(OSError, match="No space left"):
        writer.write("fit", state)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "c", IDENTITY)[0]["done"] == 3
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
    values["config"] |= {"crd_width": 4096, "rcae_width": 4096}  # tens of GB
    (tmp_path / "detector.json").write_text(json.dumps(values))
    monkeypatch.setattr(RcAEDetector, "_start_afresh", lambda self: pytest.fail("was built"))
    with pytest.raises(KitError, match=r"tensor rcae\..*, expected torch.float32 \(4096"):
        RcAEDetector.load(tmp_path, device="cpu")
