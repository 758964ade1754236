"""What `rcae_lite.model.normal_statistics` promises: what is unusual at its place."""

import pytest
import torch
from torch.nn import functional as F

from rcae_lite.model.normal_statistics import NormalStatistics, common_structure


def noisy(images: torch.Tensor) -> torch.Tensor:
    return images + 0.02 * torch.randn_like(images)


def plate() -> torch.Tensor:
    """A part of cells on a plain ground, (3, 128, 128)."""
    cells = 0.3 + 0.4 * (torch.rand(1, 3, 8, 8) > 0.5).float()
    part = F.pad(F.interpolate(cells, scale_factor=10)[0], (24, 24, 24, 24), value=0.1)
    return F.avg_pool2d(part, 3, 1, 1)


def shifted(image: torch.Tensor, count: int, reach: int) -> torch.Tensor:
    """Copies of an image (3, H, W), each moved by up to ``reach`` pixels along both sides."""
    moves = torch.randint(-reach, reach + 1, (count, 2), generator=torch.Generator().manual_seed(0))
    return torch.stack([image.roll(tuple(move.tolist()), (1, 2)) for move in moves])


def fitted(images: torch.Tensor, *, half_size: bool = True) -> NormalStatistics:
    statistics = NormalStatistics(images.shape[-1], half_size=half_size)
    statistics.fit(images, noisy(images))
    return statistics


@pytest.mark.parametrize("count", [4, 100])
def test_structure_is_in_common_where_parts_lie_still_however_many_there_are(count):
    part = torch.zeros(3, 64, 64)
    part[:, 20:44, 24:36] = 0.5
    assert common_structure(part.expand(count, -1, -1, -1)) == pytest.approx(1, abs=1e-5)
    assert common_structure(shifted(part, count, 1)) > 0.6
    assert abs(common_structure(shifted(part, count, 31))) < 0.2
    assert abs(common_structure(torch.rand(count, 3, 64, 64))) < 0.2


@pytest.mark.parametrize(("reach", "still"), [(0, True), (31, False)])
def test_parts_that_lie_anywhere_are_taken_as_they_lie(reach, still):
    torch.manual_seed(0)
    part = 0.3 * torch.rand(3, 64, 64)
    part[:, 20:44, 24:36] += 0.5
    images = noisy(shifted(part, 20, reach))
    statistics = fitted(images)
    assert bool(statistics.aligned) is still
    assert statistics.found.startswith("parts lie still" if still else "no pose in common")
    pose = statistics._registered(images)[1]
    assert still or not pose.any()
    stained = images.clone()
    stained[:, :, 4:12, 4:12] = 1  # where no part has been
    assert statistics(stained)[..., 6:10, 6:10].mean() > 3 * statistics(images).mean()


def test_a_part_that_lies_a_little_off_is_compared_in_its_own_frame():
    torch.manual_seed(0)
    images = noisy(shifted(plate(), 40, 4))
    stained = images[30:].clone()
    stained[:, :, 60:68, 60:68] += 0.1  # a quarter of what the part's own cells differ by
    statistics = fitted(images[:30])
    normal, seen = statistics(images[30:])[:, 0], statistics(stained)[:, 0]
    assert bool(statistics.aligned)
    assert seen[:, 62:66, 62:66].mean() > 2 * normal.flatten().quantile(0.999)


def test_beyond_the_frame_of_the_part_nothing_is_unusual():
    part = torch.rand(3, 64, 64)
    statistics = fitted(noisy(torch.stack([part] * 8)))
    moved = part.roll(3, dims=2)[None] + 0.1  # brighter by more than noise, on the left of it, too
    moved[..., :3] = 1
    seen = statistics(moved)[0, 0]
    assert not seen[:, :2].any() and seen[:, 4:8].any()


def test_z_scores_are_deviations_in_spreads_of_images_that_were_not_seen():
    torch.manual_seed(0)
    images = noisy(plate().expand(60, -1, -1, -1))
    statistics = fitted(images[:40])
    seen = statistics(images[40:])
    assert seen.shape == (20, 1, 128, 128)
    assert 0.1 < seen.mean() / 0.3 < 1  # the largest of three, over 1.6 times the mean spread
    assert statistics(torch.rand(1, 3, 32, 48)).shape == (1, 1, 32, 48)


@pytest.mark.parametrize("half_size", [True, False])
@pytest.mark.parametrize("change", [0.5, -0.5])
def test_a_colour_out_of_place_is_unusual_and_exposure_is_not(change, half_size):
    torch.manual_seed(0)
    images = noisy(plate().expand(60, -1, -1, -1))
    statistics = fitted(images[:40], half_size=half_size)
    usual = statistics(images[40:]).mean()
    stained = images[40:].clone()
    stained[:, 0, 60:68, 60:68] += change
    assert statistics(stained)[..., 62:66, 62:66].mean() > 4 * usual
    assert statistics(0.8 * images[40:]).mean() < 1.3 * usual
    assert statistics(noisy(noisy(0.8 * images[40:]))).mean() > 1.3 * usual


@pytest.mark.parametrize("half_size", [True, False])
def test_light_that_varied_among_normal_images_is_explained_and_a_defect_is_not(half_size):
    """A lamp from the left and one from the right, in new proportions."""
    torch.manual_seed(0)
    part, x = plate(), torch.linspace(-1, 1, 128)
    lamps = 0.3 * torch.stack([(-8 * (x - 0.5).square()).exp(), (-8 * (x + 0.5).square()).exp()])

    def lit(count: int) -> torch.Tensor:
        light = 1 + (torch.rand(count, 2) @ lamps)[:, None, None]  # (count, 1, 1, W)
        return noisy(part * light)

    statistics = fitted(lit(40), half_size=half_size)
    plain = fitted(noisy(part.expand(40, -1, -1, -1)), half_size=half_size)
    images = lit(10)
    assert plain(images).mean() > 2 * statistics(images).mean()
    stained = images.clone()
    stained[:, :, 60:68, 60:68] += 0.2
    usual = statistics(images).flatten().quantile(0.999)
    assert statistics(stained)[..., 62:66, 62:66].mean() > 2 * usual


def test_identical_images_have_no_eigenimages_and_no_rounding_errors_for_them():
    images = plate().expand(12, -1, -1, -1)
    statistics = NormalStatistics(128)
    statistics.fit(images, images)
    assert statistics.modes.isfinite().all() and statistics(images).max() < 0.3


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_handful_of_images_will_do(count):
    torch.manual_seed(0)
    statistics = fitted(noisy(plate().expand(count, -1, -1, -1)))
    assert int(statistics.modes.flatten(1).any(dim=1).sum()) == count  # as many as images
    assert bool(statistics.aligned) and len(statistics.without) == min(count, 4)
    assert 0 < statistics(noisy(plate()[None])).mean() < 3


@pytest.mark.parametrize("half_size", [True, False])
def test_images_that_the_statistics_saw_are_as_unusual_as_new_ones_against_the_other_folds(
    half_size,
):
    torch.manual_seed(0)
    images = noisy(plate().expand(60, -1, -1, -1))
    statistics = fitted(images[:40], half_size=half_size)
    folds = statistics.folds(40)
    seen = torch.cat([statistics(images[:40][folds == f], fold=f) for f in range(4)])
    assert statistics(images[:40]).mean() < 0.93 * seen.mean()
    assert seen.mean() == pytest.approx(float(statistics(images[40:]).mean()), rel=0.05)


def test_fine_detail_that_varies_wants_eigenimages_at_full_size():
    torch.manual_seed(0)
    thread = torch.zeros(3, 128, 128)
    thread[:, 30:90, 30:90] = torch.tensor([0.2, 0.2, -0.2, -0.2]).repeat(15)
    images = noisy(plate() + torch.rand(60, 1, 1, 1) * thread)
    stained = images[40:].clone()
    stained[:, :, 60:64, 60:64] += 0.1
    ratios = []
    for half_size in (True, False):
        statistics = fitted(images[:40], half_size=half_size)
        usual = statistics(images[40:]).flatten().quantile(0.999)
        ratios.append(statistics(stained)[..., 61:63, 61:63].mean() / usual)
    assert ratios[1] > 1.2 * ratios[0]


def test_of_very_many_images_some_are_taken_and_all_have_a_fold():
    statistics = NormalStatistics(16)
    folds = statistics.folds(1100)  # every third is taken
    assert folds[::3].bincount().tolist() == [92, 92, 92, 91] and folds.shape == (1100,)


def test_one_image_has_no_eigenimages_but_a_mean():
    torch.manual_seed(0)
    image = plate()[None]
    statistics = fitted(image)
    assert not statistics.without[0].any() and statistics(image).isfinite().all()
    stained = image.clone()
    stained[:, :, 60:68, 60:68] += 0.3
    assert statistics(stained)[..., 62:66, 62:66].mean() > 2 * statistics(image).mean()
