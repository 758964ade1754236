"""One ONNX model answers what PyTorch answers, through onnxruntime, at any batch and size."""

import json
import os
from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch

from data_utils import KitError
from rcae_lite.base import Detector
from rcae_lite.cli import main
from rcae_lite.commands import export
from rcae_lite.commands.export import TOLERANCE, export_onnx, largest_difference
from rcae_lite.config import config_from_dict
from rcae_lite.detector import RcAEDetector
from tests.rcae_lite.conftest import tiny_config

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
pytest.importorskip("onnxscript", reason="the extra export is not installed")

# To trace the whole detector for any size takes a minute and a half.
KINDS = [pytest.param("rcae", marks=pytest.mark.slow), "single"]
# (B, H, W): the size of the training is 32, so the normal statistics are enlarged in most.
SHAPES = [(1, 32, 32), (3, 64, 32), (2, 96, 160), (1, 128, 128), (5, 32, 96), (1, 256, 224)]


@pytest.fixture(scope="module")
def rcae(tiny_category, traced_once, tmp_path_factory):
    """Return a detector of two rounds, which is traced in two thirds of the time of three."""
    config = tiny_config(rcae={"depth": 2})
    detector = RcAEDetector(config, 0, "cpu").fit(tiny_category.train, callbacks=[])
    path = tmp_path_factory.mktemp("onnx") / "detector.onnx"
    assert export_onnx(detector, path) <= TOLERANCE
    return detector, path


@pytest.fixture(scope="module")
def single(tiny_baseline, traced_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "detector.onnx"
    assert export_onnx(tiny_baseline, path) <= TOLERANCE
    return tiny_baseline, path


def answers(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images.numpy()}), strict=True))


def assert_equal_to_pytorch(detector: Detector, path, images) -> None:
    found = answers(path, images)
    trajectory = detector.trajectory(images)
    detection = detector.predict(images)
    expected = {
        "reconstructions": trajectory.reconstructions,
        "anomaly_map": detection.anomaly_map,
        "score": detection.score,
    }
    if trajectory.enhanced is not None:
        expected["enhanced"] = trajectory.enhanced
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(
            found[name], tensor.numpy(), atol=TOLERANCE, rtol=TOLERANCE, err_msg=name
        )
    limit = detector.threshold.value
    assert ((found["score"] > limit) == detection.label.numpy())[
        np.abs(found["score"] - limit) > TOLERANCE
    ].all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_answers_what_pytorch_answers(request, kind, shape):
    batch, height, width = shape
    images = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
    assert_equal_to_pytorch(*request.getfixturevalue(kind), images)


@pytest.mark.parametrize("kind", KINDS)
def test_also_on_images_of_the_category(request, kind, tiny_category):
    images = tiny_category.test.images() / 255
    assert images.shape[0] == 8
    assert_equal_to_pytorch(*request.getfixturevalue(kind), images)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_says_what_it_is(request, kind):
    detector, path = request.getfixturevalue(kind)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert told["kind"] == f"rcae-lite-onnx/{detector.kind}" and told["category"] == "tiny"
    assert float(told["threshold"]) == detector.threshold.value
    assert float(told["false_alarm_rate"]) == detector.threshold.false_alarm_rate
    multiple = detector.config.side_multiple(detector.kind)
    assert (told["size"], told["side_multiple"]) == ("32", str(multiple))
    assert config_from_dict(json.loads(told["config"])) == detector.config
    (images,) = session.get_inputs()
    assert (images.name, images.type) == ("images", "tensor(float)")
    assert images.shape == ["batch", 3, f"{multiple}*rows", f"{multiple}*columns"]
    names = ["reconstructions", "enhanced", "anomaly_map", "score"]
    if kind == "single":
        names.remove("enhanced")
    assert [output.name for output in session.get_outputs()] == names


@pytest.mark.parametrize("turning", [False, True])
def test_a_model_for_one_size_answers_the_same(tiny_detector, tmp_path, turning):
    detector = deepcopy(tiny_detector)
    detector.crd.statistics.registration.turning.fill_(turning)
    path = tmp_path / "one.onnx"
    assert export_onnx(detector, path, (64, 32)) <= TOLERANCE
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 64, 32]
    assert_equal_to_pytorch(detector, path, torch.rand(1, 3, 64, 32))


@pytest.mark.parametrize("kind", KINDS)
def test_only_standard_operators_and_no_path_of_this_machine(request, kind):
    _, path = request.getfixturevalue(kind)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    domains = Counter(node.domain for node in model.graph.node)
    assert set(domains) == {""} and not model.functions
    assert [(o.domain, o.version) for o in model.opset_import] == [("", export.OPSET)]
    types = {tensor.data_type for tensor in model.graph.initializer}
    assert types <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}
    content = path.read_bytes()
    for place in (os.getcwd(), os.path.dirname(torch.__file__), os.path.expanduser("~")):
        assert place.encode() not in content


def test_a_model_that_differs_is_seen(single):
    detector, path = single
    model = onnx.load(path)
    weights = [t for t in model.graph.initializer if t.name.endswith(".bias")][-1]
    values = onnx.numpy_helper.to_array(weights) + np.float32(0.01)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    assert largest_difference(detector, model.SerializeToString()) > TOLERANCE


def test_an_export_that_differs_is_not_written(single, tmp_path, monkeypatch):
    detector, path = single
    monkeypatch.setattr(export, "_traced", lambda *_: path.read_bytes())
    monkeypatch.setattr(export, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(KitError, match="differs from PyTorch by nan, more than 0.0001; report"):
        export_onnx(detector, tmp_path / "new.onnx")
    assert not list(tmp_path.iterdir())


def test_mistakes_are_one_line(tiny_detector, tmp_path, monkeypatch):
    with pytest.raises(KitError, match="no threshold yet; call fit"):
        export_onnx(RcAEDetector(tiny_config(), 0, "cpu"), tmp_path / "a.onnx")
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(KitError, match=r"no onnxruntime here; pip install 'rcae-lite\[export\]'"):
        export_onnx(tiny_detector, tmp_path / "a.onnx")


def test_the_command_writes_beside_the_detector(single, tmp_path, monkeypatch, capsys):
    detector, path = single
    run = tmp_path / "run"
    detector.save(run)
    monkeypatch.setattr(export, "_traced", lambda *_: path.read_bytes())  # traced above
    assert main(["export", str(run), "--onnx"]) == 0
    assert (run / "detector.onnx").read_bytes() == path.read_bytes()
    assert "detector.onnx: differs from PyTorch by" in capsys.readouterr().out
    assert main(["export", str(run), "--onnx", "--out", str(tmp_path / "other.onnx")]) == 0
    assert (tmp_path / "other.onnx").exists()
    with pytest.raises(SystemExit):
        main(["export", str(run)])
    assert "--onnx" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"crd": {"z_score_weight": 0.0, "residual_input": False, "map_loss": "l2"}},
        {"rcae": {"shared": False}},
        {"rcae": {"depth": 3, "skips": False}},
    ],
    ids=["paper", "own weights", "no skips"],
)
def test_ablations_are_exported_too(tiny_category, tmp_path, options):
    config = tiny_config(**options)
    detector = RcAEDetector(config, 0, "cpu").fit(tiny_category.train, callbacks=[])
    export_onnx(detector, tmp_path / "a.onnx")
    side = detector.config.side_multiple(detector.kind)
    assert_equal_to_pytorch(detector, tmp_path / "a.onnx", torch.rand(2, 3, 3 * side, 2 * side))
