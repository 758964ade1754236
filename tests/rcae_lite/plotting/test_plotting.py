"""Plots show the numbers they are given, on one scale per figure, and leave no state behind."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from msgspec.structs import replace
from PIL import Image

from rcae_lite import plotting
from rcae_lite.plotting.style import NORMAL
from tests.legible import faults, labels_of_figure
from tests.rcae_lite.evaluation.test_results import make_evaluation

RNG = np.random.default_rng(0)
IMAGE = RNG.random((3, 12, 16))
RECONSTRUCTIONS = RNG.random((3, 5, 12, 16))


def lines(ax) -> dict:
    return {line.get_label(): line.get_xydata() for line in ax.get_lines()}


def test_overlay_is_the_image_at_the_low_end_and_opaque_at_the_high_one():
    image = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    low = plotting.overlay(image, np.full((6, 8), -7.0), -6, 3)
    assert (low == image).all() and low.dtype == np.uint8
    ramp = np.tile(np.linspace(-6, 3, 8), (6, 1))
    change = np.abs(plotting.overlay(np.zeros_like(image), ramp, -6, 3).astype(int)).sum(
        axis=(0, 2)
    )
    assert (np.diff(change) > 0).all()
    beyond = plotting.overlay(image, np.full((6, 8), 1e6), -6, 3)
    assert (beyond == plotting.overlay(image, np.full((6, 8), 3.0), -6, 3)).all()


def test_one_map_looks_the_same_wherever_it_stands_in_a_figure():
    weak, strong = np.zeros((12, 16)), np.zeros((12, 16))
    weak[3, 4], strong[3, 4] = 1, 5
    figure = plotting.detections([IMAGE] * 2, [weak, strong], [strong > 9] * 2, ["a", "b"], (0, 5))
    maps = [ax.images[0].get_array() for ax in figure.axes[2:4]]
    pixels = (255 * IMAGE.transpose(1, 2, 0)).astype(np.uint8)
    for shown, raw in zip(maps, (weak, strong), strict=True):
        assert (shown == plotting.overlay(pixels, raw, 0, 5)).all()
    assert (maps[0][3, 4] != maps[1][3, 4]).any()  # a scale of its own would make them equal


@pytest.mark.parametrize("enhanced", [None, RECONSTRUCTIONS])
def test_trajectory_strip_names_every_depth_and_shares_one_residual_scale(enhanced):
    figure = plotting.trajectory_strip(
        IMAGE, RECONSTRUCTIONS, enhanced, IMAGE[0], limits=(0, 1), residual_top=0.7
    )
    titles = [ax.get_title() for ax in figure.axes]
    assert [t for t in titles if t.startswith("n = ")] == [f"n = {n}" for n in range(1, 6)]
    residuals = [
        ax.images[0] for ax in figure.axes if ax.images and ax.images[0].get_array().ndim == 2
    ]
    assert [image.get_clim() for image in residuals] == [(0, 0.7)] * 5  # not its own
    expected = np.abs(IMAGE[:, None] - RECONSTRUCTIONS).mean(axis=0)
    for depth, image in enumerate(residuals):
        np.testing.assert_allclose(image.get_array(), expected[depth])
    map_axes = figure.axes[titles.index("anomaly map")]
    pixels = (255 * IMAGE.transpose(1, 2, 0)).astype(np.uint8)
    expected_map = plotting.overlay(pixels, IMAGE[0], 0, 1)
    assert (map_axes.images[0].get_array() == expected_map).all()


def bars(figure) -> list:
    """Label and ends of every colour bar of a figure."""
    return [
        (ax.get_ylabel(), ax.get_ylim()) for ax in figure.axes if ax.get_label() == "<colorbar>"
    ]


def test_residuals_and_map_of_a_strip_have_a_colour_bar_each():
    residual = "|I $-$ I$_R$|, grey levels 0 to 1"
    options = {"limits": (-2, 3), "residual_top": 0.7}
    figure = plotting.trajectory_strip(IMAGE, RECONSTRUCTIONS, None, IMAGE[0], **options)
    assert bars(figure) == [(residual, (0, 0.7)), ("raw map", (-2, 3))]
    figure.draw_without_rendering()
    titles = {ax.get_title(): ax.get_position() for ax in figure.axes}
    image, shown = titles["image"], titles["anomaly map"]
    assert (image.x0, image.width) == pytest.approx((shown.x0, shown.width))  # still one column
    assert bars(plotting.trajectory_strip(IMAGE, RECONSTRUCTIONS, **options)) == [
        (residual, (0, 0.7))
    ]


@pytest.mark.parametrize("unit", ["raw map", "spreads"])
def test_every_row_of_maps_says_in_what_unit_it_is(unit):
    masks, maps = [np.zeros((12, 16), bool)], {"a": [IMAGE[0]], "b": [IMAGE[1]]}
    limits, options = {"a": (0, 1), "b": (0, 9)}, {} if unit == "raw map" else {"unit": unit}
    figure = plotting.compare_maps([IMAGE], masks, maps, ["x"], limits, **options)
    assert bars(figure) == [(unit, (0, 1)), (unit, (0, 9))]


def test_a_perfect_reconstruction_can_be_drawn():
    perfect = np.repeat(IMAGE[:, None], 2, axis=1)
    assert plotting.trajectory_strip(IMAGE, perfect).to_webp().startswith(b"RIFF")


def test_titles_are_not_formulas():
    name = r"a$\frac$b"  # the name of a folder
    mask = np.zeros((12, 16), bool)
    for figure in (
        plotting.detections([IMAGE], [IMAGE[0]], [mask], [name]),
        plotting.trajectory_strip(IMAGE, RECONSTRUCTIONS, title=name),
    ):
        assert figure.to_webp()


def test_a_figure_shows_itself_sharply_and_in_words():
    figure, ax = plotting.subplots(figsize=(4, 3))
    ax.set(xlabel='steps "a"', ylabel="loss")
    shown = figure._repr_html_()
    assert 'style="width: 400px;' in shown and 'alt="loss over steps &quot;a&quot;"' in shown
    with Image.open(io.BytesIO(figure.to_webp())) as picture:
        assert picture.size == (800, 600)  # for sharp displays
        assert picture.getpixel((0, 0))[3] == 0  # transparent, for a dark theme
    assert to_rgb(ax.xaxis.label.get_color()) == to_rgb(plotting.INK)
    assert plotting.heat_map(IMAGE, IMAGE[0], 0, 1).get_figure().description == "figure"


@pytest.mark.parametrize("background", [(1, 1, 1), (0.067, 0.067, 0.067)])  # of JupyterLab's themes
def test_text_is_legible_on_white_and_on_the_dark_theme(background):
    light = [
        0.2126 * r + 0.7152 * g + 0.0722 * b
        for r, g, b in (
            [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
            for colour in (to_rgb(plotting.INK), background)
        )
    ]
    assert (max(light) + 0.05) / (min(light) + 0.05) > 4  # WCAG asks for 3 in graphics


def test_a_strip_of_scores_has_a_dot_for_every_image_and_the_threshold():
    evaluation = make_evaluation(40, 60)
    ax = plotting.score_strip(evaluation)
    *dots, threshold = ax.get_lines()
    kinds = dict.fromkeys(image.defect for image in evaluation.images)
    shown = [tick.get_text() for tick in ax.get_yticklabels()]
    assert shown == ["good", *(kind for kind in kinds if kind != "good")]
    normal, defective = dots[0], dots[1:]
    assert sorted(normal.get_xdata()) == sorted(evaluation.scores[evaluation.labels == 0])
    assert sum(len(line.get_xdata()) for line in defective) == 60
    assert len(set(normal.get_ydata())) == 40  # side by side: they can be counted
    assert to_rgb(normal.get_color()) == pytest.approx(to_rgb(NORMAL))
    assert threshold.get_xdata()[0] == evaluation.threshold.value
    assert "at most 5.0%" in threshold.get_label()
    assert len(plotting.score_strip(make_evaluation(defective=0)).get_lines()) == 2


def test_a_strip_looks_closer_at_the_defect_and_at_a_normal_place_of_the_same_size():
    image, mask = np.zeros((3, 40, 40)), np.zeros((40, 40), bool)
    mask[4:8, 30:35], image[:, 4:8, 30:35] = True, 1
    mask[20, 2] = True  # a smaller one
    image[:, 20:, 10:12] = 0.5  # the structure of the part
    steps = np.stack([image * 0.5, image * 0.2], axis=1)  # (3, N, H, W)
    figure = plotting.trajectory_strip(image, steps, mask=mask)
    assert not faults(labels_of_figure(figure))
    rows = {ax.get_ylabel(): ax.images[0].get_array() for ax in figure.axes if ax.images}
    defect, normal = rows["the defect"], rows["a normal place"]
    assert defect.shape == normal.shape == (10, 10, 3) and defect.sum() == 3 * 4 * 5
    assert 0 < normal.max() <= 0.5  # with structure, without a defect
    same = plotting.trajectory_strip(image, steps, mask=mask & False)
    assert "the defect" not in [ax.get_ylabel() for ax in same.axes]
    everywhere = plotting.trajectory_strip(image, steps, mask=mask | True)
    assert {ax.images[0].get_array().shape[:2] for ax in everywhere.axes if ax.images} == {(40, 40)}


def test_the_share_that_is_left_has_a_panel_for_every_size():
    def found(*shares):
        sizes = {"small": {"copied_share": shares}, "large": {"copied_share": shares[::-1]}}
        return SimpleNamespace(copied_share=shares, by_size=sizes)

    figure = plotting.copied_by_size({"rcae": found(0.9, 0.4, 0.1), "single_pass": found(0.3)})
    assert [ax.get_title() for ax in figure.axes] == ["small of the image", "large of the image"]
    small, large = map(lines, figure.axes)
    assert small["RcAE"].tolist() == [[1, 0.9], [2, 0.4], [3, 0.1]]
    assert large["RcAE"][:, 1].tolist() == [0.1, 0.4, 0.9]
    assert set(small["single-pass autoencoder"][:, 1]) == {0.3}
    assert figure.axes[0].get_ylim() == (0, 1) and not faults(labels_of_figure(figure))


def test_ladder_shows_the_residual_by_depth_and_both_detectors():
    evaluation, single = make_evaluation(), make_evaluation(seed=1)
    provenance = replace(single.provenance, detector="single_pass")
    single = replace(single, provenance=provenance)
    shown = lines(plotting.residual_ladder(evaluation, single))
    ladder = evaluation.residual_auroc_by_depth
    assert shown["plain residual of depth n"].tolist() == [[n, a] for n, a in enumerate(ladder, 1)]
    for entry, label in ((evaluation, "RcAE + DPN + CRD"), (single, "single-pass autoencoder")):
        assert (shown[label][:, 1] == entry.metrics["image_auroc"].value).all()


@pytest.mark.parametrize("name", ["roc", "pro"])
def test_curves_are_those_of_the_evaluation(name):
    evaluation = make_evaluation()
    ax = getattr(plotting, f"{name}_curve")(evaluation)
    assert lines(ax)["RcAE + DPN + CRD"].tolist() == evaluation.curves[name]
    assert ax.get_xlim() == (0, 0.3 if name == "pro" else 1)
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_legend()
    if name == "roc":
        point = [evaluation.false_positive_rate, evaluation.detection_rate]
        assert lines(ax)["threshold from normals"].tolist() == [point]


def test_precision_over_recall_and_where_the_threshold_is():
    evaluation = make_evaluation(40, 60)
    shown = lines(plotting.precision_recall_curve(evaluation))
    alarms = evaluation.scores > evaluation.threshold.value
    hits = (alarms & (evaluation.labels == 1)).sum()
    assert shown["threshold from normals"].tolist() == [[hits / 60, hits / alarms.sum()]]
    assert set(shown["guessing"][:, 1]) == {0.6}
    assert shown["RcAE + DPN + CRD"][0].tolist() == [1, 0.6]  # everything is an alarm


def test_without_a_data_set_the_residuals_of_a_strip_set_its_scale():
    figure = plotting.trajectory_strip(IMAGE, RECONSTRUCTIONS)
    shown = {
        ax.images[0].get_clim()
        for ax in figure.axes
        if ax.images and ax.images[0].get_array().ndim == 2
    }
    residuals = np.abs(IMAGE[:, None] - RECONSTRUCTIONS).mean(axis=0)
    assert shown == {(0, np.quantile(residuals, 0.999))}
    assert plotting.residual_limit(residuals * 0) > 0


def test_gallery_shows_every_image_and_outlines_only_defects():
    mask = np.zeros((12, 16), bool)
    mask[3:6, 4:9] = True
    figure = plotting.gallery([IMAGE] * 4, list("abcd"), [mask, mask & False] * 2, columns=3)
    assert [ax.get_title() for ax in figure.axes] == [*"abcd", "", ""]
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 1, 1, 0, 0]
    assert [bool(ax.collections) for ax in figure.axes][:4] == [True, False, True, False]


def test_maps_of_two_detectors_have_a_scale_each():
    masks = [np.zeros((12, 16), bool)] * 2
    maps = {"a": [IMAGE[0], IMAGE[1]], "b": [9 * IMAGE[0]] * 2}
    limits = {"a": (0, 1), "b": (0, 9)}
    figure = plotting.compare_maps([IMAGE] * 2, masks, maps, ["x", "y"], limits)
    shown = [ax.images[0].get_array() for ax in figure.axes[:6]]
    assert (shown[2] == shown[4]).all() and (shown[4] == shown[5]).all()
    assert (shown[2] != shown[3]).any()
    assert [ax.get_ylabel() for ax in figure.axes[:6:2]] == ["image, true defect", "a", "b"]
    assert plotting.compare_maps([IMAGE] * 2, masks, maps, ["x", "y"]).to_webp()


def test_pixel_curves_are_the_residuals_of_the_named_pixels():
    residuals = RNG.random((5, 12, 16))
    shown = lines(plotting.pixel_curves(residuals, {"edge": (3, 4), "hole": (0, 15)}))
    assert shown["edge"].tolist() == [[n + 1, residuals[n, 3, 4]] for n in range(5)]
    assert shown["hole"][:, 1].tolist() == residuals[:, 0, 15].tolist()


def test_residuals_by_depth_are_the_quartiles_of_each_kind_of_pixel():
    residuals, masks = np.zeros((2, 3, 6, 6)), np.zeros((2, 6, 6), bool)
    masks[1, 2:4] = True
    residuals += np.arange(1, 4)[:, None, None]
    residuals[1, :, 2:4] *= 10
    ax = plotting.residuals_by_depth(residuals, masks)
    drawn = [line.get_ydata()[0] for line in ax.get_lines() if line.get_color() == plotting.INK]
    assert set(drawn) == {1, 2, 3, 10, 20, 30}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "normal pixels",
        "defective pixels",
    ]
    plotting.residuals_by_depth(residuals, masks & False)


def test_pro_curve_marks_the_threshold():
    evaluation = make_evaluation()
    evaluation.curves["pro_at_threshold"] = [[0.1, 0.6]]
    assert lines(plotting.pro_curve(evaluation))["threshold from normals"].tolist() == [[0.1, 0.6]]


def test_changes_by_depth_are_means_over_each_kind_of_pixel():
    changes, masks = np.ones((2, 4, 6, 6)), np.zeros((2, 6, 6), bool)
    masks[0, :2] = True
    changes[0, :, :2] = 3
    changes[:, 1] *= 2
    shown = lines(plotting.changes_by_depth(changes, masks))
    assert shown["normal pixels"][:, 1].tolist() == [1, 2, 1, 1]
    assert shown["defective pixels"][:, 1].tolist() == [3, 6, 3, 3]
    assert set(lines(plotting.changes_by_depth(changes, masks & False))) == {"normal pixels"}


def test_loss_curves_have_a_panel_for_every_stage():
    losses = {"rcae": [(1, 1.0), (2, 0.5)], "crd": [(n, 1 / n) for n in range(1, 201)]}
    figure = plotting.loss_curves(losses)
    assert [ax.get_title() for ax in figure.axes] == ["rcae", "crd"]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 1.0], [2, 0.5]]
    smooth = figure.axes[1].lines[0].get_xydata()
    assert smooth[0].tolist() == pytest.approx([4, np.mean([1, 1 / 2, 1 / 3, 1 / 4])])


def test_an_axes_that_is_given_is_drawn_into():
    first, second = Figure().subplots(1, 2)
    assert plotting.score_strip(make_evaluation(), first) is first and not second.lines
    assert plotting.heat_map(IMAGE, IMAGE[0], 0, 1, second) is second and second.images


def test_no_figure_is_kept_by_pyplot():
    before = pyplot.get_fignums()
    plotting.loss_curves({"a": [(1, 1.0)]}).to_webp()
    assert pyplot.get_fignums() == before
