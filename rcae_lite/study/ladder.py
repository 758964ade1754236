"""Who did the work? Image scores that each part of the method gives, on the same test images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data_utils import ImageSet, KitError
from rcae_lite.baselines import SinglePassDetector, check_same_size, resize_trajectory
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.bootstrap import Interval, percentile_interval
from rcae_lite.evaluation.curves import check_finite
from rcae_lite.evaluation.metrics import auroc_resamples, image_auroc
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.model.outputs import Trajectory

__all__ = ["ADDED", "FLAT", "SOURCES", "Ladder", "Parts", "Rung", "ladder", "mean_image_maps"]

FLAT = ("mean image", "eigenimages", "single pass")  # sources without a depth
SOURCES = (*FLAT, "resizing", "RcAE")
ADDED = {"dpn": "DPN", "crd": "CRD", "statistics": "position statistics"}  # in this order
SHOWN = (2, 10)  # normal and defective images, at most, whose maps are kept

_FLOOR = 0.01  # of the spread, in grey levels 0 to 1
_BATCH = 8


class Parts(NamedTuple):
    """Which parts work together.

    Parameters
    ----------
    source : str
        What rebuilds the image, one of `SOURCES`; all but "RcAE" are controls.
    depth : int
        n of the last reconstruction; 0 where the source has no depth.
    dpn, crd, statistics : bool
        Whether DPN, CRD and the position statistics come on top.
    """

    source: str
    depth: int = 0
    dpn: bool = False
    crd: bool = False
    statistics: bool = False

    def __str__(self) -> str:
        depth = [f"{self.source}, n = {self.depth}" if self.depth else self.source]
        return " ".join(depth + [f"+ {name}" for name in self.added])

    @property
    def added(self) -> list[str]:
        """What comes on top, in words."""
        return [words for name, words in ADDED.items() if getattr(self, name)]


@dataclass(frozen=True)
class Rung:
    """What some parts of the method give together.

    Parameters
    ----------
    parts : Parts
        All that work together.
    scores : np.ndarray
        (M,) of all test images: the highest values of the smoothed maps.
    maps : Tensor
        (K, H, W) float16, smoothed, of `Ladder.images`.
    auroc : Interval
        Image AUROC with its 95% interval.
    resampled : np.ndarray
        Image AUROC on every bootstrap resample of the test images, the same ones for all rungs.
    gain : Interval or None
        Over the rung before, paired on the same images; None where it builds on none.
    """

    parts: Parts
    scores: np.ndarray
    maps: Tensor
    auroc: Interval
    resampled: np.ndarray
    gain: Interval | None

    @property
    def name(self) -> str:
        """On the ladder: of the part that was added last, or of the control."""
        return f"+ {self.parts.added[-1]}" if self.parts.added else str(self.parts)

    def over(self, other: Rung) -> Interval:
        """Return AUROC minus another rung's, paired: no network runs, nothing is drawn again."""
        difference = self.auroc.value - other.auroc.value
        return percentile_interval(difference, self.resampled - other.resampled)


@dataclass(frozen=True)
class Ladder(Sequence[Rung]):
    """A sequence of rungs, and whatever else was measured on the way.

    Parameters
    ----------
    measured : dict of Parts to Rung
        Every combination: the rungs, and resizing and DPN at each depth.
    depth : int
        N.
    labels : np.ndarray
        (M,) of all test images.
    shown : list of int
        Places in the test set of the images whose maps are kept: 2 normal and 10 defective ones
        where there are as many, evenly spaced.
    images : ImageSet
        These images.
    """

    measured: dict[Parts, Rung]
    depth: int
    labels: np.ndarray
    shown: list[int]
    images: ImageSet

    @property
    def rungs(self) -> list[Rung]:
        """The controls, RcAE at each depth, and one part after the other on top of depth N."""
        return [rung for parts, rung in self.measured.items() if self._on_ladder(parts)]

    def _on_ladder(self, parts: Parts) -> bool:
        plain = parts.source == "RcAE" and not parts.added
        return plain or parts.depth in (0, self.depth)

    def __len__(self) -> int:
        return len(self.rungs)

    def __getitem__(self, index: Any) -> Any:
        return self.rungs[index]

    def __iter__(self) -> Iterator[Rung]:
        return iter(self.rungs)


def ladder(
    detector: RcAEDetector, single_pass: SinglePassDetector, train: ImageSet, test: ImageSet
) -> Ladder:
    """Score the test images by the controls, then by the method, one part after the other.

    CRD is one network; in half of its training crops it had the position statistics among its
    inputs, in the others 0. Its rung has it without them.

    Parameters
    ----------
    detector : RcAEDetector
        Trained.
    single_pass : SinglePassDetector
        Trained on the same images.
    train : ImageSet
        Its training images, for the control that knows their mean alone.
    test : ImageSet
        With normal and defective images.

    Returns
    -------
    Ladder
        The mean image, eigenimages (the position statistics alone), the single pass, resizing
        without a network; RcAE at each depth; DPN, CRD, and position statistics. Without
        statistics in the detector, neither eigenimages nor the last.

    Raises
    ------
    KitError
        If the detectors work at different sizes, or the test set lacks one of the two classes.
    """
    check_same_size({"RcAE": detector, "single pass": single_pass})
    labels = test.labels
    if len(np.unique(labels)) < 2:
        raise KitError(
            "the test set has one class only; a ladder needs normal and defective images"
        )
    images, depth = test.images() / 255, detector.config.rcae.depth
    simple = mean_image_maps(train.images() / 255, images)
    shown, scores, maps = _shown(labels), defaultdict(list), defaultdict(list)
    for places in torch.arange(len(images)).split(_BATCH):
        raw = {Parts("mean image"): simple[places]}
        raw |= _maps_of(detector, single_pass, images[places])
        for parts, one in raw.items():
            smoothed = smooth(one.float().cpu())
            scores[parts].append(smoothed.flatten(1).amax(dim=1).double())
            maps[parts].append(smoothed[torch.isin(places, shown)].half())
    measured: dict[Parts, Rung] = {}
    for parts, found in scores.items():
        below = _without_last(parts)
        before = measured[below] if below else None
        rung = _rung(labels, parts, torch.cat(found).numpy(), torch.cat(maps[parts]), before)
        measured[parts] = rung
    return Ladder(measured, depth, labels, shown.tolist(), test.subset(shown.tolist()))


def mean_image_maps(train: Tensor, images: Tensor) -> Tensor:
    """Tell how many spreads each pixel is off the mean training image: the simplest detector.

    Parameters
    ----------
    train, images : Tensor
        (n, 3, H, W) and (M, 3, H, W) in [0, 1].

    Returns
    -------
    Tensor
        (M, H, W), not smoothed.
    """
    mean, spread = train.mean(dim=0), train.std(dim=0).mean(dim=0)
    return ((images - mean).abs() / (spread + _FLOOR)).mean(dim=1)


@torch.inference_mode()
def _maps_of(
    detector: RcAEDetector, single_pass: SinglePassDetector, images: Tensor
) -> dict[Parts, Tensor]:
    """Follow the recursion: the residual at every depth, after DPN, and what CRD makes of it."""
    depth = detector.config.rcae.depth
    found = detector.trajectory(images)
    assert found.enhanced is not None
    resized = Trajectory(images, resize_trajectory(images, depth)).residuals  # (B, N, H, W)
    enhanced = Trajectory(found.images, found.enhanced).residuals
    steps = [(n + 1, n) for n in range(depth)]
    maps = {}
    z_scores = detector.crd.z_scores(found.images)
    if detector.crd.statistics is not None:
        maps[Parts("eigenimages")] = z_scores[:, 0].square()
    maps[Parts("single pass")] = single_pass.trajectory(images).residuals[:, -1]
    maps |= {Parts("resizing", n): resized[:, at] for n, at in steps}
    maps |= {Parts("RcAE", n): found.residuals[:, at] for n, at in steps}
    maps |= {Parts("RcAE", n, dpn=True): enhanced[:, at] for n, at in steps}
    whole = Parts("RcAE", depth, dpn=True, crd=True)
    maps[whole] = detector.surprise(found, torch.zeros_like(z_scores))
    if detector.crd.statistics is not None:
        maps[whole._replace(statistics=True)] = detector.surprise(found, z_scores)
    return maps


def _shown(labels: np.ndarray) -> Tensor:
    """Choose images of both classes, evenly spaced: the defects of a kind lie side by side."""
    chosen = []
    for label, most in enumerate(SHOWN):
        places = np.flatnonzero(labels == label)
        spaced = np.linspace(0, len(places) - 1, min(most, len(places)))
        chosen += places[spaced.astype(int)].tolist()
    return torch.tensor(sorted(chosen))


def _without_last(parts: Parts) -> Parts | None:
    """Take the part off that was added last; None where nothing was."""
    last = len(parts.added) - 1  # they are added in this order
    if last < 0:
        return None
    return Parts(parts.source, parts.depth, *(place < last for place in range(len(ADDED))))


def _rung(
    labels: np.ndarray, parts: Parts, scores: np.ndarray, maps: Tensor, before: Rung | None
) -> Rung:
    check_finite(scores, f"the image scores of {parts}")
    resampled = auroc_resamples(labels, scores)
    auroc = percentile_interval(image_auroc(labels, scores), resampled)
    rung = Rung(parts, scores, maps, auroc, resampled, None)
    return replace(rung, gain=rung.over(before)) if before else rung
