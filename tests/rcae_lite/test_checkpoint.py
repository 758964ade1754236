"""Files are whole, checked before use, and never unpickled."""

from pathlib import Path

import pytest
import torch
from torch import nn

from data_utils import KitError
from rcae_lite import files
from rcae_lite.checkpoint import (
    CheckpointWriter,
    load_checkpoint,
    load_state,
    restore_optimiser,
)
from rcae_lite.config import Stage
from rcae_lite.training import Event, new_state, train_stage

IDENTITY = {"config": {"size": 32}, "seed": 0, "data": "abc"}


def trained(steps: int = 3):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    stage = Stage(steps=steps)
    state = new_state(module, stage)
    x = torch.rand(8, 3)
    train_stage("fit", state, lambda _: module(x).square().mean(), stage, steps)
    return module, state


def test_checkpoint_round_trip(tmp_path):
    module, state = trained()
    record = {"seconds": {"before": 1.5}, "losses": {"fit": [[1, 0.5]]}}
    writer = CheckpointWriter(tmp_path / "checkpoint", {"fit": module}, IDENTITY, record)
    writer.write("fit", state)
    values, tensors = load_checkpoint(tmp_path / "checkpoint", IDENTITY)
    assert (values["stage"], values["done"]) == ("fit", 3)
    assert values["seconds"] == {"before": 1.5} and values["losses"] == {"fit": [[1, 0.5]]}
    fresh, fresh_state = trained(steps=1)
    load_state(fresh, tensors, "fit", tmp_path)
    restore_optimiser(fresh_state, tensors)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name])
    before, after = (s.optimiser.state_dict()["state"] for s in (state, fresh_state))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n][k], after[n][k]) for n in before for k in before[n])


def test_writer_writes_when_it_is_time_and_at_the_end(tmp_path):
    module, state = trained()
    folder = tmp_path / "checkpoint"
    patient = CheckpointWriter(folder, {"fit": module}, IDENTITY, {})
    patient(Event("fit", 1, 3, 0.0, state))
    assert load_checkpoint(folder, IDENTITY) is None
    patient(Event("fit", 3, 3, 0.0, state))
    assert load_checkpoint(folder, IDENTITY) is not None


@pytest.mark.parametrize("name", ["seed", "data", "config"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, name):
    module, state = trained()
    CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, {}).write("fit", state)
    with pytest.raises(KitError, match=f"another {name}"):
        load_checkpoint(tmp_path / "c", IDENTITY | {name: "other"})


def test_killed_between_the_two_renames(tmp_path):
    module, state = trained()
    CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, {}).write("fit", state)
    (tmp_path / "c").rename(tmp_path / "c.old")
    assert load_checkpoint(tmp_path / "c", IDENTITY)[0]["done"] == 3


def test_killed_there_and_then_the_disk_is_full(tmp_path, monkeypatch):
    module, state = trained()
    writer = CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, {})
    writer.write("fit", state)
    (tmp_path / "c").rename(tmp_path / "c.old")
    monkeypatch.setattr(files.os, "fsync", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError):
        writer.write("fit", state)
    assert load_checkpoint(tmp_path / "c", IDENTITY)[0]["done"] == 3


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    module, state = trained()
    writer = CheckpointWriter(tmp_path / "c", {"fit": module}, IDENTITY, {})
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
