"""What `rcae_lite.model.registration` promises: it finds small shifts, turns and scales."""

import pytest
import torch
from torch.nn import functional as F

from rcae_lite.model.registration import Registration, inverse, warp


def part() -> torch.Tensor:
    """A plate with a slot and a hole, without symmetry, (1, 3, 128, 128)."""
    image = torch.full((1, 3, 128, 128), 0.2)
    image[..., 32:100, 24:108] = 0.7
    image[..., 44:52, 36:80] = 0.4
    image[..., 70:86, 80:96] = 0.1
    return F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)


def poses(count: int, reach: float = 0.06) -> torch.Tensor:
    drawn = torch.rand(count, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return reach * drawn


def fitted(spread: float = 0.02) -> Registration:
    registration = Registration(128)
    registration.fit(warp(part().expand(20, -1, -1, -1), poses(20, spread)))
    return registration


def test_inverse_undoes_a_pose():
    there = poses(5)
    x = part().expand(5, -1, -1, -1)
    back = warp(warp(x, there), inverse(there))
    assert (back - x)[..., 16:-16, 16:-16].abs().mean() < 0.01
    torch.testing.assert_close(inverse(inverse(there)), there)


def test_a_moved_turned_and_larger_part_is_brought_back():
    images = warp(part().expand(12, -1, -1, -1), inverse(poses(12)))
    registration = fitted()
    found = registration(images)
    # All share the offset of the template, which is a mean of parts that do not lie in the middle.
    offset = registration(part())
    assert (found - poses(12) - offset).abs().max() < 0.01  # 0.6 of 128 pixels
    before = (images - part()).abs().mean()
    assert (warp(images, found) - warp(part(), offset)).abs().mean() < 0.25 * before


def test_light_does_not_move_the_part_and_a_defect_hardly_does():
    registration = fitted()
    image = part()
    pose = registration(image)
    shade = torch.linspace(0.6, 1.1, 128).view(1, 1, 1, -1)
    assert (registration(image * shade) - pose).abs().max() < 0.01
    broken = image.clone()
    broken[..., 80:100, 24:60] = 0.2  # a corner is gone
    assert (registration(broken) - pose).abs().max() < 0.02


@pytest.mark.parametrize("turning", [False, True])
@pytest.mark.parametrize("image", [torch.full((1, 3, 128, 128), 0.5), torch.rand(1, 3, 128, 128)])
def test_what_is_unlike_the_part_stays_where_it_is(image, turning):
    registration = fitted()
    registration.fit(warp(part().expand(20, -1, -1, -1), poses(20)), turning=turning)
    assert not registration(image).any()


def test_flat_training_images_have_no_pose():
    registration = Registration(32)
    registration.fit(torch.full((4, 3, 32, 32), 0.5))
    assert not registration(torch.rand(2, 3, 32, 32)).any()


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (192, 64)])
def test_the_pose_does_not_depend_on_the_image_s_size(size):
    image = warp(part(), poses(1))
    registration = fitted()
    scaled = F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
    assert (registration(scaled) - registration(image)).abs().max() < 0.02


def test_parts_in_any_rotation_are_turned_to_one_pose():
    angle = 2 * torch.pi * torch.rand(40, generator=torch.Generator().manual_seed(0))
    turns = torch.stack([0 * angle, 0 * angle, angle.cos() - 1, angle.sin()], dim=1)
    turns = turns + torch.cat([poses(40)[:, :2], torch.zeros(40, 2)], dim=1)
    shade = torch.linspace(0.8, 1.1, 128).view(1, 1, 1, -1)  # the light does not turn with them
    images = shade * warp(part().expand(40, -1, -1, -1), inverse(turns))
    images = images + 0.02 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    registration = Registration(128)
    registration.fit(images[:30], turning=True)
    seen = warp(images[30:], registration(images[30:]))
    spread = seen[..., 16:112, 16:112].std(dim=0).mean()
    assert spread < 0.5 * images[30:][..., 16:112, 16:112].std(dim=0).mean()
    registration.fit(images[:30])
    assert warp(images[30:], registration(images[30:]))[..., 16:112, 16:112].std(0).mean() > 0.05
    assert spread < 0.05
