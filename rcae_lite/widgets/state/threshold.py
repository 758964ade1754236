"""State of `ThresholdExplorer`: what follows from where the threshold is put."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from data_utils import ImageSet, KitError
from rcae_lite.evaluation.bootstrap import Interval, rate_interval
from rcae_lite.evaluation.curves import PRO_LIMIT
from rcae_lite.evaluation.results import Evaluation
from rcae_lite.widgets.state.base import Control, State, Tree

__all__ = ["BINS", "THUMBNAIL", "Confusion", "ThresholdState", "thumbnails"]

BINS = 24
THUMBNAIL = 64  # pixels, at most, along each side
THUMBNAILS = 3_200_000  # bytes of all pictures


@dataclass(frozen=True)
class Confusion:
    """Counts of test images at one threshold; "positive" means called defective."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int


class ThresholdState(State):
    """The scores of a test set and a threshold that can be moved.

    Parameters
    ----------
    evaluation : Evaluation
        Of any detector.
    test : ImageSet, optional
        The images that it evaluated, for pictures of the mistakes.

    Raises
    ------
    KitError
        If ``test`` is not the set that was evaluated.
    """

    def __init__(self, evaluation: Evaluation, test: ImageSet | None = None) -> None:
        self.evaluation = evaluation
        self.labels, self.scores = evaluation.labels, evaluation.scores
        paths = [image.path for image in evaluation.images]
        if test is not None and test.paths != paths:
            raise KitError(
                f"the evaluation saw {len(paths)} other images than these {len(test)}; give the "
                "test set that was evaluated"
            )
        self.pictures = None if test is None else thumbnails(test)
        seen = [*self.scores, *evaluation.calibration_scores, evaluation.threshold.value]
        margin = 0.02 * (max(seen) - min(seen)) or 1.0
        self.low, self.high = min(seen) - margin, max(seen) + margin
        control = Control(evaluation.threshold.value, self.low, self.high, whole=False)
        super().__init__({"threshold": control})

    @property
    def called(self) -> np.ndarray:
        """Whether each test image is called defective now: (M,) bool."""
        return self.scores > self.values["threshold"]

    def confusion(self) -> Confusion:
        """Count the four outcomes."""
        counts = np.bincount(2 * self.labels + self.called, minlength=4)
        return Confusion(*(int(count) for count in counts))

    def false_alarms(self) -> Interval | None:
        """Share of the normal images called defective, with its exact 95% interval."""
        found = self.confusion()
        return _rate(found.false_positives, found.true_negatives)

    def detections(self) -> Interval | None:
        """Share of the defective images called defective, with its exact 95% interval."""
        found = self.confusion()
        return _rate(found.true_positives, found.false_negatives)

    def pro_point(self) -> tuple[float, float] | None:
        """False-positive rate of pixels and per-region overlap at the threshold.

        A score is the maximum of the raw map, so the same threshold cuts the map. Interpolated
        between the thresholds that the evaluation keeps; None where it keeps none.
        """
        kept = np.array(self.evaluation.curves.get("pro_thresholds", []))  # thresholds fall
        if not len(kept):
            return None
        rising = kept[::-1].T
        x, y = (np.interp(self.values["threshold"], rising[0], values) for values in rising[1:])
        return float(x), float(y)

    def mistakes(self) -> tuple[list[int], list[int]]:
        """List the false alarms and the missed defects, the worst first."""
        wrong_alarm = np.flatnonzero((self.labels == 0) & self.called)
        missed = np.flatnonzero((self.labels == 1) & ~self.called)
        return (
            wrong_alarm[np.argsort(-self.scores[wrong_alarm], kind="stable")].tolist(),
            missed[np.argsort(self.scores[missed], kind="stable")].tolist(),
        )

    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of the bins, (B + 1,), and how many normal and defective images are in each."""
        edges = np.linspace(self.low, self.high, BINS + 1)
        split = [np.histogram(self.scores[self.labels == label], edges)[0] for label in (0, 1)]
        return edges, np.array(split)  # (B + 1,), (2, B)

    def data(self) -> Tree:
        """Scores, tables of exact intervals for every count, curves and small pictures."""
        edges, counts = self.histogram()
        normal, defective = (int((self.labels == label).sum()) for label in (0, 1))
        evaluation = self.evaluation
        return {
            "low": self.low,
            "high": self.high,
            "mark": evaluation.threshold.value,
            "rate": evaluation.threshold.false_alarm_rate,
            "held_out": len(evaluation.calibration_scores),
            "edges": edges.tolist(),
            "counts": counts.tolist(),
            "intervals": [_intervals(normal), _intervals(defective)],
            "images": [
                {"name": i.path, "defect": i.defect, "label": i.label, "score": i.score}
                for i in evaluation.images
            ],
            "roc": evaluation.curves.get("roc", []),
            "pro": [point for point in evaluation.curves.get("pro", []) if point[0] <= PRO_LIMIT],
            "pro_limit": PRO_LIMIT,
            "pro_thresholds": evaluation.curves.get("pro_thresholds", []),
            "pictures": self.pictures,
        }


def _rate(events: int, others: int) -> Interval | None:
    return rate_interval(events, events + others) if events + others else None


def _intervals(trials: int) -> list[list[float]]:
    """List the ends of the exact interval for 0, 1 ... ``trials`` events; empty for no trial."""
    found = [rate_interval(events, trials) for events in range(trials + 1)] if trials else []
    return [[interval.low, interval.high] for interval in found]


def thumbnails(test: ImageSet) -> np.ndarray:
    """Small pictures of all images, means over blocks of pixels: (M, h, w, 3) uint8.

    The more images, the smaller each: together they have at most `THUMBNAILS` bytes.
    """
    pictures = test.images().permute(0, 2, 3, 1).numpy()  # (M, H, W, 3)
    block = max(-(-test.size // THUMBNAIL), math.ceil((pictures.size / THUMBNAILS) ** 0.5))
    side = test.size // block * block
    count = side // block
    blocks = pictures[:, :side, :side].reshape(-1, count, block, count, block, 3)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)
