"""Who did the work? Image scores that each part of the method gives, on the same test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data_utils import ImageSet, KitError
from rcae_lite.baselines import SinglePassDetector, resize_trajectory
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.bootstrap import Interval
from rcae_lite.evaluation.metrics import auroc_difference, image_metrics
from rcae_lite.evaluation.scoring import smooth

__all__ = ["Rung", "ladder", "mean_image_maps"]

_FLOOR = 0.01  # of the spread, in grey levels 0 to 1
_BATCH = 8


@dataclass(frozen=True)
class Rung:
    """What one more part of the method gives.

    Parameters
    ----------
    name : str
        Of the part that is added, or of the control.
    maps : Tensor
        (M, H, W), smoothed; an image's score is its highest value.
    auroc : Interval
        Image AUROC with its 95% interval.
    gain : Interval or None
        Over the rung before, paired on the same images; None where it builds on none.
    """

    name: str
    maps: Tensor
    auroc: Interval
    gain: Interval | None

    @property
    def scores(self) -> np.ndarray:
        """(M,)."""
        return _scores(self.maps)


def ladder(
    detector: RcAEDetector, single_pass: SinglePassDetector, train: ImageSet, test: ImageSet
) -> list[Rung]:
    """Score the test images by the controls, then by the method, one part after the other.

    CRD is one network, trained with the position statistics among its inputs; its rung leaves out
    what they add to its logits afterwards.

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
    list of Rung
        The mean image, the single pass, resizing without a network; RcAE at each depth; DPN, CRD,
        and position statistics where the detector has them.

    Raises
    ------
    KitError
        If the test set lacks one of the two classes.
    """
    labels = test.labels
    if len(np.unique(labels)) < 2:
        raise KitError(
            "the test set has one class only; a ladder needs normal and defective images"
        )
    images, depth = test.images() / 255, detector.config.rcae.depth
    controls = {
        "mean image": smooth(mean_image_maps(train.images() / 255, images)),
        "single pass": single_pass.predict(images).anomaly_map,
        "resizing": smooth((images - resize_trajectory(images, depth)[:, :, -1]).abs().mean(dim=1)),
    }
    method = _method_maps(detector, images)
    rungs = [_rung(labels, name, maps, None) for name, maps in controls.items()]
    before = None
    for name, maps in method.items():
        rungs.append(_rung(labels, name, maps, before if name.startswith("+") else None))
        before = maps
    return rungs


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
def _method_maps(detector: RcAEDetector, images: Tensor) -> dict[str, Tensor]:
    parts = [_maps_of(detector, part) for part in images.split(_BATCH)]
    return {name: smooth(torch.cat([part[name] for part in parts])) for name in parts[0]}


def _maps_of(detector: RcAEDetector, images: Tensor) -> dict[str, Tensor]:
    """Follow the recursion: the residual at every depth, after DPN, and what CRD makes of it."""
    trajectory = detector.trajectory(images)
    assert trajectory.enhanced is not None
    plain = trajectory.residuals  # (B, N, H, W)
    maps = {f"RcAE, n = {n + 1}": plain[:, n] for n in range(plain.shape[1])}
    maps["+ DPN"] = (trajectory.images - trajectory.enhanced[:, :, -1]).abs().mean(dim=1)
    maps["+ CRD"] = detector.surprise(trajectory, statistics=False)
    if detector.crd.statistics is not None:
        maps["+ position statistics"] = detector.surprise(trajectory)
    return {name: one.float().cpu() for name, one in maps.items()}


def _rung(labels: np.ndarray, name: str, maps: Tensor, before: Tensor | None) -> Rung:
    auroc = image_metrics(labels, _scores(maps))["image_auroc"]
    assert auroc is not None
    gain = (
        auroc_difference(labels, [_scores(maps)], [_scores(before)]) if before is not None else None
    )
    return Rung(name, maps, auroc, gain)


def _scores(maps: Tensor) -> np.ndarray:
    return maps.flatten(1).amax(dim=1).double().numpy()
