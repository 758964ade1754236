"""State of `ComponentLadder`: which parts are on, what they give, and against what."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion

from data_utils import KitError
from rcae_lite.evaluation.bootstrap import Interval
from rcae_lite.evaluation.scoring import map_limits
from rcae_lite.plotting import overlay
from rcae_lite.study.ladder import ADDED, FLAT, SOURCES, Ladder, Parts, Rung

__all__ = ["LadderState"]

SIDE = 256  # pixels of a picture, about
OUTLINE = (0, 255, 136)  # of a true defect


class LadderState:
    """Parts that are ticked on and off, one at a time, and a reference to compare with.

    Only what the detector was trained for can be put together. What cannot be changed now is
    closed, for a reason in words.

    Parameters
    ----------
    ladder : Ladder
        From `rcae_lite.study.ladder.ladder`.

    Attributes
    ----------
    values : dict
        "source" (one of `SOURCES`), "depth" (1 to N), "dpn", "crd" and "statistics" (bool);
        "reference" (the `Parts` to compare with) and "image" (an index of ``ladder.images``).
    """

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.values: dict[str, Any] = {
            "source": "RcAE",
            "depth": ladder.depth,
            **dict.fromkeys(ADDED, False),
            "reference": Parts("single pass"),
            "image": int(ladder.images.labels.argmax()),
        }
        self._sources = {parts.source for parts in ladder.measured}
        self._has_statistics = any(parts.statistics for parts in ladder.measured)

    # -- what is on ------------------------------------------------------------------------------

    @property
    def choices(self) -> dict[str, list[Any]]:
        """What each control can be set to."""
        switches: dict[str, list[Any]] = {name: [False, True] for name in ADDED}
        return switches | {
            "source": [name for name in SOURCES if name in self._sources],
            "depth": list(range(1, self.ladder.depth + 1)),
            "reference": list(self.ladder.measured),
            "image": list(range(len(self.ladder.images))),
        }

    def closed(self) -> dict[str, str]:
        """Say why a control cannot be changed now, for those of which this is so."""
        now, deepest = self.values, self.ladder.depth
        recursive = now["source"] == "RcAE"
        reasons = [
            ("source", now["dpn"], "DPN was trained on RcAE's reconstructions: untick it first"),
            ("depth", now["source"] in FLAT, "only resizing and RcAE have a depth"),
            ("depth", now["crd"], f"CRD reads the whole sequence up to n = {deepest}"),
            ("dpn", not recursive, "DPN was trained on RcAE's reconstructions: choose RcAE first"),
            ("dpn", now["crd"], "CRD was trained on what DPN gives: untick CRD first"),
            ("crd", not now["dpn"], "CRD was trained on what DPN gives: tick DPN first"),
            ("crd", now["depth"] < deepest, f"CRD reads the sequence up to n = {deepest}: set n"),
            ("crd", now["statistics"], "the statistics are added to its output: untick them first"),
            ("statistics", not self._has_statistics, "this detector was made without them"),
            ("statistics", not now["crd"], "they are added to CRD's output: tick CRD first"),
        ]
        return {name: reason for name, applies, reason in reversed(reasons) if applies}

    def set(self, name: str, value: Any) -> None:
        """Set one control.

        Raises
        ------
        KitError
            If it is closed, there is no such control, or it has no such choice.
        """
        if name not in self.values:
            raise KitError(f"control {name!r} is unknown; choose from {list(self.values)}")
        if value not in (choices := self.choices[name]):
            raise KitError(f"{name} {value!r}: choose from {', '.join(map(str, choices))}")
        if value != self.values[name] and (reason := self.closed().get(name)):
            raise KitError(f"{name} cannot be changed now: {reason}")
        self.values[name] = value

    # -- what it gives ---------------------------------------------------------------------------

    @property
    def current(self) -> Rung:
        """What the ticked parts give together."""
        now = self.values
        depth = 0 if now["source"] in FLAT else now["depth"]
        parts = Parts(now["source"], depth, *(now[name] for name in ADDED))
        return self.ladder.measured[parts]

    @property
    def reference(self) -> Rung:
        """What it is compared with."""
        return self.ladder.measured[self.values["reference"]]

    def difference(self) -> Interval:
        """AUROC of the current parts minus the reference's, paired on the same test images."""
        return self.current.over(self.reference)

    def verdict(self) -> str:
        """Say what the interval of the difference says."""
        if self.current is self.reference:
            return "this is the reference"
        found = self.difference()
        if found.low <= 0 <= found.high:
            return "not told apart from the reference"
        return f"{'above' if found.low > 0 else 'below'} the reference"

    def rank(self, rung: Rung) -> tuple[int, int]:
        """Count the (other) normal test images that score lower than the one shown, and all."""
        place = self.ladder.shown[self.values["image"]]
        others = (self.ladder.labels == 0) & (np.arange(len(self.ladder.labels)) != place)
        return int((rung.scores[others] < rung.scores[place]).sum()), int(others.sum())

    def picture(self, rung: Rung | None = None) -> np.ndarray:
        """Return the image, or a rung's map over it, the defect outlined: (h, w, 3) uint8.

        Every rung has a colour scale of its own, over all images that are shown.
        """
        index, images = self.values["image"], self.ladder.images
        picture = images.images()[index].permute(1, 2, 0).numpy()  # (H, W, 3)
        if rung is not None:
            maps = rung.maps.float().numpy()
            picture = overlay(picture, maps[index], *map_limits(maps))
        factor = max(1, SIDE // images.size)
        mask = _enlarged(images[index].mask.numpy(), factor)
        picture = _enlarged(picture, factor)
        picture[mask & ~binary_erosion(mask, iterations=2)] = OUTLINE
        return picture


def _enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)
