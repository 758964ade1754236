"""Images per second of `predict_files` against a plain loop: decode one, predict one.

    python benchmarks/predict_speed.py [--images 48] [--megapixels 20] [--preset lite]

Writes photographs as JPEG into a temporary folder and scores them in turns, by the loop and by
`predict_files`, both without heat maps, in one process on two cores. The detector is of the preset
and untrained, which computes as long as a trained one. Exit code 1 if the scores differ or if the
median is not at least 1.3 times the loop's.
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from setting import command

from data_utils import synthetic
from rcae_lite import RcAEDetector
from rcae_lite.commands.prediction import find_images, predict_files, working_image
from rcae_lite.evaluation.thresholds import Threshold
from rcae_lite.storage.provenance import code_version

TARGET = 1.3  # times as many images per second
TOLERANCE = 1e-4  # of the scores, relative: other batches are summed up in another order


def write(folder: Path, images: int, megapixels: float) -> None:
    """Write parts that differ, with the noise of a camera, in the proportions 4:3."""
    folder.mkdir()
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    for number in range(images):
        part = synthetic.draw("washer", "test", number, size=256, defect="good").image
        picture = Image.fromarray(part).resize((round(height * 4 / 3), height))
        noise = np.random.default_rng(number).normal(0, 2, picture.size[::-1])
        noisy = (np.asarray(picture) + noise[..., None]).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:03}.jpg", quality=90)


def plain(detector: RcAEDetector, folder: Path) -> list[float]:
    """Score the images one after the other."""
    return [
        detector.predict(working_image(path, detector)[None]).score.item()
        for path, _ in find_images([folder])
    ]


def kit(detector: RcAEDetector, folder: Path) -> list[float]:
    """Score the images with `predict_files`."""
    with tempfile.TemporaryDirectory() as out:
        predict_files(detector, [folder], out, maps="none")
        with open(Path(out) / "scores.csv", encoding="utf-8", newline="") as file:
            return [float(row["score"]) for row in csv.DictReader(file)]


def measure(args: argparse.Namespace) -> int:
    """Print a line per turn and the ratio of the medians; 1 if the target is missed."""
    detector = RcAEDetector.from_preset(args.preset, device=args.device)
    detector.threshold, detector.calibration_scores = Threshold(1.0, 0.5), [1.0]
    speeds: dict[str, list[float]] = {"plain loop": [], "predict_files": []}
    scores = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        write(folder, args.images, args.megapixels)
        plain(detector, folder)  # the files are in memory, the networks warm
        for _ in range(args.turns):
            for name, function in (("plain loop", plain), ("predict_files", kit)):
                start = time.perf_counter()
                scores[name] = np.array(function(detector, folder))
                speeds[name].append(args.images / (time.perf_counter() - start))
    looped, ours = scores.values()
    difference = float(np.max(np.abs(ours - looped) / np.abs(looped)))
    ratio = median(speeds["predict_files"]) / median(speeds["plain loop"])
    print(
        f"`{command()}`: {args.images} JPEG images of {args.megapixels:g} megapixels, preset "
        f"{args.preset} on {detector.device}, {torch.get_num_threads()} threads, load of the "
        f"machine {os.getloadavg()[0]:.1f}, code `{code_version()}`"
    )
    for name, found in speeds.items():
        turns = ", ".join(f"{speed:.2f}" for speed in found)
        print(f"{name}: {median(found):.2f} images per second ({turns})")
    print(f"ratio {ratio:.2f}, target {TARGET}; scores differ by {difference:.1e} at most")
    return int(ratio < TARGET or not difference <= TOLERANCE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--megapixels", type=float, default=20)
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=3)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    sys.exit(measure(parser.parse_args()))
