"""Time a training step and a prediction with and without what the kit sets for its process.

python benchmarks/contention.py [--steps 30] [--preset lite] > results/contention.md

PyTorch's threads spin while they wait for each other (OpenMP's default). A laptop with a browser
open has no core to spare for that: a thread that spins takes the time of the one it waits for. With
OMP_WAIT_POLICY=passive they sleep. And memory that is freed is kept for the next step or prediction
(rcae_lite/allocator.py), unless the environment says anything about malloc. Each number comes from
a fresh process, because the policy is read when PyTorch is loaded; all of them see the same images
at the same depths. Run it on an idle machine, or "idle" is not idle.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

WARM_UP = 3  # steps
LIMIT = 2.5  # times as long beside a busy process, with the kit's settings
HANDED_BACK = {"GLIBC_TUNABLES": ""}  # says something, sets nothing
PASSIVE = {"OMP_WAIT_POLICY": "passive"}
SETTINGS = {
    "the defaults": HANDED_BACK,
    "threads sleep": PASSIVE | HANDED_BACK,
    "threads sleep, freed memory is kept (the kit)": PASSIVE,
}


def step_seconds(preset: str, steps: int) -> float:
    """Train RcAE on noise at full size in this process; return the median seconds of a step."""
    import torch

    from rcae_lite import RcAEDetector
    from rcae_lite.training.loop import new_state, train_stage
    from rcae_lite.training.stages import RcAEStage

    detector = RcAEDetector.from_preset(preset, device="cpu", rcae={"half_size_steps": 0})
    config = detector.config
    shape = 32, 3, config.size, config.size
    images = torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).byte()
    stage = RcAEStage(detector.modules, images, config, seed=0)
    state = new_state(detector.rcae, config.rcae)
    clock = [0.0]
    callbacks = [lambda event: clock.append(event.state.seconds)]
    train_stage("rcae", state, stage.batch, config.rcae, WARM_UP + steps, callbacks)
    return median(after - before for before, after in pairwise(clock[WARM_UP:]))


def prediction_seconds(rounds: int) -> float:
    """Predict one image of 256x256 again and again; return the median time in seconds."""
    import torch

    from rcae_lite import RcAEDetector

    detector = RcAEDetector.from_preset("standard", device="cpu")
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    seconds = []
    for _ in range(WARM_UP + rounds):
        started = time.perf_counter()
        detector.predict(image)
        seconds.append(time.perf_counter() - started)
    return median(seconds[WARM_UP:])


def in_fresh_process(preset: str, steps: int, setting: dict[str, str]) -> list[float]:
    """Time both where this, and nothing else about OpenMP and malloc, is set."""
    others = ("OMP_", "MALLOC_", "GLIBC_")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(others)}
    command = [sys.executable, __file__, "--here", "--preset", preset, "--steps", str(steps)]
    done = subprocess.run(
        command, env=environment | setting, check=True, text=True, stdout=subprocess.PIPE
    )
    return [float(seconds) for seconds in done.stdout.split()]


@contextmanager
def busy_process() -> Iterator[None]:
    """Keep one core busy for as long as the block lasts."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            yield
        finally:
            other.kill()


def report(preset: str, steps: int) -> int:
    """Print the table; 1 if the kit's settings do not keep the limit."""
    from rcae_lite.storage.provenance import code_version

    print("# A step and a prediction: threads that wait, memory that is freed\n")
    print(f"`python benchmarks/contention.py --steps {steps} --preset {preset}`\n")
    print(
        f"Medians of {steps} in ms, {os.cpu_count()} cores, {platform.machine()}, code "
        f"`{code_version()}`: steps of RcAE, preset `{preset}`, at full size, and predictions of "
        f"one image, preset `standard`. With the kit's settings at most {LIMIT} times as long a "
        "step beside another process.\n"
    )
    print("| settings | step | beside a busy process | ratio | prediction | beside | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, setting in SETTINGS.items():
        idle = in_fresh_process(preset, steps, setting)
        with busy_process():
            contended = in_fresh_process(preset, steps, setting)
        cells = [name]
        for alone, beside in zip(idle, contended, strict=True):
            cells += [f"{1000 * alone:.0f}", f"{1000 * beside:.0f}", f"{beside / alone:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    return int(contended[0] / idle[0] > LIMIT)  # of the last row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(step_seconds(args.preset, args.steps), prediction_seconds(args.steps))
    else:
        sys.exit(report(args.preset, args.steps))
