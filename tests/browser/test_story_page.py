"""The Forgetting Machine in Chromium: every control, and every figure against the kit's own."""

import base64
import io
import json
import re
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from data_utils import KitError
from rcae_lite.baselines import resize_trajectory
from rcae_lite.evaluation.restoration import copied_share, error_outside, structured_pixels
from rcae_lite.widgets.packing import module
from rcae_lite.widgets.story import write_story_page
from tests.browser.conftest import PATIENCE, SCHEMES, wait_until

SIDE = 32
pytestmark = pytest.mark.timeout(900)  # two models are exported

LISTEN = """() => document.querySelector("main").addEventListener("rcae-result", ({detail}) => {
    const text = (values) => btoa(String.fromCharCode(...new Uint8Array(values.buffer)));
    window.count = (window.count ?? 0) + 1;
    window.seen = {
        painted: text(detail.painted.slice()), mask: text(detail.mask.slice()),
        map: text(detail.verdicts.detector.map.slice()), score: detail.verdicts.detector.score,
        networks: Object.fromEntries(Object.entries(detail.networks).map(
            ([name, {copied, error, strokes}]) => [name, {copied, error, strokes}])),
        both: Boolean(detail.verdicts.single),
    };
})"""


@pytest.fixture(scope="module")
def file(tiny_detector, tiny_baseline, tiny_category, traced_once, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    path = tmp_path_factory.mktemp("story") / "story.html"
    try:
        image = tiny_category.train[0].image
        return write_story_page(tiny_detector, image, path, tiny_baseline)
    except KitError as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture
def page(tab, file):
    """Open the story; after the test there must be no fault and no request."""
    tab.page.emulate_media(reduced_motion="reduce")  # the stage jumps, so that a test need not wait
    tab.open(file.as_uri())
    tab.page.evaluate(LISTEN)
    tab.page.locator('[data-live="first"]').wait_for(state="attached")
    wait_until(lambda: tab.page.locator(".story-now").count() == 1, "a step is being read")
    yield tab
    assert tab.errors == []
    assert [address for address in tab.requests if not address.startswith("file://")] == []


def t(tab) -> float:
    return float(tab.page.locator('[data-control="t"]').input_value())


def read(tab, name: str, dtype: type) -> np.ndarray:
    return np.frombuffer(base64.b64decode(tab.page.evaluate(f"window.seen.{name}")), dtype)


def choose(tab, network: str) -> None:
    tab.page.locator(f'input[value="{network}"]').check()


def paint(tab) -> None:
    """Draw one stroke, and wait until both detectors have answered."""
    tab.page.evaluate("window.seen = undefined")
    tab.page.locator('[data-panel="main"]').scroll_into_view_if_needed()
    tab.page.mouse.move(*tab.place("main", 8, 20, SIDE))
    tab.page.mouse.down()
    tab.page.mouse.move(*tab.place("main", 20, 24, SIDE), steps=5)
    tab.page.mouse.up()
    wait_until(lambda: tab.page.evaluate("window.seen?.both"), "the networks answer")


def planes(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values.reshape(SIDE, SIDE, 3)).permute(2, 0, 1).unsqueeze(0) / 255


def test_every_figure_is_the_one_that_the_kit_measures(
    page, tiny_detector, tiny_baseline, tiny_category
):
    tab = page
    original = (255 * tiny_category.train[0].image).round().permute(1, 2, 0).numpy()
    clean = planes(original.astype(np.uint8))
    paint(tab)
    painted = planes(read(tab, "painted", np.uint8))
    mask = torch.tensor(read(tab, "mask", np.uint8).reshape(1, 1, SIDE, SIDE)).bool()
    assert 20 < mask.sum() < 200
    changed = (painted - clean).abs().amax(dim=1, keepdim=True) > 0.02
    assert torch.equal(mask, changed)

    depth = tiny_detector.config.rcae.depth
    seen, unpainted = tiny_detector.trajectory(painted), tiny_detector.trajectory(clean)
    expected = {
        "rcae": (seen.reconstructions, unpainted.reconstructions),
        "dpn": (seen.enhanced, unpainted.enhanced),
        "single": tuple(tiny_baseline.trajectory(x).reconstructions for x in (painted, clean)),
        "resize": tuple(resize_trajectory(x, depth) for x in (painted, clean)),
    }
    found = tab.page.evaluate("window.seen.networks")
    assert found.keys() == expected.keys()
    for name, (restored, of_clean) in expected.items():
        share = copied_share(restored, of_clean, painted, clean, mask).tolist()
        error = error_outside(restored, clean, mask, structured=True).tolist()
        assert found[name]["copied"] == pytest.approx([1, *share], abs=2e-3), name
        # 8 bits leave ties where the structured fifth ends; each side breaks them its way
        assert found[name]["error"] == pytest.approx([0, *error], rel=2e-2), name
    detection = tiny_detector.predict(painted)
    anomaly_map = read(tab, "map", np.float32).reshape(SIDE, SIDE)
    np.testing.assert_allclose(anomaly_map, detection.anomaly_map[0].numpy(), atol=1e-3)
    assert tab.page.evaluate("window.seen.score") == pytest.approx(float(detection.score), abs=1e-3)

    alarm = float(detection.score) > tiny_detector.threshold.value
    verdict = tab.page.locator(".story-verdict").inner_text()
    assert verdict.startswith("Alarm: score" if alarm else "No alarm: score")
    said = tab.page.locator('[data-step="stroke"] [data-live="stroke"]').text_content()
    assert f"{100 * found['rcae']['copied'][1]:.0f}%" in said


MEASURE = """async ([source, side, depth, values]) => {
    const made = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
    const {resizeTrajectory, structuredPixels} = await import(made);
    const images = Float32Array.from(values);
    return [[...resizeTrajectory(images, side, 2 * side, depth)],
            [...structuredPixels(images, side, 2 * side)]];
}"""


def test_resizing_and_structure_are_those_of_the_kit(browser):
    images = torch.rand(1, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    sources = json.loads(re.search(r"^const sources = (.+);$", module("measure.js"), re.M)[1])
    page = browser.new_page()
    resized, structured = page.evaluate(
        MEASURE, [sources["measure.js"], 16, 3, images.flatten().tolist()]
    )
    page.close()
    expected = resize_trajectory(images, 3)
    np.testing.assert_allclose(resized, expected.flatten().numpy(), atol=1e-6)
    np.testing.assert_array_equal(structured, structured_pixels(images).flatten().int().numpy())


def test_the_slider_by_mouse_and_by_key(page):
    tab = page
    slider = tab.page.locator('[data-control="t"]')
    box = slider.bounding_box()
    tab.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
    assert 1.3 < t(tab) < 1.7
    assert slider.get_attribute("aria-valuetext").startswith("between n = 1 and 2")
    between = tab.pixels("main").astype(int)
    frames = {}
    for key, expected in (("ArrowRight", 2), ("ArrowLeft", 1), ("Home", 0), ("End", 3)):
        tab.page.keyboard.press(key)
        assert t(tab) == expected
        frames[expected] = tab.pixels("main").astype(int)
    assert re.match(
        r"n = 3 of 3, \d+% of the stroke is left", slider.get_attribute("aria-valuetext")
    )
    low, high = np.minimum(frames[1], frames[2]), np.maximum(frames[1], frames[2])
    assert ((low - 1 <= between) & (between <= high + 1)).all(), "a cross-fade of rounds 1 and 2"
    assert np.abs(frames[0] - frames[3]).max() > 20


def test_play_goes_through_all_rounds_and_pauses(page):
    tab = page
    tab.page.emulate_media(reduced_motion="no-preference")
    tab.page.locator('[data-control="t"]').focus()
    tab.page.keyboard.press("Home")
    wait_until(lambda: t(tab) == 0, "back at the picture")
    tab.page.get_by_label("play the rounds").click()
    wait_until(lambda: t(tab) > 0.3, "the rounds are played")
    tab.page.get_by_label("pause").click()
    stopped = t(tab)
    tab.page.wait_for_timeout(400)
    assert t(tab) == stopped
    tab.page.locator('[data-control="t"]').focus()
    tab.page.keyboard.press(" ")
    wait_until(lambda: t(tab) == 3, "the last round")
    tab.page.get_by_label("play the rounds").wait_for()


def test_a_stroke_changes_picture_curves_and_map_and_can_be_undone(page):
    tab = page
    names = ("main", "defect", "map")
    before = {name: tab.pixels(name) for name in names}
    curve = tab.page.locator(".story-reading.defect svg").get_attribute("aria-label")
    tab.page.locator('[data-ink="strange"]').click()
    tab.set("size", 4)
    paint(tab)
    for name in names:
        assert (tab.pixels(name) != before[name]).any(), name
    assert tab.page.locator(".story-reading.defect svg").get_attribute("aria-label") != curve
    assert t(tab) == 3, "the rounds of the new picture are shown"
    tab.page.locator(".story-sheet").focus()
    tab.page.evaluate("window.seen = undefined")
    tab.page.keyboard.press("Control+z")
    wait_until(lambda: tab.page.evaluate("window.seen?.both"), "the networks answer")
    for name in names:
        np.testing.assert_array_equal(tab.pixels(name), before[name], err_msg=name)


def test_a_curve_tells_its_points_to_the_keyboard(page):
    tab = page
    tab.set("t", 2.5)
    svg = tab.page.locator(".story-reading.defect svg")
    said = svg.get_attribute("aria-label")
    left = [int(share) for share in re.findall(r"n = \d: (\d+)%", said)]
    words = tab.page.locator(".story-reading.defect .rcae-words")
    svg.focus()
    tab.page.keyboard.press("End")
    where, value = words.inner_text().split(": ")
    assert where == "RcAE, n = 2.5"
    assert min(left[2:]) - 1 <= int(value.rstrip("%")) <= max(left[2:]) + 1
    for n, share in reversed(list(enumerate(left))):
        tab.page.keyboard.press("ArrowLeft")
        assert words.inner_text() == f"RcAE, n = {n}: {share}%"


def test_a_table_keeps_its_caption_and_has_a_line_for_each_network(page):
    table = page.page.locator('[data-table="blur"]')
    wait_until(lambda: table.locator("tbody tr").count() == 4, "the networks answer")
    assert table.locator("caption").text_content() == "On the picture in front of you"
    assert page.page.locator('[data-table="first"] caption').text_content().startswith("RcAE")


def test_painting_by_key_and_a_clean_picture(page):
    tab = page
    tab.page.get_by_role("button", name="take all paint off").click()
    tab.page.get_by_text("nothing painted").wait_for()
    assert "Nothing is painted" in tab.page.locator('[data-live="rounds"]').text_content()
    tab.page.evaluate("window.seen = undefined")
    tab.page.locator(".story-sheet").focus()
    for key in (" ", "Shift+ArrowUp", "Shift+ArrowLeft", " "):
        tab.page.keyboard.press(key)
    wait_until(lambda: tab.page.evaluate("window.seen?.both"), "the networks answer")
    assert read(tab, "mask", np.uint8).reshape(SIDE, SIDE)[8:16, 16].any()


def test_each_network_shows_its_own_copy_and_the_single_pass_one_round(page):
    tab = page
    shown = {}
    for name in ("rcae", "dpn", "resize", "single"):
        choose(tab, name)
        tab.page.locator('[data-control="t"]').focus()
        tab.page.keyboard.press("End")
        shown[name] = tab.pixels("main")
        assert t(tab) == (1 if name == "single" else 3)
    assert "(single pass)" in tab.page.locator(".story-verdict").inner_text()
    names = list(shown)
    for i, name in enumerate(names):
        for other in names[:i]:
            assert (shown[name] != shown[other]).any(), (name, other)
    tab.page.locator('input[value="difference"]').check()
    assert "how far the copy" in tab.page.locator('[data-panel="main"]').get_attribute("aria-label")


DROP = """async ([text]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "mine.png", {type: "image/png"}));
    document.querySelector(".story-stage").dispatchEvent(
        new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_a_picture_is_dropped_and_one_that_is_none_is_refused(page):
    tab = page
    tab.page.evaluate("window.seen = undefined")
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (200, 60, 20)).save(buffer, "PNG")
    tab.page.evaluate(DROP, [base64.b64encode(buffer.getvalue()).decode()])
    wait_until(lambda: tab.page.evaluate("window.seen?.both"), "the networks answer")
    assert set(map(tuple, read(tab, "painted", np.uint8).reshape(-1, 3))) == {(200, 60, 20)}
    assert not read(tab, "mask", np.uint8).any()
    tab.page.evaluate(DROP, [base64.b64encode(b"no picture").decode()])
    tab.page.get_by_text("mine.png is no picture that this browser can read").wait_for()


def scroll_to(tab, step: str) -> None:
    tab.page.evaluate(
        """step => {
            const stage = document.querySelector(".story-stage");
            const above = stage.offsetWidth > 0.9 * innerWidth ? stage.offsetHeight : 0;
            const top = document.querySelector(`[data-step="${step}"]`).getBoundingClientRect().top;
            scrollBy(0, top - above);
        }""",
        step,
    )
    wait_until(
        lambda: tab.page.locator(".story-now").get_attribute("data-step") == step, f"step {step}"
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_each_step_sets_the_stage_and_a_stroke_of_the_reader_stays(page, width):
    tab = page
    tab.page.set_viewport_size({"width": width, "height": 844})

    def stage() -> tuple:
        checked = tab.page.locator("input[type=radio]:checked")
        return (*[checked.nth(i).input_value() for i in range(2)], t(tab))

    for step, expected in (
        ("round", ("rcae", "picture", 1)),
        ("rounds", ("rcae", "picture", 3)),
        ("first", ("rcae", "picture", 1)),
        ("blur", ("resize", "picture", 3)),
        ("alarm", ("dpn", "difference", 3)),
        ("stroke", ("rcae", "picture", 1)),
    ):
        scroll_to(tab, step)
        wait_until(lambda expected=expected: stage() == expected, f"{step}: {expected}", seconds=20)
        if step == "first":
            assert tab.page.locator(".story-sheet text").count() == 4, "four strokes, numbered"
    paint(tab)
    mine = read(tab, "painted", np.uint8)
    scroll_to(tab, "first")
    wait_until(lambda: t(tab) == 1, "round 1")
    tab.page.locator('[data-panel="main"]').scroll_into_view_if_needed()
    np.testing.assert_array_equal(read(tab, "painted", np.uint8), mine)
    tab.page.evaluate("window.seen = undefined")
    tab.page.locator('[data-preset="four"]').evaluate("button => button.click()")
    wait_until(lambda: tab.page.evaluate("window.seen?.both"), "the networks answer")
    assert (read(tab, "painted", np.uint8) != mine).any()


def test_no_barrier_and_nothing_beside_the_window(page, axe, shots):
    for width, scheme in product((390, 820, 1280), SCHEMES):
        assert page.look(width, scheme) and page.fits(320) and page.fits(width)
        assert page.nameless() == []
        assert page.barriers(axe) == []
        page.page.screenshot(path=shots / f"story-{width}-{scheme}.png")


def test_the_page_says_why_it_cannot_start(tab, file, tmp_path):
    text = file.read_text(encoding="utf-8")
    broken = re.sub(r'"wasm": "[^"]+"', '"wasm": "H4sIAAAAAAAAAwMAAAAAAAAAAAA="', text)
    assert broken != text
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    tab.page.goto((tmp_path / "broken.html").as_uri())
    tab.page.get_by_text("The networks cannot run in this browser").wait_for(timeout=PATIENCE)
