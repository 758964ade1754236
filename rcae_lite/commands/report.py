"""The report of a run: one self-contained HTML file that a colleague can read without this kit."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_utils.html import render
from rcae_lite import plotting
from rcae_lite.config import DETECTOR_NAMES
from rcae_lite.evaluation.restoration import Restoration
from rcae_lite.evaluation.results import METRICS, Evaluation, ImageResult
from rcae_lite.plotting.style import NotebookFigure
from rcae_lite.storage.atomic import write_text

__all__ = ["Example", "write_report"]


@dataclass(frozen=True)
class Example:
    """One test image with all that the detector makes of it.

    Parameters
    ----------
    path, defect, label, score
        As in `rcae_lite.evaluation.results.ImageResult`.
    image : np.ndarray
        (3, H, W) in [0, 1].
    mask : np.ndarray
        (H, W) bool.
    anomaly_map : np.ndarray
        Raw map, (H, W).
    reconstructions : np.ndarray
        (3, N, H, W).
    enhanced : np.ndarray or None
        (3, N, H, W).
    """

    path: str
    defect: str
    label: int
    score: float
    image: np.ndarray
    mask: np.ndarray
    anomaly_map: np.ndarray
    reconstructions: np.ndarray
    enhanced: np.ndarray | None


@dataclass(frozen=True)
class _Picture:
    data: str
    text: str
    caption: str


def _picture(drawn: Figure | Axes, text: str, caption: str = "") -> _Picture:
    """Render to a data URI; ``text`` is what a screen reader says."""
    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    assert isinstance(figure, NotebookFigure)
    data = base64.b64encode(figure.to_webp()).decode()
    return _Picture(f"data:image/webp;base64,{data}", text, caption)


def write_report(
    folder: str | Path,
    evaluation: Evaluation,
    *,
    examples: Sequence[Example],
    losses: Mapping[str, Sequence[tuple[int, float]]],
    limits: tuple[float, float],
    baseline: Evaluation | None = None,
) -> Path:
    """Write ``report.html``, whole or not at all.

    Parameters
    ----------
    folder : path
        The run's folder.
    evaluation : Evaluation
        What is reported.
    examples : sequence of Example
        Images to show.
    losses : mapping
        (step, loss) pairs by stage.
    limits : tuple of float
        Ends of the one colour scale of all heat maps, taken over the test set.
    baseline : Evaluation, optional
        Of the single-pass baseline, shown beside it.

    Returns
    -------
    Path
        The file.
    """
    page = render(
        "rcae_lite.commands",
        "report.html.j2",
        evaluation=evaluation,
        provenance=evaluation.provenance,
        baseline=baseline,
        metrics=METRICS,
        detectors=DETECTOR_NAMES,
        images=(ranked := _ranked(evaluation)),
        mistakes=_mistakes(ranked),
        restorations=_restorations(evaluation, baseline),
        plots=_plots(evaluation, baseline),
        overview=_overview(examples, evaluation, limits),
        strips=_strips(_one_of_each(examples), limits),
        losses=_picture(plotting.loss_curves(losses), "loss of each training stage over its steps")
        if losses
        else None,
    )
    path = Path(folder) / "report.html"
    write_text(path, page)
    return path


def _plots(evaluation: Evaluation, baseline: Evaluation | None) -> list[_Picture]:
    both = evaluation, baseline
    plots: list[tuple[bool, Callable[[], Axes], str, str]] = [
        (
            True,
            lambda: plotting.score_strip(evaluation),
            "histogram of the scores of normal and defective test images",
            "Scores of the test images. Good: the two colours apart, the threshold between them.",
        ),
        (
            "roc" in evaluation.curves,
            lambda: plotting.roc_curve(*both),
            "ROC curve over images",
            "Images: defects found against false alarms, over all thresholds. The dot is the "
            "threshold that is used.",
        ),
        (
            "pro" in evaluation.curves,
            lambda: plotting.pro_curve(*both),
            "per-region overlap over the false-positive rate of pixels",
            "Pixels: mean share of each true defect that is marked, against falsely marked "
            "normal pixels.",
        ),
        (
            bool(evaluation.restoration),
            lambda: plotting.restoration(_restorations(*both)),
            "copied share of painted defects over the error on structured pixels, by depth",
            "The probe: what is copied of painted defects, against what is lost of the part. "
            "Towards the lower left is better; numbers are depths.",
        ),
        (
            None not in evaluation.residual_auroc_by_depth,
            lambda: plotting.residual_ladder(*both),
            "image AUROC of the plain residual over the recursion depth",
            "The ladder: how well the plain residual of each depth ranks the images.",
        ),
    ]
    return [_picture(draw(), alt, caption) for shown, draw, alt, caption in plots if shown]


def _restorations(evaluation: Evaluation, baseline: Evaluation | None) -> dict[str, Restoration]:
    """Everything that was probed, by its name."""
    return (baseline.restoration if baseline else {}) | evaluation.restoration


def _overview(
    examples: Sequence[Example], evaluation: Evaluation, limits: tuple[float, float]
) -> list[_Picture]:
    """Heat maps of the examples on one scale, five to a row; the two extremes are named."""
    extremes = _extremes(evaluation)
    rows = [examples[start : start + 5] for start in range(0, len(examples), 5)]
    return [
        _picture(
            plotting.detections(
                [e.image for e in row],
                [e.anomaly_map for e in row],
                [e.mask for e in row],
                [f"{extremes.get(e.path, e.defect)}\nscore {e.score:.2f}" for e in row],
                limits,
            ),
            "test images with their true defects outlined, and their anomaly maps: "
            + ", ".join(e.path for e in row),
        )
        for row in rows
    ]


def _extremes(evaluation: Evaluation) -> dict[str, str]:
    """Name the hardest image of each class: the highest normal and the lowest defective score."""
    normal = [image for image in evaluation.images if not image.label]
    defective = [image for image in evaluation.images if image.label]
    named = {}
    if normal:
        named[max(normal, key=lambda i: i.score).path] = "highest normal"
    if defective:
        lowest = min(defective, key=lambda i: i.score)
        named[lowest.path] = f"lowest defective: {lowest.defect}"
    return named


def _strips(examples: Sequence[Example], limits: tuple[float, float]) -> list[_Picture]:
    """Draw the trajectories, their residuals on one scale."""
    residuals = [np.abs(e.image[:, None] - e.reconstructions).mean(axis=0) for e in examples]
    top = max((plotting.residual_limit(residual) for residual in residuals), default=0.0)
    return [_strip(example, limits, top) for example in examples]


def _strip(example: Example, limits: tuple[float, float], residual_top: float) -> _Picture:
    figure = plotting.trajectory_strip(
        example.image,
        example.reconstructions,
        example.enhanced,
        example.anomaly_map,
        limits=limits,
        residual_top=residual_top,
    )
    return _picture(
        figure,
        f"{example.path}: image, reconstructions of every depth and their residuals",
        f"{example.path} ({example.defect}), score {example.score:.2f}",
    )


def _one_of_each(examples: Sequence[Example]) -> list[Example]:
    """Return a normal example and at most two defective ones, for the trajectories."""
    normal = [e for e in examples if not e.label][:1]
    return normal + [e for e in examples if e.label][:2]


def _ranked(evaluation: Evaluation) -> list[tuple[ImageResult, float, str]]:
    """Every image with its p-value and, if it is on the wrong side, the mistake; highest first."""
    ranked = sorted(
        zip(evaluation.images, evaluation.p_values, strict=True), key=lambda pair: -pair[0].score
    )
    return [(image, float(p), _mistake(image)) for image, p in ranked]


def _mistake(image: ImageResult) -> str:
    if image.predicted == bool(image.label):
        return ""
    return "false alarm" if image.predicted else f"missed {image.defect}"


def _mistakes(
    ranked: Sequence[tuple[ImageResult, float, str]],
) -> list[tuple[ImageResult, float, str]]:
    """Pick the wrongly called images, the worst first, at most five of each kind."""
    alarms = [row for row in ranked if row[2] and row[0].predicted]
    missed = [row for row in ranked if row[2] and not row[0].predicted]
    return alarms[:5] + missed[::-1][:5]
