"""The command line, from a data set on disk to the last file, and what it says to mistakes."""

import csv
import html
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from msgspec.structs import replace
from PIL import Image

from rcae_lite import config
from rcae_lite.cli import main
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.results import METRICS, Evaluation
from rcae_lite.storage import atomic as files
from tests.rcae_lite.conftest import tiny_config, tiny_records


@pytest.fixture(autouse=True)
def _presets(monkeypatch, tmp_path_factory, coarse_pictures, few_resamples):
    """Give the command line a preset of a few steps, and a working folder of its own."""
    tiny = replace(tiny_config(), preset="tiny")
    monkeypatch.setitem(config.PRESETS, "tiny", tiny)
    monkeypatch.setitem(config.PRESETS, "demo", tiny_config())
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


def write_category(base: Path, train: int = 10, good: int = 4, bad: int = 4) -> Path:
    """Write the tiny category in MVTec layout."""
    splits = [("train", tiny_records(train)), ("test", tiny_records(good + bad, defective=bad))]
    for split, records in splits:
        for record in records:
            name = Path(record.path).name
            image = base / split / record.defect / name
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(record.read_image()).save(image)
            if record.read_mask:
                mask = base / "ground_truth" / record.defect / name.replace(".", "_mask.")
                mask.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(record.read_mask()).save(mask)
    return base.parent


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Return a data root with one category."""
    return write_category(tmp_path_factory.mktemp("data") / "ring")


def rcae(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments) -> str:
    """Run a command that must fail with one line and exit code 2, and return the line."""
    assert rcae(*arguments) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("rcae: ")
    return line


def test_train_evaluate_predict(data, capsys):
    assert rcae("train", data, "--preset", "tiny") == 0
    run = Path("runs/ring-tiny-0")
    assert {p.name for p in run.iterdir()} == {
        "run.json",
        "detector.safetensors",
        "detector.json",
        "evaluation.json",
        "scores.csv",
        "report.html",
    }
    assert str(run / "report.html") in capsys.readouterr().out
    described = json.loads((run / "run.json").read_text())
    assert described["command"] == f"rcae train {data} --preset tiny"
    assert described["config"]["preset"] == "tiny" and described["seed"] == 0

    before = Evaluation.load(run / "evaluation.json")
    assert rcae("evaluate", run, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    for name in METRICS:
        assert set(printed[name]) == {"value", "low", "high"}
        assert printed[name]["value"] == before.metrics[name].value
    assert set(printed["threshold"]) == {"value", "false_alarm_rate"}
    assert len(printed["residual_auroc_by_depth"]) == 3
    assert printed["data_fingerprint"] == described["data_fingerprint"]
    with (run / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    written = np.array([float(row["score"]) for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(written, before.scores.astype(np.float32))
    assert printed["command"].startswith(described["command"] + " && rcae evaluate")

    assert rcae("predict", run, data / "ring" / "test", "--out", "predictions") == 0
    raw = tifffile.imread("predictions/square/000.tiff")
    assert raw.shape == (32, 32) and raw.dtype == np.float32
    assert Image.open("predictions/good/004.png").size == (32, 27)
    with open("predictions/scores.csv") as file:
        rows = list(csv.DictReader(file))
    predicted = {row["image"]: float(row["score"]) for row in rows}
    for row in rows:
        at_least = sum(c >= float(row["score"]) for c in before.calibration_scores)
        by_hand = (1 + at_least) / (1 + len(before.calibration_scores))
        assert float(row["p_value"]) == pytest.approx(by_hand, abs=1e-5)
        assert (row["defective"] == "1") == (by_hand <= before.threshold.false_alarm_rate + 1e-9)
    for image in before.images:
        name = Path(image.path).relative_to("ring/test").with_suffix("").as_posix()
        assert predicted[name] == pytest.approx(image.score, rel=1e-4)


def test_a_shortened_training_is_labelled_everywhere(data, capsys):
    assert rcae("train", data, "--preset", "tiny", "--step-fraction", "0.5") == 0
    run, label = Path("runs/ring-tiny-0"), "tiny (50% of its steps)"
    described = json.loads((run / "run.json").read_text())
    assert described["config"]["preset"] == label
    assert described["config"]["crd"]["steps"] == round(config.PRESETS["tiny"].crd.steps / 2)
    assert Evaluation.load(run / "evaluation.json").provenance.preset == label
    assert label in (run / "report.html").read_text()
    capsys.readouterr()
    assert "another config" in refused(capsys, "train", data, "--preset", "tiny", "--resume")
    assert rcae("reproduce", run) == 0


def test_changed_options_are_trained_with_and_labelled(data, capsys):
    """Also at a size whose half is an odd multiple of 8, on which stage 1 begins."""
    options = "--set", "size=80", "crd.steps=3", "--set", "rcae.half_size_steps=2"
    assert rcae("train", data, "--preset", "tiny", *options) == 0
    run, label = Path("runs/ring-tiny-0"), "tiny (size=80, crd.steps=3, rcae.half_size_steps=2)"
    described = json.loads((run / "run.json").read_text())["config"]
    assert (described["size"], described["crd"]["steps"]) == (80, 3)
    assert described["rcae"]["half_size_steps"] == 2
    found = Evaluation.load(run / "evaluation.json").provenance
    assert found.preset == label and tuple(found.resolution) == (80, 80)
    capsys.readouterr()
    assert "another config" in refused(capsys, "train", data, "--preset", "tiny", "--resume")


def test_masks_used_and_the_doctors_warnings_are_said_everywhere(tmp_path, capsys):
    root = write_category(tmp_path / "data" / "ring")
    masks = sorted((root / "ring/ground_truth/square").iterdir())
    masks[0].rename(
        masks[0].with_name("000_gt.png")
    )  # one mask missing, one image that nothing reads
    assert rcae("doctor", root, "--preset", "tiny") == 1
    assert "0 errors, 2 warnings" in capsys.readouterr().out
    said = "masks used: 3 of 4; doctor's errors: 0; doctor's warnings: 2"
    run = tmp_path / "run"
    assert rcae("train", root, "--preset", "tiny", "--out", run) == 0
    assert said in capsys.readouterr().out and said in page_text(run / "report.html")
    assert rcae("evaluate", run) == 0 and said in capsys.readouterr().out
    assert rcae("evaluate", run, "--data", root, "--json") == 0
    for values in (
        json.loads(capsys.readouterr().out),
        json.loads((run / "evaluation.json").read_text()),
    ):
        assert values["masks_used"] == [3, 4]
        assert values["doctor"] == {"errors": 0, "warnings": 2}


def page_text(path: Path) -> str:
    return html.unescape(path.read_text(encoding="utf-8"))


def test_evaluate_on_other_data_leaves_the_run_alone(data, tmp_path, capsys):
    assert rcae("train", data, "--preset", "tiny", "--out", tmp_path / "run") == 0
    files_before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    other = write_category(tmp_path / "other" / "circle", good=3, bad=2)
    capsys.readouterr()
    assert rcae("evaluate", tmp_path / "run", "--data", other, "--json") == 0
    assert json.loads(capsys.readouterr().out)["test_images"] == 5
    assert files_before == {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}


def test_interrupted_and_resumed_it_is_the_same_run(data, tmp_path, monkeypatch, capsys):
    assert rcae("train", data, "--preset", "tiny", "--out", tmp_path / "whole") == 0
    monkeypatch.setattr("rcae_lite.training.checkpoint.SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr("rcae_lite.training.callbacks.Progress.__call__", stop_at("crd", 3))
    assert rcae("train", data, "--preset", "tiny", "--out", tmp_path / "parts") == 130
    assert "--resume" in capsys.readouterr().err
    assert "no finished training" in refused(capsys, "evaluate", tmp_path / "parts")
    assert {p.name for p in (tmp_path / "parts").iterdir()} == {"run.json", "checkpoint"}
    monkeypatch.setattr("rcae_lite.training.callbacks.Progress.__call__", lambda *_: None)
    assert "--resume" in refused(
        capsys, "train", data, "--preset", "tiny", "--out", tmp_path / "parts"
    )
    arguments = ("train", data, "--preset", "tiny", "--out", tmp_path / "parts", "--resume")
    assert "another seed" in refused(capsys, *arguments, "--seed", "1")
    assert rcae(*arguments) == 0
    weights = [(tmp_path / run / "detector.safetensors").read_bytes() for run in ("whole", "parts")]
    assert weights[0] == weights[1]
    assert rcae(*arguments) == 0  # a finished run is evaluated again, not trained again


def stop_at(stage: str, step: int):
    def listen(_, event):
        if (event.stage, event.done) == (stage, step):
            raise KeyboardInterrupt

    return listen


def test_all_trains_every_category_and_writes_the_mean(tmp_path, capsys):
    for name in ("one", "two"):
        write_category(tmp_path / "data" / name)
    assert rcae("train", tmp_path / "data", "--all", "--preset", "tiny") == 0
    with open("runs/all-tiny-0/summary.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == ["one", "two", "mean"]
    first, second, mean = (float(row["pixel_auroc"]) for row in rows)
    assert mean == pytest.approx((first + second) / 2, abs=1e-4)
    assert Path("runs/all-tiny-0/two/report.html").exists()


def test_demo_has_the_baseline_beside_it_and_can_be_run_again(few_images, capsys):
    assert rcae("demo") == 0
    report = Path("runs/demo/report.html").read_text()
    assert "single-pass" in report and "washer" in report
    assert (
        Evaluation.load("runs/demo/baseline/evaluation.json").provenance.detector == "single_pass"
    )
    assert "single-pass baseline" in capsys.readouterr().out

    before = {path.name for path in Path("runs/demo").iterdir()}
    assert "'wood'" in refused(capsys, "demo", "--category", "wood")
    missing = "mps" if torch.cuda.is_available() else "cuda"  # no machine has both
    assert missing in refused(capsys, "demo", "--device", missing)
    assert {path.name for path in Path("runs/demo").iterdir()} == before, "a mistake costs nothing"
    assert rcae("demo") == 0


def test_demo_removes_nothing_but_a_demo(data, capsys):
    assert rcae("train", data, "--preset", "tiny", "--out", "precious") == 0
    capsys.readouterr()
    assert "no demo" in refused(capsys, "demo", "--out", "precious")
    assert Path("precious/detector.safetensors").exists()
    Path("notes").mkdir()
    Path("notes/thesis.txt").write_text("precious")
    assert "is not empty" in refused(capsys, "demo", "--out", "notes")


def test_changed_data_are_not_mixed_with_the_run(tmp_path, capsys):
    root = write_category(tmp_path / "moving" / "ring")
    assert rcae("train", root, "--preset", "tiny", "--out", tmp_path / "run") == 0
    capsys.readouterr()
    (root / "ring/test/good/004.png").unlink()
    assert "have changed since" in refused(capsys, "evaluate", tmp_path / "run")
    assert rcae("evaluate", tmp_path / "run", "--data", root) == 0


def test_synthesize_writes_what_train_reads(capsys):
    assert rcae("synthesize", "made", "--category", "twill") == 0
    assert len(list(Path("made/twill/train/good").iterdir())) == 160
    assert "rcae train made twill" in capsys.readouterr().out
    assert "is not empty" in refused(capsys, "synthesize", "made")
    assert "'wood'" in refused(capsys, "synthesize", "more", "--category", "wood")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere"),
        (["{data}", "lid"], "'lid'"),
        (["{data}", "--device", "cuda"], "--device auto or cpu"),
        (["synthetic", "lid"], "'lid'"),
        (["{data}", "--false-alarm-rate", "0.001"], "needs 999 held-out normal images"),
        (["{data}", "--false-alarm-rate", "5"], "between 0 and 1"),
        (["{data}", "--step-fraction", "2"], "step_fraction 2.0 is outside (0, 1]"),
        (["{data}", "--set", "size=50"], "size 50 is not a multiple of"),
        (["{data}", "--set", "crd.stepz=5"], "unknown option 'stepz'; did you mean 'steps'?"),
        (["{data}", "--baseline", "--set", "size=48"], "size 48 is not a multiple of 32"),
        (["{data}", "--set", "size={{[]:1}}"], "size is '{[]:1}'; expected"),
        (["{data}", "--all", "--false-alarm-rate", "0.001"], "needs 999 held-out normal images"),
        (["{data}", "ring", "--all"], "--all"),
    ],
)
def test_training_mistakes_leave_nothing_behind(data, capsys, arguments, words):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("CUDA is here")
    filled = [a.format(data=data) for a in arguments]
    assert words in refused(capsys, "train", *filled, "--preset", "tiny")
    assert not Path("runs").exists()


def test_bad_files_are_found_before_the_training(tmp_path, capsys):
    cases = {
        "truncated": lambda root: cut(root / "bad/train/good/001.png"),
        "other size": lambda root: Image.new("L", (5, 5)).save(
            root / "bad/ground_truth/square/000_mask.png"
        ),
        "truncated test image": lambda root: cut(root / "bad/test/good/005.png"),
        "too few": lambda root: [
            p.unlink() for p in sorted((root / "bad/train/good").iterdir())[2:]
        ],
        "empty": lambda root: [p.unlink() for p in (root / "bad/train/good").iterdir()],
    }
    for name, damage in cases.items():
        root = write_category(tmp_path / name / "bad")
        damage(root)
        line = refused(capsys, "train", root, "--preset", "tiny")
        assert "bad" in line or "training images" in line, (name, line)
        assert not Path("runs").exists(), name


def test_doctor_shows_and_exits_with_what_it_found(data, tmp_path, capsys):
    root = tmp_path / "set"
    shutil.copytree(data / "ring", root / "ring")
    assert rcae("doctor", root, "ring", "--preset", "tiny", "--out", "page.html") == 0
    assert "fine: nothing found" in capsys.readouterr().out
    assert Path("page.html").read_text(encoding="utf-8").startswith("<!doctype html>")

    (root / "ring/ground_truth/square/000_mask.png").unlink()
    assert rcae("doctor", root, "--preset", "tiny") == 1
    assert "0 errors, 1 warning" in capsys.readouterr().out

    shutil.copy(root / "ring/train/good/000.png", root / "ring/test/good/004.png")
    assert rcae("doctor", root, "--preset", "tiny", "--json") == 2
    said = json.loads(capsys.readouterr().out)
    assert [f["kind"] for f in said["findings"]] == ["leak", "mask-missing"]
    assert rcae("doctor", root, "--preset", "tiny", "--fix-plan") == 2
    assert "delete ring/test/good/004.png" in capsys.readouterr().out
    assert "nowhere" in refused(capsys, "doctor", tmp_path / "nowhere")

    line = refused(capsys, "train", root, "--preset", "tiny")
    assert "the same bytes in train and test" in line and "rcae doctor" in line
    assert not Path("runs").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def test_a_second_training_in_one_folder_is_refused(data, tmp_path, capsys):
    run = tmp_path / "run"
    with files.locked(run):
        line = refused(capsys, "train", data, "--preset", "tiny", "--out", run)
        assert "another run is writing to" in line
        assert [path.name for path in run.iterdir()] == [".lock"]


def test_full_disk_is_one_line(data, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(files.os, "fsync", full)
    line = refused(capsys, "train", data, "--preset", "tiny", "--out", tmp_path / "run")
    assert "No space left on device" in line and "the same command with --resume resumes it" in line
    assert not any((tmp_path / "run").iterdir())


def test_other_mistakes(data, tmp_path, capsys):
    assert "is not a folder" in refused(capsys, "evaluate", tmp_path / "none")
    assert "run.json does not exist" in refused(capsys, "evaluate", tmp_path)
    RcAEDetector(tiny_config(), 0, "cpu").save(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text('{"kind": "rcae-lite-run", "format_version": 9}')
    assert "format version 9" in refused(capsys, "evaluate", tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    line = refused(
        capsys, "train", data, "--preset", "tiny", "--out", tmp_path / "mine", "--resume"
    )
    assert "holds other files" in line and os.listdir(tmp_path / "mine") == ["thesis.txt"]


def test_predict_mistakes(data, tmp_path, capsys):
    assert rcae("train", data, "--preset", "tiny", "--out", tmp_path / "run") == 0
    run, out = tmp_path / "run", tmp_path / "out"
    capsys.readouterr()
    assert "does not exist" in refused(capsys, "predict", run, "none.png", "--out", out)
    (tmp_path / "hollow").mkdir()
    assert "holds no image" in refused(capsys, "predict", run, tmp_path / "hollow", "--out", out)
    image = data / "ring/test/good/004.png"
    other = tmp_path / "004.png"
    shutil.copy(image, other)
    assert "both be called '004.png'" in refused(capsys, "predict", run, image, other, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "synthetic", "--preset", "light"],
        ["train", "synthetic", "--sed", "1"],
        ["train", "synthetic", "--seed", "100000000000000000000"],
        ["train", "synthetic", "--seed", "-1"],
        ["tran"],
        [],
    ],
)
def test_unknown_words_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rcae: ") and line.endswith("--help")


def test_a_word_after_the_options_is_told_its_place(capsys):
    for arguments, told in ((["--seed", "1", "washer"], True), (["washer", "--sed"], False)):
        with pytest.raises(SystemExit):
            main(["train", "synthetic", *arguments])
        assert ("before the options" in capsys.readouterr().err) == told


HELP = """
import os, sys
from rcae_lite.cli import main
try:
    main(["--help"])
except SystemExit as stopped:
    assert stopped.code == 0
assert not {"torch", "scipy", "matplotlib", "pandas", "numpy"} & set(sys.modules)
"""


def test_help_needs_no_pytorch():
    """`rcae --help` answers at once: 0.2 s on an idle machine."""
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: rcae" in done.stdout


@pytest.mark.parametrize("chosen", [None, "active"])
def test_threads_wait_without_spinning_unless_the_user_says_otherwise(chosen, capsys, monkeypatch):
    """In a process that has not loaded PyTorch: the policy is read once, as that happens."""
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that it is put back afterwards
        monkeypatch.delenv("OMP_WAIT_POLICY")
    refused(capsys, "evaluate", "nowhere")
    assert os.environ["OMP_WAIT_POLICY"] == (chosen or "passive")


def test_memory_that_runs_out_is_one_line_and_other_faults_are_not_hidden(monkeypatch, capsys):
    def fails(error):
        def load_detector(*_):
            raise error

        monkeypatch.setattr("rcae_lite.commands.run_record.load_detector", load_detector)

    fails(torch.OutOfMemoryError("CUDA out of memory (made up)"))
    assert "smaller preset" in refused(capsys, "predict", "run", "a.png", "--out", "out")
    fails(RuntimeError("a fault of ours"))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        rcae("predict", "run", "a.png", "--out", "out")


def test_a_baseline_stays_in_the_report_of_a_run_that_is_resumed(data, tmp_path):
    train = "train", data, "--preset", "tiny", "--out", tmp_path / "run"
    assert rcae(*train, "--baseline") == 0
    before = (tmp_path / "run/report.html").read_text().count("single-pass")
    assert rcae(*train, "--resume") == 0
    assert (tmp_path / "run/report.html").read_text().count("single-pass") == before > 0


def test_images_too_dark_to_paint_on_leave_only_the_probe_out(tmp_path, capsys):
    root = write_category(tmp_path / "data" / "night")
    for path in (root / "night/train/good").iterdir():
        Image.new("RGB", (40, 32)).save(path)
    run = tmp_path / "run"
    assert rcae("train", root, "--preset", "tiny", "--out", run) == 0
    assert "what is kept of defects is not measured: no visible" in capsys.readouterr().err
    assert Evaluation.load(run / "evaluation.json").restoration == {}
    assert (run / "report.html").exists() and rcae("evaluate", run) == 0


def test_a_detector_of_one_round_can_be_explored(data, tmp_path):
    run, page = tmp_path / "run", tmp_path / "page.html"
    assert rcae("train", data, "--preset", "tiny", "--set", "rcae.depth=1", "--out", run) == 0
    assert rcae("explore", run, data / "ring/test/good", "--out", page) == 0


def test_explore_writes_one_page_with_all_that_the_run_has(data, tmp_path, capsys):
    assert rcae("train", data, "--preset", "tiny", "--baseline", "--out", tmp_path / "run") == 0
    page = tmp_path / "page.html"
    assert rcae("explore", tmp_path / "run", data / "ring/test/good", "--out", page) == 0
    text = page.read_text()
    for kind in ("explorer", "comparison", "threshold"):
        assert f'"kind": "{kind}"' in text
    assert "opens in any browser" in capsys.readouterr().out
    image = data / "ring/test/good"
    line = refused(capsys, "explore", tmp_path / "run", image, "--out", page, "--paint")
    assert "4 images; --paint takes one" in line
    line = refused(capsys, "explore", tmp_path / "run", image, "--out", page, "--story")
    assert "4 images; --story takes one" in line
    assert "is a folder" in refused(capsys, "explore", tmp_path / "run", image, "--out", tmp_path)


def test_all_categories_are_looked_at_before_the_first_is_trained(tmp_path, capsys):
    write_category(tmp_path / "data" / "ring")
    write_category(tmp_path / "data" / "square")
    (tmp_path / "data/square/train/good/000.png").write_bytes(b"no image")
    out = tmp_path / "runs"
    line = refused(capsys, "train", tmp_path / "data", "--all", "--preset", "tiny", "--out", out)
    assert "square/train/good/000.png" in line and not out.exists()


@pytest.mark.skipif(os.name == "nt", reason="file names are Unicode there")
def test_a_name_that_is_no_utf8_is_a_name(tmp_path, capsys):
    root = write_category(tmp_path / "data" / "ring")
    odd = os.fsencode(root / "ring/train/good") + b"/\xff\n.png"
    os.rename(root / "ring/train/good/000.png", odd)
    assert rcae("train", root, "--preset", "tiny", "--out", tmp_path / "run") == 0
    folder = os.fsdecode(os.path.dirname(odd))
    assert rcae("predict", tmp_path / "run", folder, "--out", tmp_path / "out") == 0
    assert "\\udcff" in (tmp_path / "out" / "scores.csv").read_text()
    Path(os.fsdecode(odd)).write_bytes(b"no image")
    capsys.readouterr()
    assert rcae("predict", tmp_path / "run", folder, "--out", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "10 images, 9 of them scored before" in said.out
    (line,) = said.err.splitlines()
    assert "1 of 10 images have no score" in line and "\\udcff\\n.png is not an image" in line


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("data_set", "category"),
    [("mvtec", "bottle"), pytest.param("mtd", "magnetic_tile", marks=pytest.mark.slow)],
)
def test_real_images_go_all_the_way(realdata, data_set, category, capsys):
    assert rcae("train", realdata / data_set, category, "--preset", "tiny") == 0
    evaluation = Evaluation.load(f"runs/{category}-tiny-0/evaluation.json")
    assert all(evaluation.metrics[name] is not None for name in METRICS)
