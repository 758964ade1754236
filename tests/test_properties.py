"""Properties that hold for any input: geometry, arithmetic of sizes, metrics, checkpoints."""

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from data_utils import ImageSet, KitError, Record
from data_utils.samples import to_working_size
from rcae_lite.config import Stage, config_from_dict, get_config
from rcae_lite.evaluation.curves import area_under_pro, pixel_curve
from rcae_lite.evaluation.metrics import image_metrics, pixel_metrics
from rcae_lite.model.layers import halvings
from rcae_lite.model.rcae import RcAE, check_divisible
from rcae_lite.storage.tensors import load_tensors, save_tensors

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def record(image: np.ndarray, mask: np.ndarray) -> Record:
    return Record("a.png", 1, "crack", lambda: image, lambda: mask, lambda: "0" * 64)


def as_set(image: np.ndarray, mask: np.ndarray, size: int, transform=None) -> ImageSet:
    return ImageSet(
        [record(image, mask)],
        size,
        category="c",
        split="test",
        fingerprint="f",
        transform=transform,
    )


# -- geometry of image and mask ------------------------------------------------------------------


@few
@given(
    st.integers(1, 90), st.integers(1, 90), st.sampled_from([16, 32, 48]), st.integers(0, 2**32 - 1)
)
def test_resizing_keeps_range_constants_and_what_a_mask_is(height, width, size, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = to_working_size(image, size)
    assert small.shape == (3, size, size) and small.dtype == torch.uint8
    assert image.min() <= small.min() and small.max() <= image.max()
    flat = to_working_size(np.full_like(image, image[0, 0]), size)
    assert (flat == torch.tensor(image[0, 0])[:, None, None]).all()
    mask = rng.random((height, width)) < 0.3
    found = as_set(image, mask, size)[0].mask
    assert found.dtype == torch.bool and found.shape == (size, size)
    for value in (True, False):  # nothing appears that was not there
        assert not (np.full_like(mask, value) != mask).all() or (found != value).all()


@few
@given(st.integers(8, 40), st.integers(8, 40), st.integers(0, 2**32 - 1))
def test_a_mask_is_where_the_image_says(height, width, seed):
    """Image and mask go through the same geometry: a painted mask is found again in both."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(0, (height - 4, width - 4))
    mask[top : top + 4, left : left + 4] = True
    image = np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    flips = v2.Compose([v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)])
    sample = as_set(image, mask, 4 * max(height, width), flips)[0]
    bright, inside = sample.image[0] > 0.5, sample.mask
    union = (bright | inside).sum()
    assert (bright & inside).sum() / union > 0.75  # they differ at the border only


@few
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_a_mask_of_another_size_is_refused(height, width, other_height, other_width):
    assume((height, width) != (other_height, other_width))
    image = np.zeros((height, width, 3), np.uint8)
    data = as_set(image, np.zeros((other_height, other_width), bool), 16)
    with pytest.raises(KitError, match=f"{other_height}x{other_width}.*{height}x{width}"):
        data.images()


# -- sizes and depths ----------------------------------------------------------------------------


@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 12))
def test_divisible_means_divisible_and_the_remedy_works(height, width, depth):
    images = torch.empty(1, 3, height, width, device="meta")
    divides = height % 2**depth == 0 and width % 2**depth == 0
    if divides:
        check_divisible(images, depth)
        return
    with pytest.raises(KitError) as caught:
        check_divisible(images, depth)
    side = width if str(caught.value).startswith("width") else height
    words = str(caught.value).split()
    nearest = int(words[words.index("to") + 1])
    assert nearest % 2**depth == 0 and nearest > 0 and str(side) in words


@few
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_every_depth_halves_and_gives_the_size_back(depth, rows, columns, batch):
    rcae = RcAE(depth, size=64, width=8)
    side = 2**rcae.halvings
    height, width = rows * side, columns * side
    images = torch.rand(batch, 3, height, width)
    with torch.no_grad():
        compressed = rcae.compress(images)
        trajectory = rcae.trajectory(images)
    expected = [(height // 2**n, width // 2**n) for n in range(depth + 1)]
    assert [c.shape[-2:] for c in compressed] == expected
    assert trajectory.shape == (batch, 3, depth, *images.shape[-2:])


@given(st.integers(-10, 5000), st.integers(-2, 13))
def test_a_configuration_has_a_size_that_works_or_is_refused(size, depth):
    options = {"size": size, "rcae": {"depth": depth}, "crd": {"crop": 0}}
    divisor = max(16, 2 ** (depth + 1)) if depth >= 1 else 0
    if divisor and size >= 64 and size % divisor == 0:
        config = get_config("lite", **options)
        assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config
        halved = 2 ** halvings(size, depth)  # stage 1 begins at half the size
        assert size % config.side_multiple() == 0 == (size // 2) % halved
    else:
        with pytest.raises(KitError):
            get_config("lite", **options)


@given(st.integers(1, 10**6), st.integers(1, 500), st.integers(1, 200))
def test_an_epoch_sees_as_many_images_as_there_are(images, batch_size, epochs):
    steps = Stage(epochs=epochs, batch_size=batch_size).optimiser_steps(images)
    assert 0 <= steps / epochs * batch_size - images < batch_size


# -- metrics -------------------------------------------------------------------------------------

SCORES = st.lists(st.integers(-50, 50), min_size=1, max_size=30)


@few
@given(SCORES, st.data())
def test_image_metrics_are_bounded_and_see_only_the_order(scores, data):
    labels = data.draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    found = image_metrics(labels, scores, resamples=5)
    if len(set(labels)) == 1:
        assert set(found.values()) == {None}
        return
    rising = image_metrics(labels, np.exp(np.array(scores) / 7), resamples=5)
    assert found == rising
    assert all(0 <= m.low <= m.high <= 1 and 0 <= m.value <= 1 for m in found.values())
    turned = image_metrics(1 - np.array(labels), -np.array(scores), resamples=5)
    assert turned["image_auroc"].value == pytest.approx(found["image_auroc"].value)
    share = np.mean(labels)  # calling everything defective is always possible
    assert found["image_f1_max"].value >= 2 * share / (1 + share) - 1e-12


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_pixel_metrics_do_not_see_the_order_of_images_or_their_orientation(seed, levels):
    rng = np.random.default_rng(seed)
    maps = [rng.integers(levels, size=(6, 8)).astype(np.float32) for _ in range(3)]
    masks = [rng.random((6, 8)) < 0.3 for _ in range(3)]
    masks[0][0, :2] = True, False
    found = pixel_metrics(maps, masks, resamples=3)
    for other in (
        ([m[::-1] for m in maps[::-1]], [m[::-1] for m in masks[::-1]]),
        ([m.T for m in maps], [m.T for m in masks]),
    ):
        again = pixel_metrics(*other, resamples=3)
        for name, interval in found.items():
            assert again[name].value == pytest.approx(interval.value, abs=1e-12)
            assert 0 <= interval.value <= 1


@few
@given(st.integers(0, 2**32 - 1))
def test_a_perfect_map_is_one_and_more_overlap_is_never_worse(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((8, 8)) < 0.3
    mask[0, :2] = True, False
    perfect = pixel_metrics([mask.astype(np.float32)], [mask], resamples=3)
    assert all(i.value == pytest.approx(1) for i in perfect.values())
    scores = rng.random((8, 8)).astype(np.float32)
    limits = [
        area_under_pro(*pixel_curve([scores + step * mask], [mask]).pro())
        for step in (0, 0.2, 0.5, 2)
    ]
    assert limits == sorted(limits)


# -- files ---------------------------------------------------------------------------------------

TENSORS = st.dictionaries(
    st.text("abc.0", min_size=1, max_size=8),
    st.tuples(
        st.lists(st.integers(0, 4), max_size=3), st.sampled_from(["float32", "int64", "bool"])
    ),
    max_size=5,
)


@few
@given(TENSORS, st.integers(0, 2**31))
def test_tensors_come_back_to_the_bit(tmp_path_factory, shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randint(-99, 99, shape, generator=generator).to(getattr(torch, kind))
        for name, (shape, kind) in shapes.items()
    }
    path = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    save_tensors(path, tensors)
    found = load_tensors(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]
