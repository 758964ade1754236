"""A real browser, and a real JupyterLab in it. Without Chromium these tests skip and say so."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pooch
import pytest

from rcae_lite import RcAEDetector
from tests.rcae_lite.conftest import tiny_baseline, tiny_category, tiny_detector

# Fixtures of the package's tests, used here too.
__all__ = ["tiny_baseline", "tiny_category", "tiny_detector"]

AXE = "axe-core-4.10.3"
AXE_SHA256 = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
PATIENCE = 120_000  # milliseconds: a machine may be busy
SCHEMES = ("light", "dark")
LOOKS = list(product((420, 760, 1180), SCHEMES))  # width of the window, colour scheme
KERNEL_IS_IDLE = """() => globalThis.jupyterapp?.shell.currentWidget?.sessionContext
    ?.session?.kernel?.status === 'idle'"""


# What a page shows is what Python computes, page by page, and once all of it in JupyterLab: these
# run in `make test`. The others are marked slow; `make test-browser` and GitHub's job run them all.
ALWAYS_RUN = {
    "test_slider_click_and_stroke_in_jupyterlab",
    "test_every_canvas_shows_the_frame_that_python_holds",
    "test_a_page_asks_nothing_of_the_network",
    "test_a_stroke_is_answered_as_pytorch_answers_it",
    "test_every_figure_is_the_one_that_the_kit_measures",
    "test_the_slider_shows_every_moment",
    "test_every_threshold_shows_what_python_counts",
    "test_a_comparison_shows_every_detectors_frames",
    "test_the_explorer_has_no_barrier",
}
OPENS_A_PAGE = {"browser", "tab"}  # fixtures


def pytest_collection_modifyitems(items):
    """Mark whatever lies in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if OPENS_A_PAGE & set(item.fixturenames) and item.originalname not in ALWAYS_RUN:
                item.add_marker(pytest.mark.slow)


@dataclass
class Tab:
    """A page of the browser that remembers its faults and its requests."""

    page: Any  # Playwright's page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    widget: Any = None  # a locator of one widget of the page

    def command(self, name: str) -> None:
        """Start a command of JupyterLab without waiting for its end."""
        self.page.evaluate("name => { jupyterapp.commands.execute(name); }", name)

    def fits(self, width: int) -> bool:
        """Make the window this wide, and tell whether nothing sticks out of it."""
        self.page.set_viewport_size({"width": width, "height": 800})
        return self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def look(self, width: int, scheme: str) -> bool:
        """Take a width and a colour scheme, and tell whether nothing sticks out of the window."""
        self.page.emulate_media(color_scheme=scheme)
        return self.fits(width)

    def nameless(self) -> list[str]:
        """List the pictures and controls that a screen reader could not name."""
        script = """() => [...document.querySelectorAll(
            "canvas, [role=img], button, input, select"
        )].filter(node => !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent.trim()
            || node.textContent.trim())).map(node => node.outerHTML)"""
        return self.page.evaluate(script)

    def barriers(self, axe: str) -> list[str]:
        """List what keeps people out: WCAG A and AA, as axe-core finds it."""
        self.page.evaluate(axe)
        return self.page.evaluate("""async () => (await axe.run({runOnly: ["wcag2a", "wcag2aa",
            "wcag21a", "wcag21aa", "wcag22aa"]})).violations.flatMap(({id, nodes}) =>
            nodes.map(({html, failureSummary}) => `${id}: ${html} ${failureSummary}`))""")

    def within(self, widget: Any) -> Tab:
        """Look at one widget only."""
        return Tab(self.page, self.errors, self.requests, widget)

    def find(self, selector: str) -> Any:
        """Locate something in the widget, or in the whole page."""
        return (self.widget or self.page).locator(selector)

    def open(self, address: str, wait_for: str = "main[data-ready]") -> None:
        """Open an address and wait until what it shows has been drawn."""
        self.page.goto(address)
        self.page.wait_for_selector(wait_for, timeout=PATIENCE)

    def pixels(self, panel: str) -> np.ndarray:
        """Read a canvas, once pictures have come to rest: (H, W, 3) uint8."""
        script = """async canvas => {
            const moving = "[data-settled=false], [data-waiting]";
            while (document.querySelector(moving)) await new Promise(requestAnimationFrame);
            return [canvas.height, canvas.width, ...canvas.getContext("2d")
                .getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
        height, width, *rgba = self.find(f'canvas[data-panel="{panel}"]').evaluate(script)
        return np.array(rgba, np.uint8).reshape(height, width, 4)[..., :3]

    def set(self, control: str, value: float | str) -> None:
        """Move a control as a user would, in the browser."""
        self.find(f'[data-control="{control}"]').fill(str(value))

    def click_pixel(self, panel: str, row: int, column: int, side: int) -> None:
        """Click the middle of a pixel of a picture with ``side`` pixels."""
        self.find(f'canvas[data-panel="{panel}"]').scroll_into_view_if_needed()
        self.page.mouse.click(*self.place(panel, row, column, side))

    def place(self, panel: str, row: int, column: int, side: int) -> tuple[float, float]:
        """Return x and y of the middle of a pixel in the window."""
        box = self.find(f'canvas[data-panel="{panel}"]').bounding_box()
        pixel = box["width"] / side
        return box["x"] + (column + 0.5) * pixel, box["y"] + (row + 0.5) * pixel


@pytest.fixture
def tab(browser) -> Iterator[Tab]:
    """Open a tab that has no network: only files, and what the page itself makes."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, offline=True)
    tab = Tab(context.new_page())
    listen(tab)
    yield tab
    context.close()


def listen(tab: Tab) -> None:
    """Write down errors and requests; blob: and data: are the page's own memory."""
    tab.page.set_default_timeout(PATIENCE)
    tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.page.on(
        "console",
        lambda message: tab.errors.append(message.text) if message.type == "error" else None,
    )
    tab.page.on(
        "request",
        lambda request: (
            tab.requests.append(request.url)
            if not request.url.startswith(("blob:", "data:"))
            else None
        ),
    )


@pytest.fixture(scope="session")
def shots() -> Path:
    """Folder for screenshots: build/screenshots in the repository, which git ignores."""
    folder = Path(__file__).parents[2] / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def axe() -> str:
    """Return axe-core, Deque's checker of accessibility, from npm."""
    address = f"https://registry.npmjs.org/axe-core/-/{AXE}.tgz"
    folder = pooch.os_cache("rcae-lite")
    try:
        archive = pooch.retrieve(address, f"sha256:{AXE_SHA256}", f"{AXE}.tgz", folder)
    except (OSError, ValueError) as error:
        pytest.skip(f"{address} cannot be fetched ({error})")
    with tarfile.open(archive) as package:
        return package.extractfile("package/axe.min.js").read().decode()


@dataclass
class Lab:
    """A running JupyterLab."""

    address: str
    token: str
    folder: Path

    def url(self, notebook: str) -> str:
        """Address of a notebook, in a workspace of its own: no tab of another one comes back."""
        name = Path(notebook).stem
        return f"{self.address}/lab/workspaces/{name}/tree/{notebook}?token={self.token}"


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory) -> Iterator[Lab]:
    """Start JupyterLab with settings and folders of its own."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    own = {
        name: str(folder / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    }
    settings = folder / "JUPYTER_CONFIG_DIR/lab/user-settings/@jupyterlab"
    for name, text in (
        ("apputils-extension/notification", '{"fetchNews": "false"}'),
        # All cells stay in the page, so that a test can find what is not in sight.
        ("notebook-extension/tracker", '{"windowingMode": "none"}'),
    ):
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    options = [
        "--no-browser",
        "--allow-root",
        "--expose-app-in-browser",
        f"--port={port}",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    log = (folder / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        cwd=folder,
        env=os.environ
        | own
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    started = Lab(f"http://127.0.0.1:{port}", token, folder)
    try:
        wait_until(lambda: _answers(started, server), "JupyterLab answers", (folder / "log"))
        yield started
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


def _answers(lab: Lab, server: subprocess.Popen) -> bool:
    assert server.poll() is None, "JupyterLab stopped"
    try:
        with urllib.request.urlopen(f"{lab.address}/api/status?token={lab.token}", timeout=2) as r:
            return "started" in json.load(r)
    except OSError:
        return False


def wait_until(condition, what: str, log: Path | None = None, seconds: float = 180) -> None:
    """Wait for a condition, and say what was waited for in vain."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            text = log.read_text()[-2000:] if log else ""
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what}\n{text}")
        time.sleep(0.1)


@pytest.fixture
def notebook(browser, lab, shots):
    """Open a notebook in JupyterLab and run all of its cells; gives the tab."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})

    def opened(name: str) -> Tab:
        tab = Tab(context.new_page())
        listen(tab)
        tab.page.goto(lab.url(name))
        tab.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE)
        tab.page.wait_for_function(KERNEL_IS_IDLE, timeout=PATIENCE)  # else Lab asks for one
        tab.command("notebook:run-all-cells")
        return tab

    yield opened
    for number, page in enumerate(context.pages):  # what was seen last, for who looks for a fault
        page.screenshot(path=shots / f"last-{number}.png")
    context.close()


@pytest.fixture(scope="session")
def saved_detector(tiny_detector, tmp_path_factory) -> Path:
    """Save the tiny detector where a kernel can load it."""
    folder = tmp_path_factory.mktemp("detector")
    RcAEDetector.save(tiny_detector, folder)
    return folder


def write_book(path, *cells):
    """Write a notebook of cells, or of code, with a kernel: no dialog asks for one."""
    code = nbformat.v4.new_code_cell
    book = nbformat.v4.new_notebook(cells=[code(c) if isinstance(c, str) else c for c in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, path)
