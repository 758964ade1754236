"""A training on two processes is the training of one process with the same batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from data_utils import KitError
from rcae_lite.training import distributed
from rcae_lite.training.distributed import BatchNorm3d
from tests.rcae_lite.conftest import tiny_records

pytestmark = pytest.mark.timeout(1200)  # five new interpreters, on a busy machine

ROOT = Path(__file__).parents[3]
WORKER = "tests.rcae_lite.training.torchrun_worker"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Return the tiny category as a folder of files."""
    root = tmp_path_factory.mktemp("data") / "tiny"
    for kind, records in (("normal", tiny_records(12)), ("defective", tiny_records(4, 4))):
        (root / kind).mkdir(parents=True)
        for number, record in enumerate(records):
            Image.fromarray(record.read_image()).save(root / kind / f"{number}.png")
    return root


def train(data: Path, out: Path, *launcher: str, resume: bool = False) -> str:
    command = [sys.executable, *launcher, "-m", WORKER, "train", data, "--preset", "demo"]
    command += ["--out", out, "--device", "cpu", "--seed", "3"]  # of 0 to 3 rounding is least here
    command += ["--resume"] * resume
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    train(data, out)
    return out


@pytest.fixture(scope="module")
def both(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("both") / "run"
    printed = train(data, out, *TORCHRUN)
    assert printed.count("report:") == 1, "both processes report"
    return out


def losses(run: Path) -> dict[str, list]:
    stages = json.loads((run / "detector.json").read_text())["stages"]
    return {name: stage["losses"] for name, stage in stages.items()}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["rcae", "dpn", "crd"])
def test_the_losses_are_those_of_one_process(alone, both, stage):
    one, two = (torch.tensor(losses(run)[stage]) for run in (alone, both))
    assert len(one) == 6
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_weights_are_those_of_one_process(alone, both):
    one, two = (load_file(run / "detector.safetensors") for run in (alone, both))
    assert one.keys() == two.keys()
    for name in one:
        difference = (two[name] - one[name]).abs().double()
        # Adam turns the rounding of a gradient of nearly 0 into a step of the learning rate, 2e-3.
        off = (difference > 2e-3 + 1e-2 * one[name].abs()).double().mean()
        assert off < 1e-3 and difference.max() < 6 * 2e-3, (name, off, difference.max())


@pytest.mark.slow
def test_one_process_writes(alone, both):
    names = [{path.name for path in run.iterdir()} for run in (alone, both)]
    assert names[0] == names[1]


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(data, both):
    before = (both / "detector.safetensors").read_bytes()
    train(data, both, *TORCHRUN, resume=True)
    assert (both / "detector.safetensors").read_bytes() == before


def test_alone_nothing_happens():
    x = torch.rand(4, 2)
    assert distributed.own_part(x) is x and distributed.gather(x) is x
    assert distributed.world_size() == 1 and distributed.is_leader()
    assert distributed.leader_first(lambda: 3) == 3 and distributed.average(0.5) == 0.5


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(KitError, match="batch of 16 cannot be divided among 3 processes"):
        distributed.own_part(torch.rand(16, 1))


def test_synchronised_normalisation_equals_torchs(monkeypatch):
    torch.manual_seed(0)
    ours, theirs = BatchNorm3d(3), nn.BatchNorm3d(3)
    x = torch.randn(4, 3, 2, 5, 5)
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = theirs(second)
    # Two processes that hold the same items have the statistics of one of them.
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda t: t.mul_(2))
    found = ours(first)
    torch.testing.assert_close(found, expected)
    found.pow(3).sum().backward()
    (2 * expected.pow(3).sum()).backward()  # the gradient of the sum of both processes' losses
    torch.testing.assert_close(first.grad * 2, second.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
