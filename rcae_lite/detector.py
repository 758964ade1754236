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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    load_checkpoint,
    load_state,
    restore_optimiser,
)
from rcae_lite.config import Config, Stage, config_from_dict, get_config
from rcae_lite.detail import DetailPreservationNetwork
from rcae_lite.detection import CrossRecursionDetector
from rcae_lite.evaluation import device_name, evaluate, smooth
from rcae_lite.files import load_tensors, read_json, save_tensors, write_text
from rcae_lite.losses import bce_dice_loss, gradient, map_loss, reconstruction_loss
from rcae_lite.pseudo_anomalies import paint
from rcae_lite.results import Evaluation
from rcae_lite.sequences import SequencePool, Sequences
from rcae_lite.thresholds import Threshold, conformal_threshold, holdout_size
from rcae_lite.training import (
    Event,
    Listener,
    Progress,
    generator_for,
    new_state,
    train_stage,
)
from rcae_lite.variation import vary

__all__ = [
    "Detection",
    "Detector",
    "RcAEDetector",
    "SinglePassDetector",
    "Trajectory",
    "concatenate",
    "resolve_device",
]

FORMAT_VERSION = 1
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
    def _objective(self, stage: str, images: Tensor) -> Callable[[int], Tensor]:
        """Return the loss of a stage as a function of the step; images: (n, 3, H, W) uint8."""

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
    ) -> Self:
        """Train all stages on normal images, then calibrate the threshold on held-out ones.

        Parameters
        ----------
        train : ImageSet
            Normal images of one category, at the preset's size.
        listeners : iterable of callable, optional
            Each gets an `rcae_lite.training.Event` per optimiser step; a progress bar by default.
        checkpoint : path, optional
            Folder for checkpoints. If it holds one of the same configuration, seed and data, the
            training goes on from there.

        Returns
        -------
        Detector
            Itself, trained.

        Raises
        ------
        KitError
            If the images have another size or are fewer than 3, or a loss is not finite.
        """
        self.check_training_set(train)
        kept, held_out = self._split(len(train))
        images = train.images()
        self._train(images[kept].to(self.device), train.fingerprint, listeners, checkpoint)
        self._calibrate(images[held_out])
        self.trained |= {
            "category": train.category,
            "data_fingerprint": train.fingerprint,
            "training_images": len(kept),
            "calibration_images": len(held_out),
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "version": __version__,
            "torch": torch.__version__,
        }
        return self

    def check_training_set(self, train: ImageSet) -> None:
        """Refuse images that `fit` could not train on; errors as there."""
        if train.size != self.config.size:
            raise KitError(
                f"the images are {train.size}x{train.size}, the configuration wants "
                f"{self.config.size}; open the category with size={self.config.size}"
            )
        if len(train) < 3:
            raise KitError(f"{len(train)} training images; at least 3 normal images are needed")

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
    ) -> None:
        """Run the stages from the start, or from a checkpoint if there is one."""
        self._start_afresh()
        seconds: dict[str, float] = {}
        record = {"seconds": seconds, "losses": self.losses}
        identity = {"config": self._config_json(), "seed": self.seed, "data": fingerprint}
        every = [self._remember, *([Progress()] if listeners is None else listeners)]
        restored = None
        if checkpoint is not None:
            restored = load_checkpoint(Path(checkpoint), identity)
            every.append(CheckpointWriter(Path(checkpoint), self.modules, identity, record))
        if restored:
            seconds.update(restored[0]["seconds"])
            self.losses.update(_pairs(restored[0]["losses"]))
            for name, module in self.modules.items():
                load_state(module, restored[1], name, Path(checkpoint or ""))
        for name, module in self.modules.items():
            if name in seconds:
                continue
            stage: Stage = getattr(self.config, "rcae" if name == "single_pass" else name)
            state = new_state(module, stage)
            if restored and restored[0]["stage"] == name:
                state.done, state.seconds = restored[0]["done"], restored[0]["stage_seconds"]
                restore_optimiser(state, restored[1])
            steps = stage.optimiser_steps(len(images))
            train_stage(name, state, self._objective(name, images), stage, steps, every)
            seconds[name] = round(state.seconds, 1)
        self.trained = {"seconds": seconds}

    def _remember(self, event: Event) -> None:
        self.losses.setdefault(event.stage, []).append((event.done, event.loss))

    def _calibrate(self, images: Tensor) -> None:
        self.calibration_scores = self.predict(images / 255).score.tolist()
        self.threshold = conformal_threshold(np.array(self.calibration_scores))

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
    def predict(self, images: Tensor, *, batch_size: int = 8) -> Detection:
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

    def save(self, folder: str | Path) -> None:
        """Write ``detector.safetensors`` and ``detector.json``, each whole or not at all."""
        folder = Path(folder)
        tensors = {
            f"{name}.{key}": tensor
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
        values = read_json(path, f"rcae-lite-detector/{cls.kind}", FORMAT_VERSION)
        try:
            detector = cls(config_from_dict(values["config"]), int(values["seed"]), device)
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
        tensors = load_tensors(folder / "detector.safetensors")
        for name, module in detector.modules.items():
            load_state(module, tensors, name, folder / "detector.safetensors")
        return detector

    def _config_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.config.to_dict()))

    def _place(self, module: nn.Module) -> nn.Module:
        is_3d = isinstance(module, CrossRecursionDetector)
        layout = torch.channels_last_3d if is_3d else torch.channels_last
        return module.to(self.device, memory_format=layout).eval()  # type: ignore[call-overload]


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
                c.depth,
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

    def _objective(self, stage: str, images: Tensor) -> Callable[[int], Tensor]:
        if stage == "crd":
            return self._map_objective(images)

        def draw(step: int) -> tuple[Tensor, int]:
            generator = generator_for(self.seed, stage, step)
            # The depth is uniform over 1..N in every batch, which prevents shortcuts (section 1).
            depth = int(torch.randint(1, self.config.depth + 1, (), generator=generator))
            return self._draw(images, getattr(self.config, stage).batch_size, generator), depth

        def rcae_loss(step: int) -> Tensor:
            batch, depth = draw(step)
            with self._mixed_precision():
                reconstruction = self.rcae(batch, depth)
            return reconstruction_loss(reconstruction.float(), batch)

        def dpn_loss(step: int) -> Tensor:
            batch, depth = draw(step)
            with torch.no_grad():
                reconstruction = self.rcae(batch, depth)
            with self._mixed_precision():
                enhanced = self.dpn(reconstruction, gradient(batch))
            return reconstruction_loss(enhanced.float(), batch)

        return rcae_loss if stage == "rcae" else dpn_loss

    def _map_objective(self, images: Tensor) -> Callable[[int], Tensor]:
        """Return the loss of CRD: RcAE and DPN are frozen, their sequences come from a pool."""
        config = self.config
        if self.crd.normality is not None:
            self.crd.normality.fit(self._normal_sequences(images))

        @torch.no_grad()
        def make_chunk(number: int) -> Sequences:
            generator = generator_for(self.seed, "pool", number)
            normal = self._draw(images, config.pool_chunk, generator)
            painted, masks = paint(normal, generator, families=config.families)
            joined = [
                self.crd.join(part, self._enhanced(part)).half() for part in painted.split(16)
            ]
            return Sequences(torch.cat(joined), masks.half())

        pool = SequencePool(make_chunk, config.pool_chunks, config.pool_every)
        loss_of_map = map_loss if config.map_loss == "l2" else bce_dice_loss

        def loss(step: int) -> Tensor:
            generator = generator_for(self.seed, "crd", step)
            batch = pool.batch(step, config.crd.batch_size, config.crop, generator)
            with self._mixed_precision():
                logits = self.crd.map(batch.joined)
            return loss_of_map(logits.float(), batch.masks)

        return loss

    @torch.no_grad()
    def _normal_sequences(self, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Every training image once, with benign variation, and its enhanced trajectory."""
        for number, part in enumerate(images.split(16)):
            generator = generator_for(self.seed, "normality", number)
            varied = vary(part.float() / 255, generator, strength=self.config.variation)
            yield varied, self._enhanced(varied)

    def _enhanced(self, images: Tensor) -> Tensor:
        return self.dpn.enhance(images, self.rcae.trajectory(images))  # (B, 3, N, H, W)

    def _trajectory(self, images: Tensor) -> Trajectory:
        reconstructions = self.rcae.trajectory(images)
        return Trajectory(images, reconstructions, self.dpn.enhance(images, reconstructions))

    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        assert trajectory.enhanced is not None
        inputs = trajectory.images, trajectory.enhanced
        logits = self.crd(*inputs).squeeze(1)  # (B, H, W)
        if self.crd.normality is not None:
            # Added after the training: in it, pseudo-anomalies would teach CRD to distrust it.
            unusual = self.crd.normality(*inputs).mean(dim=(1, 2))
            logits = logits + self.config.normality * unusual
        return F.softplus(logits)  # -log(1 - M_A): how surprising the pixel is

    def _probability(self, raw: Tensor) -> Tensor:
        return -torch.expm1(-raw)  # undoes the surprise, not the smoothing


class SinglePassDetector(Detector):
    """The ConvAE baseline: one pass, and the residual ``|I - I_R|`` is the map.

    See `Detector` for the parameters and methods.
    """

    kind = "single_pass"

    def _build(self) -> dict[str, nn.Module]:
        return {"single_pass": SinglePassAutoencoder(self.config.depth)}

    def _objective(self, stage: str, images: Tensor) -> Callable[[int], Tensor]:
        module = self.modules[stage]

        def loss(step: int) -> Tensor:
            generator = generator_for(self.seed, stage, step)
            batch = self._draw(images, self.config.rcae.batch_size, generator)
            with self._mixed_precision():
                reconstruction = module(batch)
            return reconstruction_loss(reconstruction.float(), batch)

        return loss

    def _trajectory(self, images: Tensor) -> Trajectory:
        module: Any = self.modules["single_pass"]
        return Trajectory(images, module.trajectory(images))

    def _raw_map(self, trajectory: Trajectory) -> Tensor:
        return trajectory.residuals[:, -1]  # (B, H, W)

    def _probability(self, raw: Tensor) -> Tensor:
        return raw.clamp(0, 1)


def _pairs(losses: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, list[tuple[int, float]]]:
    """Turn the lists of JSON into (step, loss) pairs again."""
    return {name: [(int(step), loss) for step, loss in points] for name, points in losses.items()}
