"""Pages beside those of Sphinx: the widgets, alive without Python."""

from pathlib import Path

import numpy as np

from data_utils import open_category
from rcae_lite import load_example
from rcae_lite.config import DETECTOR_NAMES
from rcae_lite.widgets.page import BACKGROUND, write_page
from rcae_lite.widgets.state.comparison import Compared, ComparisonState
from rcae_lite.widgets.state.explorer import ExplorerState
from rcae_lite.widgets.state.frames import record
from rcae_lite.widgets.state.threshold import ThresholdState


def write_widgets(path: Path) -> None:
    """Write explorer, comparison and threshold for the detectors that ship with the kit."""
    detectors = [load_example(kind, device="cpu") for kind in ("full", "single_pass")]
    whole = detectors[0]
    category = open_category("synthetic", whole.trained["category"], size=whole.config.size)
    order = np.argsort(-category.test.labels, kind="stable")  # defective images first
    shown = category.test.subset(order[np.linspace(0, len(order) - 1, 6).astype(int)])
    background = record(whole, category.train.subset(range(BACKGROUND)))
    frames = [record(detector, shown) for detector in detectors]
    names = [DETECTOR_NAMES[detector.kind] for detector in detectors]
    both = [Compared.of(*one) for one in zip(names, detectors, frames, strict=True)]
    explorer = ExplorerState(frames[0], background, whole.require_threshold().value)
    threshold = ThresholdState(whole.evaluate(category.test), category.test)
    widgets = [
        ("explorer", explorer), ("comparison", ComparisonState(both)), ("threshold", threshold)
    ]  # fmt: skip
    write_page(path, widgets, "The recursion, and what becomes of it")
