"""An evaluation says everything, survives JSON and CSV exactly, and refuses what it is not."""

import csv
import json

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.metrics import roc_curve

from data_utils import KitError
from rcae_lite.evaluation.bootstrap import Interval
from rcae_lite.evaluation.metrics import image_metrics
from rcae_lite.evaluation.results import METRICS, Evaluation, ImageResult, Provenance
from rcae_lite.evaluation.thresholds import Threshold


def make_evaluation(
    normal: int = 12, defective: int = 18, seed: int = 0, path: str = "", gap: float = 2.2
) -> Evaluation:
    """Return an evaluation of invented scores; ``path`` replaces the first image's path."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [normal, defective])
    scores = np.float32(rng.normal(0, 1, len(labels)) + gap * labels).astype(float)
    both = normal > 0 and defective > 0
    families = ("good", "scratch", "stain")
    images = []
    for i, (label, score) in enumerate(zip(labels, scores, strict=True)):
        family = families[label * (1 + i % 2)]
        images.append(
            ImageResult(f"test/{family}/{i:03}.png", family, int(label), score, bool(score > 1.2))
        )
    if path:
        images[0] = replace(images[0], path=path)
    x = np.linspace(0, 1, 50)
    curves = {
        "roc": np.column_stack(roc_curve(labels, scores)[:2]).tolist() if both else [],
        "pixel_roc": np.column_stack([x, x**0.1]).tolist(),
        "pro": np.column_stack([x, x**0.3]).tolist(),
    }
    pixel = {"pixel_auroc": Interval(0.93, 0.9, 0.95), "pixel_ap": Interval(0.52, 0.4, 0.6)}
    pixel |= {"au_pro": Interval(0.81, 0.74, 0.86)}
    return Evaluation(
        metrics=image_metrics(labels, scores, resamples=50)
        | (pixel if both else dict.fromkeys(pixel)),
        images=images,
        calibration_scores=rng.normal(0, 1, 19).tolist(),
        threshold=Threshold(1.2, 0.05),
        residual_auroc_by_depth=[0.45, 0.63, 0.74, 0.78, 0.86] if both else [None] * 5,
        curves=curves if both else {},
        map_limits=(-6.0, 3.0),
        provenance=Provenance(
            detector="full",
            category="bracket",
            preset="demo",
            seed=0,
            resolution=(128, 128),
            parameters={"rcae": 71_000, "dpn": 120_000, "crd": 300_000, "total": 491_000},
            seconds={
                "train": {"rcae": 60.5, "dpn": 20.0, "crd": 80.2},
                "inference_per_image": 0.0412,
            },
            device="cpu",
            evaluated_on="cpu",
            threads=2,
            data_fingerprint="0123456789abcdef" * 4,
            training_images=101,
            calibration_images=19,
            test_images=len(images),
            version="0.1.0",
            code_version="5de47b54d2e9+changes",
            torch="2.6.0",
            score_rule="maximum of the smoothed raw map",
            command="rcae train synthetic bracket --preset demo",
        ),
    )


def test_files_of_before_masks_were_counted_still_load():
    evaluation = replace(make_evaluation(), masks_used=(3, 18), doctor={"errors": 0, "warnings": 2})
    assert Evaluation.from_json(evaluation.to_json()) == evaluation
    assert (
        "\n  masks used: 3 of 18; doctor's errors: 0; doctor's warnings: 2" in evaluation.summary()
    )
    values = evaluation.to_dict()
    del values["masks_used"], values["doctor"]
    older = Evaluation.from_dict(values)
    assert older.about_data == "" and "masks used" not in older.summary()
    with pytest.raises(KitError, match="masks_used"):
        Evaluation.from_dict(values | {"masks_used": [-1, 4]})


def test_json_round_trip_is_exact():
    for evaluation in (make_evaluation(), make_evaluation(defective=0), make_evaluation(normal=0)):
        assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_json_has_the_keys_of_the_command_line_and_no_nan():
    values = json.loads(make_evaluation().to_json())
    for name in METRICS:
        assert set(values[name]) == {"value", "low", "high"}
        assert 0 <= values[name]["low"] <= values[name]["value"] <= values[name]["high"] <= 1
    assert values["resolution"] == [128, 128] and values["parameters"]["total"] == 491_000
    assert set(values["seconds"]) == {"train", "inference_per_image"}
    assert set(values["threshold"]) == {"value", "false_alarm_rate"}
    assert len(values["residual_auroc_by_depth"]) == 5
    assert {
        "preset",
        "seed",
        "category",
        "device",
        "data_fingerprint",
        "version",
        "command",
        "code_version",
        "score_rule",
        "calibration_scores",
        "images",
    } <= set(values)
    undefined = make_evaluation(defective=0).to_json()
    assert "NaN" not in undefined and json.loads(undefined)["image_auroc"] is None


def test_rates_at_the_threshold_are_those_of_the_images():
    evaluation = make_evaluation()
    above, labels = evaluation.scores > evaluation.threshold.value, evaluation.labels
    assert evaluation.false_positive_rate == np.mean(above[labels == 0])
    assert evaluation.detection_rate == np.mean(above[labels == 1])
    assert 0 < evaluation.false_positive_rate < evaluation.detection_rate < 1
    alarms = evaluation.false_alarms
    assert 0 < alarms.low < alarms.value < alarms.high < 1
    assert evaluation.to_dict()["test_false_alarms"]["high"] == alarms.high
    assert make_evaluation(defective=0).detection_rate is None
    assert make_evaluation(normal=0).false_positive_rate is None


def test_the_summary_names_the_oracle_and_survives_undefined_metrics():
    text = make_evaluation().summary()
    assert text.endswith("\n  score: maximum of the smoothed raw map")
    assert "oracle" in text and "[0.900, 0.950]" in text and "0.930" in text
    assert "image AUROC            -" in make_evaluation(defective=0).summary()


def test_saved_files_give_back_every_score(tmp_path):
    evaluation = make_evaluation(path='test/a, "b"\nc.png')
    evaluation.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evaluation.json", "scores.csv"]
    assert Evaluation.load(tmp_path / "evaluation.json") == evaluation
    with open(tmp_path / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [image.path for image in evaluation.images]
    read = np.array([row["score"] for row in rows], dtype=np.float32)
    assert (read == evaluation.scores.astype(np.float32)).all()
    assert [row["predicted"] for row in rows] == [str(int(i.predicted)) for i in evaluation.images]
    calibration = np.array(evaluation.calibration_scores)
    for row, score in zip(rows, evaluation.scores, strict=True):
        by_hand = (1 + (calibration >= score).sum()) / 20  # 19 held-out images
        assert float(row["p_value"]) == pytest.approx(by_hand)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    evaluation = make_evaluation()
    evaluation.save(tmp_path)
    before = (tmp_path / "evaluation.json").read_text()
    broken = replace(evaluation, calibration_scores=[float("nan")])
    with pytest.raises(ValueError, match="JSON"):
        broken.save(tmp_path)
    assert (tmp_path / "evaluation.json").read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "rcae-lite-run"}, "is not a 'rcae-lite-evaluation' file"),
        ({"format_version": 99}, "version 99"),
        ({"threshold": None}, "not complete"),
        ({"threshold": {"value": "high", "false_alarm_rate": 0.05}}, "not complete"),
        ({"image_auroc": {"value": 1.0}}, "image_auroc: .*`low`"),
        ({"pixel_ap": {"value": "good", "low": 0, "high": 1}}, "not complete"),
        ({"images": [{"path": "a"}]}, "`defect`"),
        ({"images": 3}, "not complete"),
        ({"map_limits": [0.0]}, "not complete"),
        ({"curves": 5}, "not complete"),
    ],
)
def test_what_is_not_an_evaluation_is_refused(change, message):
    with pytest.raises(KitError, match=message) as caught:
        Evaluation.from_dict(make_evaluation().to_dict() | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", "{not json", '{"kind": "x"}'])
def test_text_that_is_not_an_evaluation_is_refused(text):
    with pytest.raises(KitError) as caught:
        Evaluation.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["seed", "data_fingerprint", "image_f1_max", "detector"])
def test_a_missing_field_is_named(name):
    values = make_evaluation().to_dict()
    del values[name]
    with pytest.raises(KitError, match=f"{name}: Expected|missing required field `{name}`"):
        Evaluation.from_dict(values)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(KitError, match="does not exist"):
        Evaluation.load(tmp_path / "evaluation.json")


@pytest.mark.parametrize(("field", "value"), [
    ("curves", {"roc": "abc"}), ("curves", {"pro": [[1]]}), ("detector", "x"),
    ("seconds", {"train": {}}), ("resolution", [128]), ("seed", "0"),
])  # fmt: skip
def test_a_field_of_another_shape_is_refused(field, value):
    with pytest.raises(KitError, match=field):
        Evaluation.from_dict(make_evaluation().to_dict() | {field: value})
