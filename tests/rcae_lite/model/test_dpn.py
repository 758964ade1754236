"""What `rcae_lite.model.dpn` promises: starts as the identity, restores known detail, any depth."""

import pytest
import torch
from torch.nn import functional as F

from data_utils import KitError
from rcae_lite.model.dpn import DetailPreservationNetwork
from rcae_lite.model.losses import gradient


def test_untrained_it_changes_nothing():
    images, blurred = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    dpn = DetailPreservationNetwork(8)
    assert torch.equal(dpn(blurred, gradient(images)), blurred)


def test_it_learns_to_bring_detail_back_from_the_gradient():
    torch.manual_seed(0)
    images = F.interpolate(torch.rand(4, 3, 16, 16), scale_factor=2)
    blurred = F.avg_pool2d(images, 5, stride=1, padding=2)
    dpn = DetailPreservationNetwork(16)
    optimiser = torch.optim.Adam(dpn.parameters(), 5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        F.l1_loss(dpn(blurred, gradient(images)), images).backward()
        optimiser.step()
    assert F.l1_loss(dpn(blurred, gradient(images)), images) < F.l1_loss(blurred, images) / 2


def test_enhance_treats_every_depth_like_forward():
    torch.manual_seed(0)
    images, reconstructions = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 5, 32, 32)
    dpn = DetailPreservationNetwork(8).eval()
    torch.nn.init.normal_(dpn.head.weight, std=0.1)
    enhanced = dpn.enhance(images, reconstructions)
    assert enhanced.shape == (2, 3, 5, 32, 32)
    for depth in range(5):
        expected = dpn(reconstructions[:, :, depth], gradient(images))
        torch.testing.assert_close(enhanced[:, :, depth], expected)


def test_size_must_be_divisible_by_16():
    with pytest.raises(KitError, match=r"height 24 .* 2\^4 = 16"):
        DetailPreservationNetwork(8)(torch.rand(1, 3, 24, 32), torch.rand(1, 6, 24, 32))
