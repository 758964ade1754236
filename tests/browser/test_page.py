"""The standalone page, opened from disk without a network: what it shows is what Python holds."""

import json
import re

import numpy as np
import pytest

from rcae_lite import RcAEDetector
from rcae_lite.widgets.packing import module
from rcae_lite.widgets.page import write_page
from rcae_lite.widgets.state.explorer import ExplorerState
from rcae_lite.widgets.state.frames import record
from tests.browser.conftest import LOOKS
from tests.rcae_lite.conftest import tiny_config

SIDE = 32


@pytest.fixture(scope="module")
def state(tiny_detector, tiny_category) -> ExplorerState:
    frames = record(tiny_detector, tiny_category.test)
    normal = record(tiny_detector, tiny_category.train)
    return ExplorerState(frames, normal, tiny_detector.threshold.value)


@pytest.fixture
def page(tab, state, tmp_path):
    """Open the explorer's page."""
    state.set(image=0, depth=3, opacity=0, probes=[])
    tab.open(write_page(tmp_path / "page.html", [("explorer", state)]).as_uri())
    return tab


def same(tab, state) -> None:
    for name in state.panels:
        np.testing.assert_array_equal(tab.pixels(name), state.panel(name), err_msg=name)


def test_every_canvas_shows_the_frame_that_python_holds(page, state):
    for image in range(len(state.frames)):
        page.page.locator('[data-control="image"]').select_option(index=image)
        for depth in range(1, state.frames.depth + 1):
            page.set("depth", depth)
            state.set(image=image, depth=depth)
            same(page, state)
    for opacity in (0.25, 0.6, 1):
        page.set("opacity", opacity)
        state.set(opacity=opacity)
        same(page, state)
    assert page.errors == []
    assert len(page.requests) == 1 and page.requests[0].startswith("file://")


def test_a_detector_of_one_round_has_a_page_too(tab, tiny_category, tmp_path):
    detector = RcAEDetector(tiny_config(rcae={"depth": 1}), device="cpu")
    detector.fit(tiny_category.train, callbacks=[])
    frames, normal = record(detector, tiny_category.test), record(detector, tiny_category.train)
    state = ExplorerState(frames, normal, detector.threshold.value)
    tab.open(write_page(tmp_path / "page.html", [("explorer", state)]).as_uri())
    tab.click_pixel("residual", 9, 11, SIDE)
    state.set(depth=1, probes=[[9, 11, 0]])
    same(tab, state)
    assert tab.errors == []


def test_a_page_asks_nothing_of_the_network(page, state):
    text = page.page.content()
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]+"', text)
    assert (
        page.page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')")
        == "refused"
    )


def test_a_click_follows_a_pixel_and_another_click_lets_it_go(page, state):
    page.click_pixel("residual", 9, 21, SIDE)
    path = state.probe(9, 21)
    plots = page.page.locator(".rcae-plot svg")
    for index, name in enumerate(("value", "residual", "change")):
        spoken = plots.nth(index).get_attribute("aria-label")
        read = re.search(r"row 9 column 21: ([-\d., e]+)", spoken)[1]
        np.testing.assert_allclose(
            [float(v) for v in read.split(",")], path[name], rtol=0.006, atol=1e-9
        )
    page.click_pixel("map", 3, 4, SIDE)
    chips = page.page.locator(".rcae-chip")
    assert chips.count() == 2
    colours = [chips.nth(i).locator("i").get_attribute("style") for i in range(2)]
    assert colours[0] != colours[1]
    page.click_pixel("input", 9, 21, SIDE)  # let go: the other keeps its colour
    assert chips.count() == 1
    assert chips.nth(0).locator("i").get_attribute("style") == colours[1]


@pytest.mark.parametrize("width", [320, 640, 860, 1100])
def test_hovering_moves_no_picture(page, width):
    page.page.set_viewport_size({"width": width, "height": 900})
    before = page.place("residual", 0, 0, SIDE)
    page.page.mouse.move(*page.place("input", 9, 9, SIDE))
    page.page.get_by_text("row 9, column 9").wait_for()
    assert page.place("residual", 0, 0, SIDE) == before


def test_the_keyboard_does_what_the_pointer_does(page, state):
    page.page.locator(".rcae-panels").focus()
    for key in ("ArrowUp", "ArrowLeft", "Shift+ArrowLeft", "Enter"):
        page.page.keyboard.press(key)
    where = "in" if state.frames.masks[0, 15, 7] else "outside"
    chip = page.page.locator(".rcae-chip")
    assert chip.inner_text().split() == f"row 15, column 7, {where} the defect ✕".split()
    page.page.keyboard.press("Delete")
    assert page.page.locator(".rcae-chip").count() == 0
    page.page.locator('[data-control="depth"]').focus()
    page.page.keyboard.press("Home")
    assert page.page.locator(".rcae-slider output").first.inner_text() == "1 of 3"


def test_zoom_is_linked_and_shows_every_pixel_as_a_block(page, state):
    page.page.locator('[aria-label="zoom in"]').click()
    for name in state.panels:
        part = state.panel(name)[8:24, 8:24]
        np.testing.assert_array_equal(
            page.pixels(name), part.repeat(2, 0).repeat(2, 1), err_msg=name
        )
    x, y = page.place("input", 16, 16, SIDE)
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 300, y + 300, steps=4)
    page.page.mouse.up()
    np.testing.assert_array_equal(
        page.pixels("residual"), state.panel("residual")[:16, :16].repeat(2, 0).repeat(2, 1)
    )
    assert page.page.locator(".rcae-chip").count() == 0, "dragging is no click"


def test_it_opens_where_the_residual_shows_the_defect_best(tab, state, tmp_path):
    best = [state.clearest(image) for image in range(8)]
    state.set(image=0, depth=best[0])
    tab.open(write_page(tmp_path / "page.html", [("explorer", state)]).as_uri())
    reading, words = tab.find(".rcae-slider output").first, tab.find('[data-part="clearest"]')
    choose = tab.find('[data-control="image"]')
    for image in (0, 2, 7, 1):
        choose.select_option(index=image)
        assert reading.inner_text() == f"{best[image]} of 3"
        auroc = state.separations[image]
        if auroc is None:
            assert words.inner_text() == "No defect in this image."
        else:
            assert f"at n = {best[image]} (pixel AUROC {max(auroc):.3f}" in words.inner_text()
    moved = best[1] % 3 + 1
    tab.set("depth", moved)
    assert f"{state.separations[1][moved - 1]:.3f}" in words.inner_text()
    choose.select_option(index=2)
    assert reading.inner_text() == f"{moved} of 3", "a slider that was moved stays"


def test_the_band_is_of_the_same_place_in_normal_images(page, state):
    for row, column in ((9, 21), (2, 30)):
        page.click_pixel("residual", row, column, SIDE)
        page.page.mouse.move(0, 0)
        shapes = page.page.locator(".rcae-plot svg").nth(1).locator(".rcae-band")
        heights = shapes.evaluate_all("all => all.map(one => one.getBBox().height)")
        band = state.band(row, column)["residual"]  # (5, N)
        spans = [np.ptp(band[[0, 4]]), np.ptp(band[[1, 3]])]
        of_a_pixel = 0.2 / heights[0]  # points are drawn to a tenth of one
        np.testing.assert_allclose(heights[1] / heights[0], spans[1] / spans[0], atol=of_a_pixel)


def test_a_chip_that_is_dropped_hands_the_focus_on(page):
    for column in (5, 9):
        page.click_pixel("input", 5, column, SIDE)
    chips = page.page.locator(".rcae-chip")
    chips.nth(0).focus()
    page.page.keyboard.press("Enter")
    assert chips.count() == 1 and chips.nth(0).evaluate("one => one === document.activeElement")
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("document.activeElement.className") == "rcae-panels"


SAMPLES = """async () => {
    const canvas = document.querySelector('[data-panel="reconstruction"]');
    const read = () => canvas.getContext("2d").getImageData(0, 0, 32, 32).data.slice();
    const widget = document.querySelector(".rcae");
    const slider = document.querySelector('[data-control="depth"]');
    slider.value = 1;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    const seen = [];
    for (;;) {
        seen.push([...read()]);
        if (widget.dataset.settled === "true") return seen;
        await new Promise(requestAnimationFrame);
    }
}"""


def test_a_depth_is_morphed_into_and_ends_at_its_own_frame(page, state):
    seen = np.array(page.page.evaluate(SAMPLES)).reshape(-1, 32, 32, 4)[..., :3]
    frames = state.frames.reconstructions[0].astype(int)
    np.testing.assert_array_equal(seen[-1], frames[0])
    np.testing.assert_array_equal(seen[0], frames[2])
    away = np.abs(seen - frames[0]).sum(axis=(1, 2, 3))
    assert ((away > 0) & (away < away[0])).any(), "a cut"


def test_whoever_wants_no_motion_sees_a_cut(page):
    page.page.emulate_media(reduced_motion="reduce")
    assert len(page.page.evaluate(SAMPLES)) == 1


def test_the_explorer_has_no_barrier(page, axe, shots):
    page.click_pixel("input", 5, 5, SIDE)
    for width, scheme in LOOKS:
        assert page.look(width, scheme) and page.barriers(axe) == []
        page.page.screenshot(path=shots / f"explorer-{width}-{scheme}.png", full_page=True)


def test_play_goes_round(page):
    page.set("depth", 2)
    reading = page.page.locator(".rcae-slider output").first
    page.page.locator('[aria-label="play the depths"]').click()
    page.page.wait_for_selector('[aria-valuetext="1 of 3"]')
    page.page.locator('[aria-label="pause"]').click()
    stopped = reading.inner_text()
    page.page.wait_for_timeout(900)
    assert reading.inner_text() == stopped


@pytest.mark.parametrize("width", [320, 1400])
def test_it_fits_every_width_and_everything_has_a_name(page, width):
    page.click_pixel("input", 5, 5, SIDE)
    assert page.fits(width) and page.nameless() == []


def test_a_zoomed_picture_follows_the_cross(page, state):
    page.page.locator('[aria-label="zoom in"]').click()  # rows and columns 8 to 23 are seen
    page.page.locator(".rcae-panels").focus()
    for _ in range(10):
        page.page.keyboard.press("ArrowUp")
    page.page.get_by_text("row 6, column 16").wait_for()
    np.testing.assert_array_equal(
        page.pixels("input"), state.panel("input")[6:22, 8:24].repeat(2, 0).repeat(2, 1)
    )


def test_the_baseline_without_enhanced_frames_has_a_page_too(
    tab, tiny_baseline, tiny_category, tmp_path
):
    state = ExplorerState(record(tiny_baseline, tiny_category.test.subset([0, 5])))
    assert state.panels == ["input", "reconstruction", "residual", "map"]
    tab.open(write_page(tmp_path / "page.html", [("explorer", state)]).as_uri())
    same(tab, state)
    assert tab.errors == []


def test_names_cannot_leave_the_text(tab, tiny_detector, tiny_category, tmp_path):
    image = tiny_category.test[0].image.unsqueeze(0)
    name = "</script><script>document.title = 'broken'</script>"
    state = ExplorerState(record(tiny_detector, image, [name]))
    tab.open(
        write_page(tmp_path / "page.html", [("explorer", state)], title="a <b>title</b>").as_uri()
    )
    assert tab.page.locator("option").inner_text() == name
    assert tab.page.title() == "a <b>title</b>"


# brush.js: arrays in, arrays out

BRUSH = """async ([source, body]) => {
    const made = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
    const brush = await import(made);
    return (new Function("brush", body))(brush);
}"""


@pytest.fixture
def brush(browser):
    """Run JavaScript with the module `brush` at hand."""
    context = browser.new_context()
    page = context.new_page()
    sources = json.loads(re.search(r"^const sources = (.+);$", module("brush.js"), re.M)[1])
    yield lambda body: page.evaluate(BRUSH, [sources["brush.js"], body])
    context.close()


STROKE = """
    const base = new Uint8Array(3 * 9 * 9).fill(100);
    const stroke = new brush.Stroke(base, 9, 9, %s, {size: %s, hardness: %s, opacity: %s});
    %s
    return [...stroke.picture];
"""


def painted(
    brush, ink="brush.flat('#c80000')", size=1, hardness=1, opacity=1, moves=""
) -> np.ndarray:
    values = brush(STROKE % (ink, size, hardness, opacity, moves))
    return np.array(values, np.uint8).reshape(9, 9, 3)


def test_a_stroke_paints_once_where_it_crosses_itself(brush):
    moves = "for (const column of [1, 7, 1]) stroke.to({row: 4, column});"
    picture = painted(brush, opacity=0.5, moves=moves)
    expected = np.full((9, 9, 3), 100)
    expected[4, 1:8] = [150, 50, 50]
    np.testing.assert_array_equal(picture, expected)


def test_a_soft_brush_falls_off_and_a_hard_one_does_not(brush):
    moves = "stroke.to({row: 4, column: 4});"
    hard = painted(brush, size=7, hardness=1, moves=moves)[4, :, 0].astype(int)
    soft = painted(brush, size=7, hardness=0, moves=moves)[4, :, 0].astype(int)
    np.testing.assert_array_equal(hard, [100, 200, 200, 200, 200, 200, 200, 200, 100])
    assert soft[4] == 200 and np.all(np.diff(soft[:5])[1:] > 0)
    np.testing.assert_array_equal(soft, soft[::-1])


def test_a_line_leaves_nothing_of_the_way_it_was_drawn(brush):
    moves = "stroke.to({row: 0, column: 0}); stroke.line({row: 2, column: 2}, {row: 2, column: 6});"
    picture = painted(brush, moves=moves)
    np.testing.assert_array_equal(
        np.argwhere(picture[..., 0] != 100), [[2, c] for c in range(2, 7)]
    )


def test_eraser_and_clone_stamp_take_their_ink_from_pictures(brush):
    source = "new Uint8Array(3 * 81).map((_, i) => Math.floor(i / 3))"
    moves = "stroke.to({row: 4, column: 4});"
    erased = painted(brush, ink=f"brush.same({source}, 9)", moves=moves)
    assert erased[4, 4, 0] == 4 * 9 + 4
    cloned = painted(brush, ink=f"brush.shifted({source}, 9, 9, 2, -3)", moves=moves)
    assert cloned[4, 4, 0] == 6 * 9 + 1
    mirrored = painted(brush, ink=f"brush.shifted({source}, 9, 9, 6, 0)", moves=moves)
    assert mirrored[4, 4, 0] == 7 * 9 + 4  # row 10 of 9 is row 7 again


def test_history_goes_back_and_forth_and_forgets_the_oldest(brush):
    body = """
        const history = new brush.History(0, 3);
        for (const picture of [1, 2, 3, 4, 5]) history.add(picture);
        const seen = [];
        for (const way of ["undo", "undo", "undo", "undo", "redo"]) {
            history[way]();
            seen.push(history.present);
        }
        history.add(9);
        history.redo();
        return [...seen, history.present];
    """
    assert brush(body) == [4, 3, 2, 2, 3, 9]
