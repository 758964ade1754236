"""Our metrics against code we did not write, on 1,000 random cases.

::

    python benchmarks/metrics_crosscheck.py > results/metrics_crosscheck.txt

References: scikit-learn, torchmetrics, and anomalib's AUPRO. anomalib pins other packages, so it is
no dependency; it goes into an environment of its own that also sees the kit::

    python -m venv other && other/bin/pip install anomalib -e .

What is not importable is left out, and said so. A case is one to four maps of random size with
random defects: half of the cases have many ties, in some an image has no defect.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from rcae_lite.evaluation.curves import area_under_pro, pixel_curve
from rcae_lite.evaluation.metrics import image_auroc, image_f1_max

CASES = 1000

Maps = Sequence[np.ndarray]
Metric = Callable[[Maps, Maps], float]


def cases(count: int = CASES) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Yield maps (h, w) float32 in [0, 1] and masks (h, w) bool with both kinds of pixels."""
    for number in range(count):
        rng = np.random.default_rng(number)
        size = rng.integers(8, 40, 2)
        maps, masks = [], []
        for image in range(rng.integers(1, 5)):
            noise = ndimage.gaussian_filter(rng.standard_normal(size), rng.uniform(0.5, 3))
            mask = noise > np.quantile(noise, rng.uniform(0.7, 0.99))
            mask &= bool(image == 0 or rng.random() < 0.7)  # some images are good
            scores = rng.random(size) + rng.uniform(0, 1) * mask
            scores = scores / 2
            if number % 2:
                scores = np.round(scores * rng.integers(2, 20)) / 20
            maps.append(scores.astype(np.float32))
            masks.append(mask)
        yield maps, masks


def flat(maps: Maps, masks: Maps) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([m.ravel() for m in masks]), np.concatenate([m.ravel() for m in maps])


def tensors(maps: Maps, masks: Maps) -> tuple[torch.Tensor, torch.Tensor]:
    truth, scores = flat(maps, masks)
    return torch.from_numpy(scores).double(), torch.from_numpy(truth).int()


def our_auroc(maps: Maps, masks: Maps) -> float:
    fpr, tpr = pixel_curve(maps, masks).roc()
    return float(np.trapezoid(tpr, fpr))


def our_ap(maps: Maps, masks: Maps) -> float:
    return pixel_curve(maps, masks).average_precision()


def our_au_pro(maps: Maps, masks: Maps) -> float:
    return area_under_pro(*pixel_curve(maps, masks).pro())


def sklearn_f1_max(maps: Maps, masks: Maps) -> float:
    precision, recall, _ = precision_recall_curve(*flat(maps, masks))
    with np.errstate(invalid="ignore"):  # 0 / 0 where nothing is called defective
        return float(np.nanmax(2 * precision * recall / (precision + recall)))


def torchmetrics_f1_max(maps: Maps, masks: Maps) -> float:
    from torchmetrics.functional.classification import binary_precision_recall_curve

    precision, recall, _ = binary_precision_recall_curve(*tensors(maps, masks))
    return float(torch.nan_to_num(2 * precision * recall / (precision + recall)).max())


def torchmetrics_auroc(maps: Maps, masks: Maps) -> float:
    from torchmetrics.functional.classification import binary_auroc

    return float(binary_auroc(*tensors(maps, masks)))


def torchmetrics_ap(maps: Maps, masks: Maps) -> float:
    from torchmetrics.functional.classification import binary_average_precision

    return float(binary_average_precision(*tensors(maps, masks)))


def anomalib_au_pro(maps: Maps, masks: Maps) -> float:
    from anomalib.metrics.aupro import _AUPRO  # the metric itself; AUPRO only picks its inputs

    metric = _AUPRO(fpr_limit=0.3)
    metric.update(torch.from_numpy(np.stack(maps)), torch.from_numpy(np.stack(masks)).int())
    return float(metric.compute())


# name, ours, the other one, the package it comes from
COMPARISONS: list[tuple[str, Metric, Metric, str]] = [
    ("AUROC", our_auroc, lambda m, k: float(roc_auc_score(*flat(m, k))), "scikit-learn"),
    ("AP", our_ap, lambda m, k: float(average_precision_score(*flat(m, k))), "scikit-learn"),
    ("F1-max", lambda m, k: image_f1_max(*flat(m, k)), sklearn_f1_max, "scikit-learn"),
    ("AUROC", our_auroc, torchmetrics_auroc, "torchmetrics"),
    ("image AUROC", lambda m, k: image_auroc(*flat(m, k)), torchmetrics_auroc, "torchmetrics"),
    ("AP", our_ap, torchmetrics_ap, "torchmetrics"),
    ("F1-max", lambda m, k: image_f1_max(*flat(m, k)), torchmetrics_f1_max, "torchmetrics"),
    ("AU-PRO", our_au_pro, anomalib_au_pro, "anomalib"),
]


def available(package: str) -> str | None:
    """Version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def differences(ours: Metric, theirs: Metric, count: int = CASES) -> np.ndarray:
    """Absolute difference in each case: (count,)."""
    return np.array([abs(ours(*case) - theirs(*case)) for case in cases(count)])


def main() -> None:
    print(
        f"python benchmarks/metrics_crosscheck.py\n\n{CASES} random cases; absolute differences\n"
    )
    print(f"{'metric':<14}{'reference':<24}{'median':>10}{'99%':>10}{'largest':>10}")
    for name, ours, theirs, package in COMPARISONS:
        version = available(package)
        if version is None:
            print(f"{name:<14}{package:<24}  not installed here")
            continue
        found = differences(ours, theirs)
        row = [np.median(found), np.quantile(found, 0.99), found.max()]
        print(f"{name:<14}{package + ' ' + version:<24}" + "".join(f"{v:>10.1e}" for v in row))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
