"""Files from strangers: nothing is unpickled, nothing is believed before it is checked."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data_utils import KitError
from rcae_lite.commands.run_record import read_run
from rcae_lite.detector import RcAEDetector
from rcae_lite.storage.records import read_json
from rcae_lite.storage.tensors import load_tensors, save_tensors
from rcae_lite.training import checkpoint
from rcae_lite.training.checkpoint import StageStore
from rcae_lite.training.events import Event
from tests.rcae_lite.conftest import tiny_config

ROOT = Path(__file__).parents[3]

WATCHED = """
import pickle, sys
from pathlib import Path

from msgspec.structs import replace

seen = []
sys.addaudithook(lambda event, args: seen.append(args) if event == "pickle.find_class" else None)

from rcae_lite import config
from rcae_lite.cli import main
from rcae_lite.training import callbacks, checkpoint
from tests.rcae_lite.conftest import tiny_config
from tests.rcae_lite.test_cli import stop_at, write_category

checkpoint.SECONDS_BETWEEN = 0.0
config.PRESETS["tiny"] = replace(tiny_config(), preset="tiny")
here = Path(sys.argv[1])
root = write_category(here / "data" / "ring")
train = ["train", str(root), "--preset", "tiny", "--out", str(here / "run")]
quiet, callbacks.Progress.__call__ = callbacks.Progress.__call__, stop_at("crd", 3)
assert main(train) == 130
callbacks.Progress.__call__ = quiet
assert main([*train, "--resume"]) == 0
assert main(["evaluate", str(here / "run")]) == 0
images = str(root / "ring" / "test" / "good")
assert main(["predict", str(here / "run"), images, "--out", str(here / "out")]) == 0
assert not seen, seen
pickle.loads(pickle.dumps(Path))
assert seen  # the hook does hear
print("silent")
"""


def test_no_class_is_looked_up_by_pickle_from_training_to_prediction(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, tmp_path], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.endswith("silent\n"), done.stderr[-3000:]


class Evil:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.fixture(params=["pickle", "torch"])
def evil(request, tmp_path):
    """Return bytes that would leave a mark, and the mark."""
    mark, file = tmp_path / "mark", tmp_path / "evil"
    if request.param == "pickle":
        file.write_bytes(pickle.dumps(Evil(mark)))
    else:
        torch.save(Evil(mark), file)
    pickle.loads(pickle.dumps(Evil(mark))).close()
    assert mark.exists()  # it does work
    mark.unlink()
    return file.read_bytes(), mark


@pytest.fixture(scope="module")
def trained(tiny_category, tiny_detector, tmp_path_factory):
    """Return a folder with every kind of file that a training leaves."""
    folder = tmp_path_factory.mktemp("trained")
    detector = RcAEDetector(tiny_config(), 0, "cpu")

    def stop(event: Event) -> None:
        if (event.stage, event.done) == ("dpn", 2):
            raise InterruptedError

    before, checkpoint.SECONDS_BETWEEN = checkpoint.SECONDS_BETWEEN, 0.0
    try:
        with pytest.raises(InterruptedError):
            detector.fit(
                tiny_category.train, callbacks=[stop], checkpoint=folder / "checkpoint",
                stages=folder / "stages",
            )  # fmt: skip
    finally:
        checkpoint.SECONDS_BETWEEN = before
    tiny_detector.save(folder)
    return folder


@pytest.fixture
def files(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "trained")


def read_all(folder: Path, train) -> None:
    RcAEDetector.load(folder, device="cpu")
    stages = folder / "stages"
    options = {"callbacks": [], "checkpoint": folder / "checkpoint", "stages": stages}
    RcAEDetector(tiny_config(), 0, "cpu").fit(train, **options)


def test_what_was_not_touched_is_read(files, tiny_category):
    read_all(files, tiny_category.train)


@pytest.mark.parametrize(
    "name",
    ["detector.json", "detector.safetensors", "checkpoint/detector.json",
     "checkpoint/detector.safetensors"],
)  # fmt: skip
def test_a_pickle_under_another_name_is_refused(files, evil, name, tiny_category):
    content, mark = evil
    (files / name).write_bytes(content)
    with pytest.raises(KitError, match="is not (a readable safetensors|readable JSON)"):
        read_all(files, tiny_category.train)
    assert not mark.exists()


def test_a_pickle_as_a_stored_stage_or_a_run_is_refused(files, evil):
    content, mark = evil
    (key,) = [path.name for path in (files / "stages").iterdir()]
    for name in ("detector.safetensors", "detector.json"):
        (files / "stages" / key / name).write_bytes(content)
        with pytest.raises(KitError, match="not a readable safetensors|not readable JSON"):
            StageStore(files / "stages").load(
                key, "rcae", RcAEDetector(tiny_config(), 0, "cpu").rcae
            )
    (files / "run.json").write_bytes(content)
    with pytest.raises(KitError, match="not readable JSON"):
        read_run(files)
    assert not mark.exists()


def changed(path: Path, where: str, value: object) -> None:
    """Change a field of a JSON file, named by its path with dots; ``...`` removes it."""
    values = json.loads(path.read_text())
    *parents, last = where.split(".")
    inner = values
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(("where", "value"), [
    ("seed", "0"), ("seed", -1), ("seed", 3.0), ("seed", True), ("seed", ...),
    ("threshold", "high"), ("threshold", float("inf")), ("false_alarm_rate", 2),
    ("calibration_scores", [1, "2"]), ("calibration_scores", None), ("data", []),
    ("stages.rcae.seconds", "long"), ("stages.rcae.losses", 3), ("surprise", 1),
    ("stages.rcae.losses", [[1, 0.5], [2]]), ("stages.rcae.origin.threads", 0),
    ("config.rcae.depth", 2.5), ("config.rcae.depth", 10**6), ("config.rcae.width", 8 * 10**9),
    ("config.size", True), ("config.crd.families", "random_lines"), ("config.rcae.steps", "many"),
    ("config.rcae", 6), ("config.size", ...), ("config", []),
])  # fmt: skip
def test_a_detector_whose_json_does_not_fit_the_schema_is_refused(files, where, value):
    changed(files / "detector.json", where, value)
    with pytest.raises(KitError, match=r"detector\.json is not (complete|readable)") as caught:
        RcAEDetector.load(files, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("where", "value"), [
    ("in_training.done", -1), ("in_training.done", "2"), ("in_training.name", 3),
    ("in_training.seconds", "1"), ("in_training.batch_parts", 0), ("in_training.losses", ...),
    ("stages", None), ("config.rcae.depth", "5"), ("stages.rcae.batch_parts", 0),
])  # fmt: skip
def test_a_checkpoint_whose_json_does_not_fit_the_schema_is_refused(
    files, where, value, tiny_category
):
    changed(files / "checkpoint" / "detector.json", where, value)
    with pytest.raises(KitError, match=r"detector\.json is not complete or was changed: "):
        read_all(files, tiny_category.train)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", '{"a": NaN}'])
def test_json_that_breaks_parsers_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(KitError, match="is not readable JSON"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(("name", "tensor", "message"), [
    ("adam.0.exp_avg", torch.zeros(1), "expected finite"),
    ("adam.0.exp_avg", torch.zeros(1, dtype=torch.int64), "expected finite"),
    ("adam.0.step", torch.tensor(float("nan")), "expected finite"),
    ("adam.9999.exp_avg", torch.zeros(1), "is unexpected"),
    ("adam.x.exp_avg", torch.zeros(1), "is unexpected"),
    ("adam.0.momentum", torch.zeros(1), "is unexpected"),
    ("adam.0.exp_avg_sq", None, "lacks exp_avg_sq"),
    ("other.weight", torch.zeros(1), "is unexpected"),
    ("dpn.weight", torch.zeros(1), "is unexpected"),
])  # fmt: skip
def test_tensors_of_a_checkpoint_are_checked_before_use(
    files, tiny_category, name, tensor, message
):
    path = files / "checkpoint" / "detector.safetensors"
    tensors = load_tensors(path)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    save_tensors(path, tensors)
    with pytest.raises(KitError, match=message):
        read_all(files, tiny_category.train)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_another_type_are_refused(files, dtype):
    path = files / "detector.safetensors"
    tensors = load_tensors(path)
    name = next(name for name, tensor in tensors.items() if tensor.dtype == torch.float32)
    save_tensors(path, tensors | {name: tensors[name].to(dtype)})
    with pytest.raises(KitError, match=rf"{name} is {dtype} .*expected torch.float32"):
        RcAEDetector.load(files, device="cpu")


def test_a_tensor_of_no_module_is_refused(files):
    path = files / "detector.safetensors"
    save_tensors(path, load_tensors(path) | {"stranger.weight": torch.zeros(1)})
    with pytest.raises(KitError, match="stranger.weight is unexpected"):
        RcAEDetector.load(files, device="cpu")
