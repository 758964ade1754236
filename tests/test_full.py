"""Long checks of what the README promises; `make test-full` runs them."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from data_utils import open_category
from data_utils.synthetic import CATEGORIES
from rcae_lite import SinglePassDetector

pytestmark = pytest.mark.slow


def test_demo_keeps_its_promises(tmp_path):
    """Six minutes of work, image AUROC 0.95, pixel AUROC 0.90, the memory of a small machine."""
    started = time.monotonic()
    rcae = Path(sys.executable).with_name("rcae")
    subprocess.run([rcae, "demo", "--out", tmp_path / "demo"], check=True, cwd=tmp_path)
    minutes = (time.monotonic() - started) / 60
    found = json.loads((tmp_path / "demo" / "evaluation.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # GiB on Linux
    print(f"\ndemo: {minutes:.1f} minutes, {peak:.2f} GiB, image AUROC "
          f"{found['image_auroc']['value']:.4f}, pixel AUROC {found['pixel_auroc']['value']:.4f}")
    assert found["image_auroc"]["value"] >= 0.95 and found["pixel_auroc"]["value"] >= 0.90
    assert minutes <= 6 and peak <= 1.5


@pytest.mark.parametrize("name", CATEGORIES)
def test_synthetic_categories_are_neither_trivial_nor_impossible(name):
    """The plain residual of the single-pass baseline ranks images between 0.60 and 0.90."""
    category = open_category("synthetic", name, size=128)
    detector = SinglePassDetector.from_preset("demo", seed=0, device="cpu")
    detector.fit(category.train, listeners=[])
    scores = detector.predict(category.test.images() / 255).score
    auroc = roc_auc_score(category.test.labels, scores)
    print(f"\n{name}: single-pass image AUROC {auroc:.4f}")
    assert 0.60 <= auroc <= 0.90
