"""What `rcae_lite.model.crd` promises: shapes, the join, use of all steps, learning."""

import pytest
import torch
from torch.nn import functional as F

from data_utils import KitError
from rcae_lite.model.crd import CrossRecursionDetector, steps_seen
from rcae_lite.model.losses import bce_dice_loss
from rcae_lite.model.normal_statistics import NormalStatistics, common_structure


@pytest.mark.parametrize(("steps", "residual_input"), [(5, True), (3, False), (1, True)])
def test_map_has_the_size_of_the_image(steps, residual_input):
    crd = CrossRecursionDetector(steps, width=8, residual_input=residual_input).eval()
    assert crd(torch.rand(2, 3, 32, 48), torch.rand(2, 3, steps, 32, 48)).shape == (2, 1, 32, 48)


def test_join_is_image_enhanced_and_absolute_residual():
    images, enhanced = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 4, 16, 16)
    crd = CrossRecursionDetector(4, width=8)
    joined = crd.assemble_input(images, enhanced, crd.z_scores(images, enhanced))
    assert joined.shape == (2, 9, 4, 16, 16)
    for step in range(4):
        assert torch.equal(joined[:, :3, step], images - 0.5)
        assert torch.equal(joined[:, 3:6, step], enhanced[:, :, step] - 0.5)
        assert torch.equal(joined[:, 6:, step], (enhanced[:, :, step] - images).abs())
    bare = CrossRecursionDetector(4, width=8, residual_input=False)
    assert bare.assemble_input(images, enhanced, images[:, :0]).shape == (2, 6, 4, 16, 16)


def test_join_adds_the_deviation_of_each_depth_and_of_the_colour():
    images, enhanced = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 4, 16, 16)
    crd = CrossRecursionDetector(4, width=8, statistics_size=16)
    z_scores = crd.z_scores(images, enhanced)
    joined = crd.assemble_input(images, enhanced, z_scores)
    assert z_scores.shape == (2, 5, 16, 16) and joined.shape == (2, 11, 4, 16, 16)
    for step in range(4):
        assert torch.equal(joined[:, 9, step], z_scores[:, step])
        assert torch.equal(joined[:, 10, step], z_scores[:, 4])


def fitted_normality() -> tuple[NormalStatistics, torch.Tensor, torch.Tensor]:
    """Fit to 200 images of one pattern with noise; depth 1 reconstructs better than depth 2."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16) + 0.05 * torch.randn(200, 3, 16, 16)
    noise = torch.randn(200, 1, 2, 16, 16).abs() * torch.tensor([0.05, 0.2]).view(1, 1, 2, 1, 1)
    enhanced = images.unsqueeze(2) + noise
    normality = NormalStatistics(2, 16)
    parts = [(images[i : i + 50], enhanced[i : i + 50]) for i in range(0, 200, 50)]
    normality.fit(images, parts)
    return normality, images, enhanced


def shifted(image: torch.Tensor, count: int, reach: int) -> torch.Tensor:
    """Copies of an image (3, H, W), each moved by up to ``reach`` pixels along both sides."""
    moves = torch.randint(-reach, reach + 1, (count, 2), generator=torch.Generator().manual_seed(0))
    return torch.stack([image.roll(tuple(move.tolist()), (1, 2)) for move in moves])


@pytest.mark.parametrize("count", [4, 100])
def test_structure_is_in_common_where_parts_lie_still_however_many_there_are(count):
    part = torch.zeros(3, 64, 64)
    part[:, 20:44, 24:36] = 0.5
    assert common_structure(part.expand(count, -1, -1, -1)) == pytest.approx(1, abs=1e-5)
    assert common_structure(shifted(part, count, 1)) > 0.6
    assert abs(common_structure(shifted(part, count, 31))) < 0.2
    assert abs(common_structure(torch.rand(count, 3, 64, 64))) < 0.2


@pytest.mark.parametrize(("reach", "still"), [(0, True), (31, False)])
def test_position_says_nothing_where_parts_lie_anywhere(reach, still):
    part = 0.3 * torch.rand(3, 64, 64)
    part[:, 20:44, 24:36] += 0.5
    images = shifted(part, 20, reach)
    statistics = NormalStatistics(2, 64)
    statistics.fit(images, [(images, images.unsqueeze(2).expand(-1, -1, 2, -1, -1))])
    seen = statistics(images.flip(3), images.unsqueeze(2).expand(-1, -1, 2, -1, -1))
    assert bool(statistics.used) is still and bool(seen.any()) is still


def test_a_part_that_lies_a_little_off_is_compared_in_its_own_frame():
    torch.manual_seed(0)
    cells = 0.3 + 0.4 * (torch.rand(1, 3, 8, 8) > 0.5).float()
    part = F.pad(F.interpolate(cells, scale_factor=10)[0], (24, 24, 24, 24), value=0.1)
    images = shifted(F.avg_pool2d(part, 3, 1, 1), 40, 4)  # (40, 3, 128, 128)
    images = images + 0.02 * torch.randn_like(images)
    stained = images[30:].clone()
    stained[:, :, 60:68, 60:68] += 0.1  # a quarter of what the part's own cells differ by

    def copied(x: torch.Tensor) -> torch.Tensor:
        return x.unsqueeze(2).expand(-1, -1, 2, -1, -1)

    statistics = NormalStatistics(2, 128)
    statistics.fit(images[:30], [(images[:30], copied(images[:30]))])
    normal = statistics(images[30:], copied(images[30:]))[:, 2]
    seen = statistics(stained, copied(stained))[:, 2]
    assert bool(statistics.used)
    assert seen[:, 62:66, 62:66].mean() > 2 * normal.flatten().quantile(0.999)


def test_beyond_the_frame_of_the_part_nothing_is_unusual():
    part = torch.rand(3, 64, 64)
    images = torch.stack([part] * 8) + 0.02 * torch.randn(8, 3, 64, 64)
    statistics = NormalStatistics(1, 64)
    statistics.fit(images, [(images, images.unsqueeze(2))])
    moved = part.roll(3, dims=2)[None] + 0.1  # brighter by more than noise, on the left of it, too
    moved[..., :3] = 1
    seen = statistics(moved, moved.unsqueeze(2))[0, 1]
    assert not seen[:, :2].any() and seen[:, 4:8].any()


def test_normality_is_the_deviation_in_spreads_from_normal_images():
    normality, images, enhanced = fitted_normality()
    seen = normality(images, enhanced)
    assert seen.shape == (200, 3, 16, 16)
    assert seen[:, :2].mean(dim=(0, 2, 3)).abs().max() < 0.05
    unusual = normality(images, enhanced + 0.15)
    assert unusual[:, 0].mean() > 2 * unusual[:, 1].mean() > 0.2  # depth 1 is quieter
    assert normality(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 2, 32, 32)).shape[-2:] == (32, 32)


def test_a_colour_out_of_place_is_unusual_though_it_reconstructs_and_exposure_is_not():
    normality, images, enhanced = fitted_normality()
    usual = normality(images, enhanced)[:, 2].mean()
    stained = images.clone()
    stained[:, 0, 4:8, 4:8] += 0.5
    seen = normality(stained, stained.unsqueeze(2) + (enhanced - images.unsqueeze(2)))[:, 2]
    assert seen[:, 5:7, 5:7].mean() > 4 * usual
    darker = normality(0.8 * images, 0.8 * enhanced)[:, 2].mean()
    assert (
        darker
        < 1.3 * usual
        < normality(0.8 * images + 0.2 * torch.rand(3, 16, 16), enhanced)[:, 2].mean()
    )


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
