"""The detectors that ship with the kit: small, sound, and found again."""

import dataclasses

import pytest
import torch
from msgspec.structs import replace

from data_utils import KitError, open_category
from rcae_lite import RcAEDetector, SinglePassDetector, example, load_example
from rcae_lite.evaluation.metrics import image_auroc
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.training.checkpoint import Snapshot
from rcae_lite.widgets.page import write_page
from rcae_lite.widgets.state.comparison import compare
from rcae_lite.widgets.state.explorer import ExplorerState
from rcae_lite.widgets.state.frames import record
from rcae_lite.widgets.state.threshold import ThresholdState


@pytest.fixture(scope="module")
def category():
    return open_category("synthetic", size=128)


def test_the_shipped_files_are_small_and_in_half_precision():
    files = [file for kind in example.KINDS for file in (example.SHIPPED / kind).iterdir()]
    assert {file.name for file in files} == {"detector.json", "detector.safetensors"}
    assert sum(file.stat().st_size for file in files) <= 2.5e6
    for kind in example.KINDS:
        modules = load_example(kind, device="cpu").modules.values()
        floats = [t for m in modules for t in m.state_dict().values() if t.is_floating_point()]
        assert all(t.dtype == torch.float32 and t.equal(t.half().float()) for t in floats)


def test_the_shipped_files_say_where_they_come_from(category):
    for kind in example.KINDS:
        detector = load_example(kind, device="cpu")
        assert detector.config.preset == "demo" and detector.threshold is not None
        assert detector.trained["category"] == category.name
        assert detector.trained["command"] == "python -m rcae_lite.example"
        assert detector.trained["code_version"] and detector.trained["data_fingerprint"]


@pytest.mark.parametrize("kind", example.KINDS)
def test_the_shipped_threshold_is_that_of_the_rounded_weights(category, kind):
    detector = load_example(kind, device="cpu")
    shipped, threshold = detector.calibration_scores, detector.threshold.value
    detector.calibrate(category.train)
    assert detector.calibration_scores == pytest.approx(shipped, rel=1e-4)
    assert detector.threshold.value == pytest.approx(threshold, rel=1e-4)


def test_the_shipped_detector_detects_and_beats_the_baseline(category):
    images, labels = category.test.images() / 255, category.test.labels
    area = {
        kind: image_auroc(labels, load_example(kind, device="cpu").predict(images).score)
        for kind in example.KINDS
    }
    assert area["full"] > 0.85 and area["full"] > area["single_pass"], area


def test_the_category_it_knows_gets_the_shipped_detector(category):
    detector = example.detector_for(category)
    assert isinstance(detector, RcAEDetector)
    assert detector.trained["command"] == "python -m rcae_lite.example"


@pytest.mark.parametrize("kind", ["rcae", "rcae_dpn"])
def test_the_shipped_detector_stands_for_its_parts(kind, category):
    assert (
        example.detector_for(category, kind).rcae.depth == example.detector_for(category).rcae.depth
    )


def test_any_other_category_is_trained_on_once(tiny_category, tmp_path, monkeypatch):
    larger = dataclasses.replace(
        tiny_category, train=tiny_category.train.subset(range(12)), size=128, name="other"
    )
    larger.train.size, larger.train._images = 128, None
    steps = {"steps": 3, "batch_size": 4}
    few = {"stages": tmp_path, "single_pass": steps, "rcae": steps | {"half_size_steps": 0}}
    rounds, first = example.detectors_for(larger, ("rcae", "single_pass"), **few)
    assert isinstance(first, SinglePassDetector) and first.threshold is not None
    assert (rounds.kind, rounds.trained["category"]) == ("rcae", larger.train.category)
    monkeypatch.setattr(
        "rcae_lite.training.trainer.train_stage", None
    )  # a second training would fail
    second = example.detector_for(larger, "single_pass", **few)
    image = larger.train.images()[:1] / 255
    residual = [d.trajectory(image).residuals for d in (first, second)]
    assert smooth(residual[0]).equal(smooth(residual[1]))


def test_unknown_or_outdated_files_are_refused_with_the_remedy(monkeypatch):
    with pytest.raises(KitError, match="unknown detector 'vae'; choose from full, single_pass"):
        load_example("vae")
    monkeypatch.setattr(Snapshot, "format_version", Snapshot.format_version + 1)
    with pytest.raises(KitError, match=r"make it again: python -m rcae_lite\.example"):
        load_example()


def test_a_page_of_six_images_with_everything_in_it_has_at_most_5_mb(tmp_path):
    """Explorer with its probe, comparison, and a threshold over 577 images with pictures."""
    category = open_category("synthetic", size=128)
    some = category.test.subset([0, 10, 40, 60, 80, 90])
    detector, single = load_example(), load_example("single_pass")
    frames = record(detector, some)
    evaluation = detector.evaluate(some)
    many = category.test.subset([index % 93 for index in range(577)])
    noise = torch.randint(0, 5, (577, 3, 128, 128), dtype=torch.uint8)
    many._images = many.images() // 2 + noise  # no two are alike
    seen = evaluation.images
    images = [replace(seen[i % 6], path=p) for i, p in enumerate(many.paths)]
    threshold = ThresholdState(replace(evaluation, images=images), many)
    widgets = [
        ("explorer", ExplorerState(frames, record(detector, category.train.subset(range(4))), 1.0)),
        ("comparison", compare({"RcAE": detector, "single pass": single}, some)),
        ("threshold", threshold),
    ]
    page = write_page(tmp_path / "page.html", widgets)
    print(f"\n{page.stat().st_size / 1e6:.2f} MB")
    assert page.stat().st_size <= 5e6
