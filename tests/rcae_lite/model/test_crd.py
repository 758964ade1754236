"""What `rcae_lite.model.crd` promises: shapes, the join, use of all steps, learning."""

import pytest
import torch

from data_utils import KitError
from rcae_lite.model.crd import CrossRecursionDetector, steps_seen
from rcae_lite.model.losses import bce_dice_loss


@pytest.mark.parametrize(("steps", "residual_input"), [(5, True), (3, False), (1, True)])
def test_map_has_the_size_of_the_image(steps, residual_input):
    crd = CrossRecursionDetector(steps, width=8, residual_input=residual_input).eval()
    assert crd(torch.rand(2, 3, 32, 48), torch.rand(2, 3, steps, 32, 48)).shape == (2, 1, 32, 48)


def test_join_is_image_enhanced_and_absolute_residual():
    images, enhanced = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 4, 16, 16)
    crd = CrossRecursionDetector(4, width=8)
    joined = crd.assemble_input(images, enhanced, crd.z_scores(images))
    assert joined.shape == (2, 9, 4, 16, 16)
    for step in range(4):
        assert torch.equal(joined[:, :3, step], images - 0.5)
        assert torch.equal(joined[:, 3:6, step], enhanced[:, :, step] - 0.5)
        assert torch.equal(joined[:, 6:, step], (enhanced[:, :, step] - images).abs())
    bare = CrossRecursionDetector(4, width=8, residual_input=False)
    assert bare.assemble_input(images, enhanced, images[:, :0]).shape == (2, 6, 4, 16, 16)


def test_join_adds_the_z_scores_to_every_depth():
    images, enhanced = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 4, 16, 16)
    crd = CrossRecursionDetector(4, width=8, statistics_size=16)
    z_scores = torch.rand(2, 1, 16, 16)
    joined = crd.assemble_input(images, enhanced, z_scores)
    assert crd.z_scores(images).shape == (2, 1, 16, 16) and joined.shape == (2, 10, 4, 16, 16)
    for step in range(4):
        assert torch.equal(joined[:, 9, step], z_scores[:, 0])


def test_every_step_and_the_image_reach_the_map():
    crd = CrossRecursionDetector(5, width=8).eval()
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    enhanced = torch.rand(1, 3, 5, 32, 32, requires_grad=True)
    crd(images, enhanced).sum().backward()
    assert images.grad.abs().sum() > 0
    assert (enhanced.grad.abs().sum(dim=(0, 1, 3, 4)) > 0).all()


def test_depth_0_is_the_image_itself():
    images, enhanced = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 4, 16, 16)
    assert steps_seen(images, enhanced, ()) is enhanced
    seen = steps_seen(images, enhanced, (0, 1, 4))
    assert torch.equal(seen, torch.stack([images, enhanced[:, :, 0], enhanced[:, :, 3]], dim=2))


def test_it_learns_where_the_sequence_keeps_changing():
    torch.manual_seed(0)
    images = torch.rand(8, 3, 32, 32)
    mask = torch.zeros(8, 1, 32, 32)
    for number in range(8):
        top, left = torch.randint(0, 20, (2,)).tolist()
        mask[number, :, top : top + 10, left : left + 10] = 1
    drift = torch.linspace(0, 0.5, 5).view(1, 1, 5, 1, 1) * mask.unsqueeze(2)
    enhanced = images.unsqueeze(2) + drift
    crd = CrossRecursionDetector(5, width=8)
    optimiser = torch.optim.Adam(crd.parameters(), 5e-3)
    for _ in range(40):
        optimiser.zero_grad()
        bce_dice_loss(crd(images, enhanced), mask).backward()
        optimiser.step()
    logits = crd(images, enhanced)
    assert logits[mask > 0].mean() > 1 and logits[mask == 0].mean() < -1


def test_size_must_be_divisible_by_16():
    with pytest.raises(KitError, match="width 40"):
        CrossRecursionDetector(2, width=8)(torch.rand(1, 3, 32, 40), torch.rand(1, 3, 2, 32, 40))
