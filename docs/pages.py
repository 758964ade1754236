"""Pages beside those of Sphinx: the widgets, alive without Python."""

from pathlib import Path

import numpy as np

from data_utils import open_category
from rcae_lite import load_example
from rcae_lite.widgets.page import widgets_of, write_page


def write_widgets(path: Path) -> None:
    """Write explorer, comparison and threshold for the detectors that ship with the kit."""
    detectors = [load_example(kind, device="cpu") for kind in ("full", "single_pass")]
    whole = detectors[0]
    category = open_category("synthetic", whole.trained["category"], size=whole.config.size)
    order = np.argsort(-category.test.labels, kind="stable")  # defective images first
    shown = category.test.subset(order[np.linspace(0, len(order) - 1, 6).astype(int)])
    evaluation = whole.evaluate(category.test)
    widgets = widgets_of(detectors, shown, category=category, evaluation=evaluation)
    write_page(path, widgets, "The recursion, and what becomes of it")
