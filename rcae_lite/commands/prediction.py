"""Predict on files: scores as CSV, heat maps as PNG, raw maps as float32 TIFF."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import tifffile
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from data_utils import KitError
from data_utils.errors import DataError, printable
from data_utils.images import read_image, used_bits
from data_utils.listing import list_files, notes
from data_utils.samples import to_working_size, whole_number
from rcae_lite.base import Detector
from rcae_lite.commands.score_table import (
    RECORD,
    Maps,
    Predictions,
    Row,
    fingerprint,
    finished_rows,
    new_row,
    open_table,
    require_same,
)
from rcae_lite.evaluation.scoring import to_native
from rcae_lite.evaluation.thresholds import conformal_threshold, p_values
from rcae_lite.plotting.pictures import overlay
from rcae_lite.storage.atomic import locked
from rcae_lite.storage.records import write_record

__all__ = ["Predicted", "find_images", "predict_files", "working_image"]

_READERS = 4  # threads at most: each holds an image at its native size
_ROWS = 256  # of a heat map that are drawn at a time
_SHOW_PROGRESS_AFTER = 2.0  # seconds


class Predicted(NamedTuple):
    """What `predict_files` did.

    Parameters
    ----------
    images : int
        Number of images.
    before : int
        How many of them an earlier call had scored.
    errors : list of str
        What was wrong with those that have no score.
    """

    images: int
    before: int
    errors: list[str]


class _Read(NamedTuple):
    """An image at the working size, (3, H, W) uint8, its native height and width, its bits.

    The bits are those of its 16-bit greyscale values, None of other images.
    """

    image: Tensor
    size: tuple[int, int]
    bits: int | None


class _Task(NamedTuple):
    """An image that is read in another thread, and its row so far."""

    path: Path
    name: str
    row: Row
    reading: Future[_Read]


def find_images(sources: str | Path | Iterable[str | Path]) -> list[tuple[Path, str]]:
    """Find the images behind files and folders.

    Heat maps that `predict_files` wrote into a folder are skipped, and a line on stderr says so.

    Parameters
    ----------
    sources : path, or iterable of path
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
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    if not given:
        raise KitError("there is nothing to predict; name an image or a folder of images")
    for source in map(Path, given):
        if not source.exists():
            raise KitError(f"{source} does not exist; name an image or a folder of images")
        paths = [source] if source.is_file() else _foreign_images(source)
        if not paths:
            raise KitError(f"{source} holds no image; name an image or a folder of images")
        relative += [
            (path, path.relative_to(source) if source.is_dir() else Path(path.name))
            for path in paths
        ]
    stems = Counter(place.with_suffix("") for _, place in dict.fromkeys(relative))
    found: dict[str, Path] = {}
    for path, place in relative:
        stem = place.with_suffix("")
        name = (place if stems[stem] > 1 else stem).as_posix()
        if name in found and found[name].samefile(path):
            continue  # named twice, or in a folder that is named, too
        if name in found:
            raise KitError(
                f"{path} and {found[name]} would both be called {name!r}; "
                "predict them into two folders"
            )
        found[name] = path
    return [(path, name) for name, path in found.items()]


def _foreign_images(folder: Path) -> list[Path]:
    """List the images below a folder that are no heat maps of the kit; say what is left out."""
    found, left_out = list_files(folder, recursive=True)
    real = {path: Path(os.path.realpath(path)).parent for path in found}
    written = {place for place in set(real.values()) if _is_written_to(place)}
    foreign = [path for path in found if real[path] not in written]
    if len(foreign) < len(found):
        heat_maps = [path for path in found if real[path] in written]
        left_out = {"heat map of rcae predict": heat_maps, **left_out}
    for line in notes(left_out, folder):
        print(printable(line), file=sys.stderr)
    return foreign


def _is_written_to(folder: Path) -> bool:
    """Tell whether a folder is one that `predict_files` writes to, or lies in one."""
    return any((place / RECORD).exists() for place in (folder, *folder.parents))


def predict_files(
    detector: Detector,
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    maps: Maps = "working",
    false_alarm_rate: float | None = None,
    batch_size: int = 8,
) -> Predicted:
    """Predict images and write ``scores.csv``, ``NAME.png`` and ``NAME.tiff``.

    The PNG shows the anomaly map over the image, from 0 to twice the threshold in every one; the
    TIFF holds the raw map in float32. ``p_value`` in the table is the conformal p-value of the
    score, see `rcae_lite.evaluation.thresholds.p_values`.

    An image that cannot be read has its error in its row, and the others are scored. A row is
    written once its maps are, so a call that was stopped can be repeated: it goes on with the
    images that have no score yet, or whose file has another size or time since.

    Parameters
    ----------
    detector : Detector
        Trained.
    sources : path, or sequence of path
        Images, or folders of images.
    out : path
        A new or empty folder, or one of an earlier call with the same detector and options.
    maps : {"working", "full", "none"}
        The TIFF has the detector's working size, the PNG its longer side; or both have the native
        size of the image; or there are none.
    false_alarm_rate : float, optional
        Compute the threshold anew for this rate, see
        `rcae_lite.evaluation.thresholds.conformal_threshold`; by default it is the detector's.
    batch_size : int
        Images that are read and go through the networks at a time; the next batch is read
        meanwhile.

    Returns
    -------
    Predicted

    Raises
    ------
    KitError
        If the detector is untrained or cannot give the rate, a source holds no image, or ``out``
        holds something else.
    """
    if maps not in get_args(Maps):
        raise KitError(f"maps={maps!r} is unknown; choose from {', '.join(get_args(Maps))}")
    batch_size = whole_number("batch_size", batch_size, usual=8)
    threshold = detector.require_threshold()
    if false_alarm_rate is not None:
        threshold = conformal_threshold(detector.calibration_scores, false_alarm_rate)
    common = Predictions(
        detector=fingerprint(detector), false_alarm_rate=threshold.false_alarm_rate, maps=maps
    )
    found, out = find_images(sources), Path(out)
    require_same(out, common)
    errors: list[str] = []
    depths: set[int] = set()
    with locked(out):
        require_same(out, common)  # another call may have come and gone meanwhile
        write_record(out / RECORD, common)
        rows = [new_row(path, name) for path, name in found]
        kept = finished_rows(out / "scores.csv", rows)
        done = {row["image"] for row in kept}
        everything = zip(found, rows, strict=True)
        todo = [(*image, row) for image, row in everything if row["image"] not in done]
        progress = {"desc": "predicting", "unit": "image", "delay": _SHOW_PROGRESS_AFTER}
        with (
            open_table(out / "scores.csv", kept) as append,
            tqdm(total=len(found), initial=len(found) - len(todo), **progress) as bar,
        ):
            for batch in _read_ahead(todo, detector.config.size, detector.bits, batch_size):
                made = _score(detector, batch, threshold.value, maps, out)
                append(made)
                errors += [row["error"] for row in made if "error" in row]
                depths |= _depths(batch)
                bar.update(len(batch))
    if depths and max(depths) < detector.bits:
        print(
            f"all 16-bit greyscale images have values of {max(depths)} bits or fewer; they are "
            f"read with the {detector.bits} of the detector's training, so they look darker to it",
            file=sys.stderr,
        )
    return Predicted(len(found), len(found) - len(todo), errors)


def _read_ahead(
    todo: Sequence[tuple[Path, str, Row]], side: int, bits: int, batch_size: int
) -> Iterator[list[_Task]]:
    """Yield batches in order; while one is in use the next is read, and no more than that."""
    pool = ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1))
    batches: deque[list[_Task]] = deque()
    try:
        for start in range(0, len(todo), batch_size):
            part = todo[start : start + batch_size]
            batches.append(
                [_Task(*image, pool.submit(_read, image[0], side, bits)) for image in part]
            )
            if len(batches) > 1:
                yield batches.popleft()
        yield from batches
    finally:
        pool.shutdown(cancel_futures=True)


def _score(
    detector: Detector, batch: Sequence[_Task], limit: float, maps: Maps, out: Path
) -> list[Row]:
    """Fill in the rows of a batch and write its maps."""
    read: list[tuple[_Task, _Read]] = []
    for task in batch:
        try:
            read.append((task, task.reading.result()))
        except DataError as error:
            task.row["error"] = str(error)
    if read:
        detection = detector.predict(torch.stack([photo.image for _, photo in read]) / 255)
        scores = detection.score.tolist()
        surprise = p_values(detector.calibration_scores, scores)
        for (task, photo), anomaly_map, score, p in zip(
            read, detection.anomaly_map, scores, surprise, strict=True
        ):
            try:
                if maps != "none":
                    full = maps == "full"
                    full_size = read_image(task.path, bits=detector.bits) if full else None
                    _write_maps(out / task.name, photo, full_size, anomaly_map, limit)
            except DataError as error:  # the file has changed meanwhile
                task.row["error"] = str(error)
                continue
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                task.row["error"] = f"{task.path}: its map's name would be too long; rename it"
                continue
            task.row.update(
                score=f"{score:.9g}",
                threshold=f"{limit:.9g}",
                defective=str(int(score > limit)),
                p_value=f"{p:.6g}",
            )
    return [task.row for task in batch]


def _depths(batch: Sequence[_Task]) -> set[int]:
    """Return how many bits the 16-bit greyscale images of a batch use."""
    read = [task.reading.result() for task in batch if task.reading.exception() is None]
    return {photo.bits for photo in read if photo.bits is not None}


def _write_maps(
    target: Path, photo: _Read, full_size: np.ndarray | None, anomaly_map: Tensor, limit: float
) -> None:
    """Write both maps: over the photograph at its full size, or else over what the network saw."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if full_size is not None:
        values = to_native(anomaly_map, full_size.shape[:2])  # (h, w)
        picture = _heat_map(full_size, values, limit)
    else:
        values = anomaly_map.numpy()  # (H, W)
        picture = _heat_map(photo.image.permute(1, 2, 0).numpy(), values, limit)
        scale = max(picture.size) / max(photo.size)  # back to the photograph's proportions
        height, width = (max(1, round(length * scale)) for length in photo.size)
        picture = picture.resize((width, height))
    tifffile.imwrite(f"{target}.tiff", values, compression="zlib")
    picture.save(f"{target}.png", compress_level=1)  # a photograph gets little smaller with more


def _heat_map(image: np.ndarray, anomaly_map: np.ndarray, limit: float) -> Image.Image:
    """Draw in strips, because the colours of a whole photograph are many times its bytes.

    The scale is the detector's and not that of these images: a good part stays dark.
    """
    tops = range(0, len(image), _ROWS)
    strips = [(image[top : top + _ROWS], anomaly_map[top : top + _ROWS]) for top in tops]
    return Image.fromarray(np.concatenate([overlay(*strip, 0, 2 * limit) for strip in strips]))


def working_image(path: Path, detector: Detector) -> Tensor:
    """Read an image as the training saw its images: squashed to the working square, in [0, 1]."""
    return _read(path, detector.config.size, detector.bits).image / 255


def _read(path: Path, side: int, bits: int) -> _Read:
    image = read_image(path, bits=bits)
    size = image.shape[0], image.shape[1]
    return _Read(to_working_size(image, side), size, used_bits(path))
