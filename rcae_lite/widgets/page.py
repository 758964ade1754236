"""The standalone page: the same modules and frames as the live widgets, in one HTML file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from data_utils import Category, ImageSet, KitError, open_category
from data_utils.html import render
from rcae_lite.base import Detector
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.commands.prediction import find_images, working_image
from rcae_lite.commands.run_record import RunRecord, load_detector
from rcae_lite.config import DETECTOR_NAMES
from rcae_lite.evaluation.results import Evaluation
from rcae_lite.storage.atomic import write_text
from rcae_lite.widgets.packing import module, pack_for_page, style
from rcae_lite.widgets.state.base import State, Tree
from rcae_lite.widgets.state.comparison import Compared, ComparisonState
from rcae_lite.widgets.state.explorer import ExplorerState
from rcae_lite.widgets.state.frames import record
from rcae_lite.widgets.state.threshold import ThresholdState

__all__ = ["explore_run", "open_images", "widgets_of", "write_page", "write_parts"]

BACKGROUND = 16  # normal images behind the probe: 256 pixels at every place


def write_page(
    path: str | Path, widgets: Sequence[tuple[str, State]], title: str = "RcAE Lite"
) -> Path:
    """Write widgets as one self-contained HTML file, whole or not at all.

    It opens from ``file://`` without Python and asks nothing of the network.

    Parameters
    ----------
    path : path
        The file.
    widgets : sequence of (str, State)
        The name of a module in ``static`` (without .js) that ``page.js`` knows, and its state.
    title : str
        Of the page.

    Returns
    -------
    Path
        The file.
    """
    parts = [
        {"kind": kind, "data": state.data(), "values": state.values} for kind, state in widgets
    ]
    return write_parts(path, parts, title, entry="page.js")


def write_parts(
    path: str | Path,
    parts: Sequence[Tree],
    title: str,
    *,
    entry: str,
    body: str = "",
    looks: str = "",
) -> Path:
    """Write a page whose module ``entry`` is given some parts: trees as of `State.data`.

    ``body`` is HTML for its main element in place of a heading, ``looks`` more of a style sheet.
    """
    page = render(
        "rcae_lite.widgets",
        "page.html.j2",
        title=title,
        body=body,
        style=style() + looks,
        module=module(entry),
        widgets=json.dumps(pack_for_page(list(parts))).replace("<", "\\u003c"),
    )
    write_text(Path(path), page)
    return Path(path)


def explore_run(
    run: str | Path, sources: Sequence[str | Path], out: str | Path, *, device: str = "auto"
) -> Path:
    """Write a page that follows images through the detector of a run.

    Explorer and probe; beside a baseline (``RUN/baseline``) the comparison; and the threshold over
    the scores of the run's evaluation. The probe's background are the first training images of the
    run, and the mistakes have pictures, where its data can still be read as they were.

    Parameters
    ----------
    run : path
        Folder that `rcae train` or `Detector.save` wrote.
    sources : sequence of path
        Images, or folders of images.
    out : path
        The page.
    device : str
        See `rcae_lite.base.Detector`.

    Raises
    ------
    KitError
        If the run has no finished detector, or an image cannot be read.
    """
    description, detector, images, names = open_images(run, sources, device)
    category = _unchanged_data(description, detector.config.size) if description else None
    detectors = [detector]
    baseline = Path(run) / "baseline"
    if (baseline / "detector.json").exists():
        detectors.append(SinglePassDetector.load(baseline, device=device))
    saved = Path(run) / "evaluation.json"
    evaluation = Evaluation.load(saved) if saved.exists() else None
    widgets = widgets_of(detectors, images, names, category=category, evaluation=evaluation)
    return write_page(out, widgets, f"{detector.data.get('category', 'detector')}: the recursion")


def widgets_of(
    detectors: Sequence[Detector],
    images: Tensor | ImageSet,
    names: Sequence[str] | None = None,
    *,
    category: Category | None = None,
    evaluation: Evaluation | None = None,
) -> list[tuple[str, State]]:
    """Follow images through detectors: what `write_page` takes.

    Parameters
    ----------
    detectors : sequence of Detector
        The explorer shows the first one; with a second one there is a comparison.
    images, names
        As `rcae_lite.widgets.state.frames.record` takes them.
    category : Category, optional
        What the first was trained and evaluated on: normal images behind the probe, and pictures of
        the mistakes.
    evaluation : Evaluation, optional
        Of the first one, for the threshold.
    """
    first, background, test = detectors[0], None, None
    if category is not None:
        some = range(min(BACKGROUND, len(category.train)))
        background, test = record(first, category.train.subset(some)), category.test
    frames = [record(detector, images, names) for detector in detectors]
    threshold = first.threshold.value if first.threshold else None
    explorer = ExplorerState(frames[0], background, threshold)
    widgets: list[tuple[str, State]] = [("explorer", explorer)]
    if len(detectors) > 1:
        seen = zip(detectors, frames, strict=True)
        both = [Compared.of(DETECTOR_NAMES[one.kind], one, made) for one, made in seen]
        widgets.append(("comparison", ComparisonState(both)))
    if evaluation is not None:
        widgets.append(("threshold", ThresholdState(evaluation, test)))
    return widgets


def open_images(
    run: str | Path, sources: Sequence[str | Path], device: str
) -> tuple[RunRecord | None, Detector, Tensor, list[str]]:
    """Open a run's description and detector, and images at its size: (B, 3, H, W), their names."""
    description, detector = load_detector(run, device)
    found = find_images(sources)
    images = torch.stack([working_image(path, detector) for path, _ in found])
    return description, detector, images, [name for _, name in found]


def _unchanged_data(description: RunRecord, side: int) -> Category | None:
    """Open the data of a run; None if they are gone or have changed."""
    try:
        category = open_category(description.data, description.category, size=side)
    except (KitError, OSError):
        return None
    return category if category.fingerprint == description.data_fingerprint else None
