"""Shrink what the browser tests photographed into docs/img: ``python docs/screenshots.py``.

``make test-browser`` writes build/screenshots; the pictures come from notebook 08 in JupyterLab, so
they show synthetic images.
"""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
NAMES = ("explorer", "painter", "comparison", "threshold")
WIDTH = 900  # pixels


def main() -> None:
    """Write each screenshot with 256 colours, no wider than the README shows it."""
    for name in NAMES:
        picture = Image.open(ROOT / "build" / "screenshots" / f"{name}.png").convert("RGB")
        picture.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
        target = ROOT / "docs" / "img" / f"{name}.png"
        picture.quantize(256).save(target, optimize=True)
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
