"""Does the threshold keep its promise? 200 random splits of the scores of a trained detector.

    python benchmarks/conformal.py DETECTOR_FOLDER > results/conformal-NAME.json

The folder holds a detector trained on a built-in synthetic category, of which there are as many
normal images as one wants: new ones are drawn, with a seed that no training uses. Every split sets
the threshold on n of the scores and counts false alarms among the others.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from data_utils import synthetic
from data_utils.samples import to_working_size
from rcae_lite import RcAEDetector
from rcae_lite.evaluation.thresholds import conformal_threshold, p_values
from rcae_lite.storage.provenance import code_version

IMAGES, SPLITS, SEED = 240, 200, 20260101


def fresh_scores(detector: RcAEDetector, images: int) -> np.ndarray:
    """Scores of normal images that the detector has never seen."""
    scores = []
    for index in range(images):
        image, _, _ = synthetic.render(detector.trained["category"], "train", index, seed=SEED)
        image = to_working_size(image, detector.config.size) / 255
        scores.append(detector.predict(image.unsqueeze(0)).score.item())
    return np.array(scores)


def rates(scores: np.ndarray, held_out: int, rate: float | None, splits: int) -> dict:
    """Bound and achieved rates over random splits, and how often a p-value is at most the bound."""
    rng = np.random.default_rng(0)
    achieved, small = [], []
    for _ in range(splits):
        order = rng.permutation(scores)
        threshold = conformal_threshold(order[:held_out], rate)
        achieved.append(np.mean(order[held_out:] > threshold.value))
        p = p_values(order[:held_out], order[held_out:])
        small.append(np.mean(p <= threshold.false_alarm_rate + 1e-12))
    low, high = np.percentile(achieved, [2.5, 97.5])
    return {
        "held_out": held_out,
        "bound": threshold.false_alarm_rate,
        "mean_achieved": float(np.mean(achieved)),
        "standard_error": float(np.std(achieved, ddof=1) / splits**0.5),
        "middle_95_percent": [float(low), float(high)],
        "mean_share_of_small_p_values": float(np.mean(small)),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    detector = RcAEDetector.load(folder, device="cpu")
    scores = fresh_scores(detector, IMAGES)
    cases = [(19, None), (39, None), (99, None), (99, 0.01), (199, 0.2)]
    values = {
        "detector": f"{detector.config.preset}, {detector.trained['category']}, "
        f"seed {detector.seed}",
        "code": code_version(),
        "images": IMAGES,
        "splits": SPLITS,
        "rates": [rates(scores, *case, SPLITS) for case in cases],
    }
    print(json.dumps(values, indent=1))


if __name__ == "__main__":
    main()
