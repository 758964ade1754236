"""The views: traits that are synchronised with the browser, and nothing else.

What they hold stands in `rcae_lite.widgets.state`; what they show is drawn by ``static/*.js``.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from torch import Tensor

from data_utils import ImageSet, KitError, Sample
from rcae_lite.base import Detector
from rcae_lite.evaluation.results import Evaluation
from rcae_lite.widgets.packing import module, pack, pack_for_notebook, style
from rcae_lite.widgets.page import write_page
from rcae_lite.widgets.state.base import State, Tree
from rcae_lite.widgets.state.comparison import ComparisonState, compare
from rcae_lite.widgets.state.explorer import ExplorerState
from rcae_lite.widgets.state.frames import record
from rcae_lite.widgets.state.monitor import MonitorState
from rcae_lite.widgets.state.painter import PainterState
from rcae_lite.widgets.state.threshold import ThresholdState

__all__ = [
    "DefectPainter",
    "ModelComparison",
    "RecursionExplorer",
    "ThresholdExplorer",
    "TrainingMonitor",
    "View",
]


class View(anywidget.AnyWidget):
    """A widget whose traits of the names in ``state.values`` follow its state."""

    kind = ""  # the module in static/, without .js
    _css = style()
    data = traitlets.Dict().tag(sync=True)

    def __init__(self, state: State, **traits: Any) -> None:
        self.state = state
        super().__init__(data=self._pack(state.data()), **state.values, **traits)
        self.observe(lambda change: state.set(**{change.name: change.new}), list(state.values))
        if os.environ.get("ANYWIDGET_HMR") == "1":  # as anywidget itself would watch a file
            threading.Thread(target=self._follow_sources, daemon=True).start()

    def _follow_sources(self) -> None:
        """Draw the widget anew whenever one of its files is saved; for development."""
        while self.comm is not None:  # until it is closed
            self._esm, self._css = module(f"{self.kind}.js"), style()  # sent where they differ
            time.sleep(0.5)

    def _pack(self, tree: Tree) -> Tree:
        packed: Tree = pack_for_notebook(tree)
        return packed

    def _check(self, proposal: Any) -> Any:
        return self.state.check(proposal.trait.name, proposal.value)


class PageView(View):
    """A view that lives without Python, too."""

    def save_html(self, path: str | Path) -> Path:
        """Write this widget, as it stands, as one HTML file that needs no Python and no network."""
        return write_page(path, [(self.kind, self.state)])


class FramesView(PageView):
    """A view of images: a notebook keeps the frames of some, others are sent when asked for."""

    SAVED = 1_300_000  # bytes of frames in the saved state; base64 makes it a third more
    state: ExplorerState | ComparisonState

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.on_msg(self._answer)

    def _pack(self, tree: Tree) -> Tree:
        """Keep the frames of the first images, as many as `SAVED` allows, and at least of one."""
        images: list[Tree] = []
        left = self.SAVED
        for image in tree["images"]:
            frames = pack_for_notebook(image["frames"]) if left > 0 or not images else None
            left -= sum(map(len, frames["webp"])) if frames else 0
            images.append(image | {"frames": frames if left >= 0 or not images else None})
        return super()._pack(tree | {"images": images})

    def _answer(self, _: Any, content: dict[str, Any], __: list[memoryview]) -> None:
        """Send the frames that the browser asks for."""
        if content.get("type") == "frames":
            frames = pack_for_notebook(self.state.stack(content["image"]))
            webp = frames.pop("webp")
            self.send(content | {"frames": frames}, webp)


class RecursionExplorer(FramesView):
    """Follow images through the recursion: a depth slider, linked zoom, and a probe for pixels.

    It opens at the depth whose residual shows the defect best. Another image moves the slider to
    its own best depth, unless the slider has been moved away from it.

    Parameters
    ----------
    detector : Detector
        Trained.
    images : Tensor or ImageSet
        (B, 3, H, W) in [0, 1], or a set with names and masks.
    normal : Tensor or ImageSet, optional
        Normal images; the probe shows the distribution of their pixels at the same place.
    names : sequence of str, optional
        One per image.

    Attributes
    ----------
    image, depth, opacity, probes
        Synchronised with the browser: index of the image, n from 1 to N, opacity of the map over
        the input, and the probed pixels as [row, column, colour from 0 to 5].
    state : ExplorerState
        The same in plain Python.
    """

    kind = "explorer"
    _esm = module("explorer.js")
    image = traitlets.Int().tag(sync=True)
    depth = traitlets.Int().tag(sync=True)
    opacity = traitlets.Float().tag(sync=True)
    probes: Any = traitlets.List().tag(sync=True)
    _checked = traitlets.validate("image", "depth", "opacity", "probes")(View._check)
    state: ExplorerState

    def __init__(
        self,
        detector: Detector,
        images: Tensor | ImageSet,
        *,
        normal: Tensor | ImageSet | None = None,
        names: list[str] | None = None,
    ) -> None:
        threshold = detector.threshold.value if detector.threshold else None
        background = None if normal is None else record(detector, normal)
        super().__init__(ExplorerState(record(detector, images, names), background, threshold))
        self.observe(self._follow, "image")

    def _follow(self, change: Any) -> None:
        """Go to the best depth of another image, if it stands at the best of the last one."""
        if self.depth == self.state.clearest(change.old):
            self.depth = self.state.clearest(change.new)


class DefectPainter(View):
    """Paint a defect and watch the recursion erase it.

    Brush, line, eraser, clone stamp, random pseudo-anomalies, undo and redo; after every stroke
    the trajectory, the map, the score and the overlap with the painted mask are up to date. The
    challenge: the largest defect that goes unnoticed.

    Parameters
    ----------
    detector : Detector
        Trained.
    image : Tensor
        (3, H, W) in [0, 1].
    folder : path, optional
        With it there is a button that saves image and mask there, in MVTec AD's layout, as a test
        set that `rcae evaluate` reads.

    Attributes
    ----------
    depth, size, opacity, hardness, tool, colour
        Synchronised with the browser.
    state : PainterState
        The painted image, the mask, the frames; ``state.save(folder)`` writes them, and
        ``state.record`` is the largest defect that went unnoticed.
    """

    kind = "painter"
    _esm = module("painter.js")
    depth = traitlets.Int().tag(sync=True)
    size = traitlets.Int().tag(sync=True)
    opacity = traitlets.Float().tag(sync=True)
    hardness = traitlets.Float().tag(sync=True)
    tool = traitlets.Unicode().tag(sync=True)
    colour = traitlets.Unicode().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    _checked = traitlets.validate("depth", "size", "opacity", "hardness", "tool", "colour")(
        View._check
    )
    state: PainterState

    def __init__(
        self, detector: Detector, image: Tensor, *, folder: str | Path | None = None
    ) -> None:
        state = PainterState(detector, image, folder)
        super().__init__(state, result=pack(state.result()))
        self._seeds = itertools.count()
        self.on_msg(self._answer)

    def _answer(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """Do what the browser asks, and answer with the result under the same number."""
        note, asked = "", content.get("type")
        try:
            if asked == "paint":
                painted = np.frombuffer(buffers[0], np.uint8).reshape(self.state.original.shape)
                self.state.paint(painted)
            elif asked == "random":
                self.state.paint_random(next(self._seeds))
            elif asked == "save":
                path = self.state.save()
                command = f"rcae evaluate RUN --data {path.parents[2]}"
                note = f"saved: {path}, its mask, the unpainted image. To evaluate: {command}"
            elif asked == "forget":
                self.state.forget()
        except KitError as error:
            note = str(error)
        ours = asked != "random"
        self.result = pack(self.state.result(content.get("number", 0), note, ours))


class ModelComparison(FramesView):
    """Several detectors on the same images: linked sliders and zoom, scores side by side.

    Parameters
    ----------
    detectors : mapping of str to Detector
        At least two trained ones, by name; a detector with fewer depths stays at its last one.
    images : Tensor or ImageSet
        (B, 3, H, W) in [0, 1], or a set with names, masks and labels.
    names : sequence of str, optional
        One per image.

    Attributes
    ----------
    image, depth
        Synchronised with the browser.
    state : ComparisonState
        The same in plain Python.
    """

    kind = "comparison"
    _esm = module("comparison.js")
    image = traitlets.Int().tag(sync=True)
    depth = traitlets.Int().tag(sync=True)
    _checked = traitlets.validate("image", "depth")(View._check)
    state: ComparisonState

    def __init__(
        self,
        detectors: Mapping[str, Detector],
        images: Tensor | ImageSet,
        *,
        names: list[str] | None = None,
    ) -> None:
        super().__init__(compare(detectors, images, names))


class ThresholdExplorer(PageView):
    """Drag the threshold over the scores of a test set and see what follows, and what it costs.

    A mark for every image, the operating point on the ROC (it can be dragged, too), the point on
    the PRO curve, confusion matrix, false alarms and detections with exact intervals, the expected
    cost of an image, and the images that are called wrongly; each opens large. It starts at the
    threshold from normal images, which stays marked: a threshold chosen here has seen the test set.

    Parameters
    ----------
    evaluation : Evaluation
        Of any detector.
    test : ImageSet, optional
        The images that it evaluated, for pictures of the mistakes.

    Attributes
    ----------
    threshold, cost_missed, cost_alarm, share
        Synchronised with the browser: the threshold, what a missed defect and a false alarm cost,
        and the share of defects among the images to come.
    state : ThresholdState
        The same in plain Python, with everything that follows from them.
    """

    kind = "threshold"
    _esm = module("threshold.js")
    threshold = traitlets.Float().tag(sync=True)
    cost_missed = traitlets.Float().tag(sync=True)
    cost_alarm = traitlets.Float().tag(sync=True)
    share = traitlets.Float().tag(sync=True)
    _checked = traitlets.validate("threshold", "cost_missed", "cost_alarm", "share")(View._check)
    state: ThresholdState

    def __init__(self, evaluation: Evaluation, test: ImageSet | None = None) -> None:
        super().__init__(ThresholdState(evaluation, test))


class TrainingMonitor(View):
    """Train while you watch: losses, and what becomes of one probe image; stop and resume.

    Beside the loss are the erasure of a painted defect and the error outside of it, as they fall,
    and how long the present stage will take. The training runs in a thread of its own, so the
    notebook stays free; nothing else should use the detector meanwhile. Afterwards the slider goes
    back through the training.

    Parameters
    ----------
    detector : Detector
        To be trained.
    train : ImageSet
        Normal images, see `Detector.fit`.
    checkpoint : path
        Folder of the checkpoint, which "stop" leaves valid and "start" resumes from.
    probe : Tensor or Sample, optional
        What is looked at: (3, H, W) in [0, 1], or a sample such as ``test[0]``. By default, and in
        place of a normal sample, an image with a painted defect; see `MonitorState`.

    Attributes
    ----------
    moment
        Synchronised with the browser: which of the pictures of the probe is shown.
    state : MonitorState
        The same in plain Python; ``state.start()``, ``state.stop()`` and ``state.join()`` do what
        the buttons do.
    """

    kind = "monitor"
    _esm = module("monitor.js")
    moment = traitlets.Int().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    _checked = traitlets.validate("moment")(View._check)
    state: MonitorState

    SECONDS_BETWEEN = 0.25  # two messages of the progress

    def __init__(
        self,
        detector: Detector,
        train: ImageSet,
        checkpoint: str | Path,
        *,
        probe: Tensor | Sample | None = None,
    ) -> None:
        self._sent, self._last = 0.0, ("", 0)  # when, and what: status and number of moments
        state = MonitorState(detector, train, checkpoint, probe, self._tell)
        super().__init__(state, progress=state.progress())
        self.on_msg(self._answer)

    def _tell(self) -> None:
        """Send what is new, not too often; runs in the training's thread."""
        state = self.state
        news = (state.status, len(state.moments))
        if news == self._last and time.monotonic() - self._sent < self.SECONDS_BETWEEN:
            return
        if news[1] and news[1] != self._last[1]:
            self._send_moment(news[1] - 1)
        self._sent, self._last = time.monotonic(), news
        self.moment = state.values["moment"]
        self.progress = state.progress()

    def _send_moment(self, index: int) -> None:
        tree = self.state.moments[index].data()
        frames = tree.pop("frames")
        self.send({"index": index, "shape": frames.shape} | tree, [frames.tobytes()])

    def _answer(self, _: Any, content: dict[str, Any], __: list[memoryview]) -> None:
        """Do what the browser asks."""
        asked = content.get("type")
        try:
            if asked == "start":
                self.state.start()
            elif asked == "stop":
                self.state.stop()
            elif asked == "moments":  # a view that was opened later
                for index in range(len(self.state.moments)):
                    self._send_moment(index)
        except KitError as error:
            self.progress = self.state.progress() | {"message": str(error)}
