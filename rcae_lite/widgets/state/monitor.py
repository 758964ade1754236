"""State of `TrainingMonitor`: a training run that can be watched, stopped and resumed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
from torch import Tensor

from data_utils import ImageSet, KitError, Sample
from rcae_lite.base import Detector, split
from rcae_lite.evaluation.restoration import Painted, erasure, error_outside, paint_defects
from rcae_lite.training.events import Event, Stopped
from rcae_lite.widgets.state.base import Control, State, Tree
from rcae_lite.widgets.state.frames import COLOURS, lookup, to_bytes

__all__ = ["MOMENTS", "Moment", "MonitorState"]

MOMENTS = 20  # pictures of the probe in each stage
POINTS = 200  # of each loss curve, at most
RECENT = 30  # steps that tell how fast the training is


@dataclass(frozen=True)
class Moment:
    """What the detector made of the probe at one step of the training.

    Parameters
    ----------
    stage : str
        In training at that time.
    step : int
        Optimiser steps of that stage done.
    frames : np.ndarray
        (N, H, W, 3) uint8: I_R^1 ... I_R^N, or I_D^1 ... I_D^N while DPN trains. While CRD trains
        they stand still, so it is the anomaly map, (1, H, W, 3), in colours from 0 to 1.
    erasure, error : float or None
        Of the painted defect at depth N, see `rcae_lite.evaluation.restoration.erasure` and
        `error_outside` there; None while CRD trains.
    """

    stage: str
    step: int
    frames: np.ndarray
    erasure: float | None = None
    error: float | None = None

    def data(self) -> Tree:
        """For the JavaScript side."""
        return vars(self).copy()


class MonitorState(State):
    """A training in a thread of its own, and what has been seen of it so far.

    Watching changes nothing: the losses are those of an unwatched training, to the bit.

    Erasure and error outside are measured on a defect that is painted, always the same, into a
    normal image that is not trained on: into the probe if that is a normal `Sample`, else into an
    image that is held out for the threshold.

    Parameters
    ----------
    detector : Detector
        To be trained.
    train : ImageSet
        Normal images, see `Detector.fit`.
    checkpoint : path
        Folder of the checkpoint; `stop` leaves a valid one there, from which `start` resumes.
    probe : Tensor or Sample, optional
        What is looked at, (3, H, W) in [0, 1]; by default, and for a normal `Sample`, the image
        with the painted defect.
    on_change : callable, optional
        Called, in the training's thread, after every event.

    Attributes
    ----------
    status : str
        "ready", "running", "stopping", "stopped", "finished" or "failed".
    stage : str
        In training now, or last.
    done, steps : int
        Optimiser steps of that stage, done and in all.
    message : str
        What went wrong, if something did.
    losses : dict of str to list
        (step, loss) of every optimiser step, by stage.
    moments : list of Moment
        The probe as training proceeds.
    painted : Painted or None
        The defect that is measured; None where none can be painted, as into a black image.
    painted_into : str
        The path of the image that it is painted into.
    """

    def __init__(
        self,
        detector: Detector,
        train: ImageSet,
        checkpoint: str | Path,
        probe: Tensor | Sample | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        detector.check_training_set(train)
        super().__init__({"moment": Control(0, 0, 0)})
        self.detector = detector
        self.train = train
        self.checkpoint = Path(checkpoint)
        held_out = train[split(detector.seed, len(train))[1][0]]
        normal = probe if isinstance(probe, Sample) and not probe.label else held_out
        clean = normal.image.as_subclass(Tensor).unsqueeze(0)  # (1, 3, H, W)
        self.painted, self.painted_into = paint(clean), normal.path
        if probe is None or probe is normal:
            self.probe = clean if self.painted is None else self.painted.images
        else:
            given = probe.image if isinstance(probe, Sample) else probe
            self.probe = given.as_subclass(Tensor).unsqueeze(0)
        self.on_change = on_change or (lambda: None)
        self.status, self.stage, self.message = "ready", "", ""
        self.done = self.steps = 0
        self.losses: dict[str, list[tuple[int, float]]] = {}
        self.moments: list[Moment] = []
        self._times: deque[float] = deque(maxlen=RECENT)  # ends of the last steps of this stage
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- start, stop ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start training, or resume from the checkpoint.

        Raises
        ------
        KitError
            If it is running, or has finished.
        """
        if self._thread is not None and self._thread.is_alive():
            raise KitError("the training is running already; stop it first")
        if self.status == "finished":
            raise KitError("the training has finished; make a new monitor for another one")
        self._stop.clear()
        self.status, self.message = "running", ""
        self._times.clear()
        self._thread = threading.Thread(target=self._train, name="training", daemon=True)
        self._thread.start()
        self.on_change()

    def stop(self) -> None:
        """Ask the training to stop after the present step; it then writes a checkpoint."""
        if self.status == "running":
            self._stop.set()
            self.status = "stopping"
            self.on_change()

    def join(self) -> None:
        """Wait until the training has ended or stopped."""
        if self._thread is not None:
            self._thread.join()

    def _train(self) -> None:
        try:
            self.detector.fit(self.train, callbacks=[self], checkpoint=self.checkpoint)
            self.status = "finished"
        except Stopped:
            self.status = "stopped"
        except Exception as error:  # the thread's end: the reader must see it
            self.status, self.message = "failed", str(error) or repr(error)
        self.on_change()

    # -- listening -----------------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """Take note of one optimiser step; raise `Stopped` where it was asked for."""
        if event.stage != self.stage:
            self._times.clear()
        self._times.append(monotonic())
        self.stage, self.done, self.steps = event.stage, event.done, event.steps
        losses = self.losses.setdefault(event.stage, [])
        del losses[event.done - 1 :]  # after a resume: steps that are done again
        losses.append((event.done, event.loss))
        if event.done in moments(event.steps):
            self._look(event)
        self.on_change()
        if self._stop.is_set():
            raise Stopped

    def _look(self, event: Event) -> None:
        """Keep what the detector makes of the probe now."""
        event.state.module.eval()
        try:
            moment = self._moment(event.stage, event.done)
        finally:
            event.state.module.train()
        follow = self.values["moment"] == self.controls["moment"].high
        stages = list(self.detector.modules)
        now = (stages.index(event.stage), event.done)
        # After a resume from an older checkpoint, what came after it no longer counts.
        before = [m for m in self.moments if (stages.index(m.stage), m.step) < now]
        self.moments = [*before, moment]
        last = len(before)
        self.controls["moment"] = Control(0, 0, last)
        self.values["moment"] = last if follow else min(last, self.values["moment"])

    def _moment(self, stage: str, step: int) -> Moment:
        """Look at the probe, and measure the painted defect at depth N."""
        if stage == "crd":
            found = self.detector.detect(self.detector.trajectory(self.probe))
            return Moment(stage, step, lookup(found.probability.numpy(), 0, 1))
        restored = self._restored(stage, self.probe)
        frames, painted = to_bytes(restored)[0], self.painted
        if painted is None:
            return Moment(stage, step, frames)
        if self.probe is not painted.images:
            restored = self._restored(stage, painted.images)
        last, clean, mask = restored[:, :, -1:], painted.clean, painted.mask
        left = float(erasure(last, painted.images, clean, mask))
        return Moment(stage, step, frames, left, float(error_outside(last, clean, mask)))

    def _restored(self, stage: str, images: Tensor) -> Tensor:
        """Return what the stage in training makes of images: (B, 3, N, H, W), on the CPU."""
        trajectory = self.detector.trajectory(images)
        enhanced = trajectory.enhanced if stage == "dpn" else None
        return (trajectory.reconstructions if enhanced is None else enhanced).float().cpu()

    # -- what is shown -------------------------------------------------------------------------

    def loss_curves(self) -> dict[str, list[list[float]]]:
        """Return at most 200 points of each curve, means over equally many steps."""
        curves = {}
        for stage, points in list(self.losses.items()):
            width = -(-len(points) // POINTS)
            blocks = [points[start : start + width] for start in range(0, len(points), width)]
            curves[stage] = [
                [block[-1][0], float(np.mean([loss for _, loss in block]))] for block in blocks
            ]
        return curves

    def seconds_left(self) -> float | None:
        """Seconds to the end of this stage at the rate of the last steps; None if not known yet."""
        times = list(self._times)
        if self.status != "running" or len(times) < 2:
            return None
        return (self.steps - self.done) * (times[-1] - times[0]) / (len(times) - 1)

    def progress(self) -> Tree:
        """Return what changes while training, besides the moments."""
        return {
            "status": self.status,
            "stage": self.stage,
            "done": self.done,
            "steps": self.steps,
            "seconds_left": self.seconds_left(),
            "message": self.message,
            "losses": self.loss_curves(),
        }

    def data(self) -> Tree:
        """Return the probe, what is painted, and the names of the stages."""
        image = to_bytes(self.probe)[0]
        painted = None
        if self.painted is not None:
            painted = {
                "family": self.painted.family[0],
                "into": self.painted_into,
                "shown": self.probe is self.painted.images,
                "mask": self.painted.mask[0, 0].numpy().astype(np.uint8),
            }
        return {
            "height": image.shape[0],
            "width": image.shape[1],
            "image": image,
            "painted": painted,
            "stages": list(self.detector.modules),
            "colours": COLOURS,
        }


def paint(clean: Tensor) -> Painted | None:
    """Paint a defect, always the same, into an image (1, 3, H, W); None where none is visible."""
    try:
        return paint_defects(clean, paintings=1)
    except KitError:
        return None


def moments(steps: int) -> set[int]:
    """Choose steps at which to look: dense at first, when most changes, and the last one."""
    return {max(1, round(steps * (n / MOMENTS) ** 2)) for n in range(1, MOMENTS + 1)}
