"""ComparisonState: every detector's own frames, at the shared image and depth."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from data_utils import KitError
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.widgets.state.comparison import ComparisonState, compare
from rcae_lite.widgets.state.frames import COLOURS, to_bytes
from tests.rcae_lite.conftest import tiny_config


@pytest.fixture(scope="module")
def detectors(tiny_detector, tiny_baseline):
    return {"RcAE": tiny_detector, "single pass": tiny_baseline}


@pytest.fixture(scope="module")
def state(detectors, tiny_category) -> ComparisonState:
    return compare(detectors, tiny_category.test)


def test_every_panel_at_every_image_and_depth_is_the_detectors_own(state, detectors, tiny_category):
    assert state.depth == 3 and state.values == {"image": 0, "depth": 3}
    for image, depth in itertools.product(range(8), range(1, 4)):
        state.set(image=image, depth=depth)
        picture = tiny_category.test[image].image.unsqueeze(0)
        for index, detector in enumerate(detectors.values()):
            frames = to_bytes(detector.trajectory(picture).reconstructions)[0]
            own = min(depth, len(frames))
            assert state.depth_of(index) == own
            shown = state.panel(index, "reconstruction")
            assert np.abs(shown.astype(int) - frames[own - 1]).max() <= 1  # batches round apart
            difference = np.abs(picture[0].mul(255).round().numpy().transpose(1, 2, 0) - shown)
            level = 255 * difference.sum(axis=-1) / state.scales[0].difference
            expected = COLOURS[np.floor(level + 0.5).clip(0, 255).astype(int)]
            np.testing.assert_array_equal(state.panel(index, "residual"), expected)


def test_the_map_that_is_sent_has_the_colours_that_python_holds(state):
    sent = state.data()["detectors"]
    for image, index in itertools.product(range(8), range(2)):
        state.set(image=image)
        coloured = COLOURS[sent[index]["maps"][image]]
        np.testing.assert_array_equal(coloured, state.panel(index, "map"))


def test_scores_are_in_units_of_each_detectors_own_threshold(state, detectors, tiny_category):
    images = tiny_category.test.images() / 255
    for index, detector in enumerate(detectors.values()):
        detection = detector.predict(images)
        relative = state.relative_scores(index)
        np.testing.assert_allclose(relative, detection.score / detector.threshold.value, rtol=1e-4)
        np.testing.assert_array_equal(relative > 1, detection.label)


def test_residuals_share_one_scale_and_maps_keep_their_own(state):
    first, second = state.scales
    assert first.difference == second.difference
    assert first.high != second.high


@pytest.mark.parametrize("values", [{"image": 8}, {"image": -1}, {"depth": 0}, {"depth": 4}])
def test_values_outside_are_refused(state, values):
    with pytest.raises(KitError, match="choose a whole number"):
        state.set(**values)


def test_what_cannot_be_compared_is_refused(state, detectors, tiny_category):
    first, second = state.compared
    with pytest.raises(KitError, match="at least 2"):
        ComparisonState([first])
    altered = dataclasses.replace(second.frames, images=second.frames.images[::-1])
    with pytest.raises(KitError, match="single pass saw other images"):
        ComparisonState([first, dataclasses.replace(second, frames=altered)])
    with pytest.raises(KitError, match="7 labels for 8 images"):
        ComparisonState([first, second], [0] * 7)
    fresh = type(detectors["RcAE"])(tiny_config(), 0, "cpu")
    with pytest.raises(KitError, match="fresh has no threshold"):
        compare({**detectors, "fresh": fresh}, torch.rand(1, 3, 32, 32))
    larger = SinglePassDetector(tiny_config(size=64), 0, "cpu")
    with pytest.raises(KitError, match="larger works at 64x64 and RcAE at 32x32"):
        compare({**detectors, "larger": larger}, torch.rand(1, 3, 32, 32))


def test_images_without_a_set_have_names_and_no_labels(detectors):
    state = compare(detectors, torch.rand(2, 3, 32, 32))
    data = state.data()
    assert data["names"] == ["image 1", "image 2"]
    assert data["labels"] is None and data["masks"] is None
