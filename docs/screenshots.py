"""The screenshots in docs/img, all of synthetic images.

    python docs/screenshots.py           # shrink what the browser tests photographed of notebook 08
    python docs/screenshots.py story     # photograph The Forgetting Machine (needs Chromium)

``make test-browser`` writes build/screenshots.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the tests know where Chromium is
NAMES = ("explorer", "painter", "comparison", "threshold")
WIDTH = 900  # pixels


def shrink(name: str) -> None:
    """Write a screenshot with 256 colours, no wider than the README shows it."""
    picture = Image.open(ROOT / "build" / "screenshots" / f"{name}.png").convert("RGB")
    picture.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
    target = ROOT / "docs" / "img" / f"{name}.png"
    picture.quantize(256).save(target, optimize=True)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1024:.0f} KiB")


def photograph_story() -> None:
    """Open the story page of the shipped detector as it greets a reader, and photograph it."""
    from playwright.sync_api import sync_playwright

    from rcae_lite.widgets.story import story_of_example
    from tests.conftest import chromium

    target = ROOT / "build" / "screenshots" / "story.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = story_of_example(Path(folder) / "story.html")
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        page.goto(file.as_uri())
        page.locator('[data-live="first"]').filter(has_text="%").wait_for(timeout=120_000)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["story"]:
        photograph_story()
    for chosen in sys.argv[1:] or NAMES:
        shrink(chosen)
