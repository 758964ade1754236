"""Exact masks, the promised families and sizes, and randomness from the generator alone."""

import pytest
import torch
from torch.nn import functional as F

from data_utils import KitError
from data_utils.synthetic import draw
from rcae_lite.config import FAMILIES, PAPER_FAMILIES
from rcae_lite.training import pseudo_anomalies
from rcae_lite.training.pseudo_anomalies import GAPS, VISIBLE
from rcae_lite.training.pseudo_anomalies import add_pseudo_anomalies as add
from rcae_lite.training.shapes import BLURS, blob, centres, emphasis, foreground, soften


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(48, 3, 8, 8, generator=generator)
    return F.interpolate(coarse, size=64, mode="bilinear").clamp(0, 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_mask_is_exactly_where_the_image_changed(images, family):
    painted, mask = add(images, generator(), families=[family], probability=1)
    inside = mask.bool().expand_as(images)
    assert torch.equal(painted[~inside], images[~inside])
    changed = (painted - images).abs().amax(dim=1, keepdim=True) > VISIBLE
    assert mask[changed].all()
    share = F.avg_pool2d(changed.float(), 5, stride=1, padding=2)
    assert (share[mask.bool() & ~changed] > GAPS).all(), "only gaps are filled"
    assert painted.min() >= 0 and painted.max() <= 1
    assert mask.unique().tolist() == [0, 1]
    assert (mask.flatten(1).sum(1) > 0).float().mean() > 0.8  # nearly every image got one


def test_a_piece_pasted_into_its_own_texture_has_a_solid_mask():
    """Where the pasted texture meets its like by chance, nothing changes, and yet it is pasted."""
    noise = torch.rand(32, 3, 64, 64, generator=generator()) * 0.06 + 0.5
    painted, mask = add(noise, generator(), families=["copy_paste"], probability=1, layers=1)
    changed = (painted - noise).abs().amax(dim=1, keepdim=True) > VISIBLE
    assert changed.sum() < 0.9 * mask.sum()
    inner = F.avg_pool2d(mask, 7, stride=1, padding=3) > 0.7  # well inside of what was pasted
    assert mask[inner].mean() > 0.95 > changed[inner].float().mean()


def test_greyscale_images_are_painted_in_grey(images):
    grey = images[:, :1].expand(-1, 3, -1, -1)
    for family in FAMILIES:
        painted, mask = add(grey, generator(), families=[family], probability=1)
        assert mask.any() and torch.equal(painted[:, 0], painted[:, 1]), family
    coloured = add(images, generator(), families=["colour_patches"], probability=1)[0]
    assert not torch.equal(coloured[:, 0], coloured[:, 1])


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_alone_proposes_valid_images(images, family):
    altered, region = getattr(pseudo_anomalies, family)(images, generator())
    assert altered.shape == images.shape and region.shape == (48, 1, 64, 64)
    assert region.dtype == torch.bool
    assert altered.isfinite().all() and altered.min() >= 0 and altered.max() <= 1


def test_families_are_different_draws_of_different_kinds(images):
    painted = [add(images, generator(), families=[f], probability=1)[0] for f in FAMILIES]
    for first in range(len(painted)):
        for second in range(first):
            assert not torch.equal(painted[first], painted[second])


def test_lines_are_thin_and_patches_are_compact(images, monkeypatch):
    monkeypatch.setattr(pseudo_anomalies, "soften", lambda region, _: region.float())  # hard edges

    def thickness(family: str) -> float:
        mask = add(images, generator(), families=[family], probability=1, layers=1)[1]
        eroded = 1 - F.max_pool2d(1 - mask, 3, stride=1, padding=1)
        return (eroded.sum() / mask.sum()).item()

    assert thickness("random_lines") < 0.3 < thickness("colour_patches")


def test_sizes_span_small_to_large(images):
    areas = torch.cat(
        [
            add(images, generator(seed), families=["colour_patches"], probability=1, layers=1)[1]
            .flatten(1)
            .mean(1)
            for seed in range(4)
        ]
    )
    areas = areas[areas > 0]
    assert areas.quantile(0.1) < 0.003 and areas.quantile(0.95) > 0.03


def test_most_of_the_regions_are_small():
    blobs = blob(torch.zeros(800, 3, 128, 128), generator())
    diameters = 2 * (blobs.float().mean(dim=(1, 2, 3)) / torch.pi).sqrt()  # shares of the side
    assert 0.03 < diameters.median() < 0.07
    assert 0.75 < (diameters < 0.11).float().mean() < 0.95
    assert 0.3 < diameters.max() < 0.6


def test_edges_are_hard_to_soft_and_keep_their_place():
    region = torch.zeros(400, 1, 32, 32, dtype=torch.bool)
    region[:, :, 10:20, 8:24] = True
    cover = soften(region, generator())
    widths = ((cover > 0) & (cover < 1)).sum(dim=(1, 2, 3)) / (2 * (10 + 16))  # pixels of the edge
    assert (widths == 0).float().mean().item() == pytest.approx(0.5**BLURS, abs=0.06)
    assert 1.5 < widths.median() < 4.5 and widths.max() < 2 * BLURS + 1
    assert torch.allclose(cover.sum(dim=(1, 2, 3)), torch.tensor(160.0), rtol=1e-4)
    assert ((cover > 0.5) == region).float().mean() > 0.99


def test_probability_is_the_share_of_images_with_an_anomaly(images):
    many = images.repeat(8, 1, 1, 1)
    mask = add(many, generator(), probability=0.5)[1]
    assert (mask.flatten(1).amax(1) > 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert add(images, generator(), probability=0)[1].sum() == 0


def test_the_generator_decides_everything(images):
    state = torch.get_rng_state()
    first, second, other = (add(images, generator(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_input_is_left_alone(images):
    copy = images.clone()
    add(images, generator(), families=list(FAMILIES))
    assert torch.equal(images, copy)


def test_small_anomalies_meet_the_part(images):
    flat = torch.full((64, 3, 64, 64), 0.5)
    flat[:, :, 24:40, 24:40] = torch.rand(64, 3, 16, 16, generator=generator())  # the part
    mask = add(flat, generator(), families=["random_lines"], probability=1)[1]
    touched = (mask[:, :, 20:44, 20:44].flatten(1).amax(1) > 0).float().mean()
    assert touched > 0.5  # uniform centres over the image would give about (24 + 20)^2 / 64^2


def pictures(category: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Eight normal pictures, and where their part is, up to two pixels around it."""
    drawn = [draw(category, "train", index, size=128) for index in range(8)]
    images = torch.stack([torch.from_numpy(one.image).permute(2, 0, 1) / 255 for one in drawn])
    parts = torch.stack([torch.from_numpy(one.part) for one in drawn]).unsqueeze(1).float()
    return images, F.max_pool2d(parts, 5, stride=1, padding=2)


@pytest.mark.parametrize("category", ["washer", "bracket", "bolt", "tablet"])
def test_the_foreground_is_the_part(category):
    images, parts = pictures(category)
    found = foreground(images)
    assert found.shape == parts.shape and found.min() >= 0 and found.max() <= 1
    assert (found * parts).sum() > 0.9 * found.sum(), "little besides the part"
    assert (found * parts).sum() > 0.5 * parts.sum(), "most of the part"


@pytest.mark.parametrize("category", ["twill", "brushed"])
def test_a_texture_has_no_foreground_but_what_is_rare(category):
    assert foreground(pictures(category)[0]).mean() < 0.1


def test_a_flat_image_has_no_foreground():
    assert not foreground(torch.full((1, 3, 32, 48), 0.5)).any()


def test_emphasis_gives_a_small_part_half_of_the_weight():
    images, parts = pictures("bolt")
    weights = emphasis(images, 1.0)
    assert torch.allclose(weights.mean(dim=(1, 2, 3)), torch.ones(len(images)))
    share = (weights * parts).sum() / weights.sum()
    assert parts.mean() < 0.12 and 0.45 < share < 0.6
    assert torch.equal(emphasis(images, 0.0), torch.ones_like(parts))
    assert emphasis(pictures("twill")[0], 1.0).max() < 25, "a few rare pixels get no half"


def test_anomalies_meet_a_small_part_in_any_rotation():
    images, parts = pictures("bolt")  # a tenth of the image, the pixels around it included
    many = images.repeat(25, 1, 1, 1)
    y, x = (128 * centres(many, generator())).long().unbind(1)
    on_part = parts.repeat(25, 1, 1, 1)[torch.arange(len(many)), 0, y, x]
    assert on_part.mean() > 0.5


def test_paper_families_are_the_papers():
    assert PAPER_FAMILIES == ("colour_patches", "copy_paste", "random_lines")


@pytest.mark.parametrize("families", [["rust"], []])
def test_unknown_family(images, families):
    with pytest.raises(KitError, match="choose from"):
        add(images, generator(), families=families)
