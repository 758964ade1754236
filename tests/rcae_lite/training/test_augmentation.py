"""Benign augmentation stays benign: bounded, unblurred, reproducible, off at 0."""

import torch

from rcae_lite.model.normal_statistics import match_exposure
from rcae_lite.training.augmentation import _shift, augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_strength_zero_changes_nothing():
    images = torch.rand(4, 3, 32, 32)
    assert augment(images, generator(), strength=0) is images


def test_range_and_reproducibility():
    images = torch.rand(16, 3, 64, 64)
    first, second, other = (augment(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert first.min() >= 0 and first.max() <= 1
    assert not torch.equal(first[0] - images[0], first[1] - images[1])


def test_shift_moves_whole_pixels_by_at_most_the_stated_share():
    images = torch.zeros(64, 1, 128, 128)
    images[:, :, 60:68, 60:68] = torch.rand(64, 1, 8, 8, generator=generator())
    shifted = _shift(images, generator(), 0.024)
    seen = set()
    for before, after in zip(images, shifted, strict=True):
        rows = after.amax(dim=(0, 2)).nonzero()[0].item() - 60
        columns = after.amax(dim=(0, 1)).nonzero()[0].item() - 60
        assert max(abs(rows), abs(columns)) <= 3
        assert torch.equal(after, before.roll((rows, columns), dims=(1, 2)))
        seen.add((rows, columns))
    assert len(seen) > 20


def test_exposure_stays_moderate():
    images = torch.full((256, 3, 16, 16), 0.5)
    level = augment(images, generator()).mean(dim=(1, 2, 3))
    assert 0.3 < level.min() and level.max() < 0.72 and level.std() > 0.02


def test_match_exposure_undoes_gain_and_offset_and_ignores_a_defect():
    torch.manual_seed(0)
    reference = torch.rand(3, 32, 32)
    changed = reference * torch.tensor([0.8, 0.9, 1.1]).view(3, 1, 1) + 0.05
    matched = match_exposure(changed[None], reference)[0]
    torch.testing.assert_close(matched, reference, atol=1e-3, rtol=0)
    stained = changed.clone()
    stained[:, :10, :10] = 1.0  # a tenth of the image
    matched = match_exposure(stained[None], reference)[0]
    torch.testing.assert_close(matched[:, 12:, 12:], reference[:, 12:, 12:], atol=0.02, rtol=0)


def test_match_exposure_of_a_flat_image_stays_finite():
    assert match_exposure(torch.full((1, 3, 8, 8), 0.5), torch.rand(3, 8, 8)).isfinite().all()


def test_a_greyscale_image_stays_one():
    grey = torch.rand(8, 1, 32, 32, generator=generator()).expand(-1, 3, -1, -1)
    varied = augment(grey, generator())
    assert torch.equal(varied[:, 0], varied[:, 1]) and torch.equal(varied[:, 0], varied[:, 2])
    assert not torch.equal(varied, grey)
