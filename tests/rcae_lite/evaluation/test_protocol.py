"""The rule from a raw map to a smoothed one, against code we did not write."""

import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from rcae_lite.evaluation.scoring import smooth


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (128, 128), (128, 96), (64, 160), (256, 256)])
def test_smoothing_is_the_mean_of_two_of_torchvisions_gaussian_blurs(size):
    maps = torch.rand(2, 3, *size, dtype=torch.float64)
    narrow, wide = (
        gaussian_blur(maps, [2 * round(3 * sigma) + 1] * 2, [sigma, sigma])
        for sigma in (size[0] / 64, size[0] / 32)
    )
    expected = (narrow + wide) / 2
    torch.testing.assert_close(smooth(maps), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(smooth(maps.float()), expected.float(), atol=5e-6, rtol=0)


def test_smoothing_keeps_a_constant_also_where_the_kernel_is_wider_than_the_map():
    for size in ((128, 128), (1024, 16)):
        torch.testing.assert_close(smooth(torch.full(size, 3.0)), torch.full(size, 3.0))
