"""Evaluate CRD beside the plain 3-D U-Net of `crd_step.py` that it is faster than.

python benchmarks/crd_accuracy.py DATA CATEGORY [--step-fraction 0.25] > results/crd_accuracy.md

Both are trained for the same steps, on the same pseudo-anomalies, behind the same frozen RcAE and
DPN, and with the same initial seed; then evaluated by the protocol.
"""

import argparse
import platform
import tempfile
from pathlib import Path
from shutil import rmtree

import torch
from crd_step import PlainUNet
from torch import Tensor, nn

from data_utils import open_category
from rcae_lite import RcAEDetector, get_config
from rcae_lite.config import parse_options
from rcae_lite.detection import CrossRecursionDetector
from rcae_lite.evaluation import code_version
from rcae_lite.tables import markdown_table

COLUMNS = ["image_auroc", "pixel_auroc", "au_pro"]


class PlainCRD(CrossRecursionDetector):
    """CRD's inputs, answered by the plain network."""

    def __init__(self, crd: CrossRecursionDetector, width: int) -> None:
        nn.Module.__init__(self)
        self.steps, self.residual_input = crd.steps, crd.residual_input
        self.normality = crd.normality
        self.plain = PlainUNet(crd.enter.in_channels, crd.steps, width)

    def map(self, joined: Tensor) -> Tensor:
        """As `CrossRecursionDetector.map`."""
        return self.plain.map(joined.contiguous())


class PlainDetector(RcAEDetector):
    """RcAE Lite with the plain network as its CRD."""

    def _build(self) -> dict[str, nn.Module]:
        modules = super()._build()
        return modules | {"crd": PlainCRD(modules["crd"], self.config.crd_width)}

    def _place(self, module: nn.Module) -> nn.Module:
        return module.eval() if isinstance(module, PlainCRD) else super()._place(module)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("category")
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--step-fraction", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="options")
    args = parser.parse_args()
    config = get_config(args.preset, **parse_options(args.options)).shortened(args.step_fraction)
    category = open_category(args.data, args.category, size=config.size)
    options = f" --set {' '.join(args.options)}" if args.options else ""
    print("# CRD beside a plain 3-D U-Net: accuracy\n")
    print(
        f"`python benchmarks/crd_accuracy.py {args.data} {args.category} --preset {args.preset} "
        f"--step-fraction {args.step_fraction:g} --seed {args.seed}{options}`\n"
    )
    print(
        f"Preset `{config.preset}`, data `{category.fingerprint[:12]}`, {platform.machine()}, "
        f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, code "
        f"`{code_version()}`. The same frozen RcAE and DPN, {config.crd.steps} steps of each; 95% "
        "intervals.\n"
    )
    head = ["CRD", *COLUMNS, "parameters", "training s"]
    print("\n".join(markdown_table(head, [])))
    with tempfile.TemporaryDirectory() as stages:
        for name, kind in (("ours", RcAEDetector), ("plain U-Net", PlainDetector)):
            detector = kind(config, args.seed, "cpu")
            crd = Path(stages) / detector.stage_keys(category.train)["crd"]
            rmtree(crd, ignore_errors=True)  # RcAE and DPN are shared, CRD is not
            detector.fit(category.train, listeners=[], stages=stages)
            metrics = detector.evaluate(category.test).metrics
            cells = [name, *(str(metrics[column]) for column in COLUMNS)]
            cells += [f"{detector.parameters()['crd']:,}", f"{detector.trained['seconds']['crd']}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
