"""Time a training step of RcAE with and without what the kit sets for its process.

python benchmarks/contention.py [--steps 30] [--preset lite] > results/contention.md

PyTorch's threads spin while they wait for each other (OpenMP's default). A laptop with a browser
open has no core to spare for that: a thread that spins takes the time of the one it waits for. With
OMP_WAIT_POLICY=passive they sleep. And memory that is freed is kept for the next step
(rcae_lite/allocator.py), unless the environment says anything about malloc, be it a default. Each
number comes from a fresh process, because the policy is read when PyTorch is loaded; all of them
train on the same images at the same depths. Run it on an idle machine, or "idle" is not idle.
"""

import argparse
import os
import platform
import subprocess
import sys
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


def in_fresh_process(preset: str, steps: int, setting: dict[str, str]) -> float:
    """Call `step_seconds` where this, and nothing else about OpenMP and malloc, is set."""
    others = ("OMP_", "MALLOC_", "GLIBC_")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(others)}
    command = [sys.executable, __file__, "--here", "--preset", preset, "--steps", str(steps)]
    done = subprocess.run(
        command, env=environment | setting, check=True, text=True, stdout=subprocess.PIPE
    )
    return float(done.stdout)


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

    print("# A training step of RcAE: threads that wait, memory that is freed\n")
    print(f"`python benchmarks/contention.py --steps {steps} --preset {preset}`\n")
    print(
        f"Median of {steps} steps in ms, {os.cpu_count()} cores, {platform.machine()}, code "
        f"`{code_version()}`. With the kit's settings at most {LIMIT} times as long beside another "
        "process.\n"
    )
    print("| settings | idle | beside a busy process | ratio |\n| --- | --- | --- | --- |")
    for name, setting in SETTINGS.items():
        idle = in_fresh_process(preset, steps, setting)
        with busy_process():
            contended = in_fresh_process(preset, steps, setting)
        ratio = contended / idle
        print(f"| {name} | {1000 * idle:.0f} | {1000 * contended:.0f} | {ratio:.1f} |", flush=True)
    return int(ratio > LIMIT)  # of the last row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(step_seconds(args.preset, args.steps))
    else:
        sys.exit(report(args.preset, args.steps))
