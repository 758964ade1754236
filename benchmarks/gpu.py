"""Images per second on this device, and how far that is from the hardware's floor.

python benchmarks/gpu.py --size 256 [--batch 16] [--compile] > results/speed-gpu-256.md

Training: one optimiser step of RcAE (at depth N, the dearest), DPN and CRD each, on whole images,
without what surrounds it in a training run (augmentation, clipping, frozen modules, crops).
Inference: the whole detector. The floor is what the convolutions' operations take at 790 TFLOP/s,
or what reading the module's inputs and writing its output takes at 4.3 TB/s, whichever is longer
(NVIDIA H200, dense bf16).
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rcae_lite import get_config
from rcae_lite.detector import RcAEDetector
from rcae_lite.model.losses import bce_dice_loss, gradient, reconstruction_loss
from rcae_lite.storage.provenance import code_version, device_name

FLOPS, BYTES = 790e12, 4.3e12


def seconds_of(call: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Mean seconds of a call, after three to warm up."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(3):
        call()
    wait()
    started = time.perf_counter()
    for _ in range(rounds):
        call()
    wait()
    return (time.perf_counter() - started) / rounds


def training_steps(
    detector: RcAEDetector, batch: int, size: int
) -> dict[str, tuple[Callable[[], None], int]]:
    """One optimiser step per stage on random images, and the bytes of its inputs and outputs."""
    device, config = detector.device, detector.config
    images = torch.rand(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    edges, masks = gradient(images), (images[:, :1] > 0.95).float()
    crd = detector.crd
    joined = torch.rand(batch, crd.stem.in_channels, config.rcae.depth, size, size, device=device)
    joined = joined.contiguous(memory_format=torch.channels_last_3d)
    parts = {  # the loss, and the bytes that go in and out
        "rcae": (
            lambda: reconstruction_loss(detector.rcae(images).float(), images),
            2 * images.nbytes,
        ),
        "dpn": (
            lambda: reconstruction_loss(detector.dpn(images, edges).float(), images),
            2 * images.nbytes + edges.nbytes,
        ),
        "crd": (
            lambda: bce_dice_loss(crd.predict_logits(joined).float(), masks),
            joined.nbytes + masks.nbytes,
        ),
    }

    def stepper(module: nn.Module, loss: Callable) -> Callable[[], None]:
        optimiser = torch.optim.Adam(module.parameters(), lr=1e-4)
        module.train()

        def step() -> None:
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16):
                value = loss()
            value.backward()
            optimiser.step()

        return step

    return {
        name: (stepper(detector.modules[name], loss), moved)
        for name, (loss, moved) in parts.items()
    }


def row(name: str, batch: int, seconds: float, flops: int, moved: int) -> str:
    floor = max(flops / FLOPS, moved / BYTES)
    return (
        f"| {name} | {batch} | {batch / seconds:.1f} | {flops / batch / 1e9:.1f} | "
        f"{batch / floor:.0f} | {seconds / floor:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="torch.compile, with CUDA graphs")
    args = parser.parse_args()
    config = get_config("standard", size=args.size, crd={"crop": 0})
    detector = RcAEDetector(config, 0, args.device)
    print(f"# Images per second at {args.size}x{args.size}\n")
    print(
        f"`python benchmarks/gpu.py --size {args.size} --batch {args.batch}"
        f"{' --compile' if args.compile else ''}`\n"
    )
    print(
        f"{device_name(detector.device)}, PyTorch {torch.__version__}, code `{code_version()}`, "
        "bf16 autocast, channels_last. The floor counts operations at 790 TFLOP/s and bytes of "
        "inputs and outputs at 4.3 TB/s.\n"
    )
    print("| what | batch | images/s | GFLOP per image | images/s at the floor | times the floor |")
    print("| --- | --- | --- | --- | --- | --- |")
    image = torch.rand(args.batch, 3, args.size, args.size, device=detector.device)
    image = image.contiguous(memory_format=torch.channels_last)
    moved = image.nbytes * 4 // 3  # the image and its map

    def infer() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(detector.device.type, torch.bfloat16):
            return detector._raw_map(detector._trajectory(image))

    calls: dict[str, Callable[[], object]] = {"inference": infer}
    if args.compile:
        calls["inference, compiled"] = torch.compile(infer, mode="reduce-overhead")
    for name, call in calls.items():
        with FlopCounterMode(display=False) as counter:
            infer()
        seconds = seconds_of(call, args.rounds, detector.device)
        print(row(name, args.batch, seconds, counter.get_total_flops(), moved), flush=True)
    for name, (step, moved) in training_steps(detector, args.batch, args.size).items():
        with FlopCounterMode(display=False) as counter:
            step()
        seconds = seconds_of(step, args.rounds, detector.device)
        text = row(f"training {name}", args.batch, seconds, counter.get_total_flops(), moved)
        print(text, flush=True)


if __name__ == "__main__":
    main()
