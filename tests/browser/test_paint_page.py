"""The page that carries the detector: what it answers to a stroke is what PyTorch answers."""

import base64

import numpy as np
import pytest
import torch

from data_utils import KitError
from rcae_lite.widgets import paint
from rcae_lite.widgets.state.painter import PainterState
from tests.browser.conftest import PATIENCE, wait_until

SIDE = 32

LISTEN = """() => document.querySelector("main").addEventListener("rcae-result", ({detail}) => {
    const text = (packed) => btoa(String.fromCharCode(...packed.bytes));
    window.seen = {map: text(detail.picture.map), frames: text(detail.picture.frames),
                   mask: text(detail.mask), score: detail.picture.score, iou: detail.iou};
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


def test_a_stroke_is_answered_as_pytorch_answers_it(tab, page, tiny_detector, tiny_category, shots):
    tab.open(page.as_uri())
    tab.page.evaluate(LISTEN)
    tab.set("size", 3)
    tab.page.mouse.move(*tab.place("paint", 10, 6, SIDE))
    tab.page.mouse.down()
    tab.page.mouse.move(*tab.place("paint", 18, 24, SIDE), steps=5)
    tab.page.mouse.up()
    wait_until(lambda: tab.page.evaluate("Boolean(window.seen)"), "the detector answers")
    seen = tab.page.evaluate("window.seen")

    def read(name: str, dtype: type) -> np.ndarray:
        return np.frombuffer(base64.b64decode(seen[name]), dtype)

    painted = tab.pixels("paint")
    picture = torch.tensor(painted).permute(2, 0, 1).unsqueeze(0) / 255
    detection = tiny_detector.predict(picture)
    anomaly_map = read("map", np.float32).reshape(SIDE, SIDE)
    np.testing.assert_allclose(anomaly_map, detection.anomaly_map[0].numpy(), atol=1e-3)
    assert seen["score"] == pytest.approx(float(detection.score), abs=1e-3)

    state = PainterState(tiny_detector, tiny_category.train[0].image)
    state.paint(painted)
    np.testing.assert_array_equal(read("mask", np.uint8).reshape(SIDE, SIDE), state.mask)
    assert state.mask.any() and seen["iou"] == pytest.approx(state.iou, abs=0.02)
    frames = read("frames", np.uint8).reshape(-1, SIDE, SIDE, 3).astype(int)
    held = state.frames.data(0)["frames"]
    assert frames.shape == held.shape and np.abs(frames - held).max() <= 1
    tab.page.get_by_text("IoU").wait_for(timeout=PATIENCE)
    tab.page.screenshot(path=shots / "paint-page.png")
    assert tab.errors == []
    assert [address for address in tab.requests if not address.startswith("file://")] == []


@pytest.mark.parametrize("width", [320, 1400])
def test_it_fits_every_width_and_everything_has_a_name(tab, page, width):
    tab.open(page.as_uri())
    assert tab.fits(width) and tab.nameless() == []


def test_without_network_the_error_says_how_to_get_the_runtime(monkeypatch, tmp_path):
    def offline(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(paint.pooch, "retrieve", offline)
    monkeypatch.setattr(paint.pooch, "os_cache", lambda name: tmp_path)
    with pytest.raises(KitError, match=r"no route to host\); get it by hand: npm pack onnxruntime"):
        paint._runtime()
