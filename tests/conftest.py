"""Small fake data sets in every layout, real ones where they are at hand, what did not run."""

import csv
import hashlib
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from data_utils import synthetic

ROOT = Path(__file__).parents[1]
SIDE = (12, 20)  # height, width
# Of a synthetic category, where it is not looked at closely: to draw all of it takes 10 seconds.
FEW_IMAGES = {"TRAIN_IMAGES": 16, "TEST_GOOD": 6, "TEST_DEFECTIVE": 14}

Save = Callable[..., Path]


@pytest.fixture
def save_image() -> Save:
    """Write random pixels, different for every path and seed, and return the path."""

    def save(path: Path, *, seed: int = 0, size: tuple[int, int] = SIDE, kind: str = "") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        entropy = [seed, *f"{path.parent.name}/{path.name}".encode()]
        pixels = np.random.default_rng(entropy).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format=kind or None)
        return path

    return save


@pytest.fixture
def save_mask() -> Save:
    """Write a mask whose rectangle (rows 2 to 5, columns 3 to 9) has a value, and return it."""

    def save(path: Path, *, value: int = 255, size: tuple[int, int] = SIDE, left: int = 3) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros(size, dtype=np.uint8)
        pixels[2:6, left : left + 7] = value
        Image.fromarray(pixels).save(path)
        return path

    return save


@pytest.fixture
def mvtec_root(tmp_path: Path, save_image: Save, save_mask: Save) -> Path:
    """Two categories, two defects; image 002 of `crack` has no mask; some files are no images."""
    root = tmp_path / "mvtec"
    for category in ("bottle", "screw"):
        base = root / category
        for index in range(3):
            save_image(base / f"train/good/{index:03d}.png")
        for index in range(2):
            save_image(base / f"test/good/{index:03d}.png")
        for defect, count in (("crack", 3), ("stain", 1)):
            for index in range(count):
                save_image(base / f"test/{defect}/{index:03d}.png")
        save_mask(base / "ground_truth/crack/000_mask.png")
        save_mask(base / "ground_truth/crack/001_mask.png")
        save_mask(base / "ground_truth/stain/000_mask.png")
        (base / "readme.txt").write_text("text")
        (base / "train/good/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (base / "train/good/._000.png").write_bytes(b"\0\5\26\7")
        (base / "test/good/Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "license.txt").write_text("CC BY-NC-SA 4.0")
    (root / "__empty").mkdir()
    return root


@pytest.fixture
def visa_root(tmp_path: Path, save_image: Save, save_mask: Save) -> Path:
    """One category, and a second one that the table does not name; class ids in the mask."""
    root = tmp_path / "visa"
    rows = []
    for index, split in enumerate(["train", "train", "train", "test", "test"]):
        name = f"candle/Data/Images/Normal/{index:04d}.JPG"
        save_image(root / name, kind="JPEG")
        rows.append(["candle", split, "normal", name, ""])
    name, mask = "candle/Data/Images/Anomaly/000.JPG", "candle/Data/Masks/Anomaly/000.png"
    save_image(root / name, kind="JPEG")
    save_mask(root / mask, value=2)
    rows.append(["candle", "test", "anomaly", name, mask])
    save_image(root / "other/Data/Images/Normal/0000.JPG", kind="JPEG")
    (root / "split_csv").mkdir()
    with (root / "split_csv" / "1cls.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["object", "split", "label", "image", "mask"], *rows])
    return root


@pytest.fixture
def btad_root(tmp_path: Path, save_image: Save, save_mask: Save) -> Path:
    """One category; image and mask have different extensions."""
    base = tmp_path / "btad" / "01"
    for index in range(2):
        save_image(base / f"train/ok/{index:04d}.bmp")
    save_image(base / "test/ok/0000.bmp")
    save_image(base / "test/ko/0000.bmp")
    save_image(base / "test/ko/0001.png")
    save_mask(base / "ground_truth/ko/0000.png")
    save_mask(base / "ground_truth/ko/0001.bmp")
    return tmp_path / "btad"


@pytest.fixture
def loco_root(tmp_path: Path, save_image: Save, save_mask: Save) -> Path:
    """One category; two masks of one image, with values other than 255."""
    base = tmp_path / "loco" / "juice"
    for place in ("train/good/000", "train/good/001", "validation/good/000", "test/good/000"):
        save_image(base / f"{place}.png")
    save_image(base / "test/logical_anomalies/000.png")
    save_image(base / "test/structural_anomalies/000.png")
    save_mask(base / "ground_truth/logical_anomalies/000/000.png", value=7)
    save_mask(base / "ground_truth/logical_anomalies/000/001.png", value=250, left=12)
    save_mask(base / "ground_truth/structural_anomalies/000/000.png", value=1)
    return tmp_path / "loco"


@pytest.fixture
def folder_root(tmp_path: Path, save_image: Save, save_mask: Save) -> Path:
    """One's own folder: eleven normal images, two defective ones, one of them with a mask."""
    root = tmp_path / "parts"
    for index in range(11):
        save_image(root / f"normal/{index}.jpg", kind="JPEG")
    save_image(root / "defective/a.jpg", kind="JPEG")
    save_image(root / "defective/b.tif")
    save_mask(root / "masks/a.png")
    return root


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Root of the real data sets, with `mvtec/bottle` and `mtd/magnetic_tile` in it.

    A relative RCAE_DATA_ROOT counts from the repository, because tests run in folders of their own.
    """
    root = os.environ.get("RCAE_DATA_ROOT")
    if not root:
        pytest.skip("RCAE_DATA_ROOT is not set: it names the folder with real data sets")
    return (ROOT / root).resolve()


@pytest.fixture(scope="session")
def traced_once(tmp_path_factory) -> Iterator[None]:
    """Trace each detector once in a run of all tests, whichever process comes first: it is slow.

    Here, for all folders: patched by two of them, it would wait for itself.
    """
    from rcae_lite.commands import export  # which imports PyTorch

    folder, trace = tmp_path_factory.getbasetemp(), export._traced
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def traced(detector, sides) -> bytes:
        key = hashlib.sha256(repr((sides, export._metadata(detector))).encode())
        for module in detector.modules.values():
            for tensor in module.state_dict().values():
                key.update(tensor.numpy().tobytes())
        kept = folder / f"{key.hexdigest()}.onnx"
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                kept.write_bytes(trace(detector, sides))
        return kept.read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_traced", traced)
        yield


@pytest.fixture
def few_images(monkeypatch) -> Iterator[None]:
    """Let the synthetic categories have few images; which are defective depends on how many."""
    for name, count in FEW_IMAGES.items():
        monkeypatch.setattr(synthetic, name, count)
    synthetic._render_cached.cache_clear()
    yield
    synthetic._render_cached.cache_clear()


def chromium() -> str | None:
    """Find the browser: RCAE_CHROMIUM, or what the system calls it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("RCAE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser():
    """Start Chromium once for all tests."""
    path = chromium()
    if path is None:
        missing = "no Chromium; install it (Debian: apt install chromium) or set RCAE_CHROMIUM"
        pytest.fail(missing) if os.environ.get("RCAE_NEED_BROWSER") else pytest.skip(missing)
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright; pip install playwright")
    switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with api.sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=path, args=switches) as started:
            yield started


# What did not run


MARKED = ("browser", "realdata", "gpu", "slow")  # the groups with a marker; others go by their file


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around all others: the last words of a test run
def pytest_terminal_summary(terminalreporter, config):
    """End with the groups of tests that did not run, and why: a skip must not pass in silence."""
    yield
    groups = defaultdict(Counter)
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):  # an expected failure has none
            reason = report.longrepr[2].removeprefix("Skipped: ")
            path = Path(report.nodeid.partition("::")[0])
            of_file = path.stem.removeprefix("test_")
            marked = [name for name in MARKED if name in getattr(report, "keywords", ())]
            groups[marked[0] if marked else of_file][reason] += 1
    lines = [
        f"{group}: {count} skipped, {reason}"
        for group, reasons in sorted(groups.items())
        for reason, count in reasons.items()
    ]
    if "not slow" in config.option.markexpr:
        lines.append("slow: left out; `make test-full` runs them")
    terminalreporter.section("did not run", sep="-")
    terminalreporter.write_line("\n".join(lines or ["nothing: every test that was asked for ran"]))
