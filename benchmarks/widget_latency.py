"""Latencies of the widgets: stroke to refreshed map, slider to frame, creation; memory of strokes.

    python benchmarks/widget_latency.py [DETECTOR] > results/widget-latency.md

DETECTOR is a folder with detector.json; without one, an untrained detector of the preset demo is
used, which computes as long as a trained one. The browser is Chromium, headless, on the CPU.
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ipywidgets import Widget
from playwright.sync_api import sync_playwright
from setting import command

from data_utils import open_category
from rcae_lite import RcAEDetector
from rcae_lite.evaluation.thresholds import Threshold
from rcae_lite.example import load_example
from rcae_lite.storage.provenance import code_version
from rcae_lite.widgets import RecursionExplorer
from rcae_lite.widgets.page import write_page
from rcae_lite.widgets.paint import write_paint_page
from rcae_lite.widgets.state.explorer import ExplorerState
from rcae_lite.widgets.state.frames import record
from rcae_lite.widgets.state.painter import PainterState
from rcae_lite.widgets.story import story_of_example

STROKES = 100
PATIENCE = 300_000  # milliseconds

# How long until a canvas shows another depth: from the slider's event to the drawn pixels.
SLIDER = """async () => {
    const slider = document.querySelector('[data-control="depth"]');
    const times = [];
    for (let i = 0; i < 50; i += 1) {
        slider.value = 1 + (i % 5);
        const start = performance.now();
        slider.dispatchEvent(new Event("input", {bubbles: true}));
        times.push(performance.now() - start);
        await new Promise(requestAnimationFrame);
    }
    return times;
}"""

# How long until the detector in the page has answered a painted image.
STROKE = """async () => {
    const main = document.querySelector("main");
    const stage = document.querySelector(
        'canvas[data-panel="paint"], canvas[data-panel="main"]').parentElement;
    const picture = (event) => event.detail.painted ?? event.detail.picture;
    const times = [];
    let [last, answer] = [null, () => {}];
    main.addEventListener("rcae-result", (event) => {
        if (picture(event) !== last) answer();  // else more about the stroke before
        last = picture(event);
    });
    for (let i = 0; i < 12; i += 1) {
        const answered = new Promise((resolve) => (answer = resolve));
        await new Promise((resolve) => setTimeout(resolve, 500));
        const box = stage.getBoundingClientRect();
        const at = {clientX: box.left + box.width * (0.2 + 0.05 * i),
                    clientY: box.top + 0.5 * box.height, bubbles: true, button: 0, pointerId: 1};
        stage.setPointerCapture = () => {};
        stage.dispatchEvent(new PointerEvent("pointerdown", at));
        const start = performance.now();
        stage.dispatchEvent(new PointerEvent("pointerup", at));
        await answered;
        times.push(performance.now() - start);
    }
    return times;
}"""

# Frames a second while the story's rounds are played.
MORPH = """async () => {
    const play = document.querySelector(".story-play");
    const frame = () => new Promise(requestAnimationFrame);
    while (play.title === "pause") await frame();
    play.click();
    const start = performance.now();
    let frames = 0;
    for (; performance.now() - start < 3000; frames += 1) await frame();
    return [(1000 * frames) / (performance.now() - start)];
}"""


def resident() -> float:
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def milliseconds(times: list[float]) -> str:
    """Median and the slowest, the first one (a warm-up) left out."""
    return f"{statistics.median(times[1:]):.0f} ms (slowest {max(times[1:]):.0f} ms)"


def strokes(detector: RcAEDetector) -> tuple[list[float], float]:
    """Paint one line after the other; seconds of each answer, and MB gained after the first ten."""
    state = PainterState(detector, torch.full((3, 128, 128), 0.5))
    painted, times, before = state.original.copy(), [], 0.0
    for number in range(STROKES):
        painted[number, 20:100] = (200, 30, 30)
        start = time.perf_counter()
        state.paint(painted)
        state.result()
        times.append(1000 * (time.perf_counter() - start))
        if number == 9:
            gc.collect()
            before = resident()
    gc.collect()
    return times, resident() - before


def saved_size(images: int) -> float:
    """MB that a notebook keeps of an explorer on test images of the shipped detector."""
    category = open_category("synthetic", size=128)
    places = np.linspace(0, len(category.test) - 1, images).astype(int)
    shown, normal = category.test.subset(places), category.train.subset(range(12))
    explorer = RecursionExplorer(load_example(), shown, normal=normal)
    return len(json.dumps(Widget.get_manager_state(widgets=[explorer]))) / 1e6


def in_chromium(page: Path, script: str, motion: str = "reduce") -> list[float]:
    """Open a page from disk, without network, and run a script in it."""
    with sync_playwright() as playwright:
        path = os.environ.get("RCAE_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        window = {"width": 1200, "height": 900}
        context = browser.new_context(offline=True, viewport=window, reduced_motion=motion)
        tab = context.new_page()
        tab.goto(page.as_uri())
        tab.wait_for_selector("main[data-ready]", timeout=PATIENCE)
        times = tab.evaluate(script)
        browser.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detector", nargs="?", type=Path)
    args = parser.parse_args()
    if args.detector:
        detector = RcAEDetector.load(args.detector, device="cpu")
    else:
        detector = RcAEDetector.from_preset("demo", device="cpu")
        detector.threshold = Threshold(1.0, 0.05)
    images = torch.from_numpy(np.random.default_rng(0).random((50, 3, 128, 128), np.float32))

    start = time.perf_counter()
    explorer = RecursionExplorer(detector, images)
    creation = time.perf_counter() - start
    sent = sum(image["frames"] is not None for image in explorer.data["images"])
    made = explorer.state.stack(0).nbytes * len(images)
    times, growth = strokes(detector)

    with tempfile.TemporaryDirectory() as folder:
        frames = record(detector, images[:6])
        page = write_page(
            Path(folder) / "page.html", [("explorer", ExplorerState(frames, None, 1.0))]
        )
        slider = in_chromium(page, SLIDER)
        paint = write_paint_page(detector, images[0], Path(folder) / "paint.html", "paint")
        size = paint.stat().st_size / 1e6
        stroke = in_chromium(paint, STROKE)
        story = story_of_example(Path(folder) / "story.html")
        in_story, (rate,) = in_chromium(story, STROKE), in_chromium(story, MORPH, "no-preference")
        story_size = story.stat().st_size / 1e6
    without_python = "stroke to map without Python (`rcae explore --paint`, Chromium, one thread)"

    print(f"""# Latencies of the widgets at 128x128, N = {detector.config.rcae.depth}

`{command()}`, code {code_version()}, torch {torch.__version__} on
{torch.get_num_threads()} CPU threads; load of the machine: {os.getloadavg()[0]:.1f} processes on
{os.cpu_count()} cores.

| what | measured |
|---|---|
| stroke to refreshed map, trajectory and score in Python (DefectPainter) | {milliseconds(times)} |
| memory gained from stroke 10 to stroke {STROKES} | {growth:.1f} MB |
| slider to frame in Chromium (five canvases) | {milliseconds(slider)} |
| creation of RecursionExplorer, 50 noise images, {made / 1e6:.0f} MB of frames | {creation:.1f} s |
| images of these that are saved in a notebook; the others come from the kernel | {sent} |
| saved size, 12 test images of the shipped detector (RecursionExplorer) | {saved_size(12):.1f} MB |
| {without_python} | {milliseconds(stroke)} |
| size of that page | {size:.1f} MB |
| the same in `rcae explore --story`, of the shipped detectors | {milliseconds(in_story)} |
| frames a second while its rounds are played | {rate:.0f} |
| size of that page | {story_size:.1f} MB |""")


if __name__ == "__main__":
    main()
