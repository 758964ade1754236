"""Predict on files: scores as CSV, heat maps as PNG, raw maps as float32 TIFF at native size."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image

from data_utils import KitError
from data_utils.images import read_image
from data_utils.listing import list_images
from data_utils.samples import to_working_size
from rcae_lite.base import Detector
from rcae_lite.evaluation.scoring import to_native
from rcae_lite.evaluation.thresholds import p_values
from rcae_lite.model.outputs import Detection, concatenate
from rcae_lite.plotting.pictures import overlay
from rcae_lite.storage.atomic import require_empty_folder, whole_folder, write_text

__all__ = ["find_images", "predict_files", "working_image"]


def find_images(sources: Iterable[str | Path]) -> list[tuple[Path, str]]:
    """Find the images behind files and folders.

    Parameters
    ----------
    sources : iterable of path
        Images, or folders that are searched through.

    Returns
    -------
    list of (path, name)
        ``name`` is unique and says where the results of this image go. It has the extension of the
        image only where two images differ in nothing else.

    Raises
    ------
    KitError
        If a source does not exist, a folder has no image, or two images would share a name.
    """
    relative: list[tuple[Path, Path]] = []
    for source in map(Path, sources):
        if not source.exists():
            raise KitError(f"{source} does not exist; name an image or a folder of images")
        paths = [source] if source.is_file() else list_images(source, recursive=True)
        if not paths:
            raise KitError(f"{source} holds no image; name an image or a folder of images")
        relative += [
            (path, path.relative_to(source) if source.is_dir() else Path(path.name))
            for path in paths
        ]
    stems = Counter(place.with_suffix("") for _, place in relative)
    found: dict[str, Path] = {}
    for path, place in relative:
        stem = place.with_suffix("")
        name = (place if stems[stem] > 1 else stem).as_posix()
        if name in found:
            raise KitError(
                f"{path} and {found[name]} would both be called {name!r}; "
                "predict them into two folders"
            )
        found[name] = path
    return [(path, name) for name, path in found.items()]


def predict_files(
    detector: Detector, sources: Sequence[str | Path], out: str | Path, *, batch_size: int = 8
) -> int:
    """Predict images and write ``scores.csv``, ``NAME.png`` and ``NAME.tiff``, all or nothing.

    The PNG shows the anomaly map over the image, from 0 to twice the threshold in every one; the
    TIFF holds the raw map in float32 at the image's own size. ``p_value`` in the table is the
    conformal p-value of the score, see `rcae_lite.evaluation.thresholds.p_values`.

    Parameters
    ----------
    detector : Detector
        Trained.
    sources : sequence of path
        Images, or folders of images.
    out : path
        A new or empty folder.
    batch_size : int
        Images that are read and go through the networks at a time.

    Returns
    -------
    int
        Number of images.

    Raises
    ------
    KitError
        If the detector is untrained, an image cannot be read, before anything is written, or
        ``out`` is not empty.
    """
    limit, out = detector.require_threshold().value, Path(out)
    found = find_images(sources)
    require_empty_folder(out)
    parts = []
    for start in range(0, len(found), batch_size):
        paths = [path for path, _ in found[start : start + batch_size]]
        images = torch.stack([working_image(path, detector.config.size) for path in paths])
        parts.append(detector.predict(images))
    detection = concatenate(parts)
    limits = (0.0, 2 * limit)  # of the detector, not of these images: a good part stays dark
    surprise = p_values(detector.calibration_scores, detection.score.numpy())
    with whole_folder(out) as place:
        for (path, name), anomaly_map in zip(found, detection.anomaly_map, strict=True):
            _write_map(place / name, read_image(path), anomaly_map, limits)
        names = [name for _, name in found]
        _write_scores(place / "scores.csv", names, detection, limit, surprise)
    return len(found)


def _write_map(
    target: Path, image: np.ndarray, anomaly_map: torch.Tensor, limits: tuple[float, float]
) -> None:
    native = to_native(anomaly_map, image.shape[:2])
    target.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(f"{target}.tiff", native)
    Image.fromarray(overlay(image, native, *limits)).save(f"{target}.png")


def working_image(path: Path, side: int) -> torch.Tensor:
    """Read an image as the training saw its images: squashed to the working square, in [0, 1]."""
    return to_working_size(read_image(path), side) / 255


def _write_scores(
    path: Path, names: list[str], detection: Detection, limit: float, surprise: np.ndarray
) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "score", "threshold", "defective", "p_value"])
    for name, score, label, p in zip(
        names, detection.score, detection.label, surprise, strict=True
    ):
        table.writerow([name, f"{score:.9g}", f"{limit:.9g}", int(label), f"{p:.6g}"])
    write_text(path, text.getvalue())
