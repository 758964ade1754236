"""Detectors: the modules put together, trained in stages, calibrated, saved.

`RcAEDetector` is the method of the paper (RcAE, DPN and CRD); `SinglePassDetector` is the ConvAE
baseline with the plain residual. All that they share (fit, predict, evaluate, save, load) stands
once, in `Detector`.
"""

from __future__ import annotations

import dataclasses
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data_utils import ImageSet, KitError
from rcae_lite import __version__
from rcae_lite.autoencoder import RcAE, SinglePassAutoencoder
from rcae_lite.checkpoint import (
    CheckpointWriter,
    check_modules,
    keep_batch,
    load_checkpoint,
    load_modules,
    restore_optimiser,
)
from rcae_lite.config import Config, Stage, config_from_dict, get_config
from rcae_lite.detail import DetailPreservationNetwork
from rcae_lite.detection import CrossRecursionDetector
from rcae_lite.distributed import gather, is_leader, leader_first
from rcae_lite.evaluation import code_version, device_name, evaluate, smooth
from rcae_lite.files import load_tensors, read_json, save_tensors, write_text
from rcae_lite.losses import bce_dice_loss, gradient, map_loss, reconstruction_loss
from rcae_lite.pseudo_anomalies import paint
from rcae_lite.results import Evaluation
from rcae_lite.schemas import DETECTOR
from rcae_lite.sequences import SequencePool, Sequences
from rcae_lite.sequences import concatenate as concatenate_sequences
from rcae_lite.stages import StageStore, stage_key
from rcae_lite.thresholds import Threshold, conformal_threshold, holdout_size, threshold_rank
from rcae_lite.training import (
    Batch,
    Event,
    Listener,
    LossNotFinite,
    Objective,
    Progress,
    Stopped,
    generator_for,
    new_state,
    train_stage,
)
from rcae_lite.variation import vary

__all__ = [
    "Detection",
    "Detector",
    "RcAEDetector",
    "ResidualDetector",
    "SinglePassDetector",
    "Trajectory",
    "concatenate",
    "resolve_device",
]

FORMAT_VERSION = 1
FROZEN_BATCH = 4  # images that go through frozen networks at a time: little memory, no less speed
Self = TypeVar("Self", bound="Detector")


def resolve_device(name: str = "auto") -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device; "auto" is CUDA if there, else the CPU.

    Raises
    ------
    KitError
        If the device is unknown or not available.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = "cuda" if available["cuda"] else "cpu"
    kind = name.partition(":")[0]
    if kind not in available:
        raise KitError(f"device {name!r} is unknown; choose auto, cpu, cuda or mps")
    if not available[kind]:
        raise KitError(f"device {name!r} is not available here; use --device auto or cpu")
    return torch.device(name)


@dataclass(frozen=True)
class Trajectory:
    """What the recursion does to a batch of images.

    Parameters
    ----------
    images : Tensor
        I, (B, 3, H, W).
    reconstructions : Tensor
        I_R^1 ... I_R^N, (B, 3, N, H, W).
    enhanced : Tensor or None
        I_D^1 ... I_D^N, (B, 3, N, H, W); None for the single-pass baseline.
    """

    images: Tensor
    reconstructions: Tensor
    enhanced: Tensor | None = None

    @property
    def residuals(self) -> Tensor:
        """``|I - I_R^n|``, mean over the colour channels: (B, N, H, W)."""
        return (self.images.unsqueeze(2) - self.reconstructions).abs().mean(dim=1)

    @property
    def changes(self) -> Tensor:
        """``|I_R^{n+1} - I_R^n|``, mean over the colour channels: (B, N - 1, H, W)."""
        return self.reconstructions.diff(dim=2).abs().mean(dim=1)


@dataclass(frozen=True)
class Detection:
    """What a detector says about a batch of images.

    Parameters
    ----------
    anomaly_map : Tensor
        Raw float32 map, (B, H, W), for metrics, smoothed by `rcae_lite.evaluation.smooth`; its
        scale is the detector's own. For RcAE it is the surprise ``-log(1 - M_A)``, which has no
        upper end and so no ties where a probability would saturate.
    probability : Tensor
        The same brought to [0, 1], (B, H, W), for display.
    score : Tensor
        Maximum of the raw map, (B,).
    label : Tensor
        Score above the threshold, (B,) bool.
    """

    anomaly_map: Tensor
    probability: Tensor
    score: Tensor
    label: Tensor


def concatenate(parts: Sequence[Detection]) -> Detection:
    """Join the detections of several batches into one."""
    names = [field.name for field in dataclasses.fields(Detection)]
    return Detection(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


class Detector(ABC):
    """What all detectors share. Use `RcAEDetector` or `SinglePassDetector`.

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
    threshold : Threshold or None
        Set by `fit`: an image is called defective when its score is above it.
    calibration_scores : list of float
        Scores of the normal images that were held out of training.
    trained : dict
        Where this detector comes from: data, counts, seconds per stage, device, versions.
    losses : dict of str to list
        (step, loss) of every optimiser step, by stage.
    """

    kind: ClassVar[str]

    def __init__(self, config: Config, seed: int = 0, device: str = "auto") -> None:
        self.config = config
        self.seed = seed
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
            Options of the preset to replace, checked by name: see `rcae_lite.config.get_config`.
        """
        return cls(get_config(preset, **overrides), seed, device)

    def _start_afresh(self) -> None:
        """Draw the initial weights from the seed and forget any training."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.modules = {name: self._place(m) for name, m in self._build().items()}
        self.threshold: Threshold | None = None
        self.calibration_scores: list[float] = []
        self.trained: dict[str, Any] = {}
        self.losses: dict[str, list[tuple[int, float]]] = {}

    # -- what a subclass says about itself ---------------------------------------------------

    @abstractmethod
    def _build(self) -> dict[str, nn.Module]:
        """Build the modules, in the order in which they are trained."""

    @abstractmethod
    def _objective(self, stage: str, images: Tensor) -> Objective:
        """Return the batch of a stage as a function of the step; images: (n, 3, H, W) uint8."""

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
        listeners: Iterable[Listener] | None = None,
        checkpoint: str | Path | None = None,
        stages: str | Path | None = None,
        false_alarm_rate: float | None = None,
    ) -> Self:
        """Train all stages on normal images, then calibrate the threshold on held-out ones.

        Parameters
        ----------
        train : ImageSet
            Normal images of one category, at the preset's size.
        listeners : iterable of callable, optional
            Each gets an `rcae_lite.training.Event` per optimiser step; a progress bar by default.
            One that raises `rcae_lite.training.Stopped` stops the training; it can be resumed.
        checkpoint : path, optional
            Folder for checkpoints. If it holds one of the same configuration, seed and data, the
            training goes on from there.
        stages : path, optional
            Folder of finished stages, see `rcae_lite.stages`. A stage that is there is loaded, one
            that is not is trained and written there.
        false_alarm_rate : float, optional
            Bound on the probability that a normal image is called defective; by default the
            smallest attainable one not below 5%. See `rcae_lite.thresholds`.

        Returns
        -------
        Detector
            Itself, trained.

        Raises
        ------
        KitError
            If the images have another size or are fewer than 3, the held-out ones are too few for
            the false-alarm rate, or a loss is not finite (its batch is then saved beside the
            checkpoint).
        """
        self.check_training_set(train, false_alarm_rate)
        kept, held_out = self._split(len(train))
        images = train.images()
        keys = self.stage_keys(train)
        store = StageStore(stages) if stages else None
        kept_images = images[kept].to(self.device)
        self._train(kept_images, train.fingerprint, listeners, checkpoint, keys, store)
        self._calibrate(images[held_out], false_alarm_rate)
        self.trained |= {
            "category": train.category,
            "data_fingerprint": train.fingerprint,
            "training_images": len(kept),
            "calibration_images": len(held_out),
        } | self._origin()
        return self

    def _origin(self) -> dict[str, Any]:
        return {
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "version": __version__,
            "torch": torch.__version__,
        }

    def stage_keys(self, train: ImageSet) -> dict[str, str]:
        """Name each stage of a training on ``train``: see `rcae_lite.stages.stage_key`."""
        known = train.paths
        paths = [known[index] for index in self._split(len(train))[0]]
        return {
            name: stage_key(name, self.config, self.seed, train.fingerprint, paths)
            for name in self.modules
        }

    def check_training_set(self, train: ImageSet, false_alarm_rate: float | None = None) -> None:
        """Refuse images that `fit` could not train on; errors as there."""
        if train.size != self.config.size:
            raise KitError(
                f"the images are {train.size}x{train.size}, the configuration wants "
                f"{self.config.size}; open the category with size={self.config.size}"
            )
        if len(train) < 3:
            raise KitError(f"{len(train)} training images; at least 3 normal images are needed")
        threshold_rank(holdout_size(len(train)), false_alarm_rate)

    def _mixed_precision(self) -> torch.autocast:
        """Bfloat16 on CUDA, for the forward pass of the module in training only.

        Frozen modules, losses and inference stay in float32; on the CPU everything does.
        """
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")

    def _split(self, count: int) -> tuple[list[int], list[int]]:
        order = torch.randperm(count, generator=generator_for(self.seed, "hold-out")).tolist()
        held_out = holdout_size(count)
        return sorted(order[held_out:]), sorted(order[:held_out])

    def _train(
        self,
        images: Tensor,
        fingerprint: str,
        listeners: Iterable[Listener] | None,
        checkpoint: str | Path | None,
        keys: Mapping[str, str],
        store: StageStore | None,
    ) -> None:
        """Run the stages from the start, or from what a checkpoint or the store has of them."""
        self._start_afresh()
        seconds: dict[str, float] = {}
        batch_parts: dict[str, int] = {}  # of stages whose batches did not fit the memory
        record = {"seconds": seconds, "losses": self.losses, "batch_parts": batch_parts}
        last = list(keys.values())[-1]  # depends on which images of the data are trained on, too
        identity = {"config": self._config_json(), "seed": self.seed, "data": fingerprint}
        identity["training_images"] = last
        every = [self._remember, *([Progress()] if listeners is None else listeners)]
        origin = self._origin() | {"code_version": code_version()} if store else {}
        restored = None
        if checkpoint is not None:
            restored = leader_first(lambda: load_checkpoint(Path(checkpoint), identity))
            if is_leader():
                every.append(CheckpointWriter(Path(checkpoint), self.modules, identity, record))
        if restored:
            seconds.update(restored[0]["seconds"])
            batch_parts.update(restored[0]["batch_parts"])
            self.losses.update(_pairs(restored[0]["losses"]))
            load_modules(self.modules, restored[1], Path(checkpoint or ""), besides=("adam",))
        for name, module in self.modules.items():
            if name in seconds:
                continue
            found = store.load(keys[name], name, module) if store else None
            if found:
                seconds[name] = found["seconds"]
                self.losses[name] = _pairs({name: found["losses"]})[name]
                continue
            stage: Stage = getattr(self.config, "rcae" if name == "single_pass" else name)
            state = new_state(module, stage)
            if restored and restored[0]["stage"] == name:
                state.done, state.seconds = restored[0]["done"], restored[0]["stage_seconds"]
                state.parts = restored[0]["parts"]
                restore_optimiser(state, restored[1], Path(checkpoint or ""))
            steps = stage.optimiser_steps(len(images))
            try:
                train_stage(name, state, self._objective(name, images), stage, steps, every)
            except LossNotFinite as error:
                raise keep_batch(error, checkpoint) from None
            except Stopped:
                for writer in every:
                    if isinstance(writer, CheckpointWriter):
                        writer.write(name, state)
                raise
            seconds[name] = round(state.seconds, 1)
            if state.parts > 1:
                batch_parts[name] = state.parts
            if store and is_leader():
                made = {"seconds": seconds[name], "losses": self.losses[name]}
                store.save(keys[name], name, module, made | origin)
        self.trained = {"seconds": seconds}
        if batch_parts:
            self.trained["batch_parts"] = batch_parts

    def _remember(self, event: Event) -> None:
        self.losses.setdefault(event.stage, []).append((event.done, event.loss))

    def _calibrate(self, images: Tensor, false_alarm_rate: float | None) -> None:
        self.calibration_scores = self.predict(images / 255).score.tolist()
        self.threshold = conformal_threshold(self.calibration_scores, false_alarm_rate)

    def _draw(self, images: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Draw normal images with benign variation: (count, 3, H, W) in [0, 1]."""
        chosen = torch.randint(len(images), (count,), generator=generator).to(images.device)
        batch = images[chosen].float() / 255
        batch = vary(batch, generator, strength=self.config.variation)
        return batch.contiguous(memory_format=torch.channels_last)

    # -- inference ---------------------------------------------------------------------------

    @torch.inference_mode()
    def trajectory(self, images: Tensor) -> Trajectory:
        """Follow a batch of images through the recursion.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1]; H and W divisible by ``2 ** depth`` and by 16.

        Returns
        -------
        Trajectory
            On the detector's device.
        """
        return self._trajectory(self._check(images))

    @torch.inference_mode()
    def predict(self, images: Tensor, *, batch_size: int = 4) -> Detection:
        """Detect defects.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W) in [0, 1].
        batch_size : int
            Images that go through the networks at a time.

        Returns
        -------
        Detection
            On the CPU; ``label`` is all False while there is no threshold.
        """
        return concatenate(
            [self.detect(self.trajectory(part)) for part in images.split(batch_size)]
        )

    @torch.inference_mode()
    def detect(self, trajectory: Trajectory) -> Detection:
        """Detect defects in images whose trajectory is known already; see `predict`."""
        raw = smooth(self._raw_map(trajectory).float().cpu())  # (B, H, W)
        score = raw.flatten(1).amax(dim=1)
        limit = self.threshold.value if self.threshold else float("inf")
        return Detection(raw, self._probability(raw), score, score > limit)

    def require_threshold(self) -> Threshold:
        """Return the threshold; without one, a KitError that says how to get it."""
        if self.threshold is None:
            raise KitError("the detector has no threshold yet; call fit(...) or load a trained one")
        return self.threshold

    def evaluate(self, test: ImageSet) -> Evaluation:
        """Evaluate on a test set by the protocol; see `rcae_lite.evaluation.evaluate`."""
        return evaluate(self, test)

    def _check(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise KitError(
                f"images are {images.dtype} {tuple(images.shape)}; expected floats in [0, 1] of "
                "shape (B, 3, H, W)"
            )
        low, high = images.min().item(), images.max().item()
        if not -0.01 <= low <= high <= 1.01:  # NaN fails this too
            raise KitError(
                f"image values reach from {low:.3g} to {high:.3g}; expected [0, 1]: divide 8-bit "
                "images by 255"
            )
        return (
            images.as_subclass(Tensor).to(self.device).contiguous(memory_format=torch.channels_last)
        )

    def seconds_per_image(self, repeats: int = 10) -> float:
        """Median seconds of `predict` for one image of the working size, after a warm-up."""
        image = torch.rand(1, 3, self.config.size, self.config.size)
        times = []
        for _ in range(repeats + 2):
            started = time.perf_counter()
            self.predict(image)
            times.append(time.perf_counter() - started)
        return float(np.median(times[2:]))

    def parameters(self) -> dict[str, int]:
        """Trainable parameters per module, and their ``total``."""
        counts = {
            name: sum(p.numel() for p in module.parameters())
            for name, module in self.modules.items()
        }
        return counts | {"total": sum(counts.values())}

    # -- files -------------------------------------------------------------------------------

    def save(self, folder: str | Path, *, half: bool = False) -> None:
        """Write ``detector.safetensors`` and ``detector.json``, each whole or not at all.

        Parameters
        ----------
        folder : path
            Made where it is missing.
        half : bool
            Write the weights as float16, in half the bytes; `load` makes float32 of them again.
        """
        folder = Path(folder)
        tensors = {
            f"{name}.{key}": tensor.half() if half and tensor.is_floating_point() else tensor
            for name, module in self.modules.items()
            for key, tensor in module.state_dict().items()
        }
        values = {
            "kind": f"rcae-lite-detector/{self.kind}",
            "format_version": FORMAT_VERSION,
            "config": self._config_json(),
            "seed": self.seed,
            "threshold": self.threshold.value if self.threshold else None,
            "false_alarm_rate": self.threshold.false_alarm_rate if self.threshold else None,
            "calibration_scores": self.calibration_scores,
            "trained": self.trained,
            "losses": self.losses,
        }
        save_tensors(folder / "detector.safetensors", tensors)
        write_text(folder / "detector.json", json.dumps(values, indent=1, allow_nan=False))

    @classmethod
    def load(cls: type[Self], folder: str | Path, *, device: str = "auto") -> Self:
        """Read what `save` wrote. Nothing is unpickled; names, shapes and types are checked.

        Raises
        ------
        KitError
            If a file is missing, damaged, of another version or of another kind of detector.
        """
        folder = Path(folder)
        path = folder / "detector.json"
        values = read_json(path, f"rcae-lite-detector/{cls.kind}", FORMAT_VERSION, DETECTOR)
        weights = folder / "detector.safetensors"
        tensors = load_tensors(weights)
        try:
            config = config_from_dict(values["config"])
            # Shapes first: a file that was changed must not ask for all of the memory.
            sketch = cls.__new__(cls)
            sketch.config = config
            with torch.device("meta"):
                check_modules(sketch._build(), tensors, weights)
            detector = cls(config, int(values["seed"]), device)
            detector.calibration_scores = [float(v) for v in values["calibration_scores"]]
            if values["threshold"] is not None:
                rate = float(values["false_alarm_rate"])
                detector.threshold = Threshold(float(values["threshold"]), rate)
            detector.trained = dict(values["trained"])
            detector.losses = _pairs(values.get("losses", {}))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, KitError):
                raise
            raise KitError(f"{path} is not complete: {error!r}; save the detector again") from None
        load_modules(detector.modules, tensors, weights)
        return detector

    def _config_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.config.to_dict()))

    def _place(self, module: nn.Module) -> nn.Module:
        return module.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


class RcAEDetector(Detector):
    """RcAE, DPN and CRD, trained one after the other; the map is CRD's.

    See `Detector` for the parameters and methods.
    """

    kind = "rcae"

    def _build(self) -> dict[str, nn.Module]:
        c = self.config
        return {
            "rcae": RcAE(
                c.depth, width=c.rcae_width, channels=c.channels, skips=c.skips, shared=c.shared
            ),
            "dpn": DetailPreservationNetwork(c.dpn_width),
            "crd": CrossRecursionDetector(
                len(c.crd_depths) or c.depth,
                width=c.crd_width,
                residual_input=c.residual_input,
                normality_size=c.size if c.normality else 0,
            ),
        }

    @property
    def rcae(self) -> RcAE:
        """The recursive autoencoder."""
        return self.modules["rcae"]  # type: ignore[return-value]

    @property
    def dpn(self) -> DetailPreservationNetwork:
        """The detail preservation network."""
        return self.modules["dpn"]  # type: ignore[return-value]

    @property
    def crd(self) -> CrossRecursionDetector:
        """The cross recursion detection module."""
        return self.modules["crd"]  # type: ignore[return-value]

    def _objective(self, stage: str, images: Tensor) -> Objective:
        if stage == "crd":
            return self._map_objective(images)

        def draw(step: int) -> tuple[Tensor, int]:
            generator = generator_for(self.seed, stage, step)
            # The depth is uniform over 1..N in every batch, which prevents shortcuts (section 1).
            depth = int(torch.randint(1, self.config.depth + 1, (), generator=generator))
            return self._draw(images, getattr(self.config, stage).batch_size, generator), depth

        def rcae_loss(images: Tensor, depth: int) -> Tensor:
            with self._mixed_precision():
                reconstruction = self.rcae(images, depth)
            return reconstruction_loss(reconstruction.float(), images)

        def dpn_loss(images: Tensor, depth: int) -> Tensor:
            with torch.no_grad():
                reconstruction = self.rcae(images, depth)
            with self._mixed_precision():
                enhanced = self.dpn(reconstruction, gradient(images))
            return reconstruction_loss(enhanced.float(), images)

        loss = rcae_loss if stage == "rcae" else dpn_loss

        def batch_of(step: int) -> Batch:
            drawn, depth = draw(step)
            return Batch({"images": drawn}, partial(loss, depth=depth))

        return batch_of

    def _map_objective(self, images: Tensor) -> Objective:
        """Return the loss of CRD: RcAE and DPN are frozen, their sequences come from a pool."""
        config = self.config
        if self.crd.normality is not None:
            normal = images.float().mean(dim=0) / 255
            self.crd.normality.fit(normal, self._normal_sequences(images))

        @torch.no_grad()
        def make_chunk(number: int) -> Sequences:
            generator = generator_for(self.seed, "pool", number)
            normal = self._draw(images, config.pool_chunk, generator)
            painted, masks = paint(normal, generator, families=config.families)
            parts = zip(painted.split(FROZEN_BATCH), masks.split(FROZEN_BATCH), strict=True)
            return concatenate_sequences([self._sequences(*part) for part in parts])

        pool = SequencePool(make_chunk, config.pool_chunks, config.pool_every)
        loss_of_map = map_loss if config.map_loss == "l2" else bce_dice_loss

        def loss(images: Tensor, enhanced: Tensor, deviation: Tensor, masks: Tensor) -> Tensor:
            joined = self.crd.join(images, enhanced, deviation)
            with self._mixed_precision():
                logits = self.crd.map(joined)
            # Dice is no mean over items: it wants the whole batch, whichever process has it.
            return loss_of_map(gather(logits.float()), gather(masks))

        def batch_of(step: int) -> Batch:
            generator = generator_for(self.seed, "crd", step)
            drawn = pool.batch(step, config.crd.batch_size, config.crop, generator)
            return Batch(drawn._asdict(), loss)

        return batch_of

    def _sequences(self, images: Tensor, masks: Tensor) -> Sequences:
        """Return what the pool keeps of a few images, in half precision to save memory."""
        enhanced = self._enhanced(images)
        seen = images, enhanced, self.crd.deviation(images, enhanced), masks
        return Sequences(*(field.half() for field in seen))

    @torch.no_grad()
    def _normal_sequences(self, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Every training image once, with benign variation, and its enhanced trajectory."""
        for number, part in enumerate(images.split(FROZEN_BATCH)):
            generator = generator_for(self.seed, "normality", number)
            varied = vary(part.float() / 255, generator, strength=self.config.variation)
            yield varied, self._enhanced(varied)

    def _enhanced(self, images: Tensor) -> Tensor:
        """Return what CRD sees of images: (B, 3, N, H, W), or fewer depths than N."""
        depths = self.config.crd_depths or None
        return self.dpn.enhance(images, self.rcae.trajectory(images, depths))

    def _trajectory(self, images: Tensor) -> Trajectory:
        reconstructions = self.rcae.trajectory(images)
        return Trajectory(images, reconstructions, self.dpn.enhance(images, reconstructions))

    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        assert trajectory.enhanced is not None
        depths = [n - 1 for n in self.config.crd_depths] or slice(None)
        inputs = trajectory.images, trajectory.enhanced[:, :, depths]
        deviation = self.crd.deviation(*inputs)
        logits = self.crd.map(self.crd.join(*inputs, deviation)).squeeze(1)  # (B, H, W)
        if self.crd.normality is not None:
            # Added after the training: in it, pseudo-anomalies would teach CRD to distrust it.
            unusual = 0.25 * deviation[:, :-1].mean(dim=1) + 0.75 * deviation[:, -1]
            logits = logits + self.config.normality * unusual
        return F.softplus(logits)  # -log(1 - M_A): how surprising the pixel is

    def _probability(self, raw: Tensor) -> Tensor:
        return -torch.expm1(-raw)  # undoes the surprise, not the smoothing


class ResidualDetector(Detector):
    """A detector whose map is the plain residual of its deepest reconstruction."""

    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        return trajectory.residuals[:, -1]  # (B, H, W)

    def _probability(self, raw: Tensor) -> Tensor:
        return raw.clamp(0, 1)


class SinglePassDetector(ResidualDetector):
    """The ConvAE baseline: one pass, and the residual ``|I - I_R|`` is the map.

    See `Detector` for the parameters and methods.
    """

    kind = "single_pass"

    def _build(self) -> dict[str, nn.Module]:
        return {"single_pass": SinglePassAutoencoder(self.config.depth)}

    def _objective(self, stage: str, images: Tensor) -> Objective:
        module = self.modules[stage]

        def loss(images: Tensor) -> Tensor:
            with self._mixed_precision():
                reconstruction = module(images)
            return reconstruction_loss(reconstruction.float(), images)

        def batch_of(step: int) -> Batch:
            generator = generator_for(self.seed, stage, step)
            return Batch(
                {"images": self._draw(images, self.config.rcae.batch_size, generator)}, loss
            )

        return batch_of

    def _trajectory(self, images: Tensor) -> Trajectory:
        module: Any = self.modules["single_pass"]
        return Trajectory(images, module.trajectory(images))


def _pairs(losses: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, list[tuple[int, float]]]:
    """Turn the lists of JSON into (step, loss) pairs again."""
    try:
        return {
            name: [(int(step), float(loss)) for step, loss in points]
            for name, points in losses.items()
        }
    except (TypeError, ValueError) as error:
        raise KitError(f"the losses of a training are no pairs of numbers ({error})") from None
