"""Evaluate CRD beside the plain 3-D U-Net of `crd_step.py` that it is faster than.

    python benchmarks/crd_accuracy.py DATA CATEGORY [--seeds 0 1 2] > results/crd_accuracy-NAME.md

Both are trained for the same steps, on the same pseudo-anomalies, behind the same frozen RcAE and
DPN, and with the same initial seed; then evaluated by the protocol.
"""

import itertools
import tempfile
from pathlib import Path
from shutil import rmtree
from statistics import mean

from crd_step import PlainUNet
from setting import Setting, asked
from torch import Tensor, nn

from rcae_lite.base import keys_of
from rcae_lite.config import Config
from rcae_lite.detector import RcAEDetector
from rcae_lite.model.crd import CrossRecursionDetector
from rcae_lite.study.summary import markdown_table

COLUMNS = ["image_auroc", "pixel_auroc", "au_pro"]


class PlainCRD(CrossRecursionDetector):
    """CRD's inputs, answered by the plain network."""

    def __init__(self, crd: CrossRecursionDetector, width: int) -> None:
        nn.Module.__init__(self)
        self.steps, self.residual_input = crd.steps, crd.residual_input
        self.statistics = crd.statistics
        self.plain = PlainUNet(crd.stem.in_channels, crd.steps, width)

    def predict_logits(self, inputs: Tensor) -> Tensor:
        """As `CrossRecursionDetector.predict_logits`."""
        return self.plain.predict_logits(inputs.contiguous())


class PlainDetector(RcAEDetector):
    """RcAE Lite with the plain network as its CRD."""

    @classmethod
    def _build(cls, config: Config) -> dict[str, nn.Module]:
        modules = super()._build(config)
        return modules | {"crd": PlainCRD(modules["crd"], config.crd.width)}

    def _place(self, module: nn.Module) -> nn.Module:
        return module.eval() if isinstance(module, PlainCRD) else super()._place(module)


KINDS = {"ours": RcAEDetector, "plain U-Net": PlainDetector}


def trained(kind: type[RcAEDetector], setting: Setting, seed: int, stages: str) -> RcAEDetector:
    """Train a detector; RcAE and DPN come from ``stages`` where they are there, CRD never does."""
    detector = kind(setting.config, seed, "cpu")
    train = setting.category.train
    keys = keys_of(RcAEDetector, setting.config, seed, train)
    rmtree(Path(stages) / keys["crd"], ignore_errors=True)
    return detector.fit(train, callbacks=[], stages=stages)


def main() -> None:
    setting = asked(__doc__)
    steps = setting.config.crd.steps
    remark = f"The same frozen RcAE and DPN, {steps} steps of each CRD; 95% intervals."
    print(setting.heading("CRD beside a plain 3-D U-Net: accuracy", remark))
    head = ["seed", "CRD", *COLUMNS, "parameters", "training s"]
    print("\n".join(markdown_table(head, [])))
    found: dict[str, list[list[float]]] = {name: [] for name in KINDS}
    with tempfile.TemporaryDirectory() as stages:
        for seed, (name, kind) in itertools.product(setting.seeds, KINDS.items()):
            detector = trained(kind, setting, seed, stages)
            metrics = detector.evaluate(setting.category.test).metrics
            seconds = detector.trained["seconds"]["crd"]
            found[name].append([metrics[column].value for column in COLUMNS] + [seconds])
            cells = [str(seed), name, *(str(metrics[column]) for column in COLUMNS)]
            cells += [f"{detector.parameters()['crd']:,}", f"{seconds}"]
            print(f"| {' | '.join(cells)} |", flush=True)
    for name, rows in found.items():
        *means, seconds = (mean(column) for column in zip(*rows, strict=True))
        cells = ["mean", name, *(f"{value:.3f}" for value in means), "", f"{seconds:.1f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
