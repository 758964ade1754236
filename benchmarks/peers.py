"""Latency and size of our detector beside anomalib's models, in one process on the same images.

anomalib is no dependency of the kit: give it an environment of its own, then run this script there.

    python -m venv peers && peers/bin/pip install anomalib -e .
    peers/bin/python benchmarks/peers.py latency > results/speed-peers.md
    peers/bin/python benchmarks/peers.py accuracy DATA CATEGORY --preset lite > results/peers.md
    peers/bin/python benchmarks/peers.py schedule DATA CATEGORY >> results/peers.md

``latency``: one image at a time, random weights (no download), medians; the models take turns, so
that all see the same machine. ``accuracy``: DRAEM and GANomaly learn from scratch like ours, so
they get the seconds that ours took on the same images, then our own protocol. ``schedule``: the
epochs that they ask for, where these fit in an hour.
"""

import argparse
import itertools
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
import torch
from anomalib.data.utils.generators.perlin import PerlinAnomalyGenerator
from anomalib.models.image.draem.loss import DraemLoss
from anomalib.models.image.draem.torch_model import DraemModel
from anomalib.models.image.efficient_ad.torch_model import EfficientAdModel, EfficientAdModelSize
from anomalib.models.image.ganomaly.loss import DiscriminatorLoss, GeneratorLoss
from anomalib.models.image.ganomaly.torch_model import GanomalyModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from anomalib.models.image.reverse_distillation.anomaly_map import AnomalyMapGenerationMode
from anomalib.models.image.reverse_distillation.torch_model import ReverseDistillationModel
from kornia.losses import focal_loss
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.functional import normalize

from data_utils import Category, ImageSet, open_category
from rcae_lite import RcAEDetector, get_config
from rcae_lite.evaluation.metrics import image_metrics, pixel_metrics
from rcae_lite.evaluation.protocol import native_pairs
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.storage.provenance import code_version
from rcae_lite.training.draws import generator_for

LAYERS = ["layer2", "layer3"]
COLUMNS = ["image_auroc", "pixel_auroc", "au_pro"]


def ours(size: int) -> Callable[[Tensor], object]:
    config = get_config("standard", size=size, crd={"crop": 0})
    return RcAEDetector(config, 0, "cpu").predict


def patchcore(size: int) -> nn.Module:
    model = PatchcoreModel(layers=LAYERS, backbone="wide_resnet50_2", pre_trained=False)
    features = 1536
    # A memory bank as large as 10% of 209 images give; its content does not change the time.
    model.memory_bank = torch.randn(209 * (size // 8) ** 2 // 10, features)
    return model


def reverse_distillation(size: int) -> nn.Module:
    return ReverseDistillationModel(
        backbone="wide_resnet50_2",
        input_size=(size, size),
        layers=["layer1", "layer2", "layer3"],
        anomaly_map_mode=AnomalyMapGenerationMode.ADD,
        pre_trained=False,
    )


def ganomaly(size: int) -> nn.Module:
    return GanomalyModel(
        input_size=(size, size),
        num_input_channels=3,
        n_features=64,
        latent_vec_size=100,
        extra_layers=0,
        add_final_conv_layer=True,
    )


def efficient_ad(kind: str) -> Callable[[int], nn.Module]:
    return lambda size: EfficientAdModel(384, EfficientAdModelSize(kind))


MODELS: dict[str, Callable] = {
    "RcAE Lite": ours,
    "EfficientAD-S": efficient_ad("small"),
    "EfficientAD-M": efficient_ad("medium"),
    "RD4AD": reverse_distillation,
    "GANomaly": ganomaly,
    "PatchCore": patchcore,
    "DRAEM": lambda size: DraemModel(),
}


def in_memory_format(model: Callable, layout: torch.memory_format) -> Callable[[Tensor], object]:
    """Our detector chooses its own; a peer gets both, and its better time counts."""
    if isinstance(model, nn.Module):
        model.to(memory_format=layout)
        return lambda image: model(image.contiguous(memory_format=layout))
    return model


def size_of(model: Callable) -> tuple[int, int]:
    """Parameters, and all stored values: with buffers (position statistics, a memory bank)."""
    modules = [model] if isinstance(model, nn.Module) else model.__self__.modules.values()
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    return parameters, parameters + sum(b.numel() for module in modules for b in module.buffers())


def latency(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    image = torch.rand(1, 3, args.size, args.size)
    models = {name: MODELS[name](args.size) for name in args.models}
    seconds: dict[str, dict[torch.memory_format, list[float]]] = {name: {} for name in models}
    gflop = {}
    for model in models.values():
        if isinstance(model, nn.Module):
            model.eval()
    with torch.no_grad():
        for name, model in models.items():
            with FlopCounterMode(display=False) as counter:
                model(image)
            gflop[name] = counter.get_total_flops() / 1e9
        for layout in (torch.contiguous_format, torch.channels_last):
            calls = {name: in_memory_format(model, layout) for name, model in models.items()}
            for name, call in calls.items():
                call(image)  # sets things up
                seconds[name][layout] = []
            for _, (name, call) in itertools.product(range(args.rounds), calls.items()):
                started = time.perf_counter()
                call(image)
                seconds[name][layout].append(time.perf_counter() - started)
    best = {name: min(map(median, taken.values())) for name, taken in seconds.items()}
    print("# Beside anomalib's models\n")
    print(
        f"`python benchmarks/peers.py latency --size {args.size} --threads {args.threads} "
        f"--rounds {args.rounds}`\n"
    )
    print(
        f"One image of {args.size}x{args.size} at a time, random weights, {platform.machine()}, "
        f"{args.threads} threads, PyTorch {torch.__version__}, code `{code_version()}`. Ours is "
        f"the whole detector, N = {get_config('standard').rcae.depth}. Medians of rounds in which "
        "the models take turns, in PyTorch's default memory format and in `channels_last`; the "
        "better one counts. Stored values are parameters and buffers.\n"
    )
    print("| model | ms | ms / ours | parameters (M) | stored values (M) | GFLOP |")
    print("| --- | --- | --- | --- | --- | --- |")
    base = best.get("RcAE Lite", float("nan"))
    for name in sorted(best, key=best.__getitem__):
        parameters, stored = size_of(models[name])
        print(
            f"| {name} | {1000 * best[name]:.0f} | {best[name] / base:.2f} | "
            f"{parameters / 1e6:.2f} | {stored / 1e6:.2f} | {gflop[name]:.1f} |"
        )


class Focal(nn.Module):
    """Focal loss in which both classes count.

    anomalib's ``FocalLoss(alpha=1)`` gives normal pixels the weight 0 from kornia 0.9 on;
    "anomalous everywhere" would then cost nothing.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (B, 2, H, W) and target (B, H, W) of class numbers."""
        return 2 * focal_loss(logits, target, alpha=None, reduction="mean")  # mean over classes too


def draem_steps(model: nn.Module, images: Tensor) -> Callable[[int], None]:
    """DRAEM with anomalib's Perlin noise, which it blends in where it has no other textures."""
    loss_of = DraemLoss()
    loss_of.focal_loss = Focal()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    paint = PerlinAnomalyGenerator(anomaly_source_path=None, blend_factor=(0.1, 1.0))

    def step(number: int) -> None:
        normal = drawn(images, PEERS["DRAEM"].batch, number)
        painted, masks = paint(normal)
        rebuilt, prediction = model(painted)
        optimiser.zero_grad()
        loss_of(normal, rebuilt, masks, prediction).backward()
        optimiser.step()

    return step


def draem_answer(model: nn.Module, image: Tensor) -> tuple[float, Tensor]:
    """Score and map from logits, smoothed like ours: a softmax in float32 ends in ties."""
    rebuilt = model.reconstructive_subnetwork(image)
    logits = model.discriminative_subnetwork(torch.cat([image, rebuilt], dim=1))
    found = smooth(logits[0, 1] - logits[0, 0])
    return float(found.max()), found


def ganomaly_steps(model: nn.Module, images: Tensor) -> Callable[[int], None]:
    """GANomaly as anomalib trains it: the generator first, then the discriminator."""
    of_generator, of_discriminator = GeneratorLoss(), DiscriminatorLoss()
    options = {"lr": 2e-4, "betas": (0.5, 0.999)}
    for_discriminator = torch.optim.Adam(model.discriminator.parameters(), **options)
    for_generator = torch.optim.Adam(model.generator.parameters(), **options)

    def step(number: int) -> None:
        batch = normalised(drawn(images, PEERS["GANomaly"].batch, number))
        padded, fake, latent_i, latent_o = model(batch)
        real, _ = model.discriminator(padded)
        seen_fake, _ = model.discriminator(fake)
        for_generator.zero_grad()
        generator = of_generator(latent_i, latent_o, padded, fake, real, seen_fake)
        generator.backward(retain_graph=True)
        for_generator.step()
        fake_again, _ = model.discriminator(fake.detach())
        for_discriminator.zero_grad()
        of_discriminator(real, fake_again).backward()
        for_discriminator.step()

    return step


def ganomaly_answer(model: nn.Module, image: Tensor) -> tuple[float, None]:
    """Score alone: GANomaly says nothing about pixels."""
    return float(model(normalised(image)).pred_score), None


def drawn(images: Tensor, count: int, number: int) -> Tensor:
    """Images of a step, with replacement: (count, 3, H, W) in [0, 1]."""
    generator = generator_for(0, "peer", number)
    return images[torch.randint(len(images), (count,), generator=generator)].float() / 255


def normalised(images: Tensor) -> Tensor:
    """Normalise as anomalib's default pre-processor does."""
    return normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def metrics_of(answer: Callable[[Tensor], tuple[float, Tensor | None]], test: ImageSet) -> dict:
    """Our protocol for a function that gives score and map (H, W) of one image."""
    with torch.inference_mode():
        found = [answer(image) for image in (test.images() / 255).split(1)]
    scores, maps = zip(*found, strict=True)
    metrics = image_metrics(test.labels, np.array(scores))
    return metrics if maps[0] is None else metrics | pixel_metrics(*native_pairs(test, maps))


@dataclass(frozen=True)
class Peer:
    """How a peer learns and answers; images a step; its own epochs, and who asks for them."""

    steps: Callable
    answer: Callable
    batch: int
    epochs: int
    source: str


PEERS = {
    "DRAEM": Peer(draem_steps, draem_answer, 8, 700, "its paper"),
    "GANomaly": Peer(ganomaly_steps, ganomaly_answer, 32, 100, "anomalib's examples/configs"),
}


def trained_peer(
    name: str, images: Tensor, budget: float, most: float = math.inf
) -> tuple[nn.Module, int, float]:
    """Train for so many seconds, and steps at most: the model, its steps, and the seconds taken."""
    torch.manual_seed(0)
    model = MODELS[name](images.shape[-1]).train()
    step = PEERS[name].steps(model, images)
    started, count = time.monotonic(), 0
    while (taken := time.monotonic() - started) < budget and count < most:
        step(count)
        count += 1
    return model.eval(), count, taken


def accuracy(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    size = get_config(args.preset).size
    category = open_category(args.data, args.category, size=size)
    detector = RcAEDetector.from_preset(args.preset, seed=0, device="cpu")
    detector.fit(category.train, callbacks=[])
    budget = sum(detector.trained["seconds"].values())
    print(f"# Beside anomalib's models that learn from scratch: {category.name}\n")
    print(
        f"`python benchmarks/peers.py accuracy {args.data} {args.category} --preset {args.preset} "
        f"--threads {args.threads}`\n"
    )
    print(
        f"{origin(category, args.threads)} Ours is `{args.preset}`; the peers "
        "train for the same seconds, one after the other, on the same images and on those that we "
        "hold back for the threshold. Our protocol: native masks, raw maps; 95% intervals.\n"
    )
    print_columns()
    steps = sum(getattr(detector.config, name).steps for name in ("rcae", "dpn", "crd"))
    report("RcAE Lite", budget, steps, detector.evaluate(category.test).metrics)
    for name, peer in PEERS.items():
        model, count, taken = trained_peer(name, category.train.images(), budget)
        report(name, taken, count, metrics_of(partial(peer.answer, model), category.test))


def schedule(args: argparse.Namespace) -> None:
    """Train each peer for its own epochs, if ten of its steps say that they fit in the hours."""
    torch.set_num_threads(args.threads)
    category = open_category(args.data, args.category, size=args.size)
    images = category.train.images()
    print("\n## After their own schedules\n")
    print(
        f"`python benchmarks/peers.py schedule {args.data} {args.category} --size {args.size} "
        f"--hours {args.hours:g} --threads {args.threads}`\n"
    )
    print(f"{origin(category, args.threads)} Before each training ten steps are timed.\n")
    fitting = {}
    for name, peer in PEERS.items():
        steps = peer.epochs * math.ceil(len(images) / peer.batch)
        hours = steps * trained_peer(name, images, math.inf, 10)[2] / 10 / 3600
        if hours <= args.hours:
            fitting[name] = steps
        print(
            f"- {name}: {peer.epochs} epochs ({peer.source}) are {steps} steps of {peer.batch}, "
            f"{hours:.1f} hours here{'.' if name in fitting else ': not trained.'}"
        )
    if fitting:
        print()
        print_columns()
    for name, steps in fitting.items():
        model, count, taken = trained_peer(name, images, math.inf, steps)
        report(name, taken, count, metrics_of(partial(PEERS[name].answer, model), category.test))


def origin(category: Category, threads: int) -> str:
    return (
        f"Images of {category.size}x{category.size}, data `{category.fingerprint[:12]}`, one seed, "
        f"{platform.machine()}, {threads} threads, PyTorch {torch.__version__}, code "
        f"`{code_version()}`."
    )


def print_columns() -> None:
    print(f"| model | seconds | steps | {' | '.join(COLUMNS)} |")
    print("| --- " * (3 + len(COLUMNS)) + "|")


def report(name: str, seconds: float, steps: int, metrics: dict) -> None:
    cells = [str(metrics.get(column) or "-") for column in COLUMNS]
    print(f"| {name} | {seconds:.0f} | {steps} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    quick = commands.add_parser("latency")
    quick.add_argument("--size", type=int, default=256)
    quick.add_argument("--rounds", type=int, default=10)
    quick.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    quick.set_defaults(function=latency)
    long = commands.add_parser("accuracy")
    long.add_argument("data")
    long.add_argument("category")
    long.add_argument("--preset", default="lite")
    long.set_defaults(function=accuracy)
    own = commands.add_parser("schedule")
    own.add_argument("data")
    own.add_argument("category")
    own.add_argument("--size", type=int, default=128)
    own.add_argument("--hours", type=float, default=1.0)
    own.set_defaults(function=schedule)
    for command in (quick, long, own):
        command.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
