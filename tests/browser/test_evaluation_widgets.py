"""ThresholdExplorer and ModelComparison in a page: what they show is what Python holds."""

import re

import numpy as np
import pytest

from rcae_lite.widgets.page import write_page
from rcae_lite.widgets.state.comparison import compare
from rcae_lite.widgets.state.threshold import ThresholdState


@pytest.fixture(scope="module")
def evaluation(tiny_detector, tiny_category):
    return tiny_detector.evaluate(tiny_category.test)


@pytest.fixture
def threshold(tab, evaluation, tiny_category, tmp_path) -> ThresholdState:
    state = ThresholdState(evaluation, tiny_category.test)
    tab.open(write_page(tmp_path / "page.html", [("threshold", state)]).as_uri())
    return state


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def check(tab, state: ThresholdState) -> None:
    """Compare all that the page says with the state."""
    counts = state.confusion()
    table = numbers(tab.page.locator(".rcae-confusion tbody").inner_text())
    assert table == list(vars(counts).values())
    shown = tab.page.locator(".rcae-rate output")
    for place, rate in enumerate((state.false_alarms(), state.detections())):
        percent = numbers(shown.nth(place).inner_text())[2:]
        expected = [100 * rate.value, 100 * rate.low, 100 * rate.high]
        np.testing.assert_allclose(percent, expected, atol=0.051)
    pictures = tab.page.locator(".rcae-gallery canvas")
    wrong = sum(state.mistakes(), [])
    assert [int(p.get_attribute("data-image")) for p in pictures.all()] == wrong
    spoken = tab.page.locator('[data-part="pro"] svg').get_attribute("aria-label")
    x, y = numbers(spoken.split("threshold ")[1])
    np.testing.assert_allclose([x, y], [100 * part for part in state.pro_point()], atol=0.051)


def test_every_threshold_shows_what_python_counts(tab, threshold):
    check(tab, threshold)
    scores = np.sort(threshold.scores)
    for value in (scores[1:] + scores[:-1]) / 2:  # a slider cannot hold every last digit
        tab.set("threshold", repr(float(value)))
        threshold.set(threshold=float(value))
        check(tab, threshold)
    assert tab.errors == [] and len(tab.requests) == 1


def test_the_line_can_be_dragged_and_goes_back_to_the_mark(tab, threshold):
    chart = tab.page.locator('[data-part="histogram"] svg')
    box = chart.bounding_box()
    tab.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 50)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + 2 * box["width"], box["y"] + 50, steps=4)
    tab.page.mouse.up()
    table = tab.page.locator(".rcae-confusion tbody")
    assert numbers(table.inner_text()) == [4, 0, 4, 0]  # beyond the highest score: all normal
    tab.page.get_by_role("button", name="normal images").click()
    check(tab, threshold)


def test_the_keyboard_moves_the_threshold(tab, threshold):
    slider = tab.page.locator('[data-control="threshold"]')
    slider.focus()
    tab.page.keyboard.press("Home")
    assert numbers(tab.page.locator(".rcae-confusion tbody").inner_text()) == [0, 4, 0, 4]


def test_a_comparison_shows_every_detectors_frames(
    tab, tiny_detector, tiny_baseline, tiny_category, tmp_path
):
    test = tiny_category.test.subset([0, 3, 5])
    state = compare({"RcAE": tiny_detector, "single pass": tiny_baseline}, test)
    tab.open(write_page(tmp_path / "page.html", [("comparison", state)]).as_uri())
    for image in range(3):
        tab.page.locator('[data-control="image"]').select_option(index=image)
        for depth in (1, 2, 3):
            tab.set("depth", depth)
            state.set(image=image, depth=depth)
            for index in range(2):
                for name in ("reconstruction", "residual", "map"):
                    shown = tab.pixels(f"{index}-{name}")
                    np.testing.assert_array_equal(shown, state.panel(index, name))
    tab.page.locator('[aria-label="zoom in"]').click()
    for index in range(2):
        part = state.panel(index, "map")[8:24, 8:24]
        np.testing.assert_array_equal(
            tab.pixels(f"{index}-map"), part.repeat(2, 0).repeat(2, 1), "zoom is linked"
        )
    assert tab.errors == [] and len(tab.requests) == 1


@pytest.mark.parametrize("width", [320, 1400])
def test_they_fit_every_width_and_everything_has_a_name(
    tab, evaluation, tiny_detector, tiny_baseline, tiny_category, tmp_path, width
):
    test = tiny_category.test
    both = [
        ("threshold", ThresholdState(evaluation, test)),
        ("comparison", compare({"RcAE": tiny_detector, "single pass": tiny_baseline}, test)),
    ]
    tab.open(write_page(tmp_path / "page.html", both).as_uri())
    assert tab.fits(width) and tab.nameless() == []
