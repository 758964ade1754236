"""Latencies of the widgets: stroke to refreshed map, slider to frame, creation; memory of strokes.

    python benchmarks/widget_latency.py > results/widget-latency.md
    python benchmarks/widget_latency.py --before COMMIT > results/widget-latency.md

With a commit, its widgets are measured in the same run, just before those of the working tree. Each
takes the detectors that it ships. The browser is Chromium, headless, on the CPU.
"""

import argparse
import gc
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ipywidgets import Widget
from playwright.sync_api import sync_playwright
from setting import command

from data_utils import open_category
from rcae_lite.example import load_example
from rcae_lite.storage.provenance import code_version
from rcae_lite.study.summary import markdown_table
from rcae_lite.widgets import RecursionExplorer
from rcae_lite.widgets.page import write_page
from rcae_lite.widgets.paint import write_paint_page
from rcae_lite.widgets.state.explorer import ExplorerState
from rcae_lite.widgets.state.frames import record
from rcae_lite.widgets.state.painter import PainterState

ROOT = Path(__file__).parents[1]
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
    const picture = (event) => event.detail.painted ?? event.detail.picture ?? event;
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


def in_python() -> dict[str, str]:
    """Measure strokes of the painter, and what an explorer takes and leaves in a notebook."""
    state = PainterState(load_example(), torch.full((3, 128, 128), 0.5))
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
    growth = resident() - before

    noise = torch.from_numpy(np.random.default_rng(0).random((50, 3, 128, 128), np.float32))
    start = time.perf_counter()
    explorer = RecursionExplorer(load_example(), noise)
    creation = time.perf_counter() - start
    saved = sum(image["frames"] is not None for image in explorer.data["images"])
    return {
        "stroke to refreshed map, trajectory and score in Python (DefectPainter)": (
            milliseconds(times)
        ),
        f"memory gained from stroke 10 to stroke {STROKES}": f"{growth:.1f} MB",
        "creation of RecursionExplorer, 50 noise images": f"{creation:.1f} s",
        "images of these that a notebook keeps; the kernel has the others": str(saved),
        "saved size, 12 test images (RecursionExplorer)": f"{saved_size(12):.1f} MB",
    }


def saved_size(images: int) -> float:
    """MB that a notebook keeps of an explorer on test images of the shipped detector."""
    category = open_category("synthetic", size=128)
    places = np.linspace(0, len(category.test) - 1, images).astype(int)
    shown, normal = category.test.subset(places), category.train.subset(range(12))
    explorer = RecursionExplorer(load_example(), shown, normal=normal)
    return len(json.dumps(Widget.get_manager_state(widgets=[explorer]))) / 1e6


def in_pages(folder: Path) -> dict[str, str]:
    """Measure the pages that need no Python."""
    images = torch.from_numpy(np.random.default_rng(0).random((6, 3, 128, 128), np.float32))
    state = ExplorerState(record(load_example(), images), None, 1.0)
    explorer = write_page(folder / "page.html", [("explorer", state)])
    paint = write_paint_page(load_example(), images[0], folder / "paint.html", "paint")
    return {
        "slider to frame in Chromium (five canvases)": (
            milliseconds(in_chromium(explorer, SLIDER))
        ),
        "stroke to map in `rcae explore --paint` (Chromium, one thread)": (
            milliseconds(in_chromium(paint, STROKE))
        ),
        "size of that page": f"{paint.stat().st_size / 1e6:.1f} MB",
    }


def in_story(folder: Path) -> dict[str, str]:
    """Measure the Forgetting Machine; nothing where a commit does not have it."""
    if importlib.util.find_spec("rcae_lite.widgets.story") is None:
        return {}
    from rcae_lite.widgets.story import story_of_example

    story = story_of_example(folder / "story.html")
    stroke, (rate,) = in_chromium(story, STROKE), in_chromium(story, MORPH, "no-preference")
    return {
        "stroke to map in `rcae explore --story`": milliseconds(stroke),
        "frames a second while its rounds are played": f"{rate:.0f}",
        "size of its page": f"{story.stat().st_size / 1e6:.1f} MB",
    }


def measured() -> dict[str, str]:
    """Measure everything: what, and how it came out."""
    with tempfile.TemporaryDirectory() as folder:
        return in_python() | in_pages(Path(folder)) | in_story(Path(folder))


def measured_at(commit: str) -> dict[str, str]:
    """Measure the widgets of a commit, in a process and a work tree of their own."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            found = subprocess.run(
                [sys.executable, __file__, "--json"],
                env=os.environ | {"PYTHONPATH": str(tree)},
                cwd=tree,
                check=True,
                stdout=subprocess.PIPE,
            )
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    result: dict[str, str] = json.loads(found.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", metavar="COMMIT", help="measure its widgets, too")
    parser.add_argument("--json", action="store_true", help="print the figures alone")
    args = parser.parse_args()
    if args.json:
        print(json.dumps(measured()))
        return
    columns = {}
    if args.before:
        columns[f"before, at {args.before}"] = measured_at(args.before)
    columns["now"] = measured()
    rows = [[what, *(one.get(what, "-") for one in columns.values())] for what in columns["now"]]
    table = "\n".join(markdown_table(["what", *columns], rows))
    print(f"""# Latencies of the widgets at 128x128, N = {load_example().config.rcae.depth}

`{command()}`, code {code_version()}, torch {torch.__version__} on
{torch.get_num_threads()} CPU threads; load of the machine: {os.getloadavg()[0]:.1f} processes on
{os.cpu_count()} cores.

{table}""")


if __name__ == "__main__":
    main()
