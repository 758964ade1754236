"""Evaluate CRD beside the plain 3-D U-Net of `crd_step.py` that it is faster than.

python benchmarks/crd_accuracy.py DATA CATEGORY [--step-fraction 0.25] > results/crd_accuracy.md

Both are trained for the same steps, on the same pseudo-anomalies, behind the same frozen RcAE and
DPN, and with the same initial seed; then evaluated by the protocol.
"""

import tempfile
from pathlib import Path
from shutil import rmtree

from crd_step import PlainUNet
from setting import asked
from torch import Tensor, nn

from rcae_lite import RcAEDetector
from rcae_lite.detection import CrossRecursionDetector
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
    setting = asked(__doc__)
    config, category = setting.config, setting.category
    remark = f"The same frozen RcAE and DPN, {config.crd.steps} steps of each CRD; 95% intervals."
    print(setting.heading("CRD beside a plain 3-D U-Net: accuracy", remark))
    head = ["CRD", *COLUMNS, "parameters", "training s"]
    print("\n".join(markdown_table(head, [])))
    with tempfile.TemporaryDirectory() as stages:
        for name, kind in (("ours", RcAEDetector), ("plain U-Net", PlainDetector)):
            detector = kind(config, setting.seed, "cpu")
            crd = Path(stages) / detector.stage_keys(category.train)["crd"]
            rmtree(crd, ignore_errors=True)  # RcAE and DPN are shared, CRD is not
            detector.fit(category.train, listeners=[], stages=stages)
            metrics = detector.evaluate(category.test).metrics
            cells = [name, *(str(metrics[column]) for column in COLUMNS)]
            cells += [f"{detector.parameters()['crd']:,}", f"{detector.trained['seconds']['crd']}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
