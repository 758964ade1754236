"""The three modules put together: stages, shapes, determinism, resuming, saving, evaluating."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import v2

from data_utils import KitError
from rcae_lite.base import split
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.restoration import probe
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.storage.provenance import resolve_device
from rcae_lite.training.events import Event
from tests.rcae_lite.conftest import tiny_config, tiny_records

DETECTORS = [RcAEDetector, SinglePassDetector]


def same_weights(first, second) -> bool:
    return all(
        torch.equal(a, b)
        for name in first.modules
        for a, b in zip(
            first.modules[name].state_dict().values(),
            second.modules[name].state_dict().values(),
            strict=True,
        )
    )


def images(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("seed", [1.5, -1, 2**63, "0"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(KitError, match=f"seed is {seed!r}; expected a whole number"):
        RcAEDetector.from_preset("demo", seed=seed)


def test_stages_run_one_after_the_other(tiny_category):
    events: list[Event] = []
    detector = RcAEDetector(tiny_config(), 0, "cpu").fit(
        tiny_category.train, callbacks=[events.append]
    )
    assert [e.stage for e in events] == ["rcae"] * 6 + ["dpn"] * 6 + ["crd"] * 6
    assert list(detector.trained["seconds"]) == ["rcae", "dpn", "crd"]
    assert [step for step, _ in detector.losses["crd"]] == [1, 2, 3, 4, 5, 6]


def test_earlier_modules_are_frozen_in_later_stages(tiny_category):
    seen = {}

    def remember(event: Event) -> None:
        if event.done == event.steps:
            seen[event.stage] = [t.clone() for t in event.state.module.state_dict().values()]

    detector = RcAEDetector(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[remember])
    for name, tensors in seen.items():
        final = detector.modules[name].state_dict().values()
        assert all(torch.equal(a, b) for a, b in zip(tensors, final, strict=True)), name


def test_trajectory_is_typed_and_consistent(tiny_detector):
    trajectory = tiny_detector.trajectory(images())
    assert trajectory.reconstructions.shape == trajectory.enhanced.shape == (2, 3, 3, 32, 32)
    assert trajectory.residuals.shape == (2, 3, 32, 32)
    assert trajectory.changes.shape == (2, 2, 32, 32)
    expected = (images() - tiny_detector.rcae(images(), 3)).abs().mean(dim=1)
    torch.testing.assert_close(trajectory.residuals[:, 2], expected, atol=1e-5, rtol=1e-5)
    step = (trajectory.reconstructions[:, :, 1] - trajectory.reconstructions[:, :, 0]).abs()
    torch.testing.assert_close(trajectory.changes[:, 0], step.mean(dim=1))


@pytest.mark.parametrize("kind", DETECTORS)
def test_detection_is_raw_for_metrics_and_bounded_for_display(tiny_category, kind):
    detector = kind(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[])
    detection = detector.predict(images(5), batch_size=2)
    assert detection.anomaly_map.shape == detection.probability.shape == (5, 32, 32)
    assert detection.anomaly_map.dtype == torch.float32
    assert detection.probability.min() >= 0 and detection.probability.max() <= 1
    assert torch.equal(detection.score, detection.anomaly_map.flatten(1).amax(1))
    assert torch.equal(detection.label, detection.score > detector.threshold.value)
    torch.testing.assert_close(
        detector.predict(images(5)).anomaly_map, detection.anomaly_map, atol=1e-5, rtol=1e-4
    )


def test_the_score_rule_says_whether_position_counts(tiny_detector, tmp_path):
    assert "position statistics: parts lie still (0.9" in tiny_detector.score_rule
    tiny_detector.save(tmp_path)
    turned = RcAEDetector.load(tmp_path, device="cpu")
    assert turned.score_rule == tiny_detector.score_rule
    turned.crd.statistics.structure.fill_(0.1)
    assert "position statistics: no pose in common, images as they lie (0.10)" in turned.score_rule


def test_the_raw_map_is_the_smoothed_surprise_of_crd_and_normality(tiny_category, tiny_detector):
    sample = tiny_category.test.images()[:2] / 255
    trajectory = tiny_detector.trajectory(sample)
    crd = tiny_detector.crd
    with torch.inference_mode():
        logits = crd(sample, trajectory.enhanced).squeeze(1)
        logits = logits + 24.0 * crd.statistics(sample)[:, 0] ** 2
    detection = tiny_detector.predict(sample)
    surprise = -torch.nn.functional.logsigmoid(-logits.double())  # -log(1 - M_A)
    expected = smooth(surprise).float()
    torch.testing.assert_close(detection.anomaly_map, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        detection.probability, 1 - torch.exp(-expected), atol=1e-4, rtol=1e-4
    )


def test_without_what_is_ours_the_map_is_crds_alone(tiny_category):
    config = tiny_config(
        augmentation=0.0,
        crd={"z_score_weight": 0.0, "residual_input": False, "map_loss": "l2", "crop": 0},
    )
    detector = RcAEDetector(config, 0, "cpu").fit(tiny_category.train, callbacks=[])
    assert detector.crd.statistics is None
    sample = tiny_category.test.images()[:1] / 255
    with torch.inference_mode():
        probability = detector.crd(sample, detector.trajectory(sample).enhanced).sigmoid()
    expected = smooth(-torch.log(1 - probability)).squeeze(1)
    torch.testing.assert_close(detector.predict(sample).anomaly_map, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("depths", "recursion_counts"), [((0,), False), ((1,), True)])
def test_a_crd_that_sees_the_image_alone_does_not_hang_on_rcae(
    tiny_category, depths, recursion_counts
):
    config = tiny_config(crd={"depths": depths})
    detector = RcAEDetector(config, 0, "cpu").fit(tiny_category.train, callbacks=[])
    sample = tiny_category.test.images()[:2] / 255
    before = detector.predict(sample).anomaly_map
    for weight in detector.rcae.parameters():
        weight.data.zero_()
    assert torch.equal(detector.predict(sample).anomaly_map, before) != recursion_counts


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tiny_category, tiny_detector):
    again = RcAEDetector(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[])
    assert same_weights(tiny_detector, again)
    assert again.calibration_scores == tiny_detector.calibration_scores
    other = RcAEDetector(tiny_config(), 1, "cpu").fit(tiny_category.train, callbacks=[])
    assert not same_weights(tiny_detector, other)


@pytest.mark.parametrize("stop", [("rcae", 2), ("rcae", 6), ("dpn", 3), ("crd", 1), ("crd", 5)])
def test_a_resumed_training_equals_an_uninterrupted_one(
    tiny_category, tiny_detector, tmp_path, monkeypatch, stop
):
    monkeypatch.setattr("rcae_lite.training.checkpoint.SECONDS_BETWEEN", 0.0)

    class Killed(Exception):
        pass

    def kill(event: Event) -> None:
        if (event.stage, event.done) == stop:
            raise Killed

    with pytest.raises(Killed):
        RcAEDetector(tiny_config(), 0, "cpu").fit(
            tiny_category.train, callbacks=[kill], checkpoint=tmp_path / "checkpoint"
        )
    resumed = RcAEDetector(tiny_config(), 0, "cpu").fit(
        tiny_category.train, callbacks=[], checkpoint=tmp_path / "checkpoint"
    )
    assert same_weights(tiny_detector, resumed)
    assert resumed.losses["crd"] == tiny_detector.losses["crd"]
    assert resumed.calibration_scores == tiny_detector.calibration_scores


def test_fitting_again_starts_afresh(tiny_category, tiny_detector):
    twice = RcAEDetector(tiny_config(), 0, "cpu")
    for _ in range(2):
        twice.fit(tiny_category.train, callbacks=[])
    assert same_weights(tiny_detector, twice)


def test_held_out_normals_are_never_trained_on():
    kept, held_out = split(0, 209)
    assert len(held_out) == 19 and sorted(kept + held_out) == list(range(209))


@pytest.mark.parametrize("kind", DETECTORS)
def test_saved_and_loaded_it_is_the_same(tiny_category, tmp_path, kind):
    detector = kind(tiny_config(), 3, "cpu").fit(tiny_category.train, callbacks=[])
    detector.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["detector.json", "detector.safetensors"]
    loaded = kind.load(tmp_path, device="cpu")
    assert same_weights(detector, loaded)
    assert (loaded.config, loaded.seed, loaded.threshold) == (
        detector.config,
        3,
        detector.threshold,
    )
    assert loaded.losses == detector.losses
    assert torch.equal(loaded.predict(images()).score, detector.predict(images()).score)
    with pytest.raises(KitError, match="holds a detector .*, not"):
        DETECTORS[kind is RcAEDetector].load(tmp_path)


def test_load_refuses_what_it_cannot_trust(tiny_detector, tmp_path):
    with pytest.raises(KitError, match="does not exist"):
        RcAEDetector.load(tmp_path / "nothing")
    tiny_detector.save(tmp_path)
    with pytest.raises(KitError, match="is a file; name the folder"):
        RcAEDetector.load(tmp_path / "detector.safetensors")
    values = json.loads((tmp_path / "detector.json").read_text())

    def edited(**changes):
        (tmp_path / "detector.json").write_text(json.dumps(values | changes))
        return RcAEDetector.load(tmp_path, device="cpu")

    with pytest.raises(KitError, match="format version 99, this kit reads 7"):
        edited(format_version=99)
    with pytest.raises(KitError, match="unknown field `surprise`"):
        edited(config=values["config"] | {"surprise": 1})
    with pytest.raises(KitError, match=r"tensor crd\.\S+ is torch.float32 .* expected"):
        edited(config=values["config"] | {"crd": values["config"]["crd"] | {"width": 16}})
    with pytest.raises(KitError, match="not complete"):
        edited(seed="seven")
    edited()


def test_evaluation_has_everything_and_survives_json(tiny_category, tiny_detector):
    evaluation = tiny_detector.evaluate(tiny_category.test)
    assert set(evaluation.metrics) == {
        "image_auroc",
        "pixel_auroc",
        "pixel_ap",
        "au_pro",
        "image_f1_max",
    }
    for interval in evaluation.metrics.values():
        assert 0 <= interval.low <= interval.high <= 1
    assert len(evaluation.residual_auroc_by_depth) == 3
    detection = tiny_detector.predict(tiny_category.test.images() / 255)
    np.testing.assert_allclose(evaluation.scores, detection.score, rtol=1e-5)
    values = json.loads(evaluation.to_json())
    assert values["resolution"] == [32, 32] and values["preset"] == "demo"
    assert set(values["parameters"]) == {"rcae", "dpn", "crd", "total"}
    assert set(values["seconds"]["train"]) == {"rcae", "dpn", "crd"}
    assert values["data_fingerprint"] == "f" * 64
    assert type(evaluation).from_json(evaluation.to_json()) == evaluation


def test_evaluation_at_native_size(tiny_category, tiny_detector):
    assert tiny_category.test.native_mask(0).shape == (40, 48)
    curve = tiny_detector.evaluate(tiny_category.test).curves["pixel_roc"]
    assert curve[0] == [0, 0] and curve[-1] == [1, 1] and len(curve) <= 200


def test_normal_images_only_leave_metrics_undefined(tiny_category, tiny_detector):
    normal = tiny_category.test.subset(np.flatnonzero(tiny_category.test.labels == 0))
    evaluation = tiny_detector.evaluate(normal)
    assert set(evaluation.metrics.values()) == {None}
    assert evaluation.detection_rate is None and evaluation.false_positive_rate is not None
    assert "image_auroc" in evaluation.to_json()


def test_mistakes(tiny_category, tiny_detector):
    fresh = RcAEDetector(tiny_config(), 0, "cpu")
    with pytest.raises(KitError, match="no threshold yet"):
        fresh.evaluate(tiny_category.test)
    with pytest.raises(KitError, match="open the category with size=64"):
        RcAEDetector(tiny_config(size=64), 0, "cpu").fit(tiny_category.train)
    with pytest.raises(KitError, match="2 training images"):
        fresh.fit(tiny_category.train.subset([0, 1]))
    with pytest.raises(KitError, match="test set has no images"):
        tiny_detector.evaluate(tiny_category.test.subset([]))
    with pytest.raises(KitError, match="height 40 is not divisible"):
        tiny_detector.predict(torch.zeros(1, 3, 40, 32))
    with pytest.raises(KitError, match="device 'tpu' is unknown"):
        resolve_device("tpu")


def test_images_of_any_kind_get_the_score_of_the_evaluation(tiny_category, tiny_detector, tmp_path):
    test = tiny_category.test
    expected = tiny_detector.evaluate(test).scores
    photographs = [record.read_image() for record in test.records]  # (40, 48, 3) uint8
    files = [tmp_path / f"{number}.png" for number in range(len(photographs))]
    for file, photograph in zip(files, photographs, strict=True):
        Image.fromarray(photograph).save(file)
    given = (test.images(), np.stack(photographs), files, list(map(Image.fromarray, photographs)))
    for images in given:
        np.testing.assert_allclose(tiny_detector.predict(images).score, expected, rtol=1e-5)
    one = tiny_detector.trajectory(files[0])
    assert torch.equal(one.images.cpu(), test.images()[:1] / 255)
    for method in (tiny_detector.predict, tiny_detector.trajectory):
        with pytest.raises(KitError, match="type dict; expected tensors"):
            method({})
    for method, images in ((tiny_detector.predict, files), (tiny_detector.evaluate, test)):
        with pytest.raises(KitError, match="batch_size is 0"):
            method(images, batch_size=0)


def test_a_threshold_is_for_images_of_its_size(tiny_detector):
    with pytest.warns(UserWarning, match="images of 64x32 and a threshold for 32x32"):
        tiny_detector.predict(torch.rand(1, 3, 64, 32))


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_module_left_in_train_mode_changes_nothing(tiny_category, kind):
    detector = kind(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[])
    expected = detector.predict(images())
    for module in detector.modules.values():
        module.train()
        next(module.children()).eval()  # frozen by the reader
    state = {
        n: {k: v.clone() for k, v in m.state_dict().items()} for n, m in detector.modules.items()
    }
    modes = [part.training for m in detector.modules.values() for part in m.modules()]
    assert torch.equal(detector.predict(images()).score, expected.score)
    for name, module in detector.modules.items():
        assert all(torch.equal(v, state[name][k]) for k, v in module.state_dict().items())
    assert modes == [part.training for m in detector.modules.values() for part in m.modules()]


def test_only_normal_images_of_an_image_set_are_trained_on(tiny_category):
    fresh = RcAEDetector(tiny_config(), 0, "cpu")
    with pytest.raises(KitError, match="4 of 8 training images are defective; expected normal"):
        fresh.fit(tiny_category.test)
    for other in (DataLoader(tiny_category.train), ["a.png"], "photos", images(), tiny_category):
        with pytest.raises(KitError, match=r"expected an ImageSet; .*open_category.*\.train$"):
            fresh.fit(other)


def test_a_transform_is_refused_and_not_ignored(tiny_category, tiny_detector):
    train, test = (s.subset(range(len(s))) for s in (tiny_category.train, tiny_category.test))
    train.transform = test.transform = v2.RandomHorizontalFlip(1.0)
    for method, given in ((RcAEDetector(tiny_config()).fit, train), (tiny_detector.evaluate, test)):
        with pytest.raises(KitError, match="have a transform"):
            method(given)
    with pytest.raises(KitError, match=r"type DataLoader; expected an ImageSet; .*\.test$"):
        tiny_detector.evaluate(DataLoader(test))


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_cuda_asked_for_and_absent():
    with pytest.raises(KitError, match="'cuda' is not available here; use --device auto or cpu"):
        resolve_device("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_and_agrees_with_the_cpu(tiny_category, tmp_path):
    detector = RcAEDetector(tiny_config(), 0, "cuda").fit(tiny_category.train, callbacks=[])
    detector.save(tmp_path)
    on_cpu = RcAEDetector.load(tmp_path, device="cpu")
    torch.testing.assert_close(
        detector.predict(images()).anomaly_map,
        on_cpu.predict(images()).anomaly_map,
        atol=2e-2,
        rtol=1e-2,
    )


def test_tiny_records_are_what_they_say():
    assert [r.label for r in tiny_records(3, defective=1)] == [1, 0, 0]


def test_the_whole_detector_stays_small():
    """At 256x256: 1.5 million parameters and 16 GFLOP (multiplications and additions) at most."""
    detector = RcAEDetector.from_preset("standard", crd={"crop": 0}, device="cpu")
    with FlopCounterMode(display=False) as counter:
        detector.predict(torch.rand(1, 3, 256, 256))
    assert counter.get_total_flops() <= 16e9
    assert detector.parameters()["total"] <= 1.5e6


def test_the_probe_follows_held_out_images_to_every_network(tiny_category, tiny_detector):
    """After RcAE and after DPN as if each were probed alone; on images that were held out."""
    found = tiny_detector.restoration(tiny_category.train)
    assert list(found) == ["rcae", "rcae_dpn"]
    held_out = tiny_category.train.images()[split(0, len(tiny_category.train))[1]] / 255
    assert found["rcae"].images == len(held_out)
    alone = probe(lambda x: {"dpn": tiny_detector.trajectory(x).enhanced}, held_out)
    assert alone["dpn"] == found["rcae_dpn"] != found["rcae"]
