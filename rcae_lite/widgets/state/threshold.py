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

__all__ = ["COSTS", "THUMBNAIL", "Confusion", "ThresholdState", "thumbnails"]

COSTS = (1e-3, 1e6)  # lowest and highest cost of a mistake
THUMBNAIL = 128  # pixels, at most, along each side
THUMBNAILS = 3_200_000  # bytes of all pictures


@dataclass(frozen=True)
class Confusion:
    """Counts of test images at one threshold; "positive" means called defective."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int


class ThresholdState(State):
    """The scores of a test set, a threshold that can be moved, and what mistakes cost.

    The controls: ``threshold``; ``cost_missed`` and ``cost_alarm``, of a missed defect and of a
    false alarm; ``share``, of defects among the images that are to come, at first that of the test
    set.

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
        cost = Control(1.0, *COSTS, whole=False)
        super().__init__(
            {
                "threshold": Control(evaluation.threshold.value, self.low, self.high, whole=False),
                "cost_missed": cost,
                "cost_alarm": cost,
                "share": Control(float(self.labels.mean()), 0, 1, whole=False),
            }
        )

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

    @property
    def steps(self) -> np.ndarray:
        """Thresholds that differ in what they call defective, one for each outcome, rising.

        Below the lowest score, half way between any two, above the highest: (K + 1,) for K
        different scores.
        """
        scores = np.unique(self.scores)
        half = (scores[:-1] + scores[1:]) / 2
        between = np.where(half < scores[1:], half, scores[:-1])  # neighbours have none between
        return np.concatenate([[self.low], between, [self.high]])

    def cost(self, threshold: float | None = None) -> float | None:
        """Return the expected cost of one image.

        ``s c_m P(missed | defective) + (1 - s) c_a P(alarm | normal)``. The probabilities are the
        shares of the test set; s, c_m and c_a are the controls ``share``, ``cost_missed`` and
        ``cost_alarm``. At the present threshold by default; None where the test images are of one
        kind.
        """
        called = self.scores > (self.values["threshold"] if threshold is None else threshold)
        alarms, found = called[self.labels == 0], called[self.labels == 1]
        if not len(alarms) or not len(found):
            return None
        share = self.values["share"]
        missed = share * self.values["cost_missed"] * float((~found).sum() / len(found))
        return missed + (1 - share) * self.values["cost_alarm"] * float(alarms.sum() / len(alarms))

    def cheapest(self) -> float | None:
        """Return the threshold of lowest cost, of equal ones the lowest; None where `cost` is.

        It has seen the test set: on new images it will cost more than here.
        """
        costs = [cost for step in self.steps if (cost := self.cost(step)) is not None]
        return float(self.steps[np.argmin(costs)]) if costs else None

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

    def data(self) -> Tree:
        """Scores, steps, tables of exact intervals for every count, curves and small pictures."""
        normal, defective = (int((self.labels == label).sum()) for label in (0, 1))
        evaluation = self.evaluation
        return {
            "low": self.low,
            "high": self.high,
            "mark": evaluation.threshold.value,
            "rate": evaluation.threshold.false_alarm_rate,
            "calibration": list(evaluation.calibration_scores),
            "steps": self.steps.tolist(),
            "costs": list(COSTS),
            "intervals": [_intervals(normal), _intervals(defective)],
            "images": [
                {"name": i.path, "defect": i.defect, "label": i.label, "score": i.score}
                for i in evaluation.images
            ],
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
