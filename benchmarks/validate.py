"""Validate a change on all synthetic categories, as they are and under another light and pose.

    python benchmarks/validate.py [--preset demo] [--seed 0] [--set NAME=VALUE ...]

Every category is trained once. Its test images are then evaluated as they are, and again with
exposure, lighting gradient and place drawn from twice the benign variation of the training: a
detector that took its training's light for normality loses there. What counts is the mean, and
that CRD is nowhere more than 2 points below the best depth of the plain residual (an oracle). A
change of the kit is judged by this before any real test set is looked at.
"""

import argparse
from statistics import mean

import torch
from sklearn.metrics import roc_auc_score

from data_utils import open_category
from data_utils.synthetic import CATEGORIES
from rcae_lite import RcAEDetector, get_config
from rcae_lite.config import parse_options
from rcae_lite.evaluation import code_version, smooth
from rcae_lite.tables import markdown_table
from rcae_lite.training import generator_for
from rcae_lite.variation import vary

HARDER = 2.0  # strength of the variation of the second test set


COLUMNS = ["image AUROC", "pixel AUROC", "CRD above the best residual"]


def aurocs(detector: RcAEDetector, images, labels, masks) -> list[float]:
    """Image and pixel AUROC at the working size, and CRD's lead; images (n, 3, H, W)."""
    found = detector.predict(images)
    image = roc_auc_score(labels, found.score)
    pixel = roc_auc_score(masks.flatten().numpy(), found.anomaly_map.flatten().numpy())
    residuals = [smooth(detector.trajectory(part).residuals) for part in images.split(4)]
    scores = torch.cat(residuals).flatten(2).amax(dim=2)  # (n, N)
    best = max(roc_auc_score(labels, scores[:, depth]) for depth in range(scores.shape[1]))
    return [100 * image, 100 * pixel, 100 * (image - best)]


def harder(images: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Vary each image; its mask takes part in the shift, because the same numbers are drawn."""
    pictures, moved = [], []
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        varied = vary(image[None], generator_for(0, "harder", number), strength=HARDER)
        plane = mask.float().expand(3, -1, -1)[None]
        shifted = vary(plane, generator_for(0, "harder", number), strength=HARDER)
        pictures.append(varied)
        moved.append(shifted[:, 0] > 0.25 * shifted.max().clamp_min(0.1))
    return torch.cat(pictures), torch.cat(moved)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="options")
    args = parser.parse_args()
    config = get_config(args.preset, **parse_options(args.options))
    words = f"--preset {args.preset} --seed {args.seed}"
    if args.options:
        words += f" --set {' '.join(args.options)}"
    print(
        f"# Synthetic categories\n\n`python benchmarks/validate.py {words}`, code "
        f"`{code_version()}`, CPU, {torch.get_num_threads()} threads.\n"
    )
    head = ["category", *COLUMNS, *(f"{column}, harder" for column in COLUMNS)]
    print("\n".join(markdown_table(head, [])))
    rows = []
    for name in CATEGORIES:
        category = open_category("synthetic", name, size=config.size)
        detector = RcAEDetector(config, args.seed, "cpu").fit(category.train, listeners=[])
        images, labels = category.test.images() / 255, category.test.labels
        masks = torch.stack(
            [category.test[i].mask.as_subclass(torch.Tensor) for i in range(len(labels))]
        )
        rows.append(aurocs(detector, images, labels, masks))
        moved_images, moved_masks = harder(images, masks)
        rows[-1] += aurocs(detector, moved_images, labels, moved_masks)
        print(line(name, rows[-1]), flush=True)
    print(line("mean", [mean(column) for column in zip(*rows, strict=True)]))


def line(name: str, values: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |"


if __name__ == "__main__":
    main()
