import pytest
import torch

from data_utils.errors import KitError
from rcae_lite.training.perturbations import BLOCKS, perturb


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("side", [32, 64, 96, 128])
def test_the_mask_is_exact(side):
    images = torch.rand(6, 3, side, side, generator=generator())
    perturbed, mask = perturb(images, generator())
    assert torch.equal((perturbed != images).any(dim=1, keepdim=True), mask.bool())
    assert perturbed.min() >= 0
    assert perturbed.max() <= 1
    assert mask.flatten(1).any(dim=1).all()  # every image has a line at least


def test_the_coverage_goes_from_few_to_all():
    images = torch.rand(200, 3, 32, 32, generator=generator())
    coverage = perturb(images, generator())[1].mean(dim=(1, 2, 3))
    assert coverage.min() < 0.1
    assert coverage.max() > 0.9
    assert coverage.mean().item() == pytest.approx(0.5, abs=0.08)


def test_a_share_of_the_batch_is_perturbed():
    images = torch.rand(8, 3, 32, 32, generator=generator())
    perturbed, mask = perturb(images, generator(), share=0.25)
    assert torch.equal(perturbed[:6], images[:6]) and not mask[:6].any()
    assert mask[6:].flatten(1).any(dim=1).all()
    assert torch.equal(perturb(images, generator(), share=0)[0], images)


def test_blocks_scale_with_the_side():
    images = torch.full((64, 3, 128, 128), 0.5)  # copying changes nothing here: colours only
    perturbed, _ = perturb(images, generator())
    runs = (perturbed.diff(dim=3).abs().sum(dim=1) < 1e-6).float().mean()
    assert runs > 0.6  # most neighbours have one colour
    assert [128 // blocks for blocks in BLOCKS] == [4, 8, 16]


def test_grey_stays_grey_and_the_input_is_kept():
    images = torch.rand(8, 1, 64, 64, generator=generator()).expand(-1, 3, -1, -1)
    before = images.clone()
    perturbed, _ = perturb(images, generator())
    assert torch.equal(perturbed[:, 0], perturbed[:, 1])
    assert torch.equal(images, before)


def test_same_seed_same_perturbation():
    images = torch.rand(3, 3, 64, 64, generator=generator())
    assert torch.equal(perturb(images, generator(1))[0], perturb(images, generator(1))[0])


def test_tiny_images_are_refused():
    with pytest.raises(KitError, match="32x32"):
        perturb(torch.rand(1, 3, 16, 16), generator())
