"""Prediction on files: every image one name, one row and one map; stopped, it goes on."""

import copy
import csv
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from data_utils import KitError, open_category
from rcae_lite.cli import main
from rcae_lite.commands import export, prediction
from rcae_lite.commands.prediction import find_images, predict_files, working_image
from rcae_lite.commands.run import evaluate_run
from rcae_lite.commands.score_table import COLUMNS, RECORD
from rcae_lite.evaluation.scoring import to_native
from rcae_lite.plotting.pictures import overlay
from rcae_lite.widgets import paint
from tests.rcae_lite.conftest import tiny_records


@pytest.fixture
def photos(tmp_path):
    """Return a folder of 5 images, 40x48 pixels, of which 2 have a bright square."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, record in enumerate(tiny_records(5, defective=2)):
        Image.fromarray(record.read_image()).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def saved(tiny_detector, tmp_path):
    """Return the folder of a detector without a run."""
    tiny_detector.save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def scored(monkeypatch, tiny_detector):
    """Count the images that go through the networks."""
    counts, predict = [], tiny_detector.predict

    def count(images):
        counts.append(len(images))
        return predict(images)

    monkeypatch.setattr(tiny_detector, "predict", count)
    return counts


def rows_of(out):
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


# Which images


def test_folders_are_searched_and_names_are_relative(tmp_path):
    for name in ("a/1.png", "a/b/2.jpg", "c.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    found = find_images([tmp_path / "a", tmp_path / "c.bmp"])
    assert {name for _, name in found} == {"1", "b/2", "c"}


def test_two_images_of_one_name_are_refused(tmp_path):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(KitError, match="both be called '1.png'"):
        find_images([tmp_path / "a", tmp_path / "b"])


def test_the_extension_is_part_of_the_name_only_where_it_must_be(tmp_path):
    for name in ("1.png", "1.bmp", "2.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert {name for _, name in find_images([tmp_path])} == {"1.png", "1.bmp", "2"}


@pytest.mark.parametrize("maps", ["working", "full", "none"])
def test_heat_maps_among_the_photographs_are_skipped_and_counted(
    tiny_detector, photos, maps, scored, capsys
):
    out = photos / "predictions"
    assert predict_files(tiny_detector, [photos], out, maps=maps) == (5, 0, [])
    assert capsys.readouterr().err == ""
    assert predict_files(tiny_detector, [photos], out, maps=maps) == (5, 5, [])
    told = capsys.readouterr().err
    if maps == "none":
        assert told == ""
    else:
        assert told.startswith("10 not read, heat map of rcae predict: predictions/0.png, ")
        assert told.count("\n") == 1
    assert scored == [5]
    predict_files(tiny_detector, [photos], photos.parent / "elsewhere")
    assert sorted(rows_of(photos.parent / "elsewhere")) == ["0", "1", "2", "3", "4"]


def test_heat_maps_behind_a_link_or_in_a_subfolder_are_skipped_too(
    tiny_detector, photos, tmp_path, capsys
):
    (photos / "deep").mkdir()
    shutil.move(photos / "0.png", photos / "deep/0.png")
    predict_files(tiny_detector, [photos], tmp_path / "out")
    (photos / "last").symlink_to(tmp_path / "out")
    assert {name for _, name in find_images([photos])} == {"deep/0", "1", "2", "3", "4"}
    assert "heat map of rcae predict: last/1.png" in capsys.readouterr().err
    (photos / "one.png").symlink_to(tmp_path / "out/1.png")
    assert "one" not in {name for _, name in find_images([photos])}
    with pytest.raises(KitError, match="holds no image"):
        find_images([tmp_path / "out/deep"])


def test_an_image_that_is_named_twice_is_scored_once(tiny_detector, photos, tmp_path):
    assert len(find_images([photos, photos, photos / "1.png"])) == 5
    assert [name for _, name in find_images(str(photos / "1.png"))] == ["1"]
    assert predict_files(tiny_detector, photos, tmp_path / "out", maps="none").images == 5


def test_nothing_to_predict_is_an_error(tiny_detector, photos, tmp_path):
    with pytest.raises(KitError, match="there is nothing to predict; name an image or a folder"):
        predict_files(tiny_detector, [], tmp_path / "out")
    with pytest.raises(KitError, match="batch_size is 0; expected 1 or more"):
        predict_files(tiny_detector, photos, tmp_path / "out", batch_size=0)
    assert not (tmp_path / "out").exists()


def test_names_at_the_edge_of_what_a_drive_takes(tiny_detector, photos, tmp_path):
    shutil.move(photos / "0.png", photos / ("a" * 251 + ".png"))
    shutil.move(photos / "1.png", photos / 'b\r,"c\nd.png')
    found = predict_files(tiny_detector, photos, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert rows.keys() == {"a" * 251, 'b\r,"c\nd', "2", "3", "4"}
    assert len(found.errors) == 1 and "its map's name would be too long" in rows["a" * 251]["error"]
    assert predict_files(tiny_detector, photos, tmp_path / "out").before == 4


def test_a_folder_of_nothing_but_heat_maps_holds_no_image(tiny_detector, photos, tmp_path):
    predict_files(tiny_detector, [photos], tmp_path / "out")
    with pytest.raises(KitError, match="out holds no image"):
        find_images([tmp_path / "out"])
    assert find_images([tmp_path / "out" / "0.png"])[0][1] == "0"  # unless it is named


# What is written


def test_scores_and_raw_maps_are_those_of_the_detector(tiny_detector, photos, tmp_path):
    predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=2)
    rows, limit = rows_of(tmp_path / "out"), tiny_detector.threshold.value
    assert list(rows) == ["0", "1", "2", "3", "4"]
    assert tuple(rows["0"]) == COLUMNS
    for name, row in rows.items():
        alone = tiny_detector.predict(working_image(photos / f"{name}.png", tiny_detector)[None])
        assert float(row["score"]) == pytest.approx(float(alone.score), rel=1e-4)
        assert row["defective"] == str(int(float(row["score"]) > limit)) and row["error"] == ""
        assert float(row["threshold"]) == pytest.approx(limit, rel=1e-8)
        assert row["file"] == os.path.abspath(photos / f"{name}.png")
        raw = tifffile.imread(tmp_path / "out" / f"{name}.tiff")
        assert (raw.shape, raw.dtype) == ((32, 32), np.float32)
        np.testing.assert_allclose(raw, alone.anomaly_map[0].numpy(), rtol=1e-4, atol=1e-5)
        # The network sees a square; the picture has the proportions of the photograph.
        assert Image.open(tmp_path / "out" / f"{name}.png").size == (32, 27)


def test_full_size_maps_are_the_enlarged_ones_drawn_over_the_photograph(
    tiny_detector, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(prediction, "_ROWS", 16)  # three strips
    predict_files(tiny_detector, [photos / "0.png"], tmp_path / "out", maps="full")
    found = tiny_detector.predict(working_image(photos / "0.png", tiny_detector)[None]).anomaly_map[
        0
    ]
    native = to_native(found, (40, 48))
    with tifffile.TiffFile(tmp_path / "out" / "0.tiff") as file:
        assert file.pages[0].compression.name == "ADOBE_DEFLATE"
        np.testing.assert_array_equal(file.asarray(), native)
    image = np.asarray(Image.open(photos / "0.png"))
    whole = overlay(image, native, 0, 2 * tiny_detector.threshold.value)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "0.png")), whole)


def test_scores_only_writes_no_map(tiny_detector, photos, tmp_path):
    predict_files(tiny_detector, [photos], tmp_path / "out", maps="none")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scores.csv", RECORD}
    with pytest.raises(KitError, match="maps='native' is unknown; choose from working, full, none"):
        predict_files(tiny_detector, [photos], tmp_path / "new", maps="native")
    assert not (tmp_path / "new").exists()


def test_the_threshold_is_computed_anew_for_a_rate(tiny_detector, photos, tmp_path):
    scores = sorted(tiny_detector.calibration_scores)  # 2 of them: rates of 1/3 and 2/3
    predict_files(tiny_detector, [photos], tmp_path / "own", maps="none")
    predict_files(tiny_detector, [photos], tmp_path / "out", maps="none", false_alarm_rate=0.7)
    for folder, limit in (("own", scores[-1]), ("out", scores[-2])):
        for row in rows_of(tmp_path / folder).values():
            assert float(row["threshold"]) == pytest.approx(limit, rel=1e-8)
            assert row["defective"] == str(int(float(row["score"]) > limit))
    with pytest.raises(KitError, match="rate of 0.01 needs 99 held-out normal images, there are 2"):
        predict_files(tiny_detector, [photos], tmp_path / "new", false_alarm_rate=0.01)
    assert not (tmp_path / "new").exists()


def test_a_bad_file_is_a_row_and_the_others_are_scored(tiny_detector, photos, tmp_path):
    (photos / "1.png").write_bytes(b"no image")
    (photos / "3.png").write_bytes((photos / "3.png").read_bytes()[:-60])
    done = predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=2)
    assert done[:2] == (5, 0) and len(done.errors) == 2
    rows = rows_of(tmp_path / "out")
    assert list(rows) == ["0", "1", "2", "3", "4"]
    assert "1.png is not an image that can be read" in rows["1"]["error"]
    assert "3.png is damaged" in rows["3"]["error"] and rows["3"]["score"] == ""
    assert {name for name, row in rows.items() if row["score"]} == {"0", "2", "4"}
    assert done.errors == [rows["1"]["error"], rows["3"]["error"]]


def test_nothing_but_bad_files_is_a_table_too(tiny_detector, tmp_path):
    (tmp_path / "1.png").write_bytes(b"no image")
    assert len(predict_files(tiny_detector, [tmp_path / "1.png"], tmp_path / "out").errors) == 1
    assert rows_of(tmp_path / "out")["1"]["error"]


# Stopped and continued


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_prediction_that_stops_goes_on_where_it_stopped(
    tiny_detector, photos, tmp_path, monkeypatch, scored, error
):
    write, written = prediction._write_maps, []

    def stop(target, *rest):
        if len(written) == 3:
            raise error
        written.append(target.name)
        write(target, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(prediction, "_write_maps", stop)
        with pytest.raises(error):
            predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=2)
    assert list(rows_of(tmp_path / "out")) == ["0", "1"]  # a row comes after the maps of its batch
    predict_files(tiny_detector, [photos], tmp_path / "whole", batch_size=2)
    scored.clear()
    done = predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=2)
    assert done == (5, 2, []) and scored == [2, 1]
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "whole")
    for name in ("2.tiff", "2.png", "4.tiff"):
        parts = [(tmp_path / place / name).read_bytes() for place in ("out", "whole")]
        assert parts[0] == parts[1]


def test_a_row_that_is_cut_off_is_made_again(tiny_detector, photos, tmp_path, scored):
    predict_files(tiny_detector, [photos], tmp_path / "out", maps="none")
    table = tmp_path / "out" / "scores.csv"
    whole = table.read_bytes()
    start = whole.rindex(b"\n4,") + 1
    for end in range(start, len(whole) - 1, 11):  # in every column
        table.write_bytes(whole[:end])
        scored.clear()
        predict_files(tiny_detector, [photos], tmp_path / "out", maps="none")
        assert scored == [1], whole[start:end]
        assert rows_of(tmp_path / "out").keys() == set("01234")


def test_changed_files_and_errors_are_scored_again_and_new_files_are_added(
    tiny_detector, photos, tmp_path, scored
):
    whole = (photos / "1.png").read_bytes()
    (photos / "1.png").write_bytes(whole[:-60])
    predict_files(tiny_detector, [photos], tmp_path / "out")
    before = rows_of(tmp_path / "out")
    (photos / "1.png").write_bytes(whole)
    shutil.copy(photos / "0.png", photos / "3.png")
    shutil.copy(photos / "0.png", photos / "new.png")
    (photos / "4.png").unlink()  # its row stays
    scored.clear()
    assert predict_files(tiny_detector, [photos], tmp_path / "out") == (5, 2, [])
    rows = rows_of(tmp_path / "out")
    assert scored == [3] and set(rows) == {"0", "1", "2", "3", "4", "new"}
    for name in ("3", "new"):
        assert float(rows[name]["score"]) == pytest.approx(float(before["0"]["score"]), rel=1e-4)
    assert rows["1"]["error"] == "" and rows["4"] == before["4"]


def test_another_file_of_the_same_name_is_refused(tiny_detector, photos, tmp_path):
    predict_files(tiny_detector, [photos], tmp_path / "out")
    before = (tmp_path / "out" / "scores.csv").read_bytes()
    other = shutil.copytree(photos, tmp_path / "other")
    with pytest.raises(KitError, match="has a row '0' of .*choose another --out"):
        predict_files(tiny_detector, [other], tmp_path / "out")
    assert (tmp_path / "out" / "scores.csv").read_bytes() == before


def test_other_options_another_detector_or_other_files_are_refused(
    tiny_detector, tiny_category, photos, tmp_path
):
    out = tmp_path / "out"
    predict_files(tiny_detector, [photos], out)
    with pytest.raises(KitError, match="with maps working, these would have full"):
        predict_files(tiny_detector, [photos], out, maps="full")
    with pytest.raises(KitError, match=r"false_alarm_rate 0.33.*, these would have 0.66"):
        predict_files(tiny_detector, [photos], out, false_alarm_rate=0.7)
    tiny_detector.save(tmp_path / "saved")
    same = type(tiny_detector).load(tmp_path / "saved", device="cpu")
    assert predict_files(same, [photos], out) == (5, 5, [])
    with torch.no_grad():
        next(same.crd.parameters()).mul_(1 + 2**-20)
    with pytest.raises(KitError, match=r"with detector \w{16}, these would have \w{16}; choose"):
        predict_files(same, [photos], out)
    with pytest.raises(KitError, match="photos is not empty"):
        predict_files(tiny_detector, [photos], photos)
    (out / "scores.csv").write_text("image;score\n")
    with pytest.raises(KitError, match=r"has columns \['image;score'\], expected image, score"):
        predict_files(tiny_detector, [photos], out)


def test_a_row_is_on_disk_before_the_next_batch(tiny_detector, photos, tmp_path, monkeypatch):
    predict, seen = tiny_detector.predict, []

    def look(images):
        seen.append(len(rows_of(tmp_path / "out")))
        return predict(images)

    monkeypatch.setattr(tiny_detector, "predict", look)
    predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=2)
    assert seen == [0, 2, 4]


# Ahead, but not far


def test_the_next_batch_is_read_while_the_network_runs(
    tiny_detector, photos, tmp_path, monkeypatch
):
    read, predict = prediction._read, tiny_detector.predict
    third = threading.Event()

    def watched(path, side, bits):
        if path.name == "2.png":
            third.set()
        return read(path, side, bits)

    def waits(images):
        assert third.wait(20), "the second batch is not read during the first"
        return predict(images)

    monkeypatch.setattr(prediction, "_read", watched)
    monkeypatch.setattr(tiny_detector, "predict", waits)
    assert predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=2)[0] == 5


def test_no_more_than_two_batches_are_in_memory(tiny_detector, photos, tmp_path, monkeypatch):
    read, predict, held, most = prediction._read, tiny_detector.predict, [], []

    def watched(path, side, bits):
        held.append(path)
        return read(path, side, bits)

    def slow(images):
        threading.Event().wait(0.05)
        most.append(len(held))
        del held[: len(images)]
        return predict(images)

    monkeypatch.setattr(prediction, "_read", watched)
    monkeypatch.setattr(tiny_detector, "predict", slow)
    predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=1)
    assert len(most) == 5 and max(most) == 2


def test_a_bar_counts_the_images_from_where_it_stopped(
    tiny_detector, photos, tmp_path, monkeypatch
):
    bars = []

    class Bar(prediction.tqdm):
        def __init__(self, **options):
            super().__init__(**options)
            bars.append(self)

    monkeypatch.setattr(prediction, "tqdm", Bar)
    predict_files(tiny_detector, [photos / "0.png"], tmp_path / "out")
    predict_files(tiny_detector, [photos], tmp_path / "out", batch_size=2)
    assert [(bar.initial, bar.n, bar.total) for bar in bars] == [(0, 1, 1), (1, 5, 5)]


# The commands, on a detector without a run


def rcae(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_predict_needs_no_run_and_exits_with_1_for_a_bad_file(saved, photos, tmp_path, capsys):
    out = tmp_path / "out"
    command = ("predict", saved, photos, "--out", out, "--scores-only", "--false-alarm-rate", 0.7)
    (photos / "1.png").write_bytes(b"no image")
    assert rcae(*command) == 1
    said = capsys.readouterr()
    assert said.out == f"5 images: {out / 'scores.csv'}\n"
    (line,) = said.err.splitlines()
    assert line.startswith(f"rcae: 1 of 5 images have no score, {out / 'scores.csv'} says why; the")
    assert "1.png is not an image" in line and not list(out.glob("*.png"))
    (photos / "1.png").unlink()
    assert rcae(*command) == 0
    assert capsys.readouterr().out == f"4 images, 4 of them scored before: {out / 'scores.csv'}\n"
    assert rcae("predict", saved, photos, "--out", tmp_path / "large", "--full-size") == 0
    assert Image.open(tmp_path / "large" / "0.png").size == (48, 40)


@pytest.mark.parametrize("kind", ["full", "single_pass"])
def test_explore_needs_no_run(kind, saved, photos, tmp_path, tiny_baseline):
    if kind == "single_pass":
        tiny_baseline.save(saved)
    page = tmp_path / "page.html"
    assert rcae("explore", saved, photos / "0.png", "--out", page) == 0
    text = page.read_text(encoding="utf-8")
    assert "<title>tiny: the recursion</title>" in text and '"kind": "explorer"' in text


def test_evaluate_needs_no_run_where_the_data_are_named(saved, photos, tmp_path, capsys):
    for split in ("train/good", "test/good", "test/square"):
        shutil.copytree(photos, tmp_path / "data" / "ring" / split)
    assert rcae("evaluate", saved, "--data", tmp_path / "data", "--json") == 0
    assert json.loads(capsys.readouterr().out)["test_images"] == 10
    assert rcae("evaluate", saved) == 2
    assert "a detector without a run, which has no data; name" in capsys.readouterr().err


def test_paint_names_the_extra_before_it_starts(saved, photos, tmp_path, monkeypatch, capsys):
    def started(*_):
        raise AssertionError("too early")

    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else name)
    for name in ("open_images", "_runtime", "PainterState"):
        monkeypatch.setattr(paint, name, started)
    page = tmp_path / "page.html"
    assert rcae("explore", saved, photos / "0.png", "--out", page, "--paint") == 2
    needed = "no onnxscript here; pip install 'rcae-lite[export]'"
    assert capsys.readouterr().err == f"rcae: {needed}\n"
    with pytest.raises(KitError, match="no onnxscript here"):
        paint.write_paint_page(None, torch.zeros(3, 32, 32), page, "tiny")


def test_a_folder_without_a_detector_is_one_line(tmp_path, photos, capsys):
    assert rcae("predict", photos, photos, "--out", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "run.json does not exist; name the folder that `rcae train` wrote" in line


def test_the_bits_that_a_detector_was_trained_on_are_applied(tiny_detector, tmp_path):
    camera = np.full((40, 48), 2048, np.uint16)  # the middle of 12 bits
    Image.fromarray(camera).save(tmp_path / "a.png")
    assert working_image(tmp_path / "a.png", tiny_detector).max() < 0.05
    twelve = copy.copy(tiny_detector)
    twelve.data = {**tiny_detector.data, "bits": 12}
    seen = working_image(tmp_path / "a.png", twelve)
    assert seen.mean().item() == pytest.approx(0.5, abs=0.01)
    same = [
        twelve.predict(kind).score
        for kind in (seen[None], tmp_path / "a.png", [tmp_path / "a.png"])
    ]
    assert same[0] == same[1] == same[2] != tiny_detector.predict(tmp_path / "a.png").score
    with (
        Image.open(tmp_path / "a.png") as image,
        pytest.raises(KitError, match="L or RGB; give the"),
    ):
        twelve.predict(image)  # its convert("RGB") would be white


def test_photographs_of_fewer_bits_are_said(tiny_detector, photos, tmp_path, capsys):
    camera = np.random.default_rng(0).integers(0, 4096, (40, 48)).astype(np.uint16)
    Image.fromarray(camera).save(photos / "a.png")
    predict_files(tiny_detector, photos, tmp_path / "out", maps="none")
    assert "values of 12 bits or fewer; they are read with the 16 of the" in capsys.readouterr().err
    twelve = copy.copy(tiny_detector)
    twelve.data = {**tiny_detector.data, "bits": 12}
    predict_files(twelve, photos, tmp_path / "alike", maps="none")
    Image.fromarray(camera * 16).save(photos / "b.png")  # and one that uses all of them
    predict_files(tiny_detector, photos, tmp_path / "mixed", maps="none")
    assert "bits or fewer" not in capsys.readouterr().err


def test_other_bits_than_in_the_training_are_said(tiny_detector, tmp_path):
    for number in range(10):
        camera = np.random.default_rng(number).integers(0, 4096, (32, 32)).astype(np.uint16)
        path = tmp_path / f"cam/{'normal' if number < 8 else 'defective'}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(camera).save(path)
    own = open_category(tmp_path, size=32)
    assert own.test.bits == 12
    with pytest.raises(KitError, match="12 bits here, and was with 16 in the training; .*bits=16"):
        tiny_detector.evaluate(own.test)
    tiny_detector.save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="read with 16 bits, as in the .* these images have 12"):
        alike = evaluate_run(tmp_path / "saved", data=tmp_path / "cam", device="cpu")
    expected = tiny_detector.evaluate(open_category(tmp_path, size=32, bits=16).test)
    assert alike.scores.tolist() == expected.scores.tolist()


def predict_apart(*arguments):
    """Start ``rcae predict`` in a process of its own."""
    command = [sys.executable, "-m", "rcae_lite", "predict", *map(str, arguments)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3])


def peak_memory(process):
    """Wait for a process; its exit code and the most memory that it had, in MiB."""
    _, status, usage = os.wait4(process.pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes of ru_maxrss, as Linux counts")
def test_10000_images_killed_and_repeated_in_bounded_memory(saved, photos, tmp_path):
    many, table = tmp_path / "many", tmp_path / "out" / "scores.csv"
    many.mkdir()
    for number in range(10_000):
        os.link(photos / f"{number % 5}.png", many / f"{number:05}.png")
    code, few = peak_memory(predict_apart(saved, photos, "--out", tmp_path / "few", "--quiet"))
    assert code == 0
    process = predict_apart(saved, many, "--out", table.parent, "--scores-only", "--quiet")
    while not table.exists() or table.read_text().count("\n") < 3000:
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = table.read_text().splitlines()[:-1]  # the last row may be cut off
    assert 3000 <= len(before) < 10_000
    again = predict_apart(saved, many, "--out", table.parent, "--scores-only", "--quiet")
    code, peak = peak_memory(again)
    print(f"peak memory: 5 images {few:.0f} MiB, the other {10_001 - len(before)} {peak:.0f} MiB")
    assert code == 0
    assert table.read_text().splitlines()[: len(before)] == before
    rows = rows_of(table.parent)
    assert sorted(rows) == [f"{number:05}" for number in range(10_000)]
    assert {row["score"] for row in rows.values()} <= {
        row["score"] for row in rows_of(tmp_path / "few").values()
    } and not any(row["error"] for row in rows.values())
    assert peak < few + 100
