import ast
from pathlib import Path

import pytest
import torch

from data_utils.errors import KitError
from rcae_lite.config import FAMILIES
from rcae_lite.evaluation import restoration
from rcae_lite.evaluation.restoration import (
    AREAS,
    PROBE_FAMILIES,
    copied_share,
    erasure,
    error_outside,
    paint_defects,
    probe,
    structured_pixels,
)


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) / 4 + 0.4


@pytest.fixture(scope="module")
def painted(images):
    return paint_defects(images)


def test_by_hand():
    clean = torch.zeros(1, 3, 4, 4)
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., 0, :2] = True
    painted = clean + 0.8 * mask
    of_clean = torch.full((1, 3, 1, 4, 4), 0.1)
    restored = of_clean + 0.2 * mask.unsqueeze(2)
    assert copied_share(restored, of_clean, painted, clean, mask).tolist() == pytest.approx([0.25])
    assert erasure(restored, painted, clean, mask).tolist() == pytest.approx([0.375])
    assert error_outside(restored, clean, mask).tolist() == pytest.approx([25.5])


def test_a_copy_passes_defects_and_the_clean_image_erases_them(images, painted):
    both = probe(
        lambda x: {"copy": x.unsqueeze(2), "constant": torch.full_like(x, 0.5).unsqueeze(2)}, images
    )
    found, constant = both["copy"], both["constant"]
    assert found.copied_share == found.erasure == pytest.approx((1.0,))
    assert found.error == found.error_structured == (0.0,)
    assert constant.copied_share == (0.0,)
    assert constant.error[0] > 1
    assert set(found.by_family) == set(PROBE_FAMILIES)
    assert found.paintings == len(painted.images) == 16


def test_masks_are_exact_and_areas_in_range(painted):
    changed = (painted.images != painted.clean).any(dim=1, keepdim=True)
    assert torch.equal(changed, painted.mask)
    assert painted.area.min() >= AREAS[0]
    assert painted.area.max() <= AREAS[1]


def test_same_seed_same_defects(images, painted):
    assert torch.equal(paint_defects(images).images, painted.images)
    assert not torch.equal(paint_defects(images, seed=1).images, painted.images)


def test_structured_pixels_are_a_fifth(images):
    share = structured_pixels(images).float().mean(dim=(1, 2, 3))
    assert share.tolist() == pytest.approx([0.2, 0.2], abs=1e-3)


def test_black_images_are_refused():
    with pytest.raises(KitError, match="no visible stain"):
        paint_defects(torch.zeros(1, 3, 32, 32))


def test_families_are_used_by_no_training():
    """The probe imports nothing of the kit, no stage imports the probe, no name is in both."""
    tree = ast.parse(Path(restoration.__file__).read_text())
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in modules if name.startswith("rcae_lite")]
    assert not set(PROBE_FAMILIES) & set(FAMILIES)
    package = Path(restoration.__file__).parents[1]
    sources = [*(package / "training").glob("*.py"), *(package / "model").glob("*.py")]
    assert len(sources) > 12
    for path in sources:
        assert "evaluation.restoration" not in path.read_text(), path
