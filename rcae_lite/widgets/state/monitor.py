"""State of `TrainingMonitor`: a training run that can be watched, stopped and resumed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from data_utils import ImageSet, KitError
from rcae_lite.base import Detector
from rcae_lite.training.events import Event, Stopped
from rcae_lite.widgets.state.base import Control, State, Tree
from rcae_lite.widgets.state.frames import COLOURS, lookup, to_bytes

__all__ = ["MOMENTS", "Moment", "MonitorState"]

MOMENTS = 20  # pictures of the probe in each stage
POINTS = 200  # of each loss curve, at most


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
    """

    stage: str
    step: int
    frames: np.ndarray

    def data(self) -> Tree:
        """For the JavaScript side."""
        return {"stage": self.stage, "step": self.step, "frames": self.frames}


class MonitorState(State):
    """A training in a thread of its own, and what has been seen of it so far.

    Watching changes nothing: the losses are those of an unwatched training, to the bit.

    Parameters
    ----------
    detector : Detector
        To be trained.
    train : ImageSet
        Normal images, see `Detector.fit`.
    checkpoint : path
        Folder of the checkpoint; `stop` leaves a valid one there, from which `start` resumes.
    probe : Tensor, optional
        (3, H, W) in [0, 1]; the first training image by default.
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
    """

    def __init__(
        self,
        detector: Detector,
        train: ImageSet,
        checkpoint: str | Path,
        probe: Tensor | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        detector.check_training_set(train)
        super().__init__({"moment": Control(0, 0, 0)})
        self.detector = detector
        self.train = train
        self.checkpoint = Path(checkpoint)
        chosen = train[0].image if probe is None else probe
        self.probe = chosen.as_subclass(Tensor).unsqueeze(0)  # (1, 3, H, W)
        self.on_change = on_change or (lambda: None)
        self.status, self.stage, self.message = "ready", "", ""
        self.done = self.steps = 0
        self.losses: dict[str, list[tuple[int, float]]] = {}
        self.moments: list[Moment] = []
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
            frames = self._frames(event.stage)
        finally:
            event.state.module.train()
        follow = self.values["moment"] == self.controls["moment"].high
        stages = list(self.detector.modules)
        now = (stages.index(event.stage), event.done)
        # After a resume from an older checkpoint, what came after it no longer counts.
        before = [m for m in self.moments if (stages.index(m.stage), m.step) < now]
        self.moments = [*before, Moment(event.stage, event.done, frames)]
        last = len(before)
        self.controls["moment"] = Control(0, 0, last)
        self.values["moment"] = last if follow else min(last, self.values["moment"])

    def _frames(self, stage: str) -> np.ndarray:
        """See `Moment`."""
        trajectory = self.detector.trajectory(self.probe)
        if stage == "crd":
            return lookup(self.detector.detect(trajectory).probability.numpy(), 0, 1)
        enhanced = trajectory.enhanced if stage == "dpn" else None
        return to_bytes(trajectory.reconstructions if enhanced is None else enhanced)[0]

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

    def progress(self) -> Tree:
        """Return what changes while training, besides the moments."""
        return {
            "status": self.status,
            "stage": self.stage,
            "done": self.done,
            "steps": self.steps,
            "message": self.message,
            "losses": self.loss_curves(),
        }

    def data(self) -> Tree:
        """Return the probe and the names of the stages."""
        image = to_bytes(self.probe)[0]
        return {
            "height": image.shape[0],
            "width": image.shape[1],
            "image": image,
            "stages": list(self.detector.modules),
            "colours": COLOURS,
        }


def moments(steps: int) -> set[int]:
    """Choose steps at which to look: dense at first, when most changes, and the last one."""
    return {max(1, round(steps * (n / MOMENTS) ** 2)) for n in range(1, MOMENTS + 1)}
