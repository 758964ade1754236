"""Time a training step of CRD beside a plain 3-D U-Net: same widths, same batch, one run.

python benchmarks/crd_step.py [--threads 2] > results/speed-crd_step.md

The plain network is the first thing one would write: full 3x3x3 convolutions at full resolution in
PyTorch's default memory format. CRD is timed with two levers, too, that the kit leaves out: the
fused Adam of PyTorch, and bfloat16 in the forward pass. The steps alternate, so that all see the
same machine.
"""

import argparse
import copy
import platform
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite import get_config
from rcae_lite.detector import RcAEDetector
from rcae_lite.model.losses import bce_dice_loss
from rcae_lite.storage.provenance import code_version


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm3d(outputs),
        nn.GELU(),
        nn.Conv3d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm3d(outputs),
        nn.GELU(),
    )


class PlainUNet(nn.Module):
    """Four levels of full 3-D convolutions with skips; only height and width are pooled."""

    def __init__(self, channels: int, steps: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.first = block(channels, width)
        self.down = nn.ModuleList(block(before, after) for before, after in pairs)
        self.up = nn.ModuleList(block(before + after, before) for before, after in pairs)
        self.collapse = nn.Conv3d(width, 1, (steps, 1, 1))

    def predict_logits(self, joined: Tensor) -> Tensor:
        """(B, C, N, H, W) to (B, 1, H, W)."""
        x = self.first(joined)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(F.avg_pool3d(x, (1, 2, 2)))
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")
            x = up(torch.cat([skip, x], dim=1))
        return self.collapse(x).squeeze(2)


def stepper(
    network: nn.Module, joined: Tensor, masks: Tensor, *, fused: bool = False, bf16: bool = False
):
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
    network.train()

    def step() -> float:
        started = perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = network.predict_logits(joined)
        bce_dice_loss(logits.float(), masks).backward()
        optimiser.step()
        return perf_counter() - started

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = get_config(args.preset)
    crd = RcAEDetector(config, 0, "cpu").crd
    plain = PlainUNet(crd.stem.in_channels, crd.steps, config.crd.width)
    side, batch = config.crd.crop or config.size, config.crd.batch_size
    joined = torch.rand(batch, crd.stem.in_channels, crd.steps, side, side)
    masks = (torch.rand(batch, 1, side, side) > 0.95).float()
    seen = joined.contiguous(memory_format=torch.channels_last_3d)
    steps = {
        "CRD": stepper(crd, seen, masks),
        "CRD, fused Adam": stepper(copy.deepcopy(crd), seen, masks, fused=True),
        "CRD, bfloat16": stepper(copy.deepcopy(crd), seen, masks, bf16=True),
        "plain U-Net": stepper(plain, joined, masks),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(args.rounds + 1):
        for name, step in steps.items():
            taken = step()
            if number:  # the first step sets things up
                seconds[name].append(taken)
    print("# Training step of CRD beside a plain 3-D U-Net\n")
    print(
        f"`python benchmarks/crd_step.py --preset {args.preset} --threads {args.threads} "
        f"--rounds {args.rounds}`\n"
    )
    print(
        f"{platform.machine()}, {args.threads} threads, PyTorch {torch.__version__}, code "
        f"`{code_version()}`; batch {batch}, {side}x{side}, {crd.steps} steps, width "
        f"{config.crd.width}; forward, loss, backward and Adam; medians of {args.rounds}.\n"
    )
    print("| | ms per step | lowest | parameters |\n| --- | --- | --- | --- |")
    for name, taken in seconds.items():
        network = plain if name == "plain U-Net" else crd
        parameters = sum(p.numel() for p in network.parameters())
        print(f"| {name} | {1000 * median(taken):.0f} | {1000 * min(taken):.0f} | {parameters:,} |")
    pairs = zip(seconds["plain U-Net"], seconds["CRD"], strict=True)
    ratio = median(slow / quick for slow, quick in pairs)
    print(f"\nCRD's step is {ratio:.1f} times faster (median of the ratios of neighbouring steps).")


if __name__ == "__main__":
    main()
