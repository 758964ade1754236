"""The Forgetting Machine: one page, made to be passed on, in which a reader plays with the rounds.

It tells in six steps what the recursion does, on a picture that the reader paints on. All its
figures are measured in the page (``measure.js``) on what the detector in it answers
(`rcae_lite.widgets.paint.engine`); the text is ``story.html.j2``, the stage ``story.js``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from data_utils import KitError, open_category
from data_utils.html import render
from rcae_lite.baselines import SinglePassDetector, check_same_size
from rcae_lite.detector import RcAEDetector
from rcae_lite.example import SHIPPED, load_example
from rcae_lite.widgets.packing import source
from rcae_lite.widgets.page import write_parts
from rcae_lite.widgets.paint import engine, open_one
from rcae_lite.widgets.state.base import Tree
from rcae_lite.widgets.state.frames import COLOURS, to_bytes

__all__ = ["TITLE", "story_of_example", "story_run", "write_story_page"]

TITLE = "The Forgetting Machine"
_STRANGE = ("#d22828", "#2346d2", "#c828b4", "#1ea03c")  # one of them is in no picture
_LIGHT, _DARK = "#fafafa", "#191919"


def write_story_page(
    detector: RcAEDetector,
    image: Tensor,
    path: str | Path,
    single: SinglePassDetector | None = None,
) -> Path:
    """Write the page, whole or not at all.

    Parameters
    ----------
    detector : RcAEDetector
        Trained, on the CPU.
    image : Tensor
        (3, H, W) in [0, 1], of a part without a defect.
    path : path
        The file, at most 8 MB with the detectors that ship with the kit.
    single : SinglePassDetector, optional
        Its control, on the CPU; without one the page does not speak of it.

    Raises
    ------
    KitError
        If the two work at different sizes, or as `rcae_lite.widgets.paint.engine`.
    """
    detectors = {"detector": detector} | ({} if single is None else {"single": single})
    check_same_size(detectors)
    threshold = detector.require_threshold().value
    original = to_bytes(image.unsqueeze(0))[0]  # (H, W, 3)
    height, width, _ = original.shape
    data: Tree = {
        "height": height,
        "width": width,
        "depth": detector.config.rcae.depth,
        "original": original,
        "colours": COLOURS,
        "threshold": threshold,
        "single": None if single is None else single.require_threshold().value,
        "inks": _inks(original),
    }
    trained = detector.trained
    body = render(
        "rcae_lite.widgets",
        "story.html.j2",
        title=TITLE,
        category=trained.get("category", "part"),
        images=trained.get("training_images"),
        single=single is not None,
        **{name: data[name] for name in ("height", "width", "depth")},
    )
    parts = [{"data": data, "engine": engine(detectors, (height, width))}]
    looks = source("story.css")
    return write_parts(path, parts, TITLE, entry="story.js", body=body, looks=looks)


def story_run(run: str | Path, images: list[Path], out: str | Path) -> Path:
    """Write the page for the detector of a run, its baseline if it has one, and one image.

    Parameters
    ----------
    run : path
        Folder that `rcae train` or `Detector.save` wrote.
    images : list of path
        One image of a part without a defect.
    out : path
        The page.

    Raises
    ------
    KitError
        If there is not exactly one image, the detector has no rounds, or as `write_story_page`.
    """
    detector, picture, _ = open_one(run, images, "--story")
    if detector.kind != RcAEDetector.kind or not isinstance(detector, RcAEDetector):
        raise KitError(
            f"{run} holds a detector of kind {detector.kind!r}; --story takes the whole one, "
            f"{RcAEDetector.kind!r}, which has rounds, DPN and a map"
        )
    folder = Path(run) / "baseline"
    if Path(run).resolve() == (SHIPPED / "full").resolve():
        folder = SHIPPED / "single_pass"
    known = (folder / "detector.json").exists()
    single = SinglePassDetector.load(folder, device="cpu") if known else None
    return write_story_page(detector, picture, out, single)


def story_of_example(out: str | Path) -> Path:
    """Write the page for the detectors that ship with the kit and an image of their category."""
    detector, single = (load_example(kind, device="cpu") for kind in ("full", "single_pass"))
    assert isinstance(detector, RcAEDetector) and isinstance(single, SinglePassDetector)
    name, size = detector.trained["category"], detector.config.size
    image = open_category("synthetic", name, size=size).test[1].image.as_subclass(Tensor)
    return write_story_page(detector, image, out, single)


def _inks(original: np.ndarray) -> dict[str, str]:
    """Choose what to paint with on a picture (H, W, 3) uint8.

    ``scratch``: light on a dark picture, dark on a light one. ``strange``: of some strong colours
    the one that is farthest from all in the picture. ``own``: one of the picture's lightest pixels.
    """
    pixels = original.reshape(-1, 3)
    light = pixels.mean(axis=1)  # (H W,)
    own = pixels[np.argsort(light)[int(0.99 * (len(light) - 1))]]
    some = pixels[:: max(1, len(pixels) // 4096)].astype(int)

    def rarity(ink: str) -> float:
        rgb = [int(ink[at : at + 2], 16) for at in (1, 3, 5)]
        return float(np.abs(some - rgb).sum(axis=1).min())

    return {
        "scratch": _LIGHT if light.mean() < 170 else _DARK,
        "strange": max(_STRANGE, key=rarity),
        "own": "#" + bytes(own.tolist()).hex(),
    }
