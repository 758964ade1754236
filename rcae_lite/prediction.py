"""Predict on files: scores as CSV, heat maps as PNG, raw maps as float32 TIFF at native size."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image
from torchvision.transforms.v2.functional import resize

from data_utils import KitError
from data_utils.images import read_image
from rcae_lite.checkpoint import write_text
from rcae_lite.detector import Detector
from rcae_lite.evaluation import to_native
from rcae_lite.plotting import overlay

__all__ = ["find_images", "predict_files"]


def find_images(sources: Iterable[str | Path]) -> list[tuple[Path, str]]:
    """Find the images behind files and folders.

    Parameters
    ----------
    sources : iterable of path
        Images, or folders that are searched through.

    Returns
    -------
    list of (path, name)
        ``name`` has no extension and is unique; it says where the results of this image go.

    Raises
    ------
    KitError
        If a source does not exist, a folder has no image, or two images would share a name.
    """
    found: dict[str, Path] = {}
    for source in map(Path, sources):
        if not source.exists():
            raise KitError(f"{source} does not exist; name an image or a folder of images")
        paths = [source] if source.is_file() else list_images(source)
        if not paths:
            raise KitError(f"{source} holds no image; name an image or a folder of images")
        for path in paths:
            relative = path.relative_to(source) if source.is_dir() else Path(path.name)
            name = relative.with_suffix("").as_posix()
            if name in found:
                raise KitError(f"{path} and {found[name]} would both be called {name!r}; "
                               "predict them into two folders")
            found[name] = path
    return [(path, name) for name, path in found.items()]


def predict_files(
    detector: Detector, sources: Sequence[str | Path], out: str | Path, *, batch_size: int = 8
) -> int:
    """Predict images and write ``scores.csv``, ``NAME.png`` and ``NAME.tiff``.

    The PNG shows the anomaly map over the image, all of them on one scale; the TIFF holds the raw
    map in float32 at the image's own size.

    Parameters
    ----------
    detector : Detector
        Trained.
    sources : sequence of path
        Images, or folders of images.
    out : path
        A new or empty folder.
    batch_size : int
        Images that go through the networks at a time.

    Returns
    -------
    int
        Number of images.
    """
    found = find_images(sources)
    out = Path(out)
    claim_folder(out)
    side = detector.config.size
    maps, scores, labels = [], [], []
    for start in range(0, len(found), batch_size):
        images = [_working_image(path, side) for path, _ in found[start : start + batch_size]]
        detection = detector.predict(torch.stack(images))
        maps.append(detection.anomaly_map)
        scores += detection.score.tolist()
        labels += detection.label.tolist()
    raw = torch.cat(maps)
    low, high = colour_limits(raw.numpy())
    for (path, name), anomaly_map in zip(found, raw, strict=True):
        image = read_image(path)
        native = to_native(anomaly_map, image.shape[:2])
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(f"{target}.tiff", native)
        Image.fromarray(overlay(image, native, low, high)).save(f"{target}.png")
    _write_scores(out / "scores.csv", found, scores, labels, detector)
    return len(found)


def _working_image(path: Path, side: int) -> torch.Tensor:
    """Read an image as the training saw its images: squashed to the working square, in [0, 1]."""
    image = torch.from_numpy(read_image(path)).permute(2, 0, 1)  # (3, h, w) uint8
    return resize(image, [side, side], antialias=True) / 255
