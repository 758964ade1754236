"""What all detectors share: train in stages, calibrate, predict, evaluate, save and load.

The detectors themselves are short: `rcae_lite.detector` (RcAE, DPN and CRD) and
`rcae_lite.baselines`.
"""

from __future__ import annotations

import threading
import timeit
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from msgspec import to_builtins
from torch import Tensor, nn

from data_utils.errors import KitError
from data_utils.images import DEEP
from data_utils.samples import ImageSet, as_batch, batches, check_image_set
from rcae_lite.config import DETECTOR_NAMES, Config, get_config
from rcae_lite.evaluation import thresholds
from rcae_lite.evaluation.protocol import check_test_set, evaluate
from rcae_lite.evaluation.restoration import Restoration, probe
from rcae_lite.evaluation.results import Evaluation, Provenance
from rcae_lite.evaluation.scoring import SCORE_RULE, smooth
from rcae_lite.model.outputs import Detection, Trajectory, concatenate
from rcae_lite.storage.provenance import origin_on, resolve_device
from rcae_lite.storage.tensors import check_modules, load_modules
from rcae_lite.training.checkpoint import (
    FinishedStage,
    Snapshot,
    StageStore,
    read_snapshot,
    save_snapshot,
    stage_keys,
)
from rcae_lite.training.draws import generator_for
from rcae_lite.training.events import Callback
from rcae_lite.training.modes import evaluating
from rcae_lite.training.trainer import Trainer

__all__ = ["Detector", "held_out_images", "keys_of", "split"]

Self = TypeVar("Self", bound="Detector")
_GLOBAL_DRAWS = threading.Lock()  # PyTorch draws initial weights from a generator that all share


class Detector(ABC):
    """A trained network, or several in a row, with a threshold. Use one of its subclasses.

    Parameters
    ----------
    config : Config
        From `rcae_lite.config.get_config`.
    seed : int
        Of the initial weights, the hold-out and every random draw.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Attributes
    ----------
    modules : dict of str to Module
        The networks by name, in the order in which they are trained.
    stages : dict of str to FinishedStage
        What is trained: seconds, losses and origin of each stage.
    data : dict
        Category, fingerprint and image counts of the data it was trained on.
    training_set : str
        Hash of what the weights depend on, see `rcae_lite.training.checkpoint.stage_keys`.
    threshold : Threshold or None
        Set by `fit`: an image is called defective when its score is above it.
    calibration_scores : list of float
        Scores of the normal images that were held out of training.
    """

    kind: ClassVar[str]  # one of `rcae_lite.config.DETECTOR_NAMES`
    stage_names: ClassVar[tuple[str, ...]]  # the networks that it trains, in this order
    score_rule: str = SCORE_RULE  # how an image becomes a score

    def __init__(self, config: Config, seed: int = 0, device: str = "auto") -> None:
        if not isinstance(config, Config):
            raise KitError(f"config is {config!r}; expected a Config; see from_preset('lite')")
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
            raise KitError(f"seed is {seed!r}; expected a whole number from 0 to 2^63 - 1")
        self.config, self.seed = config, int(seed)
        self.device = resolve_device(device)
        self._start_afresh()

    @classmethod
    def from_preset(
        cls: type[Self], preset: str, *, seed: int = 0, device: str = "auto", **overrides: Any
    ) -> Self:
        """Build an untrained detector from a preset.

        Parameters
        ----------
        preset : {"demo", "lite", "standard", "paper"}
            See `rcae_lite.config.PRESETS`.
        seed, device
            As in the constructor.
        **overrides
            Options of the preset to replace, see `rcae_lite.config.get_config`.
        """
        return cls(get_config(preset, **overrides), seed, device)

    def _start_afresh(self) -> None:
        """Draw the initial weights from the seed and forget any training."""
        with _GLOBAL_DRAWS, torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.modules = {name: self._place(m) for name, m in self._build(self.config).items()}
        self.stages: dict[str, FinishedStage] = {}
        self.data: dict[str, str | int] = {}
        self.training_set = ""
        self.threshold: thresholds.Threshold | None = None
        self.calibration_scores: list[float] = []

    # -- what a subclass says about itself ---------------------------------------------------

    @classmethod
    @abstractmethod
    def _build(cls, config: Config) -> dict[str, nn.Module]:
        """Build the modules, in the order in which they are trained."""

    @abstractmethod
    def _trajectory(self, images: Tensor) -> Trajectory:
        """Follow checked images (B, 3, H, W) through the network."""

    @abstractmethod
    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        """Return the raw anomaly map (B, H, W) of a trajectory, before smoothing."""

    @abstractmethod
    def _probability(self, raw: Tensor) -> Tensor:
        """Bring a raw map to [0, 1] for display."""

    # -- training ----------------------------------------------------------------------------

    def fit(
        self: Self,
        train: ImageSet,
        *,
        callbacks: Iterable[Callback] | None = None,
        checkpoint: str | Path | None = None,
        stages: str | Path | None = None,
        false_alarm_rate: float | None = None,
    ) -> Self:
        """Train all stages on normal images, then calibrate the threshold on held-out ones.

        Parameters
        ----------
        train : ImageSet
            Normal images, at the preset's size: `data_utils.open_category(...).train`.
        callbacks : iterable of callable, optional
            Each gets an `rcae_lite.training.events.Event` per optimiser step; a progress bar by
            default. One that raises `rcae_lite.training.events.Stopped` stops the training, which
            can be resumed.
        checkpoint : path, optional
            Folder for checkpoints. If it holds one of the same configuration, seed and data, the
            training resumes from there.
        stages : path, optional
            Folder of finished stages, see `rcae_lite.training.checkpoint.StageStore`. A stage that
            is there is loaded, one that is not is trained and written there.
        false_alarm_rate : float, optional
            Bound on the probability that a normal image is called defective; by default the
            smallest attainable one not below 5%. See `rcae_lite.evaluation.thresholds`.

        Returns
        -------
        Detector
            Itself, trained.

        Raises
        ------
        KitError
            If it is no `ImageSet`, has another size, a transform, defective or too few images, or
            a loss is not finite (its batch lies beside the checkpoint).
        """
        self.check_training_set(train, false_alarm_rate)
        self._start_afresh()
        keys = keys_of(type(self), self.config, self.seed, train)
        self.training_set = keys[self.stage_names[-1]]
        kept, held_out = split(self.seed, len(train))
        images = train.images()
        trainer = Trainer(
            self.modules,
            self.snapshot(),
            origin_on(self.device),
            callbacks=callbacks,
            checkpoint=checkpoint,
            store=StageStore(stages) if stages else None,
            keys=keys,
        )
        self.stages = trainer.train(images[kept].to(self.device))
        self.data = {"category": train.category, "data_fingerprint": train.fingerprint}
        self.data |= {"training_images": len(kept), "calibration_images": len(held_out)}
        self.data["bits"] = train.bits or DEEP
        self.calibrate(train, false_alarm_rate)
        return self

    def calibrate(self, train: ImageSet, false_alarm_rate: float | None = None) -> None:
        """Set the threshold by the images held out of training, for the weights as they are.

        Parameters
        ----------
        train, false_alarm_rate
            What `fit` was given.
        """
        self.calibration_scores = self.predict(held_out_images(self.seed, train)).score.tolist()
        self.threshold = thresholds.conformal_threshold(self.calibration_scores, false_alarm_rate)

    def check_training_set(self, train: ImageSet, false_alarm_rate: float | None = None) -> None:
        """Refuse images that `fit` could not train on; errors as there."""
        size, multiple = self.config.size, self.config.side_multiple(self.kind)
        if size % multiple:
            name = DETECTOR_NAMES[self.kind]
            raise KitError(f"size {size} is not a multiple of {multiple}, as the {name} needs")
        check_image_set(train, self.config.size, "train")
        if defective := int(train.labels.sum()):
            raise KitError(
                f"{defective} of {len(train)} training images are defective; expected normal ones "
                "only; leave the others out with train.subset(...)"
            )
        if len(train) < 3:
            raise KitError(f"{len(train)} training images; at least 3 normal images are needed")
        thresholds.threshold_rank(thresholds.holdout_size(len(train)), false_alarm_rate)

    @property
    def bits(self) -> int:
        """Bits of 16-bit greyscale images, as in its training; see `data_utils.open_category`."""
        return int(self.data.get("bits", DEEP))

    @property
    def losses(self) -> dict[str, list[tuple[int, float]]]:
        """(step, loss) of every optimiser step, by stage."""
        return {name: stage.losses for name, stage in self.stages.items()}

    @property
    def trained(self) -> dict[str, Any]:
        """Where this detector comes from: data, counts, seconds per stage, device, versions."""
        values: dict[str, Any] = {"seconds": {n: s.seconds for n, s in self.stages.items()}}
        values |= self.data
        parts = {name: s.batch_parts for name, s in self.stages.items() if s.batch_parts > 1}
        if parts:  # of stages whose batches did not fit the memory
            values["batch_parts"] = parts
        for stage in self.stages.values():
            values |= to_builtins(stage.origin)
        return values

    # -- inference ---------------------------------------------------------------------------

    @torch.inference_mode()
    def trajectory(self, images: Any) -> Trajectory:
        """Follow a batch of images through the recursion.

        Parameters
        ----------
        images : Tensor, np.ndarray, PIL.Image.Image, path, or a list of these
            See `data_utils.samples.as_batch`; sides divisible by ``2 ** depth`` and by 16.

        Returns
        -------
        Trajectory
            On the detector's device.
        """
        batch = as_batch(images, self.config.size, self.bits)
        with evaluating(self.modules.values()):
            return self._trajectory(batch.to(self.device, memory_format=torch.channels_last))

    @torch.inference_mode()
    def predict(self, images: Any, *, batch_size: int = 4) -> Detection:
        """Detect defects.

        Parameters
        ----------
        images
            As in `trajectory`.
        batch_size : int
            Images that go through the networks at a time.

        Returns
        -------
        Detection
            On the CPU; ``label`` is all False while there is no threshold. For tensors of another
            size than the training's the threshold promises nothing, and a warning says so.
        """
        size = self.config.size
        batch = as_batch(images, size, self.bits)
        if self.threshold and batch.shape[2:] != (size, size):
            height, width = batch.shape[2:]
            warnings.warn(
                f"images of {height}x{width} and a threshold for {size}x{size}: the labels promise "
                "nothing; resize the images, or pass paths or arrays, which are resized",
                stacklevel=3,  # `inference_mode` is in between
            )
        parts = batches(batch, batch_size)
        return concatenate([self.detect(self.trajectory(part)) for part in parts])

    @torch.inference_mode()
    def detect(self, trajectory: Trajectory) -> Detection:
        """Detect defects in images whose trajectory is known already; see `predict`."""
        with evaluating(self.modules.values()):
            raw = smooth(self._raw_map(trajectory).float().cpu())  # (B, H, W)
        score = raw.flatten(1).amax(dim=1)
        label = score > (self.threshold.value if self.threshold else float("inf"))
        return Detection(raw, self._probability(raw), score, label)

    def require_threshold(self) -> thresholds.Threshold:
        """Return the threshold; without one, a KitError that says how to get it."""
        if self.threshold is None:
            raise KitError("the detector has no threshold yet; call fit(...) or load a trained one")
        return self.threshold

    def evaluate(self, test: ImageSet, *, batch_size: int = 4) -> Evaluation:
        """Evaluate on a test set by the protocol.

        Parameters
        ----------
        test : ImageSet
            Test images at the detector's working size.
        batch_size : int
            Images that go through the networks at a time.

        Returns
        -------
        Evaluation
            See `rcae_lite.evaluation.protocol.evaluate`; errors as there, or if untrained.
        """
        threshold = self.require_threshold()
        check_test_set(test, self.config.size, self.bits)
        detections, residuals = [], []
        for part in batches(test.images(), batch_size):
            trajectory = self.trajectory(part)
            detections.append(self.detect(trajectory))
            residuals.append(smooth(trajectory.residuals.cpu()).flatten(2).amax(dim=2))  # (B, N)
        found = concatenate(detections)
        return evaluate(
            test,
            found.anomaly_map,
            found.score.double().numpy(),
            threshold=threshold,
            calibration_scores=self.calibration_scores,
            residual_scores=torch.cat(residuals).numpy(),
            provenance=self._provenance(test),
        )

    def _provenance(self, test: ImageSet) -> Provenance:
        here, trained = origin_on(self.device), self.trained
        return Provenance(
            detector=self.kind,  # type: ignore[arg-type]
            category=test.category,
            preset=self.config.preset,
            seed=self.seed,
            resolution=(self.config.size, self.config.size),
            parameters=self.parameters(),
            seconds={"train": trained["seconds"], "inference_per_image": self.seconds_per_image()},
            device=trained["device"],
            evaluated_on=here.device,
            threads=trained["threads"],
            data_fingerprint=test.fingerprint,
            training_images=trained["training_images"],
            calibration_images=trained["calibration_images"],
            test_images=len(test),
            version=here.version,
            code_version=here.code_version,
            torch=here.torch,
            score_rule=self.score_rule,
        )

    def restoration(self, train: ImageSet) -> dict[str, Restoration]:
        """Probe what is kept of defects and of the part, on the images held out of training.

        Parameters
        ----------
        train : ImageSet
            What `fit` was given; its held-out images are probed.

        Returns
        -------
        dict of str to Restoration
            After the first network, and after DPN where there is one, by their names in
            `rcae_lite.config.DETECTOR_NAMES`; see `rcae_lite.evaluation.restoration`.
        """

        def restore(images: Tensor) -> dict[str, Tensor]:
            found = self.trajectory(images)
            made = {self.stage_names[0]: found.reconstructions, "rcae_dpn": found.enhanced}
            return {name: restored for name, restored in made.items() if restored is not None}

        return probe(restore, held_out_images(self.seed, train))

    def seconds_per_image(self, repeats: int = 10) -> float:
        """Median seconds of `predict` for one image of the working size, after a warm-up."""
        image = torch.full((1, 3, self.config.size, self.config.size), 0.5)
        times = timeit.repeat(lambda: self.predict(image), repeat=repeats + 2, number=1)
        return round(float(np.median(times[2:])), 5)

    def parameters(self) -> dict[str, int]:
        """Trainable parameters per module, and their ``total``."""
        counts = {n: sum(p.numel() for p in m.parameters()) for n, m in self.modules.items()}
        return counts | {"total": sum(counts.values())}

    # -- files -------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what `save` writes, but for the tensors."""
        return Snapshot(
            detector=self.kind,  # type: ignore[arg-type]
            config=self.config,
            seed=self.seed,
            training_set=self.training_set,
            stages=self.stages,
            threshold=self.threshold.value if self.threshold else None,
            false_alarm_rate=self.threshold.false_alarm_rate if self.threshold else None,
            calibration_scores=self.calibration_scores,
            data=self.data,
        )

    def save(self, folder: str | Path, *, half: bool = False) -> None:
        """Write ``detector.safetensors`` and ``detector.json``, each whole or not at all.

        Parameters
        ----------
        folder : path
            Made where it is missing.
        half : bool
            Write the weights as float16, in half the bytes; `load` makes float32 of them again.
            Rounded weights have other scores: `calibrate` what was loaded, and save it again.
        """
        save_snapshot(Path(folder), self.snapshot(), self.modules, half=half)

    @classmethod
    def load(cls: type[Self], folder: str | Path, *, device: str = "auto") -> Self:
        """Read what `save` wrote. Nothing is unpickled; names, shapes and types are checked.

        Raises
        ------
        KitError
            If a file is missing, damaged, of another version or of another kind of detector.
        """
        snapshot, tensors = read_snapshot(folder)
        if snapshot.detector != cls.kind or set(snapshot.stages) - set(cls.stage_names):
            raise KitError(
                f"{folder} holds a detector {snapshot.detector!r}, not {cls.kind!r}; load it with "
                "its own class"
            )
        weights = Path(folder) / "detector.safetensors"
        with torch.device("meta"):  # a file that was changed must not ask for all of the memory
            check_modules(cls._build(snapshot.config), tensors, weights)
        detector = cls(snapshot.config, snapshot.seed, device)
        load_modules(detector.modules, tensors, weights)
        detector.stages, detector.data = snapshot.stages, snapshot.data
        detector.training_set = snapshot.training_set
        detector.calibration_scores = snapshot.calibration_scores
        if snapshot.threshold is not None and snapshot.false_alarm_rate is not None:
            detector.threshold = thresholds.Threshold(snapshot.threshold, snapshot.false_alarm_rate)
        return detector

    def _place(self, module: nn.Module) -> nn.Module:
        return module.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def split(seed: int, count: int) -> tuple[list[int], list[int]]:
    """Split ``count`` training images into those trained on and those held out for calibration."""
    order = torch.randperm(count, generator=generator_for(seed, "hold-out")).tolist()
    held_out = thresholds.holdout_size(count)
    return sorted(order[held_out:]), sorted(order[:held_out])


def held_out_images(seed: int, train: ImageSet) -> Tensor:
    """Return the images held out of a training on ``train``, (n, 3, H, W) in [0, 1]."""
    return train.images()[split(seed, len(train))[1]] / 255


def keys_of(kind: type[Detector], config: Config, seed: int, train: ImageSet) -> dict[str, str]:
    """Name each stage of a training run on ``train``: see `training.checkpoint.stage_keys`."""
    known = train.paths
    paths = [known[index] for index in split(seed, len(train))[0]]
    if (train.bits or DEEP) != DEEP:  # the same files, but other grey levels
        paths.append(f"{train.bits} bits")
    return stage_keys(kind.stage_names, config, seed, train.fingerprint, paths)
