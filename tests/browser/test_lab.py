"""The widgets in a real JupyterLab: what its canvases show is what the kernel's Python holds."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest

from rcae_lite.exercises.quiz import read_quiz
from tests.browser.conftest import PATIENCE, wait_until, write_book
from tests.notebooks.shortened import DRAW_FEW, shorten

SIDE = 32

SETUP = """
import torch
torch.set_num_threads(1)
from rcae_lite import RcAEDetector
from rcae_lite.widgets import DefectPainter, RecursionExplorer
RecursionExplorer.SAVED = 0  # so the kernel is asked for all images but the first
detector = RcAEDetector.load({folder!r}, device="cpu")
images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
"""

# Appended to whatever notebook is tested: every change of a widget is written down by the kernel.
WATCH = """
import json, os, numpy
from pathlib import Path

def write_down(name, widget):
    state = widget.state
    shown = {panel: state.panel(panel) for panel in getattr(state, "panels", [])}
    if hasattr(state, "mask"):
        shown |= {"paint": state.frames.images[0], "mask": state.mask}
    numpy.savez(f".{name}.npz", values=json.dumps(state.values), **shown)
    os.replace(f".{name}.npz", f"{name}.npz")

for name in ("explorer", "painter"):
    widget = globals()[name]
    write_down(name, widget)
    widget.observe(lambda _, name=name, widget=widget: write_down(name, widget))
"""


TOUR = Path(__file__).parents[2] / "notebooks" / "08_explore_the_recursion.ipynb"


@pytest.fixture
def tour(lab):
    """Notebook 08 itself, with the settings for tests; gives its name."""
    book = nbformat.read(TOUR, as_version=4)
    shorten(book, TOUR.name[:2])
    book.cells.append(nbformat.v4.new_code_cell(WATCH))
    nbformat.write(book, lab.folder / TOUR.name)
    return TOUR.name


@pytest.fixture
def written(lab, saved_detector):
    """Write a notebook with both widgets; gives its name."""
    cells = [
        SETUP.format(folder=str(saved_detector)),
        "explorer = RecursionExplorer(detector, images, normal=images)\nexplorer",
        "painter = DefectPainter(detector, images[0], folder='part')\npainter",
        WATCH,
    ]
    write_book(lab.folder / "widgets.ipynb", *cells)
    return "widgets.ipynb"


def held(lab, name: str) -> dict[str, np.ndarray]:
    """What the kernel wrote down last."""
    with np.load(lab.folder / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def values(lab, name: str) -> dict:
    return json.loads(str(held(lab, name)["values"]))


@pytest.mark.timeout(600)
def test_slider_click_and_stroke_in_jupyterlab(notebook, lab, written, shots):
    tab = notebook(written)
    explorer = tab.page.locator('.rcae[aria-label="Recursion explorer"][data-ready]')
    painter = tab.page.locator('.rcae[aria-label="Defect painter"][data-ready]')
    explorer.wait_for(timeout=PATIENCE)
    wait_until((lab.folder / "painter.npz").exists, "the last cell has run", lab.folder / "log")

    # The slider.
    explorer.scroll_into_view_if_needed()
    explorer.locator('[data-control="image"]').select_option(index=2)
    explorer.locator('[data-control="depth"]').fill("2")
    explorer.locator('[data-control="opacity"]').fill("0.5")
    wait_until(
        lambda: (
            values(lab, "explorer") | {"image": 2, "depth": 2, "opacity": 0.5}
            == values(lab, "explorer")
        ),
        "the kernel follows the slider",
    )
    frames = held(lab, "explorer")
    for panel in ("input", "reconstruction", "enhanced", "residual", "map"):
        np.testing.assert_array_equal(tab.within(explorer).pixels(panel), frames[panel], panel)

    # A pixel.
    tab.within(explorer).click_pixel("residual", 7, 19, SIDE)
    wait_until(lambda: values(lab, "explorer")["probes"] == [[7, 19, 0]], "the probe arrives")
    # A stroke.
    painter.scroll_into_view_if_needed()
    painter.locator('[data-control="size"]').fill("4")
    canvas = tab.within(painter)
    tab.page.mouse.move(*canvas.place("paint", 10, 6, SIDE))
    tab.page.mouse.down()
    tab.page.mouse.move(*canvas.place("paint", 10, 24, SIDE), steps=6)
    tab.page.mouse.up()
    wait_until(lambda: held(lab, "painter")["mask"].any(), "the stroke arrives")
    result = held(lab, "painter")
    np.testing.assert_array_equal(canvas.pixels("paint"), result["paint"])
    rows = np.flatnonzero(result["mask"].any(axis=1))
    assert 8 <= rows.min() <= 10 <= rows.max() <= 12, rows
    painter.get_by_text("IoU").wait_for()
    painter.get_by_role("button", name="undo").click()
    wait_until(lambda: not held(lab, "painter")["mask"].any(), "undo arrives")
    painter.locator('[data-control="size"]').focus()
    tab.page.keyboard.press("Control+Shift+Z")
    wait_until(lambda: held(lab, "painter")["mask"].any(), "redo by keyboard arrives")
    tab.page.keyboard.press("Control+z")
    wait_until(lambda: not held(lab, "painter")["mask"].any(), "undo by keyboard arrives")
    painter.get_by_role("button", name="random").click()
    wait_until(lambda: held(lab, "painter")["mask"].any(), "a random defect arrives")
    painter.get_by_role("button", name="save").click()
    wait_until((lab.folder / "part/test/painted/000.png").exists, "the pair is saved")
    assert (lab.folder / "part/ground_truth/painted/000_mask.png").exists()
    assert (lab.folder / "part/test/good/000.png").exists()

    # All frames of this image are on this side: scrubbing needs no kernel.
    expected = held(lab, "explorer")["residual"]
    tab.command("notebook:shutdown-kernel")
    tab.page.wait_for_timeout(1000)
    explorer.scroll_into_view_if_needed()
    explorer.locator('[data-control="depth"]').fill("3")
    assert (tab.within(explorer).pixels("residual") != expected).any()
    explorer.locator('[data-control="depth"]').fill("2")
    np.testing.assert_array_equal(tab.within(explorer).pixels("residual"), expected)


@pytest.mark.slow  # `make test-browser` runs it
@pytest.mark.timeout(900)
def test_the_guided_tour_of_notebook_08(notebook, lab, tour, shots):
    """Slider, click and stroke in the notebook as it is shipped, and what it looks like."""
    tab = notebook(tour)
    explorer = tab.page.locator('.rcae[aria-label="Recursion explorer"][data-ready]')
    explorer.wait_for(timeout=PATIENCE)
    wait_until((lab.folder / "painter.npz").exists, "the last cell has run", lab.folder / "log")

    explorer.scroll_into_view_if_needed()
    explorer.locator('[data-control="depth"]').fill("3")
    wait_until(lambda: values(lab, "explorer")["depth"] == 3, "the kernel follows the slider")
    frames = held(lab, "explorer")
    for panel in ("input", "reconstruction", "enhanced", "residual", "map"):
        np.testing.assert_array_equal(tab.within(explorer).pixels(panel), frames[panel], panel)
    for row, column in ((40, 64), (90, 20)):
        tab.within(explorer).click_pixel("residual", row, column, 128)
    wait_until(
        lambda: values(lab, "explorer")["probes"] == [[40, 64, 0], [90, 20, 1]], "probes arrive"
    )
    explorer.screenshot(path=shots / "explorer.png")

    painter = tab.page.locator('.rcae[aria-label="Defect painter"][data-ready]')
    painter.scroll_into_view_if_needed()
    painter.locator('[data-control="size"]').fill("5")
    canvas = tab.within(painter)
    tab.page.mouse.move(*canvas.place("paint", 84, 40, 128))
    tab.page.mouse.down()
    tab.page.mouse.move(*canvas.place("paint", 40, 84, 128), steps=8)
    tab.page.mouse.up()
    wait_until(lambda: held(lab, "painter")["mask"].any(), "the stroke arrives")
    np.testing.assert_array_equal(canvas.pixels("paint"), held(lab, "painter")["paint"])
    painter.get_by_text("IoU").wait_for()
    tab.page.set_viewport_size({"width": 1280, "height": 1500})
    painter.screenshot(path=shots / "painter.png")

    for label, name in (("Model comparison", "comparison"), ("Threshold explorer", "threshold")):
        widget = tab.page.locator(f'.rcae[aria-label="{label}"][data-ready]')
        widget.scroll_into_view_if_needed()
        widget.screenshot(path=shots / f"{name}.png")


QUESTIONS = """
from rcae_lite.widgets import Predictions
predict = Predictions("03")
from IPython.display import display
display(predict.number("parameters", "times as many", 1, 10))
display(predict.choice("gone", ["n = 1", "n = 2", "never"]))
"""


@pytest.mark.timeout(600)
def test_a_prediction_is_made_and_kept_in_jupyterlab(notebook, lab, shots):
    write_book(lab.folder / "predictions.ipynb", QUESTIONS)
    page = notebook("predictions.ipynb").page
    kept = lab.folder / "predictions.json"

    def predictions():
        return json.loads(kept.read_text())["predictions"] if kept.exists() else {}

    page.get_by_role("button", name="n = 2").click(timeout=PATIENCE)
    wait_until(lambda: "03.gone" in predictions(), "the choice is kept", lab.folder / "log")
    handle = page.locator(".noUi-handle-lower").first
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    wait_until(
        lambda: (predictions().get("03.parameters", {}).get("interval") or [1, 10])[0] > 1.5,
        "the lower end is kept",
    )
    assert predictions()["03.gone"]["choice"] == "n = 2"
    assert predictions()["03.parameters"]["interval"][1] == 10
    page.screenshot(path=shots / "predictions.png")


@pytest.mark.timeout(600)
def test_a_quiz_answers_a_click_and_the_keyboard_in_jupyterlab(notebook, lab, shots):
    asked = "from rcae_lite.widgets import quiz\nquiz('03')"
    write_book(lab.folder / "quiz.ipynb", asked)
    tab = notebook("quiz.ipynb")
    page, box = tab.page, tab.page.locator(".rcae-quiz")
    first = read_quiz("03").questions[0].options
    right = next(option for option in first if option.right)

    wrong = box.get_by_role("button", name=first[0].text.replace("`", ""))
    wrong.click(timeout=PATIENCE)
    box.get_by_role("status").filter(has_text="Not yet. " + first[0].feedback[:20]).wait_for()
    page.keyboard.press("Tab")  # from the first option to the second, which is right
    focused = box.locator("button:focus")
    assert focused.inner_text() == right.text
    page.keyboard.press("Enter")
    box.get_by_role("status").filter(has_text="Right. " + right.feedback[:20]).wait_for()
    box.get_by_role("status").filter(has_text="1 of 4 solved").wait_for()
    for button in box.get_by_role("button").all():
        held = button.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
        assert held, f"{button.inner_text()!r} is cut off"
    box.screenshot(path=shots / "quiz.png")


LADDER = """
import json, torch
from pathlib import Path
torch.set_num_threads(1)
from data_utils import open_category
from rcae_lite.example import load_example
from rcae_lite.study.ladder import ladder
from rcae_lite.widgets import ComponentLadder
category = open_category("synthetic", size=128)
found = ladder(load_example(), load_example("single_pass"), category.train, category.test)
def table(rung):
    differences = {str(p): str(rung.over(other)) for p, other in found.measured.items()}
    return {"auroc": str(rung.auroc), "differences": differences}
text = json.dumps({str(parts): table(rung) for parts, rung in found.measured.items()})
Path("ladder.json").write_text(text)
ComponentLadder(found)
"""


@pytest.mark.timeout(600)
def test_parts_are_ticked_on_and_off_in_jupyterlab(notebook, lab, shots):
    write_book(lab.folder / "ladder.ipynb", DRAW_FEW, LADDER)
    page = notebook("ladder.ipynb").page
    table = page.locator("table.rcae-ladder")
    table.wait_for(timeout=PATIENCE)
    measured = json.loads((lab.folder / "ladder.json").read_text())

    def shows(now, reference):
        """Wait for the table to say what these two give, in the kernel's figures."""
        table.get_by_text(now, exact=True).wait_for()
        table.get_by_text(f"compared with: {reference}", exact=True).wait_for()
        text = table.inner_text().replace("+0", "0").replace("\t", " ")
        assert measured[now]["auroc"] in text and measured[reference]["auroc"] in text
        assert measured[now]["differences"][reference] in text

    dpn, crd = page.get_by_label("DPN"), page.get_by_label("CRD")
    shows("RcAE, n = 3", "single pass")
    assert crd.is_disabled() and page.get_by_text("tick DPN first").is_visible()
    pictures = page.locator("div.rcae-ladder img")
    before = pictures.nth(2).get_attribute("src")
    dpn.focus()
    page.keyboard.press("Space")
    shows("RcAE, n = 3 + DPN", "single pass")
    assert pictures.nth(2).get_attribute("src") != before
    page.get_by_role("button", name="the reference").click()
    shows("RcAE, n = 3 + DPN", "RcAE, n = 3 + DPN")
    crd.check()
    shows("RcAE, n = 3 + DPN + CRD", "RcAE, n = 3 + DPN")
    assert dpn.is_disabled()
    page.locator(".jp-OutputArea-output", has=table).screenshot(path=shots / "ladder.png")


MONITOR = """
import torch
torch.set_num_threads(1)
from data_utils import open_category
from rcae_lite import RcAEDetector
from rcae_lite.widgets import TrainingMonitor
from tests.rcae_lite.conftest import tiny_config
detector = RcAEDetector(tiny_config(**{"rcae.steps": 5000}), 0, "cpu")
TrainingMonitor(detector, open_category("synthetic", size=32).train, "checkpoint")
"""


@pytest.mark.timeout(600)
def test_a_training_is_stopped_and_resumed_in_jupyterlab(notebook, lab, shots):
    write_book(lab.folder / "monitor.ipynb", DRAW_FEW, MONITOR)
    page = notebook("monitor.ipynb").page
    monitor = page.locator('.rcae[aria-label="Training monitor"]')
    start = monitor.get_by_role("button", name="start or resume")
    stop = monitor.get_by_role("button", name="stop the training")

    def step() -> int:
        text = monitor.locator('[data-part="rest"]').inner_text()
        return int(text.split()[1]) if text.startswith("step ") else 0

    start.click(timeout=PATIENCE)
    wait_until(lambda: step() > 20, "it trains", lab.folder / "log")
    stop.click()
    start.filter(has_text="Resume").wait_for(timeout=PATIENCE)
    stopped = step()
    assert 20 < stopped < 5000 and (lab.folder / "checkpoint" / "detector.json").exists()

    def goes_on() -> bool:
        assert step() >= stopped, "it began anew"
        return step() > stopped

    start.click()
    wait_until(goes_on, "it goes on where it stopped", lab.folder / "log")
    stop.click()
    start.filter(has_text="Resume").wait_for(timeout=PATIENCE)
    monitor.screenshot(path=shots / "monitor-lab.png")
