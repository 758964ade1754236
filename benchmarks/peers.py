"""Latency and size of our detector beside anomalib's models, in one process on the same images.

anomalib is no dependency of the kit: give it an environment of its own, then run this script there.

    python -m venv peers && peers/bin/pip install anomalib -e .
    peers/bin/python benchmarks/peers.py latency > results/speed-peers.md
    peers/bin/python benchmarks/peers.py accuracy DATA CATEGORY --seconds 600 --out DIR

``latency``: one image at a time, random weights (no download), medians; the models take turns, so
that all see the same machine. ``accuracy``: DRAEM and GANomaly learn from scratch like ours, so
they get the same seconds of training on the same images, then our own protocol.
"""

import argparse
import itertools
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from anomalib.models.image.draem.loss import DraemLoss
from anomalib.models.image.draem.torch_model import DraemModel
from anomalib.models.image.efficient_ad.torch_model import EfficientAdModel, EfficientAdModelSize
from anomalib.models.image.ganomaly.loss import DiscriminatorLoss, GeneratorLoss
from anomalib.models.image.ganomaly.torch_model import GanomalyModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from anomalib.models.image.reverse_distillation.anomaly_map import AnomalyMapGenerationMode
from anomalib.models.image.reverse_distillation.torch_model import ReverseDistillationModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from data_utils import open_category
from rcae_lite import RcAEDetector, get_config
from rcae_lite.evaluation import code_version, to_native
from rcae_lite.metrics import image_metrics, pixel_metrics
from rcae_lite.pseudo_anomalies import PAPER_FAMILIES, paint
from rcae_lite.training import generator_for

LAYERS = ["layer2", "layer3"]


def ours(size: int) -> Callable[[Tensor], object]:
    config = get_config("standard", size=size, crop=0)
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


def latency(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    image = torch.rand(1, 3, args.size, args.size)
    calls, counts = {}, {}
    for name in args.models:
        model = MODELS[name](args.size)
        network = model.__self__ if name == "RcAE Lite" else model.eval()
        modules = network.modules.values() if name == "RcAE Lite" else [network]
        counts[name] = sum(p.numel() for module in modules for p in module.parameters())
        calls[name] = model
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    gflop = {}
    with torch.no_grad():
        for name, call in calls.items():
            call(image)  # sets things up
            with FlopCounterMode(display=False) as counter:
                call(image)
            gflop[name] = counter.get_total_flops() / 1e9
        for _, (name, call) in itertools.product(range(args.rounds), calls.items()):
            started = time.perf_counter()
            call(image)
            seconds[name].append(time.perf_counter() - started)
    print("# Beside anomalib's models\n")
    print(
        f"`python benchmarks/peers.py latency --size {args.size} --threads {args.threads} "
        f"--rounds {args.rounds}`\n"
    )
    print(
        f"One image of {args.size}x{args.size} at a time, random weights, {platform.machine()}, "
        f"{args.threads} threads, PyTorch {torch.__version__}, code `{code_version()}`. Ours is "
        "the whole detector, N = 5. Medians of rounds in which the models take turns.\n"
    )
    print("| model | ms | lowest | ms / ours | parameters (M) | GFLOP |")
    print("| --- | --- | --- | --- | --- | --- |")
    base = median(seconds["RcAE Lite"]) if "RcAE Lite" in seconds else float("nan")
    for name, taken in sorted(seconds.items(), key=lambda item: median(item[1])):
        print(
            f"| {name} | {1000 * median(taken):.0f} | {1000 * min(taken):.0f} | "
            f"{median(taken) / base:.2f} | {counts[name] / 1e6:.2f} | {gflop[name]:.1f} |"
        )


def draem_steps(model: nn.Module, images: Tensor) -> Callable[[int], None]:
    """DRAEM with our pseudo-anomalies instead of textures from a downloaded data set."""
    loss_of = DraemLoss()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step(number: int) -> None:
        generator = generator_for(0, "draem", number)
        normal = images[torch.randint(len(images), (8,), generator=generator)].float() / 255
        painted, masks = paint(normal, generator, families=PAPER_FAMILIES)
        rebuilt, prediction = model(painted)
        optimiser.zero_grad()
        loss_of(normal, rebuilt, masks, prediction).backward()
        optimiser.step()

    return step


def ganomaly_steps(model: nn.Module, images: Tensor) -> Callable[[int], None]:
    of_generator, of_discriminator = GeneratorLoss(), DiscriminatorLoss()
    options = {"lr": 2e-4, "betas": (0.5, 0.999)}
    for_discriminator = torch.optim.Adam(model.discriminator.parameters(), **options)
    for_generator = torch.optim.Adam(model.generator.parameters(), **options)

    def step(number: int) -> None:
        generator = generator_for(0, "ganomaly", number)
        batch = images[torch.randint(len(images), (16,), generator=generator)].float() / 255
        padded, fake, latent_i, latent_o = model(batch)
        real_score, _ = model.discriminator(padded)
        fake_score, _ = model.discriminator(fake.detach())
        for_discriminator.zero_grad()
        of_discriminator(real_score, fake_score).backward()
        for_discriminator.step()
        real_score, _ = model.discriminator(padded)
        fake_score, _ = model.discriminator(fake)
        for_generator.zero_grad()
        of_generator(latent_i, latent_o, padded, fake, real_score.detach(), fake_score).backward()
        for_generator.step()

    return step


def accuracy(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    category = open_category(args.data, args.category, size=args.size)
    images = category.train.images()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, steps_of in (("DRAEM", draem_steps), ("GANomaly", ganomaly_steps)):
        path = args.out / f"{name}-{category.name}.json"
        if path.exists():
            continue
        model = MODELS[name](args.size)
        step = steps_of(model.train(), images)
        started, count = time.monotonic(), 0
        while time.monotonic() - started < args.seconds:
            step(count)
            count += 1
        scores, maps = [], []
        with torch.inference_mode():
            for image in (category.test.images() / 255).split(1):
                found = model.eval()(image)
                scores.append(float(found.pred_score))
                maps.append(getattr(found, "anomaly_map", None))
        masks = [category.test.native_mask(index) for index in range(len(maps))]
        metrics = image_metrics(category.test.labels, torch.tensor(scores).double().numpy())
        if maps[0] is not None:  # GANomaly says nothing about pixels
            native = [
                to_native(m.reshape(args.size, args.size).float(), mask.shape)
                for m, mask in zip(maps, masks, strict=True)
                if mask is not None
            ]
            metrics |= pixel_metrics(native, [mask for mask in masks if mask is not None])
        values = {key: found and found.value for key, found in metrics.items()}
        made = {
            "model": name,
            "category": category.name,
            "fingerprint": category.fingerprint,
            "size": args.size,
            "seconds": args.seconds,
            "steps": count,
            "seed": 0,
            "threads": args.threads,
            "code": code_version(),
        }
        path.write_text(json.dumps(made | values, indent=1))
        print(path.read_text())


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
    long.add_argument("--seconds", type=float, default=600)
    long.add_argument("--size", type=int, default=128)
    long.add_argument("--out", type=Path, required=True)
    long.set_defaults(function=accuracy)
    for command in (quick, long):
        command.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
