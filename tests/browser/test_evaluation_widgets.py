"""ThresholdExplorer and ModelComparison in a page: what they show is what Python holds."""

import re

import numpy as np
import pytest

from rcae_lite.widgets.page import write_page
from rcae_lite.widgets.state.comparison import compare
from rcae_lite.widgets.state.threshold import ThresholdState
from tests.browser.conftest import LOOKS
from tests.rcae_lite.evaluation.test_results import make_evaluation


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
    price = tab.page.locator(".rcae-prices output").inner_text()
    assert numbers(price)[0] == pytest.approx(state.cost(), rel=0.006)
    found, said = state.confusion(), numbers(words(tab, "strip").split(":")[1])
    positives = [found.false_positives, found.true_positives]
    assert [said[0], said[2]] == positives and words(tab, "roc") == words(tab, "strip")


def words(tab, part: str) -> str:
    """What a slider says of itself."""
    return tab.page.locator(f'[data-part="{part}"] svg').get_attribute("aria-valuetext")


def marks(tab) -> dict[str, int]:
    """How many marks of each kind the strip shows, no two at the same place."""
    script = """svg => [...svg.querySelectorAll("path, circle:not(.rcae-ring)")].map(mark =>
        [mark.tagName, mark.getAttribute("fill"), mark.getAttribute("d"),
         mark.getAttribute("cx"), mark.getAttribute("cy")].join())"""
    seen = tab.page.locator('[data-part="strip"] svg').evaluate(script)
    assert len(set(seen)) == len(seen)
    kinds = {"path": "defective", "circle,none": "held out", "circle,var(--normal)": "normal"}
    named = [next(kinds[key] for key in kinds if one.startswith(key)) for one in seen]
    return {name: named.count(name) for name in sorted(set(named))}


def test_every_threshold_shows_what_python_counts(tab, threshold):
    check(tab, threshold)
    scores = np.sort(threshold.scores)
    for value in (scores[1:] + scores[:-1]) / 2:  # a slider cannot hold every last digit
        tab.set("threshold", repr(float(value)))
        threshold.set(threshold=float(value))
        check(tab, threshold)
    assert tab.errors == [] and len(tab.requests) == 1


def test_the_line_can_be_dragged_and_goes_back_to_the_mark(tab, threshold):
    chart = tab.page.locator('[data-part="strip"] svg')
    box = chart.bounding_box()
    tab.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 50)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + 2 * box["width"], box["y"] + 50, steps=4)
    tab.page.mouse.up()
    table = tab.page.locator(".rcae-confusion tbody")
    assert numbers(table.inner_text()) == [4, 0, 4, 0]  # beyond the highest score: all normal
    tab.page.get_by_role("button", name="normal images").click()
    check(tab, threshold)


@pytest.mark.parametrize("width", [420, 1180])
def test_thirty_normals_are_thirty_marks(tab, tmp_path, width):
    state = ThresholdState(make_evaluation(30, 21))
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.open(write_page(tmp_path / "page.html", [("threshold", state)]).as_uri())
    assert marks(tab) == {"defective": 21, "held out": 19, "normal": 30}


def test_the_operating_point_is_dragged_to_what_a_threshold_can_reach(tab, threshold):
    roc = tab.page.locator('[data-part="roc"] svg')
    roc.scroll_into_view_if_needed()
    box = roc.bounding_box()
    left, right, top, floor = box["x"] + 40, box["x"] + box["width"] - 10, 8, 154
    tab.page.mouse.move((left + right) / 2, box["y"] + floor)
    tab.page.mouse.down()
    seen = set()
    for share in np.linspace(0, 1, 9):
        place = left + share * (right - left), box["y"] + floor + share * (top - floor)
        tab.page.mouse.move(*place)
        tab.page.mouse.move(place[0], place[1] + 1)
        alarms, found = (numbers(words(tab, "roc"))[place] for place in (1, 3))
        reachable = [
            (
                (threshold.scores > step)[threshold.labels == 0].sum(),
                (threshold.scores > step)[threshold.labels == 1].sum(),
            )
            for step in threshold.steps
        ]
        assert (alarms, found) in reachable
        away = [np.hypot(x / 4 - share, (y / 4 - share) * 146 / 290) for x, y in reachable]
        best = np.hypot(alarms / 4 - share, (found / 4 - share) * 146 / 290)
        assert best <= min(away) + 0.02
        seen.add((alarms, found))
    tab.page.mouse.up()
    assert len(seen) > 2
    assert tab.errors == []


@pytest.mark.parametrize(("part", "forward", "home"), [("strip", 1, "Home"), ("roc", -1, "End")])
def test_the_arrow_keys_go_to_where_something_changes(tab, threshold, part, forward, home):
    svg = tab.page.locator(f'[data-part="{part}"] svg')
    svg.focus()
    tab.page.keyboard.press(home)
    key = "ArrowRight" if forward == 1 else "ArrowLeft"
    for step in threshold.steps:
        threshold.set(threshold=float(step))
        check(tab, threshold)
        shown = tab.page.locator(f'[data-part="{part}"] .rcae-words')
        assert shown.inner_text() == words(tab, part)
        tab.page.keyboard.press(key)
    check(tab, threshold)  # it stays at the end


def test_the_keyboard_moves_the_threshold(tab, threshold):
    slider = tab.page.locator('[data-control="threshold"]')
    slider.focus()
    tab.page.keyboard.press("Home")
    assert numbers(tab.page.locator(".rcae-confusion tbody").inner_text()) == [0, 4, 0, 4]


@pytest.mark.parametrize("prices", [(50, 2, 50), (1, 40, 50), (50, 2, 1), (1, 1, 0)])
def test_costs_that_are_typed_have_the_cheapest_threshold_of_python(tab, threshold, prices):
    for name, value in zip(("cost_missed", "cost_alarm", "share"), prices, strict=True):
        tab.set(name, value)
        threshold.set(**{name: value / 100 if name == "share" else float(value)})
    tab.page.get_by_role("button", name="cheapest").click()
    threshold.set(threshold=threshold.cheapest())
    check(tab, threshold)
    said = tab.page.locator(".rcae-controls .rcae-hint").inner_text()
    assert said.startswith("the cheapest on this test set: on new images expect it to cost more")


def test_a_price_that_is_none_changes_nothing(tab, threshold):
    tab.set("cost_missed", "0")
    check(tab, threshold)
    tab.page.keyboard.press("Tab")
    assert tab.page.locator('[data-control="cost_missed"]').input_value() == "1"


def test_an_image_opens_large_steps_and_gives_the_focus_back(tab, threshold):
    tab.set("threshold", float(threshold.low))  # four false alarms
    thumbnails = tab.page.locator(".rcae-gallery button")
    thumbnails.nth(1).focus()
    tab.page.keyboard.press("Enter")
    dialog = tab.page.get_by_role("dialog")
    threshold.set(threshold=threshold.low)
    order = threshold.mistakes()[0]
    for place in (1, 2, 1):
        image = threshold.evaluation.images[order[place]]
        assert dialog.get_attribute("aria-label") == image.path
        assert f"{place + 1} of 4" in dialog.inner_text()
        assert "wrongly called defective" in dialog.inner_text()
        canvas = dialog.locator("canvas")
        assert canvas.get_attribute("data-image") == str(order[place])
        assert canvas.bounding_box()["width"] > 250
        tab.page.keyboard.press("ArrowRight" if place == 1 else "ArrowLeft")
    tab.page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert thumbnails.nth(1).evaluate("node => node === document.activeElement")


def test_a_mark_says_what_it_is_and_opens_the_image(tab, threshold):
    svg = tab.page.locator('[data-part="strip"] svg')
    places = svg.locator("path").evaluate_all(
        "marks => marks.map(m => m.getBoundingClientRect()).map(b => [b.x + b.width / 2, b.y + 3])"
    )
    before = words(tab, "strip")
    for place in places:
        tab.page.mouse.move(*place)
        text = tab.page.locator('[data-part="strip"] .rcae-words').inner_text()
        name, kind, score = re.fullmatch(r"(.+): (\w+), score (\S+)", text).groups()
        tab.page.mouse.click(*place)
        dialog = tab.page.get_by_role("dialog")
        assert dialog.get_attribute("aria-label") == name
        assert f"defective, {kind}; score {score}" in dialog.inner_text()
        tab.page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
    assert words(tab, "strip") == before, "a click moves no threshold"
    svg.focus()
    tab.page.keyboard.press("Enter")
    assert tab.page.get_by_role("dialog").count() == 1
    assert tab.errors == []


def test_every_plot_names_its_points(tab, threshold):
    for part in ("pro", "cost"):
        svg = tab.page.locator(f'[data-part="{part}"] svg')
        told = tab.page.locator(f'[data-part="{part}"] .rcae-words')
        svg.scroll_into_view_if_needed()
        svg.focus()
        tab.page.keyboard.press("End")
        last = told.inner_text()
        tab.page.keyboard.press("ArrowLeft")
        assert told.inner_text() != last and told.get_attribute("aria-hidden") == "true"
        tab.page.keyboard.press("Escape")
        assert not told.is_visible()
        svg.hover()
        assert told.is_visible() and tab.fits(1100)
    steps = [float(step) for step in threshold.steps]
    said = numbers(told.inner_text())
    assert min(abs(said[0] - abs(step)) for step in steps) < 0.01 * abs(said[0]) + 1e-6


def test_the_threshold_explorer_has_no_barrier(tab, threshold, axe, shots):
    for width, scheme in LOOKS:
        assert tab.look(width, scheme) and tab.barriers(axe) == []
        tab.page.screenshot(path=shots / f"threshold-{width}-{scheme}.png", full_page=True)
    tab.page.locator('[data-part="strip"] svg').focus()
    tab.page.keyboard.press("Enter")
    for width, scheme in LOOKS:
        assert tab.look(width, scheme) and tab.barriers(axe) == []
        tab.page.screenshot(path=shots / f"threshold-open-{width}-{scheme}.png")


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


@pytest.fixture
def comparison(tab, tiny_detector, tiny_baseline, tiny_category, tmp_path):
    """Open a comparison of all test images; gives its state."""
    state = compare({"RcAE": tiny_detector, "single pass": tiny_baseline}, tiny_category.test)
    tab.open(write_page(tmp_path / "page.html", [("comparison", state)]).as_uri())
    return state


def test_every_dot_has_a_name_and_chooses_its_image(tab, comparison):
    names = comparison.compared[0].frames.names
    rows = tab.find('[role="radiogroup"]')
    for row in range(2):
        scores = comparison.relative_scores(row)
        for image in range(8):
            dot = rows.nth(row).locator(f'[data-image="{image}"]')
            name = dot.get_attribute("aria-label")
            assert names[image] in name and name.endswith(f"of {['RcAE', 'single pass'][row]}")
            np.testing.assert_allclose(numbers(name.split(": ")[1])[0], scores[image], rtol=0.005)
            dot.evaluate("dot => dot.click()")  # others may lie over it
            assert (
                tab.find('[data-control="image"]').evaluate("list => list.selectedIndex") == image
            )
            checked = rows.locator('[aria-checked="true"]').evaluate_all(
                "all => all.map(dot => Number(dot.dataset.image))"
            )
            assert checked == [image, image]
            verdict = tab.find(".rcae-row output").nth(row).inner_text()
            assert verdict.endswith("defective" if scores[image] > 1 else "normal")
            comparison.set(image=image)
            shown = tab.pixels(f"{row}-map")
            np.testing.assert_array_equal(shown, comparison.panel(row, "map"))


def test_the_keyboard_goes_from_dot_to_dot_by_score(tab, comparison):
    order = np.argsort(comparison.relative_scores(1), kind="stable").tolist()
    chosen = tab.find('[role="radiogroup"]').nth(1).locator('[tabindex="0"]')
    chosen.focus()
    tab.page.keyboard.press("Home")
    for image in order:
        assert tab.page.evaluate("Number(document.activeElement.dataset.image)") == image
        tab.page.keyboard.press("ArrowRight")
    assert tab.page.evaluate("Number(document.activeElement.dataset.image)") == order[-1]
    assert chosen.count() == 1, "one stop for the tabulator"
    words = tab.find(".rcae-told-here:visible")
    assert comparison.compared[0].frames.names[order[-1]] in words.inner_text()


def test_like_stands_beside_like_and_what_is_missing_is_said(tab, comparison):
    for kind in ("reconstruction", "residual", "map"):
        panels = tab.find(f'[data-part="{kind}"] canvas')
        assert [p.get_attribute("data-panel") for p in panels.all()] == [f"0-{kind}", f"1-{kind}"]
        first, second = (panels.nth(i).bounding_box() for i in range(2))
        assert first["y"] == second["y"] and first["x"] < second["x"]
    tab.set("depth", 2)
    names = tab.find('[data-part="residual"] figcaption').all_inner_texts()
    assert names == ["RcAE", "single pass"]
    depths = tab.find('[data-part="residual"] .rcae-note .rcae-hint').all_inner_texts()
    assert depths == ["n = 2", "n = 1, it has no n = 2"]
    assert "CRD" in tab.find('[data-part="map"]').inner_text()


def test_the_keyboard_moves_all_pictures_of_a_comparison(tab, comparison):
    tab.find(".rcae-systems").focus()
    tab.page.keyboard.press("+")  # rows and columns 8 to 23 are seen
    for _ in range(10):
        tab.page.keyboard.press("ArrowUp")
    for index in range(2):
        part = comparison.panel(index, "residual")[6:22, 8:24].repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(tab.pixels(f"{index}-residual"), part)


def test_the_comparison_has_no_barrier(tab, comparison, axe, shots):
    for width, scheme in LOOKS:
        assert tab.look(width, scheme) and tab.barriers(axe) == []
        tab.page.screenshot(path=shots / f"comparison-{width}-{scheme}.png", full_page=True)


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
