"""What the widgets know, without a browser and without ipywidgets."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_utils import KitError, open_category
from rcae_lite.cli import main
from rcae_lite.commands.run import evaluate_run
from rcae_lite.widgets.state.base import Control
from rcae_lite.widgets.state.explorer import MAX_PROBES, PLACE, QUANTILES, ExplorerState
from rcae_lite.widgets.state.frames import COLOURS, lookup, record, to_bytes
from rcae_lite.widgets.state.painter import TOOLS, PainterState


@pytest.fixture(scope="module")
def frames(tiny_detector, tiny_category):
    return record(tiny_detector, tiny_category.test)


@pytest.fixture
def explorer(frames, tiny_detector):
    return ExplorerState(frames, frames, tiny_detector.threshold.value)


@pytest.fixture
def painter(tiny_detector, tiny_category, tmp_path):
    return PainterState(tiny_detector, tiny_category.test[-1].image, tmp_path / "part")


def settings(control: Control) -> list[float]:
    """Every value of a whole number, eleven of a range."""
    if control.whole:
        return list(range(int(control.low), int(control.high) + 1))
    return np.linspace(control.low, control.high, 11).tolist()


def test_frames_are_the_detectors_own_pictures(frames, tiny_detector, tiny_category):
    images = torch.stack([tiny_category.test[i].image for i in range(len(frames))])
    trajectory = tiny_detector.trajectory(images)
    detection = tiny_detector.detect(trajectory)
    rounded = np.round(255 * images.numpy()).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(frames.images, rounded)
    np.testing.assert_array_equal(frames.reconstructions, to_bytes(trajectory.reconstructions))
    np.testing.assert_array_equal(frames.enhanced, to_bytes(trajectory.enhanced))
    np.testing.assert_allclose(frames.maps, detection.anomaly_map, atol=1e-4)
    np.testing.assert_allclose(frames.scores, detection.score, atol=1e-4)
    inside = ((trajectory.reconstructions >= 0) & (trajectory.reconstructions <= 1)).all(dim=1)
    error = np.abs(frames.residuals / 765 - trajectory.residuals.numpy())[inside.numpy()]
    assert error.max() <= 1.001 / 255  # two roundings of half a level each
    assert frames.names == tiny_category.test.paths


@pytest.mark.parametrize(
    ("images", "names", "message"),
    [
        (torch.zeros(0, 3, 32, 32), None, "0 images"),
        (torch.zeros(2, 3, 32, 32), ["one"], "1 names for 2 images"),
        (torch.full((1, 3, 32, 32), 7.0), None, "expected \\[0, 1\\]"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(tiny_detector, images, names, message):
    with pytest.raises(KitError, match=message):
        record(tiny_detector, images, names)


def test_lookup_has_the_ends_of_the_colour_map_at_the_ends_of_the_scale():
    colours = lookup(np.array([-9, 2, 3, 4, 99.0]), 2, 4)
    np.testing.assert_array_equal(colours, COLOURS[[0, 0, 128, 255, 255]])


def test_every_value_of_every_control_of_the_explorer(explorer):
    for name, control in explorer.controls.items():
        for value in settings(control):
            explorer.set(**{name: value})
            assert explorer.values[name] == value
            for panel in explorer.panels:
                shown = explorer.panel(panel)
                assert (shown.shape, shown.dtype) == ((32, 32, 3), np.uint8)
    explorer.set(image=1, depth=2, opacity=0)
    np.testing.assert_array_equal(explorer.panel("input"), explorer.frames.images[1])
    np.testing.assert_array_equal(explorer.panel("enhanced"), explorer.frames.enhanced[1, 1])
    explorer.set(opacity=1)
    np.testing.assert_array_equal(explorer.panel("input"), explorer.panel("map"))


@pytest.mark.parametrize("values", [
    {"image": -1}, {"image": 8}, {"image": 1.5}, {"image": None}, {"image": True},
    {"depth": 0}, {"depth": 4}, {"depth": "2"}, {"opacity": 1.01}, {"opacity": float("nan")},
    {"colour": 3}, {"probes": [[1, 2]]}, {"probes": [[32, 0, 0]]}, {"probes": [[0, 0, 6]]},
    {"probes": "all"}, {"probes": [[0, 0, 0]] * (MAX_PROBES + 1)},
    {"depth": 2, "image": 99},
])  # fmt: skip
def test_what_the_explorer_refuses_changes_nothing(explorer, values):
    before = dict(explorer.values)
    with pytest.raises(KitError):
        explorer.set(**values)
    assert explorer.values == before


def test_a_probe_reads_what_the_panels_show(explorer):
    explorer.set(image=2)
    path = explorer.probe(5, 30)
    pixels = np.stack([explorer.frames.images[2], *explorer.frames.reconstructions[2]])[:, 5, 30]
    np.testing.assert_allclose(path["value"], pixels.mean(axis=1) / 255)
    levels = pixels.astype(int)
    residual, change = np.abs(levels[1:] - levels[0]), np.abs(np.diff(levels[1:], axis=0))
    np.testing.assert_allclose(path["residual"], residual.mean(axis=1) / 255)
    np.testing.assert_allclose(path["change"], change.mean(axis=1) / 255)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (13, 22), (31, 31)])
def test_the_background_of_the_probe_is_the_same_place_in_normal_images(explorer, row, column):
    band = explorer.band(row, column)
    top, left = row // PLACE * PLACE, column // PLACE * PLACE
    here = (..., slice(top, top + PLACE), slice(left, left + PLACE))
    frames = explorer.normal
    grey = np.concatenate([frames.images[:, None], frames.reconstructions], axis=1).mean(-1) / 255
    for name, values in (
        ("value", grey),
        ("residual", frames.residuals / 765),
        ("change", frames.changes / 765),
    ):
        expected = np.quantile(values[here], QUANTILES, axis=(0, 2, 3))
        np.testing.assert_allclose(band[name], expected, atol=0.51 / 255)


def test_without_normal_images_there_is_no_band(frames):
    state = ExplorerState(frames)
    assert state.data()["bands"] is None
    with pytest.raises(KitError, match="no normal images"):
        state.band(0, 0)


def with_residuals(frames, mask, *inside):
    """One white image whose reconstruction at each depth is darker by so much inside the mask."""
    image = np.full((1, 32, 32, 3), 200, np.uint8)
    rebuilt = np.stack([image - 10 * ~mask[..., None] - d * mask[..., None] for d in inside], 1)
    return dataclasses.replace(
        frames, names=["one"], images=image, reconstructions=rebuilt.astype(np.uint8),
        enhanced=None, maps=frames.maps[:1], scores=frames.scores[:1], masks=mask[None],
    )  # fmt: skip


def test_it_opens_where_the_residual_shows_the_defect_best(frames):
    mask = np.zeros((32, 32), bool)
    mask[3:9, 3:9] = True
    state = ExplorerState(with_residuals(frames, mask, 0, 30, 30, 10))
    assert state.separations == [[0.0, 1.0, 1.0, 0.5]]
    assert state.values["depth"] == state.clearest(0) == 2  # the shallowest of equal ones
    without = ExplorerState(with_residuals(frames, mask & False, 0, 30, 30, 10))
    assert without.separations == [None] and without.values["depth"] == 4
    unknown = ExplorerState(dataclasses.replace(frames, masks=None))
    assert unknown.clearest(3) == unknown.values["depth"] == 3


def test_one_scale_for_all_images(explorer):
    scale = explorer.data()["scale"]
    assert scale == {
        "difference": explorer.scale.difference,
        "low": 0.0,
        "high": 2 * explorer.threshold,
    }
    top = np.quantile(explorer.frames.residuals, 0.999)
    assert abs(scale["difference"] - top) <= 1


def test_every_value_of_every_control_of_the_painter(painter):
    for name, control in painter.controls.items():
        for value in settings(control):
            painter.set(**{name: value})
            assert painter.values[name] == value
    for tool in TOOLS:
        painter.set(tool=tool)
    painter.set(colour="#ABCDEF")
    assert painter.values["colour"] == "#abcdef"


@pytest.mark.parametrize("values", [
    {"tool": "spray"}, {"colour": "red"}, {"colour": 7}, {"size": 0}, {"size": 11},
    {"opacity": 0}, {"hardness": -0.1},
])  # fmt: skip
def test_what_the_painter_refuses(painter, values):
    with pytest.raises(KitError):
        painter.set(**values)


def test_painting_gives_the_detectors_answer_and_the_mask(painter, tiny_detector):
    assert painter.iou is None and not painter.mask.any()
    painted = painter.original.copy()
    painted[4:9, 6:20] = [250, 10, 10]
    painted[20, 20] = np.where(painted[20, 20] > 99, painted[20, 20] - 5, painted[20, 20] + 5)
    painter.paint(painted)
    expected = np.zeros((32, 32), bool)
    expected[4:9, 6:20] = True  # the five grey levels at (20, 20) are not visible
    np.testing.assert_array_equal(painter.mask, expected)
    picture = torch.tensor(painted).permute(2, 0, 1)[None] / 255
    detection = tiny_detector.predict(picture)
    np.testing.assert_allclose(painter.frames.maps, detection.anomaly_map, atol=1e-5)
    found = detection.anomaly_map[0].numpy() > tiny_detector.threshold.value
    assert painter.iou == pytest.approx((found & expected).sum() / (found | expected).sum())
    painter.paint(painter.original)
    assert painter.iou is None and not painter.mask.any()


def test_random_defects_follow_their_seed(painter):
    painter.paint_random(7)
    first = painter.frames.images[0].copy()
    assert painter.mask.any()
    outside = ~painter.mask
    np.testing.assert_array_equal(first[outside], painter.original[outside])
    painter.paint(painter.original)
    painter.paint_random(7)
    np.testing.assert_array_equal(painter.frames.images[0], first)


@pytest.mark.parametrize("painted", [
    np.zeros((31, 32, 3), np.uint8), np.zeros((32, 32, 3)), np.zeros((32, 32), np.uint8),
])  # fmt: skip
def test_a_painted_image_of_another_kind_is_refused(painter, painted):
    with pytest.raises(KitError, match="expected uint8"):
        painter.paint(painted)


def test_saved_pairs_are_test_images_of_a_category(painter, tmp_path):
    category = tmp_path / "part"
    with pytest.raises(KitError, match="nothing was painted"):
        painter.save()
    for number in range(2):
        painter.paint_random(number)
        assert painter.save().name == f"{number:03}.png"
    for number in range(3):
        path = category / "train" / "good" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(painter.original + number).save(path)
    test = open_category(tmp_path, "part", size=32).test
    assert test.defects == ["good", "painted", "painted"]
    np.testing.assert_array_equal(test[2].mask, painter.mask)
    np.testing.assert_array_equal(test.images()[2].permute(1, 2, 0), painter.frames.images[0])


def test_what_was_saved_is_a_test_set_for_rcae_evaluate(
    painter, tiny_detector, tiny_category, tmp_path, capsys
):
    other = PainterState(tiny_detector, tiny_category.test[-2].image, painter.folder)
    for number, state in enumerate((painter, painter, painter, other)):
        state.paint_random(number)
        state.save()
    test = open_category(painter.folder, size=32).test
    assert test.defects == 2 * ["good"] + 4 * ["painted"]
    np.testing.assert_array_equal(test.images()[0].permute(1, 2, 0), painter.original)
    np.testing.assert_array_equal(test.images()[1].permute(1, 2, 0), other.original)

    tiny_detector.save(tmp_path / "detector")
    command = ["evaluate", str(tmp_path / "detector"), "--data", str(painter.folder), "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_images"] == 6 and found["masks_used"] == [4, 4]
    assert found["doctor"]["errors"] == 0
    assert found["image_auroc"]["value"] is not None and found["au_pro"]["value"] is not None
    evaluation = evaluate_run(tmp_path / "detector", data=painter.folder)
    painted = [image for image in evaluation.images if image.label]
    assert [Path(image.path).name for image in painted] == [f"{n:03}.png" for n in range(4)]
    assert painted[-1].score == pytest.approx(float(other.frames.scores[0]), rel=1e-5)


def strokes(painter, *sizes: int, strength: int = 120) -> list[np.ndarray]:
    """Return pictures with so many pixels changed, in each channel by so much."""
    pictures = []
    for size in sizes:
        picture = painter.original.copy().reshape(-1, 3)
        picture[:size] = np.where(picture[:size] > 127, picture[:size] - strength,
                                  picture[:size] + strength)  # fmt: skip
        pictures.append(picture.reshape(painter.original.shape))
    return pictures


def test_the_record_is_the_largest_defect_below_the_threshold(painter):
    assert painter.record is None
    first, small, large = strokes(painter, 9, 4, 30)
    painter.threshold = np.inf  # nothing is noticed
    for picture in (first, small):
        painter.paint(picture)
        np.testing.assert_array_equal(painter.record.picture, first)
        assert painter.record.pixels == 9 and painter.record.share == 9 / 32**2
    painter.threshold = 0.0  # everything is
    painter.paint(large)
    assert painter.record.pixels == 9
    painter.threshold = float(painter.frames.scores[0])  # as `label`: only what is above it
    painter.paint(large)
    assert painter.record.pixels == 30 and painter.record.score == painter.threshold
    assert painter.result()["record"]["pixels"] == 30
    painter.forget()
    assert painter.record is None and painter.result()["record"] is None


@pytest.mark.parametrize(("strength", "counted"), [(25, 0), (26, 1000)])
def test_a_tint_that_nobody_sees_is_no_record(painter, strength, counted):
    painter.threshold = np.inf
    painter.paint(strokes(painter, 1000, strength=strength)[0])
    assert painter.mask.sum() == 1000
    assert (painter.record.pixels if painter.record else 0) == counted


def test_without_a_threshold_nothing_can_go_unnoticed(painter):
    painter.threshold = None
    painter.paint(strokes(painter, 9)[0])
    assert painter.record is None


def test_the_painter_takes_one_image(tiny_detector):
    with pytest.raises(KitError, match="2 images; the painter takes one"):
        PainterState(tiny_detector, torch.zeros(2, 3, 32, 32))


def test_states_and_page_need_no_ipywidgets():
    code = """
import sys
for name in ("ipywidgets", "anywidget"):
    sys.modules[name] = None  # importing it fails
import rcae_lite.widgets.page, rcae_lite.widgets.state.painter
from data_utils import KitError
try:
    from rcae_lite.widgets import RecursionExplorer
except KitError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "RecursionExplorer needs the package 'anywidget', which is not installed; "
        'run: pip install "rcae-lite[lab]"'
    ]
