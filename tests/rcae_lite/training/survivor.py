"""Trainings that are killed: a process of its own that forks one child for every attempt.

``python -m tests.rcae_lite.training.survivor kills FOLDER COUNT SEED`` trains to the end in
FOLDER/whole, then kills COUNT trainings at random moments, each resuming where the last one was
killed.
``python -m tests.rcae_lite.training.survivor points FOLDER FAULT`` meets every single file
operation of a small training with a fault in turn, and goes on without it.

Both end with 1 and say why if weights differ from those of the training that nobody disturbed.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from msgspec.structs import replace

from data_utils import ImageSet
from rcae_lite.config import Stage
from rcae_lite.detector import RcAEDetector
from rcae_lite.storage.atomic import locked
from rcae_lite.storage.tensors import load_modules, load_tensors, save_tensors
from rcae_lite.training import checkpoint
from rcae_lite.training.batch import Batch
from rcae_lite.training.callbacks import CheckpointWriter
from rcae_lite.training.draws import generator_for
from rcae_lite.training.events import StageState
from rcae_lite.training.loop import new_state, train_stage
from tests.rcae_lite.conftest import tiny_config, tiny_records

os.fsync = lambda _: None  # of a power cut, which is not what happens here; it is slow
checkpoint.SECONDS_BETWEEN = 0.0  # after every step, so that most moments are those of a write

STEPS = {"steps": 20, "batch_size": 4, "learning_rate": 2e-3}
WEIGHTS = "detector.safetensors"


def train(folder: Path) -> None:
    """Train a tiny detector as `commands.run.train_run` does, resuming where there is more."""
    config = tiny_config(rcae=STEPS, dpn=STEPS, crd=STEPS)
    images = ImageSet(tiny_records(12), 32, split="train", category="tiny", fingerprint="f" * 64)
    with locked(folder):
        detector = RcAEDetector(config, 0, "cpu")
        detector.fit(images, callbacks=[], checkpoint=folder / "checkpoint")
        detector.save(folder)


def small(folder: Path) -> None:
    """Train one layer for two steps: all file operations of a training, nothing else."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    module = torch.nn.Linear(4, 1)
    snapshot = checkpoint.Snapshot(
        detector="full", config=tiny_config(), seed=0, training_set="all"
    )
    stage = Stage(steps=2, learning_rate=1e-2)
    state = new_state(module, stage)
    found = checkpoint.load_checkpoint(folder / "checkpoint", snapshot)
    if found:
        load_modules({"fit": module}, found[1], folder, besides=("adam",))
        checkpoint.restore_optimiser(state, found[1], folder)
        state.done = found[0].in_training.done

    def write(name: str, now: StageState) -> None:
        begun = checkpoint.StageInTraining(name=name, done=now.done, seconds=0, losses=[])
        current = replace(snapshot, in_training=begun)
        checkpoint.save_checkpoint(folder / "checkpoint", current, {"fit": module}, now)

    def batch(step: int) -> Batch:
        x = torch.randn(8, 4, generator=generator_for(0, "x", step))
        return Batch({"x": x}, lambda x: module(x).square().mean())

    train_stage("fit", state, batch, stage, 2, [CheckpointWriter(write)])
    save_tensors(folder / WEIGHTS, module.state_dict())


def child(work: Callable[[], None]) -> int:
    """Fork, do the work there, and return the child's process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        code = 74 if error.errno in (errno.ENOSPC, errno.EROFS) else 1
        if code == 1:
            print(repr(error), flush=True)
    except BaseException as error:
        print(repr(error), flush=True)
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a child; its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def differ(first: Path, second: Path) -> bool:
    one, two = load_tensors(first / WEIGHTS), load_tensors(second / WEIGHTS)
    return one.keys() != two.keys() or any(not torch.equal(one[key], two[key]) for key in one)


def kills(folder: Path, count: int, seed: int) -> int:
    draw = random.Random(seed)
    started = time.monotonic()
    if ended(child(lambda: train(folder / "whole"))):
        return 1
    whole = time.monotonic() - started
    done, rounds = 0, 0
    while done < count:
        run = folder / f"round-{rounds}"
        rounds += 1
        while not (run / WEIGHTS).exists():
            pid = child(lambda run=run: train(run))  # type: ignore[misc]
            moment = draw.uniform(0, 0.6 * whole) if done < count else 10 * whole
            before = time.monotonic()
            while (
                time.monotonic() - before < moment
                and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            ):
                time.sleep(0.001)
            if done < count:
                os.kill(pid, draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
            code = ended(pid)
            if code not in (0, 130, -signal.SIGKILL):
                print(f"exit code {code}")
                return 1
            done += code != 0
        if differ(folder / "whole", run):
            print(f"{run} differs from the training that nobody disturbed")
            return 1
    print(f"{done} kills in {rounds} trainings, {whole:.1f} s each")
    return 0


class Fault:
    """Meets one file operation, or it and all later ones, with a fault."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind, self.left = kind, number

    def __call__(self, event: str, arguments: tuple) -> None:
        writes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir") or (
            event == "open" and bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
        )
        if not writes:
            return
        self.left -= 1
        if self.left > 0:
            return
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "interrupt":
            if self.left == 0:
                raise KeyboardInterrupt
            return
        number = errno.ENOSPC if self.kind == "full" else errno.EROFS
        if self.kind == "read-only" or event in ("open", "os.mkdir"):
            raise OSError(number, os.strerror(number))


def points(folder: Path, kind: str) -> int:
    if ended(child(lambda: small(folder / "whole"))):
        return 1
    for number in itertools.count(1):
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)

        def disturbed(number: int = number, run: Path = run) -> None:
            sys.addaudithook(Fault(kind, number))
            small(run)

        code = ended(child(disturbed))
        if code == 1 or ended(child(lambda run=run: small(run))):  # type: ignore[misc]
            print(f"{kind} at file operation {number}: exit code {code}, or it cannot go on")
            return 1
        if differ(folder / "whole", run):
            print(f"{kind} at file operation {number}: other weights")
            return 1
        if code == 0:
            print(f"{kind} at each of {number - 1} file operations")
            return 0 if number > 20 else 1
    return 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, place, *rest = sys.argv[1:]
    Path(place).mkdir(exist_ok=True)
    if command == "kills":
        sys.exit(kills(Path(place), int(rest[0]), int(rest[1])))
    sys.exit(points(Path(place), rest[0]))
