"""State of `ModelComparison`: several detectors on the same images, at the same depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from data_utils import ImageSet, KitError
from rcae_lite.base import Detector
from rcae_lite.baselines import check_same_size
from rcae_lite.widgets.state.base import Control, State, Tree
from rcae_lite.widgets.state.frames import COLOURS, Frames, Scale, levels, lookup, record, scale_of

__all__ = ["ComparisonState", "Compared", "compare"]

MAPS = {
    "single_pass": "its one residual",
    "rcae": "its last residual",
    "rcae_dpn": "its last residual, after DPN",
    "full": "CRD, from the residuals of all n",
}
"""What the map of each kind of detector is made of."""


@dataclass(frozen=True)
class Compared:
    """One detector of a comparison.

    Parameters
    ----------
    name : str
        What it is called.
    frames : Frames
        What it makes of the images.
    calibration : list of float
        Its scores of the normal images that were held out of its training.
    threshold : float
        Its own; its scores are shown in units of it.
    made_of : str
        What its map is made of, in words.
    """

    name: str
    frames: Frames
    calibration: Sequence[float]
    threshold: float
    made_of: str

    @classmethod
    def of(cls, name: str, detector: Detector, frames: Frames) -> Compared:
        """Take a detector's scores and threshold; frames are what it made of the images."""
        threshold = detector.require_threshold().value
        return cls(name, frames, detector.calibration_scores, threshold, MAPS[detector.kind])


class ComparisonState(State):
    """The same images through several detectors, with one slider for the depth.

    Parameters
    ----------
    compared : sequence of Compared
        At least two, of the same images. A detector with fewer depths stays at its last one.
    labels : sequence of int, optional
        0 normal, 1 defective, for each image.

    Raises
    ------
    KitError
        If there are fewer than two detectors, or their images or the labels do not match.
    """

    def __init__(self, compared: Sequence[Compared], labels: Sequence[int] | None = None) -> None:
        if len(compared) < 2:
            raise KitError(f"{len(compared)} detectors; give at least 2 to compare")
        first = compared[0].frames
        for other in compared[1:]:
            if not np.array_equal(first.images, other.frames.images):
                raise KitError(f"{other.name} saw other images than {compared[0].name}")
        if labels is not None and len(labels) != len(first):
            raise KitError(f"{len(labels)} labels for {len(first)} images; give one per image")
        self.compared = list(compared)
        self.labels = None if labels is None else [int(label) for label in labels]
        self.depth = max(entry.frames.depth for entry in compared)
        scales = [scale_of(entry.frames, entry.threshold) for entry in compared]
        difference = max(scale.difference for scale in scales)  # residuals share one scale
        self.scales = [Scale(difference, scale.low, scale.high) for scale in scales]
        super().__init__(
            {"image": Control(0, 0, len(first) - 1), "depth": Control(self.depth, 1, self.depth)}
        )

    def depth_of(self, detector: int) -> int:
        """Depth at which a detector is shown: the slider's, or its own last one."""
        return min(self.values["depth"], self.compared[detector].frames.depth)

    def panel(self, detector: int, name: str) -> np.ndarray:
        """Return what a canvas shows now: (H, W, 3) uint8.

        Parameters
        ----------
        detector : int
            Which one.
        name : {"reconstruction", "residual", "map"}
            Which of its pictures.
        """
        image, depth = self.values["image"], self.depth_of(detector) - 1
        frames, scale = self.compared[detector].frames, self.scales[detector]
        if name == "reconstruction":
            return frames.reconstructions[image, depth]
        if name == "residual":
            return lookup(frames.residuals[image, depth], 0, scale.difference)
        if name == "map":
            return lookup(frames.maps[image], scale.low, scale.high)
        raise KitError(f"panel {name!r} is unknown; choose reconstruction, residual or map")

    def relative_scores(self, detector: int) -> np.ndarray:
        """Scores of the images in units of the detector's threshold: (B,); above 1: defective."""
        entry = self.compared[detector]
        return entry.frames.scores.astype(float) / entry.threshold

    def stack(self, image: int) -> np.ndarray:
        """I, and the reconstructions of one detector after the other: (K, H, W, 3) uint8."""
        self.check("image", image)
        rebuilt = [entry.frames.reconstructions[image] for entry in self.compared]
        return np.concatenate([self.compared[0].frames.images[image][None], *rebuilt])

    def data(self) -> Tree:
        """Return the frames of every image, and what each detector makes of them."""
        first = self.compared[0].frames
        height, width = first.images.shape[1:3]
        depths = [entry.frames.depth for entry in self.compared]
        starts = np.cumsum([0, *depths]).tolist()  # in the stack: before each one's first frame
        return {
            "height": height,
            "width": width,
            "depth": self.depth,
            "names": first.names,
            "labels": self.labels,
            "images": [{"frames": self.stack(image)} for image in range(len(first))],
            "masks": None if first.masks is None else first.masks.astype(np.uint8),
            "colours": COLOURS,
            "detectors": [
                self._data(index) | {"start": start} for index, start in enumerate(starts[:-1])
            ],
        }

    def _data(self, index: int) -> Tree:
        entry, scale = self.compared[index], self.scales[index]
        return {
            "name": entry.name,
            "depth": entry.frames.depth,
            "made_of": entry.made_of,
            "maps": levels(entry.frames.maps, scale.low, scale.high),  # (B, H, W) uint8
            "scale": scale.data(),
            "threshold": entry.threshold,
            "scores": self.relative_scores(index).tolist(),
            "calibration": [score / entry.threshold for score in entry.calibration],
        }


def compare(
    detectors: Mapping[str, Detector],
    images: Tensor | ImageSet,
    names: Sequence[str] | None = None,
) -> ComparisonState:
    """Send images through several detectors.

    Parameters
    ----------
    detectors : mapping of str to Detector
        Trained ones of the same working size, by name.
    images : Tensor or ImageSet
        (B, 3, H, W) in [0, 1], or a set with names, masks and labels.
    names : sequence of str, optional
        One per image.

    Raises
    ------
    KitError
        If the detectors work at several sizes, one has no threshold yet, or as `ComparisonState`.
    """
    check_same_size(detectors)
    compared = []
    for name, detector in detectors.items():
        if detector.threshold is None:
            raise KitError(f"{name} has no threshold yet; call fit(...) or load a trained detector")
        compared.append(Compared.of(name, detector, record(detector, images, names)))
    labels = images.labels.tolist() if isinstance(images, ImageSet) else None
    return ComparisonState(compared, labels)
