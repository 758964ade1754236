"""The result of an evaluation: values, scores per image, and where all of it comes from."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from data_utils.errors import KitError
from rcae_lite.config import DETECTOR_NAMES
from rcae_lite.evaluation.bootstrap import Interval, rate_interval
from rcae_lite.evaluation.restoration import Restoration
from rcae_lite.evaluation.thresholds import Threshold, p_values
from rcae_lite.storage.atomic import write_text
from rcae_lite.storage.records import (
    Count,
    Record,
    convert,
    convert_record,
    parse_json,
    read_json,
    to_json,
)

__all__ = ["Evaluation", "ImageResult", "METRICS", "Provenance", "write_scores"]
METRICS: dict[str, str] = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "au_pro": "AU-PRO (30% FPR)",
    "image_f1_max": "image F1-max (oracle)",
}

_DERIVED = {
    "test_false_positive_rate",
    "test_detection_rate",
    "test_false_alarms",
    "test_detections",
}


Point = Annotated[list[float], Meta(min_length=2, max_length=3)]


class Seconds(TypedDict):
    """Training time per stage, and the time for one image."""

    train: dict[str, float]
    inference_per_image: float


class ImageResult(Struct, frozen=True):
    """What was said about one test image.

    Parameters
    ----------
    path, defect, label
        As in `data_utils.Sample`.
    score : float
        Raw score.
    predicted : bool
        Score above the threshold.
    """

    path: str
    defect: str
    label: int
    score: float
    predicted: bool


class Provenance(Struct, frozen=True, kw_only=True):
    """Where a result comes from: enough to repeat it.

    Parameters
    ----------
    detector : str
        One of `rcae_lite.config.DETECTOR_NAMES`.
    category, preset : str
        What was trained on, and how.
    seed : int
        Of the training.
    resolution : tuple of int
        Working (H, W) in pixels.
    parameters : dict
        Per module, and ``total``.
    seconds : dict
        ``train`` per stage, and ``inference_per_image`` (batch 1, median).
    device, evaluated_on : str
        What it was trained on, and what the inference was timed on.
    threads : int
        CPU threads of the training.
    data_fingerprint : str
        sha256 of the data, see `data_utils.Category`.
    training_images, calibration_images, test_images : int
        How many.
    version, code_version, torch : str
        Of the kit, its git commit if known, and of PyTorch, at the evaluation.
    score_rule : str
        How a map becomes an image's score.
    command : str
        The command lines that made it.
    trained_with : str or None
        Git commit of the training, if known.
    """

    detector: Literal["single_pass", "rcae", "rcae_dpn", "full"]
    category: str
    preset: str
    seed: int
    resolution: tuple[int, int]
    parameters: dict[str, int]
    seconds: Seconds
    device: str
    evaluated_on: str
    threads: int
    data_fingerprint: str
    training_images: int
    calibration_images: int
    test_images: int
    version: str
    code_version: str | None
    torch: str
    score_rule: str
    command: str = ""
    trained_with: str | None = None


class Evaluation(Record, frozen=True, kw_only=True):
    """Everything that was measured on a test set.

    Parameters
    ----------
    metrics : dict of str to Interval or None
        The five of `METRICS`, in fractions of 1; None where the test set cannot give one.
    images : list of ImageResult
        In the order of the test set.
    calibration_scores : list of float
        Scores of the held-out normal images.
    threshold : Threshold
        From those scores.
    residual_auroc_by_depth : list of float or None
        Image AUROC of the plain residual ``|I - I_R^n|``, n = 1..N.
    curves : dict of str to list of [x, y]
        "roc" (images), "pixel_roc", "pro" and "pro_at_threshold" (one point), where defined.
    map_limits : tuple of float
        Median and 99.9% quantile of the raw maps of the test set: the scale of its heat maps.
    provenance : Provenance
        Where it comes from.
    restoration : dict of str to Restoration
        What the probe found after RcAE (or the single pass) and after DPN, by the names of
        `rcae_lite.config.DETECTOR_NAMES`; empty where it was not run.
    masks_used : tuple of int or None
        Defective test images with a mask, on which pixel metrics rest, and all of them; None in
        files of older versions.
    doctor : dict of str to int or None
        How many "errors" and "warnings" `rcae doctor` has of the data; None where it was not asked.
    """

    kind = "rcae-lite-evaluation"
    format_version = 2

    metrics: dict[str, Interval | None]
    images: list[ImageResult]
    calibration_scores: list[float]
    threshold: Threshold
    residual_auroc_by_depth: list[float | None]
    curves: dict[str, list[Point]]
    map_limits: tuple[float, float]
    provenance: Provenance
    restoration: dict[str, Restoration] = {}
    masks_used: tuple[Count, Count] | None = None
    doctor: dict[str, Count] | None = None

    @property
    def labels(self) -> np.ndarray:
        """0 normal, 1 defective: (M,)."""
        return np.array([image.label for image in self.images])

    @property
    def scores(self) -> np.ndarray:
        """Raw scores: (M,)."""
        return np.array([image.score for image in self.images])

    @property
    def p_values(self) -> np.ndarray:
        """Conformal p-values, see `rcae_lite.evaluation.thresholds.p_values`: (M,)."""
        return p_values(self.calibration_scores, self.scores)

    @property
    def false_alarms(self) -> Interval | None:
        """Share of the normal test images above the threshold; None if there are none."""
        return self._share_above(0)

    @property
    def detections(self) -> Interval | None:
        """Share of the defective test images above the threshold; None if there are none."""
        return self._share_above(1)

    @property
    def false_positive_rate(self) -> float | None:
        """Value of `false_alarms`."""
        return self.false_alarms.value if self.false_alarms else None

    @property
    def detection_rate(self) -> float | None:
        """Value of `detections`."""
        return self.detections.value if self.detections else None

    @property
    def about_data(self) -> str:
        """What to know of the data before believing a metric; "" where nothing was noted."""
        notes = []
        if self.masks_used and self.masks_used[1]:
            notes.append(f"masks used: {self.masks_used[0]} of {self.masks_used[1]}")
        notes += [f"doctor's {kind}: {count}" for kind, count in (self.doctor or {}).items()]
        return "; ".join(notes)

    def _share_above(self, label: int) -> Interval | None:
        chosen = [image.predicted for image in self.images if image.label == label]
        return rate_interval(sum(chosen), len(chosen)) if chosen else None

    def with_provenance(self, command: str, trained_with: str | None) -> Evaluation:
        """Return the same evaluation with the commands and the code version behind it."""
        provenance = replace(self.provenance, command=command, trained_with=trained_with)
        return replace(self, provenance=provenance)

    def summary(self) -> str:
        """Return a table for the terminal."""
        lines = []
        for name, title in METRICS.items():
            found = self.metrics[name]
            text = f"{found.value:.3f}  [{found.low:.3f}, {found.high:.3f}]" if found else "-"
            lines.append(f"  {title:<22} {text}")
        ladder = " ".join("-" if v is None else f"{v:.3f}" for v in self.residual_auroc_by_depth)
        lines.append(f"  {'residual by depth':<22} {ladder}")
        rates = [
            f"{100 * r.value:.1f}%  [{100 * r.low:.1f}%, {100 * r.high:.1f}%]" if r else "-"
            for r in (self.false_alarms, self.detections)
        ]
        lines += [
            f"  threshold {self.threshold.value:.4g} from {len(self.calibration_scores)} held-out "
            f"normal images: at most {100 * self.threshold.false_alarm_rate:.1f}% false alarms",
            f"  {'false alarms':<22} {rates[0]}",
            f"  {'defects found':<22} {rates[1]}",
        ]
        if self.about_data:
            lines.append(f"  {self.about_data}")
        for name, probed in self.restoration.items():
            shares = " ".join(f"{value:.2f}" for value in probed.copied_share)
            errors = " ".join(f"{value:.1f}" for value in probed.error)
            lines.append(f"  {DETECTOR_NAMES[name]}: copied share {shares}, error outside {errors}")
        rule = f"score: {self.provenance.score_rule}"
        lines += wrap(rule, 96, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: metrics and provenance flat, as ``evaluation.json`` holds them."""
        values = super().to_dict()
        alarms, found = self.false_alarms, self.detections
        metrics, provenance = values.pop("metrics"), values.pop("provenance")
        rates = {
            "test_false_positive_rate": self.false_positive_rate,
            "test_detection_rate": self.detection_rate,
            "test_false_alarms": alarms and msgspec.structs.asdict(alarms),
            "test_detections": found and msgspec.structs.asdict(found),
        }
        head = {name: values.pop(name) for name in ("kind", "format_version")}
        return head | metrics | provenance | rates | values

    def to_json(self) -> str:
        """Return one JSON object."""
        return to_json(self.to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the evaluation") -> Evaluation:
        """Rebuild an evaluation from `to_dict`.

        Raises
        ------
        KitError
            If these are not the values of an evaluation, or a field is missing or of another type.
        """
        nested = {name: value for name, value in values.items() if name not in _DERIVED}
        nested["metrics"] = {name: nested.pop(name, "missing") for name in METRICS}
        for name, value in nested["metrics"].items():  # a later error would not say which
            try:
                convert(value, Interval | None)
            except KitError as error:
                raise KitError(f"{source} is not complete: {name}: {error}") from None
        nested["provenance"] = {
            name: nested.pop(name) for name in Provenance.__struct_fields__ if name in nested
        }
        return convert_record(nested, cls, source)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Rebuild an evaluation from `to_json`; errors as `from_dict`."""
        return cls.from_dict(parse_json(text, "the evaluation"))

    def save(self, folder: str | Path) -> None:
        """Write ``evaluation.json`` and ``scores.csv``, each whole or not at all."""
        folder = Path(folder)
        write_text(folder / "evaluation.json", self.to_json())
        write_scores(folder / "scores.csv", self.images, self.p_values)

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """Read ``evaluation.json``; errors as `from_dict`, or if it is missing."""
        return cls.from_dict(read_json(Path(path)), str(path))


def write_scores(path: Path, images: list[ImageResult], p_values: np.ndarray) -> None:
    """Write a line per image: path, defect, label, score, predicted (1: above the threshold), p.

    Nine significant digits tell every two float32 scores apart: no ties appear that were not there.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*ImageResult.__struct_fields__, "p_value"])
    for image, p in zip(images, p_values, strict=True):
        score, predicted = f"{image.score:.9g}", int(image.predicted)
        table.writerow([image.path, image.defect, image.label, score, predicted, f"{p:.6g}"])
    write_text(path, text.getvalue())
