r"""What each stage minimises: draw normal images, perturb them, run the model, take the loss.

One small class per stage, in the order of training; later stages freeze the earlier ones.
Equation and page of the paper stand on top of each. ``batch(step)`` draws what step ``step`` trains
on, from ``(seed, stage, step)`` alone, so that a resumed training draws the same; ``loss`` is what
the optimiser minimises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.config import Config
from rcae_lite.model.crd import CrossRecursionDetector, steps_seen
from rcae_lite.model.dpn import DetailPreservationNetwork
from rcae_lite.model.losses import bce_dice_loss, gradient, map_loss, reconstruction_loss
from rcae_lite.model.rcae import RcAE
from rcae_lite.training.augmentation import augment
from rcae_lite.training.batch import Batch
from rcae_lite.training.distributed import gather
from rcae_lite.training.draws import generator_for
from rcae_lite.training.perturbations import perturb
from rcae_lite.training.pseudo_anomalies import add_pseudo_anomalies
from rcae_lite.training.shapes import emphasis
from rcae_lite.training.trajectory_pool import CRDExamples, TrajectoryPool, concatenate

__all__ = ["STAGES", "CRDStage", "DPNStage", "RcAEStage", "SinglePassStage", "TrainingStage"]

BLIND = 0.5  # share of the crops without z-scores, lest CRD learns to repeat what they say
FROZEN_BATCH = 4  # images that go through frozen networks at a time: little memory, no less speed


class TrainingStage(ABC):
    """What one stage trains on and minimises.

    Parameters
    ----------
    networks : mapping of str to Module
        All networks of the detector by name; the stage trains one and freezes those before it.
    images : Tensor
        Normal images, (n, 3, H, W) uint8.
    config : Config
        Of the detector.
    seed : int
        Of every random draw.
    """

    name: str

    def __init__(
        self, networks: Mapping[str, nn.Module], images: Tensor, config: Config, seed: int
    ) -> None:
        self.networks = networks
        self.images = images
        self.config = config
        self.seed = seed

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """Draw the batch of an optimiser step; called once per step, in order."""

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        *,
        halved: bool = False,
        among: Tensor | None = None,
    ) -> Tensor:
        """Draw normal images with benign augmentation, (count, 3, H, W) in [0, 1], or halved.

        ``among`` says of each image whether it may be drawn, (n,) bool; all by default.
        """
        images = self.images if among is None else self.images[among]
        chosen = torch.randint(len(images), (count,), generator=generator)
        normal = images[chosen.to(images.device)].float() / 255
        normal = F.avg_pool2d(normal, 2) if halved else normal
        normal = augment(normal, generator, strength=self.config.augmentation)
        return normal.contiguous(memory_format=torch.channels_last)

    def draw_depth(self, generator: torch.Generator) -> int:
        """Draw n uniformly from 1..N, anew for every batch, which prevents shortcuts."""
        return int(torch.randint(1, self.config.rcae.depth + 1, (), generator=generator))


class SinglePassStage(TrainingStage):
    r"""The baseline: a plain autoencoder, one pass.

    .. math:: L = \| I - I_R \|_1 + \| \nabla I - \nabla I_R \|_1
    """

    name = "single_pass"

    def batch(self, step: int) -> Batch:
        """Draw normal images; perturb a share of them, none by default."""
        options = self.config.single_pass
        generator = generator_for(self.seed, self.name, step)
        clean = self.draw(options.batch_size, generator)  # I, (B, 3, H, W)
        perturbed, _ = perturb(clean, generator, share=options.perturbed)
        return Batch({"clean": clean, "perturbed": perturbed}, self.loss)

    def loss(self, clean: Tensor, perturbed: Tensor) -> Tensor:
        """Reconstruct the clean images (B, 3, H, W)."""
        with mixed_precision(clean):
            reconstruction = self.networks["single_pass"](perturbed)  # (B, 3, H, W)
        return reconstruction_loss(reconstruction.float(), clean)


class RcAEStage(TrainingStage):
    r"""Stage 1, RcAE: undo perturbations, from a depth that is drawn anew for every batch.

    .. math:: L = \| I - I_R^n \|_1 + \| \nabla I - \nabla I_R^n \|_1,
              \quad I_R^n = D^n(E^n(\tilde{I})), \quad n \sim U\{1..N\}

    with the perturbed image :math:`\tilde{I}`. That the target is the clean image is our reading;
    anything else would teach nothing.
    """

    name = "rcae"

    def batch(self, step: int) -> Batch:
        """Draw a depth n and normal images, and perturb them."""
        options = self.config.rcae
        generator = generator_for(self.seed, self.name, step)
        depth = self.draw_depth(generator)
        halved = step < options.half_size_steps
        clean = self.draw(options.batch_size, generator, halved=halved)  # I, (B, 3, H, W)
        perturbed, _ = perturb(clean, generator)
        tensors = {"clean": clean, "perturbed": perturbed}
        return Batch(tensors, partial(self.loss, depth=depth))

    def loss(self, clean: Tensor, perturbed: Tensor, depth: int) -> Tensor:
        """Reconstruct the clean images (B, 3, H, W) from the perturbed ones, from depth n."""
        rcae: RcAE = self.networks["rcae"]  # type: ignore[assignment]
        with mixed_precision(clean):
            reconstruction = rcae(perturbed, depth)  # I_R^n, (B, 3, H, W)
        return reconstruction_loss(reconstruction.float(), clean)


class DPNStage(TrainingStage):
    r"""Stage 2, DPN: give the frozen RcAE's reconstruction its detail back, but not the defects.

    .. math:: L = \| I_D^n - I \|_1 + \| \nabla I_D^n - \nabla I \|_1,
              \quad I_D^n = I_R^n + Res_D^n(I_R^n, \nabla \tilde{I})

    The paper trains on clean images, :math:`\tilde{I} = I` (``dpn.perturbed=0``).
    """

    name = "dpn"

    def batch(self, step: int) -> Batch:
        """Draw a depth n and normal images, and perturb a share of them."""
        options = self.config.dpn
        generator = generator_for(self.seed, self.name, step)
        depth = self.draw_depth(generator)
        clean = self.draw(options.batch_size, generator)  # I, (B, 3, H, W)
        perturbed, masks = perturb(clean, generator, share=options.perturbed)
        weights = emphasis(clean, options.part_weight)
        tensors = {"clean": clean, "perturbed": perturbed, "masks": masks, "weights": weights}
        return Batch(tensors, partial(self.loss, depth=depth))

    def loss(
        self, clean: Tensor, perturbed: Tensor, masks: Tensor, weights: Tensor, depth: int
    ) -> Tensor:
        """Enhance the reconstruction (B, 3, H, W) of depth n, and compare with the clean images."""
        rcae: RcAE = self.networks["rcae"]  # type: ignore[assignment]
        dpn: DetailPreservationNetwork = self.networks["dpn"]  # type: ignore[assignment]
        with torch.no_grad():
            reconstruction = rcae(perturbed, depth)  # I_R^n, (B, 3, H, W)
        with mixed_precision(clean):
            enhanced = dpn(reconstruction, gradient(perturbed))  # I_D^n, (B, 3, H, W)
        mask_weight = self.config.dpn.mask_weight
        if not mask_weight:
            return reconstruction_loss(enhanced.float(), clean, weights=weights)
        # The mean over the perturbed region is no mean over items: it wants the whole batch.
        tensors = gather(enhanced.float()), gather(clean), gather(masks)
        return reconstruction_loss(*tensors, mask_weight, gather(weights))


class CRDStage(TrainingStage):
    r"""Stage 3, CRD: find pseudo-anomalies in the trajectories of the frozen RcAE and DPN.

    .. math:: L = \| M_A - M_P \|_2 + \| \nabla M_A - \nabla M_P \|_2

    The paper's loss is ``map_loss="l2"``; ours is BCE and Dice. The trajectories do not change
    while CRD trains, so they come from a pool.
    """

    name = "crd"

    def __init__(
        self, networks: Mapping[str, nn.Module], images: Tensor, config: Config, seed: int
    ) -> None:
        super().__init__(networks, images, config, seed)
        crd = config.crd
        self.rcae: RcAE = networks["rcae"]  # type: ignore[assignment]
        self.dpn: DetailPreservationNetwork = networks["dpn"]  # type: ignore[assignment]
        self.crd: CrossRecursionDetector = networks["crd"]  # type: ignore[assignment]
        self.pool = TrajectoryPool(self.make_chunk, crd.pool_chunks, crd.pool_every)
        if self.crd.statistics is not None:
            self.crd.statistics.fit(images.float() / 255, self.varied())

    def batch(self, step: int) -> Batch:
        """Draw crops of pseudo-anomalous images, their trajectories and masks from the pool."""
        crd = self.config.crd
        generator = generator_for(self.seed, self.name, step)
        drawn = self.pool.batch(step, crd.batch_size, crd.crop, generator)
        blind = torch.rand(len(drawn.masks), 1, 1, 1, generator=generator) < BLIND
        drawn = drawn._replace(z_scores=drawn.z_scores * ~blind.to(drawn.z_scores.device))
        return Batch(drawn._asdict(), self.loss)

    def loss(self, images: Tensor, enhanced: Tensor, z_scores: Tensor, masks: Tensor) -> Tensor:
        """Predict the mask M_P (B, 1, H, W) from the image and its trajectory, and compare."""
        inputs = self.crd.assemble_input(images, enhanced, z_scores)  # (B, C, N, H, W)
        with mixed_precision(images):
            logits = self.crd.predict_logits(inputs)  # (B, 1, H, W)
        compare = map_loss if self.config.crd.map_loss == "l2" else bce_dice_loss
        # Dice is no mean over items: it wants the whole batch, whichever process has it.
        return compare(gather(logits.float()), gather(masks))

    @torch.no_grad()
    def make_chunk(self, number: int) -> CRDExamples:
        """Perturb normal images and follow them through RcAE and DPN, as the number says."""
        crd = self.config.crd
        generator = generator_for(self.seed, "pool", number)
        fold, among = None, None
        if self.crd.statistics is not None:  # as unusual as images that the statistics never saw
            folds = self.crd.statistics.folds(len(self.images))
            fold = number % (int(folds.max()) + 1)
            among = folds == fold
        normal = self.draw(crd.pool_chunk, generator, among=among)
        if crd.families:
            perturbed, masks = add_pseudo_anomalies(normal, generator, families=crd.families)
        else:  # as in the paper
            perturbed, masks = perturb(normal, generator)
        parts = zip(perturbed.split(FROZEN_BATCH), masks.split(FROZEN_BATCH), strict=True)
        return concatenate([self.follow(*part, fold=fold) for part in parts])

    def follow(self, images: Tensor, masks: Tensor, *, fold: int | None) -> CRDExamples:
        """Return what the pool keeps of a few images, in half precision to save memory."""
        enhanced = self.enhanced(images)
        kept = images, enhanced, self.crd.z_scores(images, fold=fold), masks
        return CRDExamples(*(field.half() for field in kept))

    @torch.no_grad()
    def varied(self) -> Tensor:
        """Every training image once, with benign augmentation: (n, 3, H, W)."""
        generator = generator_for(self.seed, "normality", 0)
        images = self.images.float() / 255
        return augment(images, generator, strength=self.config.augmentation)

    def enhanced(self, images: Tensor) -> Tensor:
        """Return what CRD sees of images: (B, 3, N, H, W), or fewer depths than N."""
        enhanced = self.dpn.enhance(images, self.rcae.trajectory(images))
        return steps_seen(images, enhanced, self.config.crd.depths)


STAGES = {stage.name: stage for stage in (SinglePassStage, RcAEStage, DPNStage, CRDStage)}
"""The stages by the name of the network that each trains."""


def mixed_precision(images: Tensor) -> torch.autocast:
    """Bfloat16 on CUDA, for the forward pass of the module in training only.

    Frozen modules, losses and inference stay in float32; on the CPU everything does, and on a GPU
    that only emulates bfloat16. (PyTorch's convolutions on CUDA round their inputs to TF32 unless
    ``torch.backends.cudnn.allow_tf32`` is off.)
    """
    kind = images.device.type
    enabled = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(kind, torch.bfloat16, enabled=enabled)
