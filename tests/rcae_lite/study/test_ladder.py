"""The ladder: the same numbers as the detectors' own, and paired gains."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from data_utils import KitError
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.evaluation.metrics import image_auroc
from rcae_lite.study import plots
from rcae_lite.study.ladder import ladder, mean_image_maps
from tests.rcae_lite.conftest import tiny_config


@pytest.fixture(scope="module")
def rungs(tiny_detector, tiny_category):
    single = SinglePassDetector(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[])
    found = ladder(tiny_detector, single, tiny_category.train, tiny_category.test)
    return {rung.name: rung for rung in found}, single


def test_the_rungs_are_what_the_detectors_give(rungs, tiny_detector, tiny_category):
    found, single = rungs
    test, images = tiny_category.test, tiny_category.test.images() / 255
    depth = tiny_detector.config.rcae.depth
    names = ["mean image", "single pass", f"resizing, n = {depth}"]
    names += [*(f"RcAE, n = {n + 1}" for n in range(depth))]
    assert list(found)[: 3 + depth + 2] == [*names, "+ DPN", "+ CRD"]
    evaluation = tiny_detector.evaluate(test)
    for n, auroc in enumerate(evaluation.residual_auroc_by_depth, start=1):
        assert found[f"RcAE, n = {n}"].auroc.value == pytest.approx(auroc)
    last = found[list(found)[-1]]
    np.testing.assert_allclose(last.scores, tiny_detector.predict(images).score, rtol=1e-4)
    np.testing.assert_allclose(found["single pass"].scores, single.predict(images).score, rtol=1e-4)
    for rung in found.values():
        assert rung.auroc.value == pytest.approx(image_auroc(test.labels, rung.scores))
        assert rung.auroc.low <= rung.auroc.value <= rung.auroc.high


def test_only_parts_of_the_method_have_a_gain_over_the_one_before(rungs):
    found, _ = rungs
    before = None
    for name, rung in found.items():
        assert (rung.gain is not None) == name.startswith("+")
        if rung.gain:
            assert rung.gain.value == pytest.approx(rung.auroc.value - before.auroc.value)
        before = rung


def test_the_mean_image_counts_spreads():
    train = torch.tensor([0.4, 0.6]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    maps = mean_image_maps(train, torch.full((1, 3, 4, 4), 0.8))
    torch.testing.assert_close(maps, torch.full((1, 4, 4), 0.3 / (0.2 / 2**0.5 + 0.01)))


def test_one_class_has_no_ladder(rungs, tiny_detector, tiny_category):
    good = tiny_category.test.subset(np.flatnonzero(tiny_category.test.labels == 0))
    with pytest.raises(KitError, match="one class only; a ladder needs normal and defective"):
        ladder(tiny_detector, rungs[1], tiny_category.train, good)


def test_the_figure_names_every_rung(rungs):
    figure = plots.ladder(list(rungs[0].values()))
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rungs[0])
    plt.close("all")
