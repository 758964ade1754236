"""TrainingMonitor in Chromium, its messages played back: what it shows is what Python holds."""

import base64

import numpy as np
import pytest

from rcae_lite.detector import RcAEDetector
from rcae_lite.widgets.packing import module, pack_for_page, style
from rcae_lite.widgets.state.monitor import MonitorState
from tests.browser.conftest import LOOKS
from tests.rcae_lite.conftest import tiny_config

PLAY = """async ({ text, data, progress, messages }) => {
    const { default: widget } = await import(URL.createObjectURL(
        new Blob([text], { type: "text/javascript" })));
    const listeners = {};
    const values = { data, progress, moment: 0 };
    window.sent = [];
    window.model = {
        get: name => values[name], on: (event, f) => (listeners[event] ??= []).push(f),
        set: (name, value) => { values[name] = value;
            for (const f of listeners[`change:${name}`] ?? []) f(); },
        save_changes: () => {}, send: message => window.sent.push(message),
    };
    await widget.render({ model, el: document.querySelector("main") });
    for (const { frames, ...content } of messages) {
        const bytes = Uint8Array.from(atob(frames), letter => letter.charCodeAt(0));
        for (const f of listeners["msg:custom"]) f(content, [new DataView(bytes.buffer)]);
    }
    model.set("progress", progress);
}"""


@pytest.fixture(scope="module")
def watched(tiny_category, tmp_path_factory) -> MonitorState:
    detector = RcAEDetector(tiny_config(), 0, "cpu")
    folder = tmp_path_factory.mktemp("monitor") / "checkpoint"
    state = MonitorState(detector, tiny_category.train, folder)
    state.start()
    state.join()
    assert (state.status, state.message) == ("finished", "")
    return state


@pytest.fixture
def monitor(tab, watched):
    """Show a training that has been watched to its end."""
    tab.page.set_content(
        f"<!doctype html><html lang='en'><head><title>a training</title><style>{style()}</style>"
        "</head><body class='rcae-page'><main></main></body></html>"
    )
    messages = []
    for index, moment in enumerate(watched.moments):
        frames = base64.b64encode(moment.frames.tobytes()).decode()
        known = {"index": index, "shape": moment.frames.shape, "frames": frames}
        messages.append(moment.data() | known)
    played = {"data": pack_for_page(watched.data()), "progress": watched.progress()}
    played |= {"text": module("monitor.js"), "messages": messages}
    tab.page.evaluate(PLAY, played)
    return tab


def chart(tab, index: int):
    return tab.page.locator(".rcae-curves svg").nth(index)


def told(tab, index: int) -> str:
    return tab.page.locator(".rcae-curves .rcae-words").nth(index).inner_text()


def test_the_slider_shows_every_moment(monitor, watched):
    for index, moment in enumerate(watched.moments):
        monitor.set("moment", index)
        names = ["moment-map"] if moment.stage == "crd" else ["picture-1", "picture-2", "picture-3"]
        for frame, name in zip(moment.frames, names, strict=True):
            np.testing.assert_array_equal(monitor.pixels(name), frame)
        spoken = chart(monitor, 0).get_attribute("aria-label")
        stage = {"rcae": "RcAE", "dpn": "DPN", "crd": "CRD"}[moment.stage]
        assert spoken.startswith(f"loss of {stage} over 6 steps")
    np.testing.assert_array_equal(monitor.pixels("input"), watched.data()["image"])
    assert monitor.page.locator(".rcae-border").first.get_attribute("d"), "the painted defect"
    assert monitor.errors == [] and monitor.requests == []


def test_erasure_and_error_are_drawn_and_named_point_by_point(monitor, watched):
    measured = [moment for moment in watched.moments if moment.erasure is not None]
    assert {moment.stage for moment in measured} == {"rcae", "dpn"}
    for index, key in ((1, "erasure"), (2, "error")):
        svg = chart(monitor, index)
        assert svg.locator("polyline").count() == 2, "a line for each stage"
        svg.focus()
        monitor.page.keyboard.press("Home")
        for moment in measured:
            where, value = told(monitor, index).split(": ")
            stage = {"rcae": "RcAE", "dpn": "DPN"}[moment.stage]
            assert where == f"{stage}, step {moment.step}"
            assert float(value) == pytest.approx(getattr(moment, key), rel=0.006)
            monitor.page.keyboard.press("ArrowRight")
        monitor.page.keyboard.press("Escape")
        assert not monitor.page.locator(".rcae-words:visible").count()


def test_the_pointer_gets_the_nearest_step_and_its_loss(monitor, watched):
    monitor.set("moment", 0)
    box = chart(monitor, 0).bounding_box()
    for step, loss in watched.losses["rcae"]:
        x = box["x"] + 40 + (box["width"] - 50) * step / 6
        monitor.page.mouse.move(x, box["y"] + 60)
        where, value = told(monitor, 0).split(": loss ")
        assert where == f"step {step}" and float(value) == pytest.approx(loss, rel=0.006)
        words = monitor.page.locator(".rcae-words:visible").bounding_box()
        assert words["x"] >= box["x"] - 1
        assert words["x"] + words["width"] <= box["x"] + box["width"] + 1


def test_charts_have_their_natural_size_beside_the_pictures(monitor):
    monitor.page.set_viewport_size({"width": 1180, "height": 900})
    charts = [chart(monitor, index).bounding_box() for index in range(3)]
    assert [box["width"] for box in charts] == [280, 280, 280]
    picture = monitor.page.locator('canvas[data-panel="input"]').bounding_box()
    assert picture["x"] > charts[0]["x"] + 280
    assert picture["y"] < charts[2]["y"]


def test_the_buttons_ask_and_the_time_left_is_told(monitor):
    page = monitor.page
    running = {"status": "running", "stage": "dpn", "done": 2, "steps": 6, "seconds_left": 184}
    page.evaluate("news => model.set('progress', { ...model.get('progress'), ...news })", running)
    rest = page.locator('[data-part="rest"]')
    assert rest.inner_text() == "step 2 of 6, about 3 min left in this stage, then CRD"
    assert page.get_by_role("button", name="start or resume").is_disabled()
    page.get_by_role("button", name="stop the training").click()
    stopped = {"status": "stopped", "seconds_left": None}
    page.evaluate("news => model.set('progress', { ...model.get('progress'), ...news })", stopped)
    resume = page.get_by_role("button", name="start or resume")
    assert rest.inner_text() == "step 2 of 6" and resume.inner_text() == "Resume"
    resume.focus()
    page.keyboard.press("Enter")
    asked = page.evaluate("sent.map(message => message.type)")
    assert asked == ["moments", "stop", "start"]


def test_no_barrier_and_nothing_beside_the_window(monitor, axe, shots):
    monitor.set("moment", 3)
    for width, scheme in LOOKS:
        assert monitor.fits(320) and monitor.look(width, scheme)
        assert monitor.nameless() == [] and monitor.barriers(axe) == []
        monitor.page.screenshot(path=shots / f"monitor-{width}-{scheme}.png", full_page=True)
