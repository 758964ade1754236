"""Compare ways to turn a trained detector's outputs into a map, on its own test set.

    python benchmarks/score_rules.py RUN results/score_rules-CATEGORY.md

A study of the test set, not a way to choose on it: the rule in the library is the same everywhere.
"""

import sys
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from data_utils import open_category
from rcae_lite.commands.run_record import load_run
from rcae_lite.evaluation.metrics import pixel_metrics
from rcae_lite.evaluation.protocol import native_pairs
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.storage.provenance import code_version


def maps_by_rule(detector, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return (n, H, W) maps for each rule; images (n, 3, H, W) in [0, 1]."""
    logits, z_scores, residual = [], [], []
    with torch.inference_mode():
        for part in images.split(4):
            trajectory = detector.trajectory(part)
            inputs = trajectory.images, trajectory.enhanced
            z_scores.append(detector.crd.z_scores(*inputs))
            logits.append(detector.crd(*inputs).squeeze(1))
            residual.append(trajectory.residuals)
    logit, z_score, residuals = torch.cat(logits), torch.cat(z_scores), torch.cat(residual)
    depth, colour = z_score[:, :-1].mean(dim=1), z_score[:, -1]
    weight = detector.config.crd.z_score_weight
    rules = {
        f"residual of depth {n + 1}": smooth(residuals[:, n]) for n in range(residuals.shape[1])
    }
    return rules | {
        "z-scores of the enhanced residual alone": smooth(depth),
        "z-scores of the colour alone": smooth(colour),
        "CRD logits, not smoothed": logit,
        "CRD logits, smoothed": smooth(logit),
        "CRD probability, smoothed": smooth(logit.sigmoid()),
        "CRD surprise, smoothed": smooth(F.softplus(logit)),
        "CRD + z-scores of the residual": smooth(F.softplus(logit + 0.25 * weight * depth)),
        "CRD + z-scores of the colour": smooth(F.softplus(logit + 0.75 * weight * colour)),
        "CRD + both (the library's)": detector.predict(images).anomaly_map,
    }


def write(run: str, target: str) -> None:
    description, detector = load_run(run, "cpu")
    size = detector.config.size
    test = open_category(description.data, description.category, size=size).test
    lines = [
        f"# Rules for the map: {description.category}, preset {detector.config.preset}, "
        f"seed {detector.seed}\n",
        f"`{description.command} && python benchmarks/score_rules.py {run} {target}`, "
        f"data {test.fingerprint[:12]}, code {code_version()}, CPU.\n",
        "| rule | image AUROC | pixel AUROC | pixel AP | AU-PRO |",
        "|---|---|---|---|---|",
    ]
    for rule, maps in maps_by_rule(detector, test.images() / 255).items():
        pixels = pixel_metrics(*native_pairs(test, maps), resamples=2)
        image = roc_auc_score(test.labels, maps.flatten(1).amax(dim=1))
        values = [image, *(found.value for found in pixels.values())]
        lines.append(f"| {rule} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(*sys.argv[1:])
