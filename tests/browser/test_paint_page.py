"""The page that carries the detector: what it answers to a stroke is what PyTorch answers."""

import base64
import re
import zipfile

import numpy as np
import pytest
import torch

from data_utils import KitError, open_category
from rcae_lite.commands.export import TOLERANCE
from rcae_lite.training.pseudo_anomalies import VISIBLE
from rcae_lite.widgets import paint
from rcae_lite.widgets.state.frames import to_bytes
from rcae_lite.widgets.state.painter import PainterState
from tests.browser.conftest import PATIENCE, wait_until

SIDE = 32

LISTEN = """() => document.querySelector("main").addEventListener("rcae-result", ({detail}) => {
    const text = ({bytes}) => bytes && btoa(String.fromCharCode(...bytes));
    window.seen = {map: text(detail.picture.map), frames: text(detail.picture.frames),
                   mask: text(detail.mask), score: detail.picture.score, iou: detail.iou,
                   pixels: detail.pixels, record: detail.record && detail.record.pixels,
                   best: detail.record && text(detail.record.picture)};
})"""


@pytest.fixture(scope="module")
def page(tiny_detector, tiny_category, traced_once, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    path = tmp_path_factory.mktemp("paint") / "paint.html"
    try:
        return paint.write_paint_page(tiny_detector, tiny_category.train[0].image, path, "tiny")
    except KitError as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def blind(page):
    """Return the page of a detector that calls everything normal."""
    text, count = re.subn(r'"threshold": [\d.e-]+', '"threshold": 1e6', page.read_text("utf-8"))
    assert count == 1
    page.with_name("blind.html").write_text(text, encoding="utf-8")
    return page.with_name("blind.html")


def stroke(tab, start: tuple[int, int], end: tuple[int, int]) -> dict:
    """Paint from pixel to pixel and return what the detector says of it."""
    tab.page.evaluate("window.seen = undefined")
    tab.page.mouse.move(*tab.place("paint", *start, SIDE))
    tab.page.mouse.down()
    tab.page.mouse.move(*tab.place("paint", *end, SIDE), steps=5)
    tab.page.mouse.up()
    return answer(tab)


def answer(tab) -> dict:
    """Wait for the detector."""
    wait_until(lambda: tab.page.evaluate("Boolean(window.seen)"), "the detector answers")
    return tab.page.evaluate("window.seen")


def test_a_stroke_is_answered_as_pytorch_answers_it(tab, page, tiny_detector, tiny_category, shots):
    tab.open(page.as_uri())
    tab.page.evaluate(LISTEN)
    tab.set("size", 3)
    seen = stroke(tab, (10, 6), (18, 24))

    def read(name: str, dtype: type) -> np.ndarray:
        return np.frombuffer(base64.b64decode(seen[name]), dtype)

    painted = tab.pixels("paint")
    picture = torch.tensor(painted).permute(2, 0, 1).unsqueeze(0) / 255
    detection = tiny_detector.predict(picture)
    anomaly_map = read("map", np.float32).reshape(SIDE, SIDE)
    same = {"atol": TOLERANCE, "rtol": TOLERANCE}  # as `rcae export` promises
    np.testing.assert_allclose(anomaly_map, detection.anomaly_map[0].numpy(), **same)
    np.testing.assert_allclose(seen["score"], float(detection.score), **same)

    state = PainterState(tiny_detector, tiny_category.train[0].image)
    state.paint(painted)
    np.testing.assert_array_equal(read("mask", np.uint8).reshape(SIDE, SIDE), state.mask)
    assert state.mask.any() and seen["iou"] == pytest.approx(state.iou, abs=0.02)
    frames = read("frames", np.uint8).reshape(-1, SIDE, SIDE, 3).astype(int)
    held = state.frames.data(0)["frames"]
    assert frames.shape == held.shape and np.abs(frames - held).max() <= 1
    assert seen["pixels"] == state.pixels > 0
    assert seen["record"] == (state.record.pixels if state.record else None)
    tab.page.get_by_text("IoU").wait_for(timeout=PATIENCE)
    tab.page.screenshot(path=shots / "paint-page.png")
    assert tab.errors == []
    assert [address for address in tab.requests if not address.startswith("file://")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_at_any_width(tab, blind, axe, shots, scheme):
    tab.page.emulate_media(color_scheme=scheme)
    tab.open(blind.as_uri())
    tab.page.evaluate(LISTEN)
    stroke(tab, (10, 6), (18, 24))
    for width in (320, 420, 760, 1180, 1400):
        assert tab.fits(width) and tab.nameless() == []
        assert tab.barriers(axe) == []
        tab.page.screenshot(path=shots / f"paint-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("width", [420, 760, 1180])
def test_sheet_map_and_score_are_seen_together(tab, page, width):
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.open(page.as_uri())
    sheet, heat, bar = (
        tab.find(name).bounding_box()
        for name in ('[data-panel="paint"]', '[data-panel="map"]', '[role="meter"]')
    )
    assert sheet["y"] == heat["y"] and sheet["width"] == heat["width"]
    assert sheet["x"] + sheet["width"] < heat["x"]
    assert heat["y"] + heat["height"] < bar["y"] and bar["y"] + bar["height"] < 900


def test_the_bar_shows_the_score_on_a_scale_that_stays(tab, page, blind, tiny_detector):
    tab.open(page.as_uri())
    tab.page.evaluate(LISTEN)
    threshold = tiny_detector.threshold.value
    bar, words = tab.find('[role="meter"]'), tab.find(".rcae-verdict")
    for end in (24, 31):
        score = stroke(tab, (10, 6), (18, end))["score"]
        share = bar.evaluate(
            "bar => bar.querySelector('i').getBoundingClientRect().width / bar.clientWidth"
        )
        assert share == pytest.approx(min(1, score / threshold / 2), abs=0.01)
        assert float(bar.get_attribute("aria-valuemax")) == pytest.approx(2 * threshold)
        said = "above" if score > threshold else "below"
        assert f", {said} the threshold" in words.inner_text()
        assert bar.get_attribute("aria-valuetext") == words.inner_text()
        line = bar.evaluate(
            "bar => { const box = bar.querySelector('b').getBoundingClientRect(),"
            " all = bar.getBoundingClientRect();"
            " return (box.x + box.width / 2 - all.x) / all.width; }"
        )
        assert line == pytest.approx(0.5, abs=0.01)
    tab.open(blind.as_uri())
    assert words.inner_text().endswith("called normal")
    tab.page.evaluate(LISTEN)
    stroke(tab, (10, 6), (18, 24))
    assert words.inner_text().endswith("goes unnoticed")


def test_undo_by_keyboard_from_wherever_the_focus_is(tab, page):
    tab.open(page.as_uri())
    tab.page.evaluate(LISTEN)
    tab.page.evaluate(
        "addEventListener('keydown', ({key}) => (window.leaked ||= 'zZy'.includes(key)))"
    )
    before = tab.pixels("paint")
    stroke(tab, (10, 6), (18, 24))
    painted = tab.pixels("paint")
    assert (painted != before).any()
    tab.find('[data-control="size"]').focus()
    for keys, picture in (
        ("Control+z", before),
        ("Control+z", before),  # nothing is left to go back to
        ("Control+y", painted),
        ("Meta+z", before),
        ("Control+Shift+Z", painted),
    ):
        tab.page.keyboard.press(keys)
        np.testing.assert_array_equal(tab.pixels("paint"), picture, keys)
    assert tab.page.evaluate("window.leaked") is False, "JupyterLab would undo, too"
    undo, redo = (tab.page.get_by_role("button", name=name) for name in ("undo", "redo"))
    assert redo.get_attribute("aria-disabled") == "true"
    undo.focus()
    tab.page.keyboard.press("Enter")
    np.testing.assert_array_equal(tab.pixels("paint"), before)
    assert undo.get_attribute("aria-disabled") == "true"
    assert undo.evaluate("node => node === document.activeElement"), "the focus stays"
    assert tab.errors == []


def test_the_record_is_kept_shown_again_and_reset(tab, blind):
    tab.open(blind.as_uri())
    tab.page.evaluate(LISTEN)
    tab.set("size", 3)
    said = tab.find('[data-part="record"]')
    assert said.inner_text() == "No record yet."
    first = stroke(tab, (10, 6), (18, 24))
    assert first["record"] == first["pixels"] > 0
    share = f"({100 * first['record'] / SIDE**2:.1f}%)"
    assert said.inner_text().startswith(f"Your record: {first['record']} pixels {share}, score ")
    best = tab.pixels("paint")
    assert base64.b64decode(first["best"]) == best.tobytes()

    tab.page.evaluate("window.seen = undefined")
    tab.page.get_by_role("button", name="clear").click()
    assert answer(tab)["record"] == first["record"], "what is smaller leaves the record alone"
    tab.page.evaluate("window.seen = undefined")
    tab.page.get_by_role("button", name="show the record").click()
    assert answer(tab)["pixels"] == first["record"]
    np.testing.assert_array_equal(tab.pixels("paint"), best)
    assert stroke(tab, (26, 4), (26, 28))["record"] > first["record"]
    tab.page.get_by_role("button", name="reset").click()
    tab.page.get_by_text("No record yet.").wait_for()
    assert not tab.find('[data-panel="record"]').is_visible()


def test_what_the_page_saves_is_a_category(tab, page, tiny_category, tmp_path):
    tab.open(page.as_uri())
    tab.page.evaluate(LISTEN)
    save = tab.page.get_by_role("button", name="save")
    save.click()
    tab.page.get_by_text("nothing was painted").wait_for()
    pictures = []
    for row in (8, 20):
        stroke(tab, (row, 6), (row, 24))
        pictures.append(tab.pixels("paint"))
        with tab.page.expect_download() as download:
            save.click()
        tab.page.get_by_text("rcae evaluate RUN --data painted").wait_for()
    with zipfile.ZipFile(download.value.path()) as file:
        assert file.testzip() is None
        file.extractall(tmp_path)
    category = open_category(tmp_path / "painted", size=SIDE)
    assert len(category.train) == 3 and category.test.defects == ["good", "painted", "painted"]
    original = to_bytes(tiny_category.train[0].image[None])[0]
    for image, picture in zip(category.test.images(), [original, *pictures], strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0), picture)
    for index, picture in enumerate(pictures, start=1):
        differs = np.abs(picture.astype(int) - original).max(axis=-1) > VISIBLE * 255
        np.testing.assert_array_equal(category.test[index].mask, differs)


def test_without_network_the_error_says_how_to_get_the_runtime(monkeypatch, tmp_path):
    def offline(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(paint.pooch, "retrieve", offline)
    monkeypatch.setattr(paint.pooch, "os_cache", lambda name: tmp_path)
    with pytest.raises(KitError, match=r"no route to host\); get it by hand: npm pack onnxruntime"):
        paint._runtime()
