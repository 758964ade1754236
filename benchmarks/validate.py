"""Validate a change on all synthetic categories, as they are and under another light and pose.

    python benchmarks/validate.py [--preset demo] [--seed 0] [--set NAME=VALUE ...] [--set ...]
                                  [--stages DIR]

The preset and, beside it, what each --set makes of it are trained on every category, sharing the
stages that are the same. The test images are then evaluated as they are, and again drawn with
light and pose that wander twice as far as in the training images: a detector that took its
training's light for normality loses there. What counts is the mean, and that CRD is nowhere more
than 2 points below the best depth of the plain residual (an oracle). A change of the kit is judged
by this before any real test set is looked at. Trained stages are kept in --stages, which may be the
`stages` of an `rcae ablate`, so that a run that was stopped goes on.
"""

import argparse
import itertools
import tempfile
from functools import lru_cache
from statistics import mean

import torch
from setting import command
from sklearn.metrics import roc_auc_score

from data_utils import Category, ImageSet, open_category
from data_utils.samples import fingerprint_of
from data_utils.synthetic import CATEGORIES, records
from rcae_lite import RcAEDetector, get_config
from rcae_lite.cli import parse_options
from rcae_lite.config import Config
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.storage.provenance import code_version
from rcae_lite.study.summary import markdown_table

HARDER = 2.0  # how far light and pose wander in the second test set, beside the training's

MEASURES = ["image AUROC", "pixel AUROC", "CRD above the best residual"]
COLUMNS = [*MEASURES, *(f"{measure}, harder" for measure in MEASURES), "training s"]


def image_and_pixel(detector: RcAEDetector, test: ImageSet) -> tuple[float, float]:
    """Image and pixel AUROC at the working size, fractions of 1."""
    found = detector.predict(test.images() / 255)
    masks = torch.stack([test[i].mask.as_subclass(torch.Tensor) for i in range(len(test))])
    image = roc_auc_score(test.labels, found.score)
    return image, roc_auc_score(masks.flatten().numpy(), found.anomaly_map.flatten().numpy())


def aurocs(detector: RcAEDetector, test: ImageSet) -> list[float]:
    """Image and pixel AUROC at the working size, and CRD's lead."""
    images, labels = test.images() / 255, test.labels
    image, pixel = image_and_pixel(detector, test)
    residuals = [smooth(detector.trajectory(part).residuals) for part in images.split(4)]
    scores = torch.cat(residuals).flatten(2).amax(dim=2)  # (n, N)
    best = max(roc_auc_score(labels, scores[:, depth]) for depth in range(scores.shape[1]))
    return [100 * image, 100 * pixel, 100 * (image - best)]


@lru_cache(maxsize=1)
def opened(name: str, size: int) -> tuple[Category, ImageSet]:
    """Return a category, and the same test parts and defects in another light and place."""
    category = open_category("synthetic", name, size=size)
    drawn = records(name, spread=HARDER)[1]
    fingerprint = fingerprint_of([], drawn)
    harder = ImageSet(drawn, size, category=name, split="test", fingerprint=fingerprint)
    return category, harder


def variants(preset: str, changes: list[list[str]]) -> dict[str, Config]:
    """Return the preset's configuration and the changed ones, by what they are called."""
    return {
        " ".join(words) or f"`{preset}`": get_config(preset, **parse_options(words))
        for words in ([], *changes)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--set", nargs="+", action="append", default=[], metavar="NAME=VALUE", dest="changes"
    )
    parser.add_argument("--stages", help="folder of trained stages; without it none are kept")
    args = parser.parse_args()
    print(
        f"# Synthetic categories\n\n`{command()}`, preset `{args.preset}`, seed {args.seed}, "
        f"code `{code_version()}`, CPU, {torch.get_num_threads()} threads.\n"
    )
    print("\n".join(markdown_table(["category, data", "variant", *COLUMNS], [])))
    rows: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as passing:
        for name, (variant, config) in itertools.product(
            CATEGORIES, variants(args.preset, args.changes).items()
        ):
            category, harder = opened(name, config.size)
            detector = RcAEDetector(config, args.seed, "cpu")
            detector.fit(category.train, callbacks=[], stages=args.stages or passing)
            found = aurocs(detector, category.test) + aurocs(detector, harder)
            rows.setdefault(variant, []).append([*found, sum(detector.trained["seconds"].values())])
            label = f"{name} `{category.fingerprint[:12]}`"
            print(line(label, variant, rows[variant][-1]), flush=True)
    for variant, values in rows.items():
        print(line("mean", variant, [mean(column) for column in zip(*values, strict=True)]))


def line(category: str, variant: str, values: list[float]) -> str:
    return f"| {category} | {variant} | " + " | ".join(f"{value:.1f}" for value in values) + " |"


if __name__ == "__main__":
    main()
