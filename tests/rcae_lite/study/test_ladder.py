"""The ladder: the same numbers as the detectors' own, and paired gains."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from data_utils import KitError
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.evaluation.metrics import image_auroc
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.study import plots
from rcae_lite.study.ladder import ladder, mean_image_maps
from tests.rcae_lite.conftest import tiny_config


@pytest.fixture(scope="module")
def rungs(tiny_detector, tiny_baseline, tiny_category):
    found = ladder(tiny_detector, tiny_baseline, tiny_category.train, tiny_category.test)
    return {rung.name: rung for rung in found}


def test_the_rungs_are_what_the_detectors_give(rungs, tiny_detector, tiny_baseline, tiny_category):
    test, images = tiny_category.test, tiny_category.test.images() / 255
    depth = tiny_detector.config.rcae.depth
    names = ["mean image", "eigenimages", "single pass", f"resizing, n = {depth}"]
    names += [*(f"RcAE, n = {n + 1}" for n in range(depth))]
    assert list(rungs)[: 4 + depth + 2] == [*names, "+ DPN", "+ CRD"]
    evaluation = tiny_detector.evaluate(test)
    for n, auroc in enumerate(evaluation.residual_auroc_by_depth, start=1):
        assert rungs[f"RcAE, n = {n}"].auroc.value == pytest.approx(auroc)
    last = rungs[list(rungs)[-1]]
    np.testing.assert_allclose(last.scores, tiny_detector.predict(images).score, rtol=1e-4)
    alone = smooth(tiny_detector.crd.z_scores(images)[:, 0] ** 2).flatten(1).amax(dim=1)
    np.testing.assert_allclose(rungs["eigenimages"].scores, alone, rtol=1e-4)
    simple = tiny_baseline.predict(images).score
    np.testing.assert_allclose(rungs["single pass"].scores, simple, rtol=1e-4)
    for rung in rungs.values():
        assert rung.auroc.value == pytest.approx(image_auroc(test.labels, rung.scores))
        assert rung.auroc.low <= rung.auroc.value <= rung.auroc.high


def test_only_parts_of_the_method_have_a_gain_over_the_one_before(rungs):
    before = None
    for name, rung in rungs.items():
        assert (rung.gain is not None) == name.startswith("+")
        if rung.gain:
            assert rung.gain.value == pytest.approx(rung.auroc.value - before.auroc.value)
        before = rung


def test_the_mean_image_counts_spreads():
    train = torch.tensor([0.4, 0.6]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    maps = mean_image_maps(train, torch.full((1, 3, 4, 4), 0.8))
    torch.testing.assert_close(maps, torch.full((1, 4, 4), 0.3 / (0.2 / 2**0.5 + 0.01)))


def test_what_has_no_ladder(tiny_detector, tiny_baseline, tiny_category):
    train, test = tiny_category.train, tiny_category.test
    good = test.subset(np.flatnonzero(test.labels == 0))
    with pytest.raises(KitError, match="one class only; a ladder needs normal and defective"):
        ladder(tiny_detector, tiny_baseline, train, good)
    other = SinglePassDetector(tiny_config(size=64), 0, "cpu")
    with pytest.raises(KitError, match="single pass works at 64x64 and RcAE at 32x32"):
        ladder(tiny_detector, other, train, test)


def test_the_figure_names_every_rung(rungs):
    figure = plots.ladder(list(rungs.values()))
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rungs)
    plt.close("all")
