"""The metrics against definitions written out, scikit-learn, and cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import beta
from sklearn.metrics import average_precision_score, roc_auc_score

from data_utils import KitError
from rcae_lite.evaluation import bootstrap, curves
from rcae_lite.evaluation.bootstrap import rate_interval
from rcae_lite.evaluation.curves import area_under_pro, pixel_curve, pixel_rates
from rcae_lite.evaluation.metrics import (
    auroc_difference,
    image_auroc,
    image_f1_max,
    image_metrics,
    pixel_metrics,
)


def naive_au_pro(maps, masks, limit=0.3):
    """The definition, written out: a loop over every distinct score of every pixel."""
    regions = []
    for number, mask in enumerate(masks):
        labelled, count = ndimage.label(mask, np.ones((3, 3)))
        regions += [(number, labelled == k) for k in range(1, count + 1)]
    normals = sum((~mask).sum() for mask in masks)
    points = [(0.0, 0.0)]
    for t in sorted({v for m in maps for v in m.ravel()}, reverse=True):
        false = sum(((m >= t) & ~mask).sum() for m, mask in zip(maps, masks, strict=True))
        points.append((false / normals, np.mean([(maps[n][r] >= t).mean() for n, r in regions])))
    area = 0.0
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        if x0 >= limit:
            break
        if x1 > limit:
            y1, x1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0), limit
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def flat(maps, masks):
    return (np.concatenate([m.ravel() for m in masks]), np.concatenate([m.ravel() for m in maps]))


def values(maps, masks):
    return {name: i.value for name, i in pixel_metrics(maps, masks, resamples=5).items()}


@st.composite
def cases(draw):
    """One to four small maps with heavy ties; at least one defective and one normal pixel."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.integers(1, 12))
    count = draw(st.integers(1, 4))
    maps = [rng.integers(levels, size=(7, 9)).astype(np.float32) for _ in range(count)]
    masks = [rng.random((7, 9)) < draw(st.sampled_from([0.0, 0.1, 0.5])) for _ in range(count)]
    masks[0][2, 3], masks[0][0, 0] = True, False
    return maps, masks


@settings(max_examples=150, deadline=None)
@given(cases())
def test_pixel_metrics_equal_scikit_learn_and_the_written_out_definition(case):
    found, (truth, scores) = values(*case), flat(*case)
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    assert found["au_pro"] == pytest.approx(naive_au_pro(*case), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(cases())
def test_only_the_order_of_the_scores_counts(case):
    maps, masks = case
    assert values([4 * m - 20 for m in maps], masks) == values(maps, masks)  # exact in float32
    assert all(0 <= value <= 1 for value in values(maps, masks).values())


def test_au_pro_by_hand():
    mask = np.zeros((2, 6), bool)
    mask[0, 0] = mask[0, 3] = mask[0, 4] = True  # components of 1 and of 2 pixels, 9 normal ones
    scores = np.zeros((2, 6), np.float32)
    scores[0, 0], scores[0, 3], scores[1, 1], scores[1, 2], scores[0, 4] = 5, 4, 3, 2, 1
    # PRO: (1 + 0) / 2 at FPR 0, then (1 + 1/2) / 2; 3/4 until FPR 2/9, then 1; the last tie of 7
    # normal pixels runs from 2/9 to 1 at PRO 1. Up to 0.3: 2/9 * 3/4 + (0.3 - 2/9) * 1.
    fpr, pro = pixel_curve([scores], [mask]).pro()
    assert area_under_pro(fpr, pro) == pytest.approx((2 / 9 * 3 / 4 + (0.3 - 2 / 9)) / 0.3)
    assert area_under_pro(fpr, pro, 2 / 9) == pytest.approx(3 / 4)
    assert (fpr[0], pro[0], fpr[-1], pro[-1]) == (0, 0, 1, 1)
    assert pixel_rates([scores], [mask], 4.5) == (0, 1 / 2)
    assert pixel_rates([scores], [mask], 1) == (2 / 9, 3 / 4)  # above, not at
    with pytest.raises(KitError, match="one kind"):
        pixel_rates([scores], [mask & False], 1)


def test_the_last_point_is_interpolated_at_the_limit():
    assert area_under_pro(np.array([0, 0.2, 0.4, 1]), np.array([0, 0.6, 1, 1])) == pytest.approx(
        (0.2 * 0.6 / 2 + 0.1 * (0.6 + 0.8) / 2) / 0.3
    )


def test_small_components_count_as_much_as_large_ones():
    mask = np.zeros((20, 20), bool)
    mask[:10, :10] = True
    mask[15, 15] = True
    scores = mask.astype(np.float32)
    scores[15, 15] = 0  # one pixel of 101 is missed: one of two components
    found = values([scores], [mask])
    assert found["pixel_auroc"] > 0.99 and found["au_pro"] == pytest.approx(0.5 + 0.5 * 0.3 / 2)


def test_diagonal_neighbours_are_one_component():
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = mask[2, 2] = True
    assert curves.component_weights(mask).tolist() == [0.5, 0.5]


def test_good_images_add_false_positives():
    rng = np.random.default_rng(0)
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    bad, good = mask + rng.random((8, 8)).astype(np.float32), np.full((8, 8), 2.5, np.float32)
    empty = np.zeros((8, 8), bool)
    alone, together = values([bad], [mask]), values([bad, good], [mask, empty])
    assert alone["au_pro"] == 1 and together["au_pro"] < 0.5


def test_a_constant_map_is_chance():
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    found = values([np.zeros((10, 10), np.float32)], [mask])
    assert found == pytest.approx({"pixel_auroc": 0.5, "pixel_ap": 0.5, "au_pro": 0.15})


def test_undefined_is_none():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    scores = np.zeros((4, 4), np.float32)
    assert set(pixel_metrics([scores], [empty]).values()) == {None}
    assert set(pixel_metrics([scores], [full]).values()) == {None}
    assert image_metrics([0, 0], [1.0, 2.0]) == {"image_auroc": None, "image_f1_max": None}


def test_mistakes_are_refused():
    mask, scores = np.eye(4, dtype=bool), np.zeros((4, 4), np.float32)
    with pytest.raises(KitError, match="not finite"):
        pixel_metrics([scores + np.nan], [mask])
    with pytest.raises(KitError, match="never the other way round"):
        pixel_metrics([scores[:2]], [mask])
    with pytest.raises(KitError, match="holds uint8 values, not bool"):
        pixel_metrics([scores], [mask.astype(np.uint8)])
    with pytest.raises(KitError, match="not finite"):  # also where the metrics are undefined
        pixel_metrics([scores - np.inf], [np.zeros((4, 4), bool)])
    with pytest.raises(KitError, match="2 maps for 1 masks"):
        pixel_metrics([scores, scores], [mask])
    with pytest.raises(KitError, match="not finite"):
        image_metrics([0, 1], [np.inf, 0])
    with pytest.raises(KitError, match="one score per label"):
        image_metrics([0, 1], [0.0])


def test_image_metrics_by_hand():
    found = image_metrics([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], resamples=50)
    assert found["image_auroc"].value == 0.75
    assert found["image_f1_max"].value == pytest.approx(0.8)  # threshold 0.5: TP 2, FP 1


def realistic(images: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for number in range(images):
        mask = np.zeros((64, 64), bool)
        if number % 3:
            y, x = rng.integers(4, 44, 2)
            mask[y : y + rng.integers(3, 16), x : x + rng.integers(3, 16)] = True
        noise = ndimage.gaussian_filter(rng.standard_normal((64, 64)), 2) * 4 + rng.normal(0, 0.3)
        maps.append((noise + 1.5 * mask * rng.random()).astype(np.float32))
        masks.append(mask)
    return maps, masks


def adversarial(images: int):
    """Nearly all mass in one value, the rest spread over many orders of magnitude."""
    rng = np.random.default_rng(1)
    maps, masks = realistic(images)
    spread = [np.sign(m) * np.exp(9 * np.abs(m)) for m in maps]
    heavy = [np.where(rng.random(m.shape) < 0.9, 0, m) for m in spread]
    return [m.astype(np.float32) for m in heavy], masks


def rare(images: int):
    """One defective pixel in 4000, nearly all of them above every normal one: AP hangs on few."""
    rng = np.random.default_rng(2)
    maps = [rng.standard_normal((64, 64)).astype(np.float32) for _ in range(images)]
    masks = [np.zeros((64, 64), bool) for _ in range(images)]
    for anomaly_map, mask in zip(maps, masks, strict=True):
        y, x = rng.integers(64, size=2)
        mask[y, x] = True
        anomaly_map[y, x] = 4 * rng.random() + 1.5
    return maps, masks


def quantised(images: int):
    """Eight levels: every threshold is a heavy tie."""
    maps, masks = realistic(images)
    return [np.round(m) for m in maps], masks


@pytest.mark.parametrize("make", [realistic, adversarial, rare, quantised])
def test_binning_error_of_the_intervals_is_below_a_thousandth(make):
    case = make(30)
    once = np.ones((1, len(case[0])), dtype=int)
    binned = bootstrap.resampled_areas(*case, once)[0]
    exact = curves.areas_under(pixel_curve(*case))
    assert np.abs(np.array(binned) - exact).max() < 1e-3


def test_intervals_hold_the_value_shrink_like_the_square_root_of_the_data_and_are_reproducible():
    few = pixel_metrics(*realistic(12), resamples=200)
    for name in few:
        assert few[name].low <= few[name].value <= few[name].high
    repeated = pixel_metrics(*(4 * part for part in realistic(12)), resamples=200)
    for name in few:
        assert repeated[name].value == pytest.approx(few[name].value)
        width, wide = (i[name].high - i[name].low for i in (repeated, few))
        assert width == pytest.approx(wide / 2, rel=0.35)
    assert few == pixel_metrics(*realistic(12), resamples=200)
    assert few != pixel_metrics(*realistic(12), resamples=200, seed=1)


def test_intervals_of_image_metrics_hold_the_value_and_shrink():
    labels = np.arange(60) % 2
    scores = labels + np.random.default_rng(0).normal(0, 1, 60)
    wide = image_metrics(labels[:20], scores[:20], resamples=300)
    narrow = image_metrics(labels, scores, resamples=300)
    for name, found in narrow.items():
        assert found.low <= found.value <= found.high
        assert found.high - found.low < wide[name].high - wide[name].low
    assert narrow == image_metrics(labels, scores, resamples=300)


def test_resampled_image_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3 > 0
    scores = np.round(labels + rng.normal(0, 1, 30), 1)  # with ties
    assert len(np.unique(scores)) < 30
    counts = bootstrap.resample(30, 50, 0, lambda drawn: 0 < drawn @ labels < 30)
    found = bootstrap.resampled_image_metrics(labels, scores, counts)
    drawn = [np.repeat(np.arange(30), row) for row in counts]
    for values, metric in zip(found, (image_auroc, image_f1_max), strict=True):
        assert values == pytest.approx([metric(labels[d], scores[d]) for d in drawn])


def test_a_paired_difference_does_not_see_the_luck_that_both_share():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    ours = labels + rng.normal(0, 1, 60)
    alike = ours + rng.normal(0, 0.1, 60)
    found = auroc_difference(labels, [ours, ours], [alike], resamples=300)
    expected = roc_auc_score(labels, ours) - roc_auc_score(labels, alike)
    assert found.value == pytest.approx(expected)
    alone = image_metrics(labels, ours, resamples=300)["image_auroc"]
    assert found.low <= found.value <= found.high
    assert found.high - found.low < (alone.high - alone.low) / 3
    same = auroc_difference(labels, [ours], [ours], resamples=10)
    assert same == bootstrap.Interval(0.0, 0.0, 0.0)
    better = auroc_difference(labels, [labels], [ours], resamples=100)
    assert better.value > 0 and better.low > 0


def test_a_resample_that_misses_a_class_is_drawn_again():
    found = image_metrics([0, 1, 1, 1], [0.0, 1, 2, 3], resamples=100)["image_auroc"]
    assert found == bootstrap.Interval(1.0, 1.0, 1.0)  # a draw without the only normal has no AUROC
    counts = bootstrap.resample(4, 100, 0, lambda drawn: drawn[0] > 0)
    assert counts.shape == (100, 4) and counts[:, 0].min() == 1
    assert (counts.sum(axis=1) == 4).all()


@pytest.mark.parametrize(("events", "trials"), [(0, 20), (1, 20), (7, 30), (20, 20)])
def test_rate_interval_is_clopper_pearson(events, trials):
    found = rate_interval(events, trials)
    assert found.value == events / trials
    low = beta.ppf(0.025, events, trials - events + 1) if events else 0.0
    high = beta.ppf(0.975, events + 1, trials - events) if events < trials else 1.0
    assert (found.low, found.high) == pytest.approx((low, high))
