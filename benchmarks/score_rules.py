"""Compare ways to turn a trained detector's outputs into a map, on its own test set.

    python benchmarks/score_rules.py RUN results/score_rules-CATEGORY.md

A study of the test set, not a way to choose on it: the rule in the library is the same everywhere.
An image's score is the highest pixel of its map, or the mean of the k highest.
"""

import sys
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from rcae_lite.commands.run_record import load_run, open_data_of
from rcae_lite.evaluation.metrics import pixel_metrics
from rcae_lite.evaluation.protocol import native_pairs
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.storage.provenance import code_version

LIBRARY = "CRD + z-scores (the library's)"
HIGHEST = (16, 64)  # how many pixels are averaged
SIGMAS = (1, 2, 4, 6)  # pixels


def maps_by_rule(detector, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return (n, H, W) maps for each rule; images (n, 3, H, W) in [0, 1]."""
    surprises, logits, z_scores, residual = [], [], [], []
    with torch.inference_mode():
        for part in images.split(4):
            trajectory = detector.trajectory(part)
            z_scores.append(detector.crd.z_scores(part))
            surprises.append(detector.surprise(trajectory, z_scores[-1]))
            logits.append(detector.crd(trajectory.images, trajectory.enhanced).squeeze(1))
            residual.append(trajectory.residuals)
    surprise, logit, z_score, residuals = map(torch.cat, (surprises, logits, z_scores, residual))
    rules = {
        f"residual of depth {n + 1}": smooth(residuals[:, n]) for n in range(residuals.shape[1])
    }
    rules |= {
        f"CRD + z-scores, one Gaussian, sigma {sigma}": gaussian_blur(
            surprise, 6 * sigma + 1, sigma
        )
        for sigma in SIGMAS
    }
    return rules | {
        "squared z-scores alone": smooth(z_score[:, 0].square()),
        "CRD logits, not smoothed": logit,
        "CRD logits, smoothed": smooth(logit),
        "CRD probability, smoothed": smooth(logit.sigmoid()),
        "CRD surprise, smoothed": smooth(F.softplus(logit)),
        LIBRARY: smooth(surprise),
    }


def image_auroc(labels, maps: torch.Tensor, k: int) -> float:
    return roc_auc_score(labels, maps.flatten(1).topk(k, dim=1).values.mean(dim=1))


def write(run: str, target: str) -> None:
    description, detector = load_run(run, "cpu")
    test = open_data_of(description).test
    lines = [
        f"# Rules for the map: {description.category}, preset {detector.config.preset}, "
        f"seed {detector.seed}\n",
        f"`{description.command} && python benchmarks/score_rules.py {run} {target}`, "
        f"data {test.fingerprint[:12]}, code {code_version()}, CPU.\n",
        "| rule | image AUROC | pixel AUROC | pixel AP | AU-PRO |",
        "|---|---|---|---|---|",
    ]
    rules = maps_by_rule(detector, test.images() / 255)
    for rule, maps in rules.items():
        pixels = pixel_metrics(*native_pairs(test, maps), resamples=2)
        values = [image_auroc(test.labels, maps, 1), *(found.value for found in pixels.values())]
        lines.append(f"| {rule} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    for k in HIGHEST:
        image = image_auroc(test.labels, rules[LIBRARY], k)
        lines.append(f"| the same, mean of the {k} highest | {image:.3f} | | | |")
    Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(*sys.argv[1:])
