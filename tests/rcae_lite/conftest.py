"""A tiny category and a tiny detector, trained once for all tests."""

from functools import partial

import numpy as np
import pytest

from data_utils import Category, ImageSet, Record
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.commands import report
from rcae_lite.config import Config, get_config
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation import protocol
from rcae_lite.evaluation.metrics import image_metrics, pixel_metrics

TINY_STAGE = {"steps": 6, "batch_size": 4, "learning_rate": 2e-3}


def tiny_config(**overrides) -> Config:
    """Return the smallest configuration that goes through every line of a training."""
    crd = {"width": 8, "crop": 16, "pool_chunk": 4, "pool_chunks": 2, "pool_every": 2}
    options = {
        "size": 32,
        "single_pass": TINY_STAGE,
        "rcae": TINY_STAGE | {"width": 16, "depth": 3, "half_size_steps": 0},
        "dpn": TINY_STAGE | {"width": 8},
        "crd": TINY_STAGE | crd,
    }
    return get_config("demo", **options).updated(overrides)


def tiny_records(count: int, defective: int = 0) -> list[Record]:
    """Return a ring on a gradient, 40x48 pixels, ``defective`` of them with a bright square."""
    records = []
    y, x = np.mgrid[:40, :48] / 48
    for number in range(count):
        rng = np.random.default_rng(number + 1000 * defective)
        ring = np.exp(-((np.hypot(y - 0.42, x - 0.5) - 0.3) ** 2) / 0.004)
        image = 0.3 + 0.3 * x + 0.3 * ring + rng.normal(0, 0.02, (40, 48))
        mask = np.zeros((40, 48), bool)
        bad = number < defective
        if bad:
            top, left = rng.integers(5, 25, 2)
            mask[top : top + 8, left : left + 8] = True
            image = np.where(mask, 1.0, image)
        rgb = (255 * np.repeat(image[..., None], 3, axis=2).clip(0, 1)).astype(np.uint8)
        defect = "square" if bad else "good"
        records.append(
            Record(
                path=f"tiny/{defect}/{number:03}.png",
                label=int(bad),
                defect=defect,
                read_image=lambda rgb=rgb: rgb,
                read_mask=(lambda mask=mask: mask) if bad else None,
                digest=lambda number=number: f"{number:064x}",
            )
        )
    return records


@pytest.fixture(scope="session")
def tiny_category() -> Category:
    """Return 12 normal images to train on; 4 normal and 4 defective ones to test on."""
    common = {"category": "tiny", "fingerprint": "f" * 64}
    train = ImageSet(tiny_records(12), 32, split="train", **common)
    test = ImageSet(tiny_records(8, defective=4), 32, split="test", **common)
    return Category("tiny", "synthetic", "synthetic", 32, train, test, "f" * 64)


@pytest.fixture(scope="session")
def tiny_detector(tiny_category) -> RcAEDetector:
    """Return a detector that has gone through all stages."""
    return RcAEDetector(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[])


@pytest.fixture(scope="session")
def tiny_baseline(tiny_category) -> SinglePassDetector:
    """Return a single-pass detector that has gone through its training."""
    return SinglePassDetector(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[])


@pytest.fixture
def coarse_pictures(monkeypatch) -> None:
    """Draw figures with few pixels, and none of a report's: most of a tiny training's time."""
    monkeypatch.setattr("rcae_lite.plotting.style.PIXELS_PER_INCH", 20)
    for drawn in ("trajectory_strip", "detections"):
        monkeypatch.setattr(f"rcae_lite.plotting.{drawn}", lambda *_, **__: None)
    monkeypatch.setattr(
        report, "_picture", lambda _, text, caption="": report._Picture("data:,", text, caption)
    )


@pytest.fixture
def few_resamples(monkeypatch) -> None:
    """Make the bootstrap of the intervals quick; it is tested elsewhere."""
    for function in (image_metrics, pixel_metrics):
        few = partial(function, resamples=5)
        monkeypatch.setattr(protocol, function.__name__, few)
