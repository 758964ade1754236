"""Judge a change of stage 3 without a test label: train CRD anew behind the stages of some runs.

    python benchmarks/stage3.py RUN [RUN ...] [--set crd.steps=600 ...]

*Probe* is the AUROC of the image score between held-out normal images and the same with the defects
of the probe (`rcae_lite.evaluation.restoration`), which no stage trains on; *on the part*: only
defects that lie on structured pixels for the most part; *small*: below 0.4% of the area. What wins
on the mean of the probe is kept; the test set's figures are for information.
"""

import argparse
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from setting import command
from sklearn.metrics import roc_auc_score
from validate import image_and_pixel

from data_utils import ImageSet
from rcae_lite import RcAEDetector
from rcae_lite.base import held_out_images, split
from rcae_lite.cli import parse_options
from rcae_lite.commands.run_record import open_data_of, read_run
from rcae_lite.evaluation.restoration import SIZE_BINS, paint_defects, structured_pixels
from rcae_lite.storage.provenance import code_version
from rcae_lite.study.summary import markdown_table
from rcae_lite.training.loop import new_state, train_stage
from rcae_lite.training.stages import CRDStage

COLUMNS = [
    *("probe", "on the part", "small", "90% of normal scores"),
    *("image AUROC", "pixel AUROC", "training s"),
]


def trained_anew(run: Path, options: dict, train: ImageSet) -> tuple[RcAEDetector, float]:
    """Return the detector of a run with a CRD of the code at hand, and its training's seconds."""
    before = RcAEDetector.load(run)
    detector = RcAEDetector(before.config.updated(options), before.seed)
    for name in ("rcae", "dpn"):
        detector.modules[name].load_state_dict(before.modules[name].state_dict())
    config = detector.config
    images = train.images()[split(before.seed, len(train))[0]]
    steps = config.crd.optimiser_steps(len(images))
    state = new_state(detector.modules["crd"], config.crd)
    stage = CRDStage(detector.modules, images, config, before.seed)
    train_stage("crd", state, stage.batch, config.crd, steps)
    return detector, state.seconds


def measured(detector: RcAEDetector, train: ImageSet, test: ImageSet) -> list[float]:
    """Return the columns, without the last one."""
    normal = held_out_images(detector.seed, train)
    painted = paint_defects(normal)
    on_part = (structured_pixels(painted.clean) & painted.mask).sum(dim=(1, 2, 3))
    chosen = {
        "all": painted.area > 0,
        "on the part": on_part > painted.mask.sum(dim=(1, 2, 3)) / 2,
        "small": painted.area < SIZE_BINS[1],
    }
    quiet, loud = detector.predict(normal).score, detector.predict(painted.images).score

    def auroc(which: torch.Tensor) -> float:
        labels = [0] * len(quiet) + [1] * int(which.sum())
        return roc_auc_score(labels, torch.cat([quiet, loud[which]]))

    probed = [auroc(which) for which in chosen.values()]
    return [*probed, float(np.quantile(quiet, 0.9)), *image_and_pixel(detector, test)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="options")
    args = parser.parse_args()
    print(f"# Stage 3\n\n`{command()}`, code `{code_version()}`.\n")
    print("\n".join(markdown_table(["category", *COLUMNS], [])), flush=True)
    rows = []
    for run in args.runs:
        category = open_data_of(read_run(run))
        detector, seconds = trained_anew(run, parse_options(args.options), category.train)
        rows.append([*measured(detector, category.train, category.test), seconds])
        print(line(category.name, rows[-1]), flush=True)
    print(line("mean", [mean(column) for column in zip(*rows, strict=True)]))


def line(name: str, values: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{v:.3f}" for v in values[:-1]) + f" | {values[-1]:.0f} |"


if __name__ == "__main__":
    main()
