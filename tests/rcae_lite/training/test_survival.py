"""Nothing is lost: killed, interrupted, out of disk, read-only, NaN, two runs in one folder."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data_utils import KitError
from rcae_lite.detector import RcAEDetector
from rcae_lite.storage.atomic import locked
from rcae_lite.storage.tensors import load_tensors, save_tensors
from rcae_lite.training.batch import Batch
from rcae_lite.training.stages import CRDStage, DPNStage, RcAEStage
from tests.rcae_lite.conftest import tiny_config

ROOT = Path(__file__).parents[3]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def survivor(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tests.rcae_lite.training.survivor", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return done


@needs_fork
@pytest.mark.parametrize(
    "count",
    [5, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_killed_at_random_moments_and_resumed_the_weights_are_the_same(tmp_path, count):
    done = survivor("kills", tmp_path, count, 0)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split(" kills")[0].split()[-1]) == count


@needs_fork
@pytest.mark.parametrize(
    "fault",
    [
        "kill",
        *(pytest.param(f, marks=pytest.mark.slow) for f in ("full", "interrupt", "read-only")),
    ],
)
def test_a_fault_at_every_single_file_operation_loses_nothing(tmp_path, fault):
    done = survivor("points", tmp_path, fault)
    assert done.returncode == 0, done.stdout
    assert f"{fault} at each of" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_disk_that_is_really_full_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.zeros(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            save_tensors(path, {"a": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert torch.equal(load_tensors(path)["a"], torch.zeros(10))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_folder_has_one_run_at_a_time_and_is_clean_afterwards(tmp_path):
    run = tmp_path / "run"
    with locked(run):
        with pytest.raises(KitError, match="another run is writing to .*; wait until it has ended"):
            with locked(run):
                pass
        (run / "result").write_text("")
    assert [path.name for path in run.iterdir()] == ["result"]
    with locked(run):
        pass


def test_the_lock_of_a_killed_run_does_not_block(tmp_path):
    code = (
        "import sys, pathlib; from rcae_lite.storage.atomic import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "run"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    with other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(KitError, match="another run is writing"), locked(tmp_path / "run"):
            pass
        (tmp_path / "run" / f".state.json.{other.pid}.part").write_text('{"hal')
        other.kill()
    assert other.returncode == -getattr(signal, "SIGKILL", 1) or sys.platform == "win32"
    with locked(tmp_path / "run"):
        left = {path.name for path in (tmp_path / "run").iterdir()}
        assert left == {".lock"}  # the half-written file is gone


def breaking(monkeypatch, stage: str, step: int) -> None:
    """Let the loss of a step become NaN."""
    kind = {"rcae": RcAEStage, "crd": CRDStage}[stage]
    batch_of = kind.batch

    def altered(self, number):
        batch = batch_of(self, number)
        if number != step:
            return batch
        return Batch(batch.tensors, lambda **part: batch.loss(**part) * float("nan"))

    monkeypatch.setattr(kind, "batch", altered)


@pytest.mark.parametrize(("stage", "names"), [
    ("rcae", {"clean", "perturbed"}), ("crd", {"images", "enhanced", "z_scores", "masks"}),
])  # fmt: skip
def test_a_loss_that_becomes_nan_leaves_its_batch(
    tiny_category, tmp_path, monkeypatch, stage, names
):
    breaking(monkeypatch, stage, 3)
    detector = RcAEDetector(tiny_config(), 0, "cpu")
    with pytest.raises(KitError, match=f"stage {stage} became nan at step 3; .* batch is in ") as e:
        detector.fit(tiny_category.train, callbacks=[], checkpoint=tmp_path / "checkpoint")
    path = tmp_path / f"not-finite-{stage}-3.safetensors"
    assert str(path) in str(e.value)
    batch = load_tensors(path)
    assert set(batch) == names and all(len(tensor) == 4 for tensor in batch.values())
    assert all(tensor.isfinite().all() for tensor in batch.values())
    with pytest.raises(KitError, match="with a checkpoint folder its batch would be saved"):
        detector.fit(tiny_category.train, callbacks=[])


def test_a_detector_whose_batches_do_not_fit_is_trained_and_says_so(
    tiny_category, tiny_detector, tmp_path, monkeypatch
):
    def small_memory(batch_of):
        def batch(self, step):
            whole = batch_of(self, step)

            def loss(**part):
                if len(next(iter(part.values()))) > 2:
                    raise torch.OutOfMemoryError("made up")
                return whole.loss(**part)

            return Batch(whole.tensors, loss)

        return batch

    for kind in (RcAEStage, DPNStage, CRDStage):
        monkeypatch.setattr(kind, "batch", small_memory(kind.batch))
    detector = RcAEDetector(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[])
    assert detector.trained["batch_parts"] == {"rcae": 2, "dpn": 2, "crd": 2}
    assert "batch_parts" not in tiny_detector.trained
    for name, tensor in tiny_detector.rcae.state_dict().items():  # a mean over items: the same
        torch.testing.assert_close(detector.rcae.state_dict()[name], tensor, atol=1e-4, rtol=1e-2)
    detector.save(tmp_path)
    assert RcAEDetector.load(tmp_path, device="cpu").trained == detector.trained
