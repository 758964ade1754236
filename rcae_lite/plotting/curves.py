"""Curves: residuals by depth, scores, ROC and PRO, losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics

from data_utils.samples import GOOD
from rcae_lite.config import DETECTOR_NAMES
from rcae_lite.evaluation.curves import PRO_LIMIT
from rcae_lite.evaluation.restoration import Restoration
from rcae_lite.evaluation.results import Evaluation
from rcae_lite.plotting.style import BASELINE, DEFECTIVE, INK, NORMAL, Array, new_axes, subplots

__all__ = [
    "changes_by_depth",
    "copied_by_size",
    "loss_curves",
    "pixel_curves",
    "precision_recall_curve",
    "pro_curve",
    "residual_ladder",
    "residuals_by_depth",
    "restoration",
    "roc_curve",
    "score_strip",
]


_GOLDEN = 0.618  # its multiples fill an interval evenly, in whatever number


def pixel_curves(
    residuals: Array, points: Mapping[str, tuple[int, int]], ax: Axes | None = None
) -> Axes:
    """Show what single pixels do along the recursion.

    Parameters
    ----------
    residuals : array
        ``|I - I_R^n|`` of one image, (N, H, W).
    points : mapping of str to (row, column)
        The pixels, by the name they get in the legend.
    ax : Axes, optional
        Where to draw.
    """
    ax = new_axes(ax)
    residuals = np.asarray(residuals)
    depths = range(1, len(residuals) + 1)
    for (name, (row, column)), colour in zip(
        points.items(), sns.color_palette("colorblind", len(points)), strict=True
    ):
        ax.plot(depths, residuals[:, row, column], "o-", color=colour, label=name)
    ax.set(xlabel="recursion depth n", ylabel="|I $-$ I$_R$|, grey levels 0 to 1", ylim=(0, None))
    ax.set_xticks(depths)
    ax.legend(frameon=False, fontsize=8)
    return ax


def residuals_by_depth(residuals: Array, masks: Array, ax: Axes | None = None) -> Axes:
    """Show the distribution of the residual at each depth, over normal and defective pixels.

    Boxes reach from the first to the third quartile, whiskers from 5% to 95% of the pixels.

    Parameters
    ----------
    residuals : array
        ``|I - I_R^n|``, (B, N, H, W).
    masks : array
        (B, H, W) bool.
    ax : Axes, optional
        Where to draw.
    """
    ax = new_axes(ax, (5.2, 3.2))
    values, masks = np.asarray(residuals).swapaxes(0, 1), np.asarray(masks)  # (N, B, H, W)
    depths = np.arange(1, len(values) + 1)
    kinds = (("normal", ~masks, NORMAL, -0.18), ("defective", masks, DEFECTIVE, 0.18))
    for name, where, colour, shift in kinds:
        if not where.any():
            continue
        boxes = ax.boxplot(
            [depth[where] for depth in values],
            positions=depths + shift,
            widths=0.3,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            medianprops={"color": INK},
            whiskerprops={"color": INK},
            capprops={"color": INK},
        )
        for box in boxes["boxes"]:
            box.set(facecolor=colour, alpha=0.7)
        boxes["boxes"][0].set_label(f"{name} pixels")
    ax.set_xticks(depths, [str(n) for n in depths])
    ax.set(xlabel="recursion depth n", ylabel="|I $-$ I$_R$|, grey levels 0 to 1", ylim=(0, None))
    ax.legend(frameon=False, fontsize=8)
    return ax


def changes_by_depth(changes: Array, masks: Array, ax: Axes | None = None) -> Axes:
    """Show how much normal and defective pixels still change from depth n to n + 1.

    Parameters
    ----------
    changes : array
        ``|I_R^{n+1} - I_R^n|``, (B, N - 1, H, W).
    masks : array
        (B, H, W) bool.
    ax : Axes, optional
        Where to draw.
    """
    ax = new_axes(ax)
    changes, masks = np.asarray(changes).swapaxes(0, 1), np.asarray(masks)  # (N - 1, B, H, W)
    steps = [f"{n} to {n + 1}" for n in range(1, len(changes) + 1)]
    for name, where, colour in (("normal", ~masks, NORMAL), ("defective", masks, DEFECTIVE)):
        if where.any():
            values = [step[where].mean() for step in changes]
            ax.plot(steps, values, "o-", color=colour, label=f"{name} pixels")
    ax.set(xlabel="recursion depth", ylabel="mean change (grey levels 0 to 1)", ylim=(0, None))
    ax.legend(frameon=False)
    return ax


def score_strip(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Show the score of every test image as a dot, a row for each kind of defect.

    The dashed line is the threshold from held-out normal images: what lies to its right is an
    alarm. Dots are moved up and down so that they can be counted.
    """
    found = dict.fromkeys(image.defect for image in evaluation.images)
    kinds = sorted(found, key=lambda kind: kind != GOOD)  # the others stay in their order
    ax = new_axes(ax, (5.6, 1.2 + 0.42 * len(kinds)))
    for level, kind in enumerate(kinds):
        scores = np.array([image.score for image in evaluation.images if image.defect == kind])
        shift = 0.56 * (np.arange(len(scores)) * _GOLDEN % 1 - 0.5)
        colour = NORMAL if kind == GOOD else DEFECTIVE
        ax.plot(scores, level + shift, ".", color=colour, alpha=0.7, markersize=5)
    limit = evaluation.threshold
    text = f"threshold (at most {100 * limit.false_alarm_rate:.1f}% false alarms)"
    ax.axvline(limit.value, color=INK, linestyle="--", linewidth=1, label=text)
    ax.set_yticks(range(len(kinds)), kinds, parse_math=False)
    ax.set(xlabel="score (raw)", ylim=(len(kinds) - 0.5, -0.5))
    ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _curve(
    evaluation: Evaluation,
    name: str,
    title: str,
    limit: float,
    baseline: Evaluation | None,
    ax: Axes | None,
) -> Axes:
    ax = new_axes(ax)
    for entry, colour in ((baseline, BASELINE), (evaluation, DEFECTIVE)):
        if entry is not None and name in entry.curves:
            x, y = np.array(entry.curves[name]).T
            ax.plot(x, y, color=colour, label=DETECTOR_NAMES[entry.provenance.detector])
    ax.set(xlabel="false-positive rate", ylabel=title, xlim=(0, limit), ylim=(0, 1.01))
    ax.legend(frameon=False, loc="lower right", fontsize=8)
    return ax


def roc_curve(
    evaluation: Evaluation, baseline: Evaluation | None = None, ax: Axes | None = None
) -> Axes:
    """Show the ROC curve over images, with the operating point of the threshold."""
    ax = _curve(evaluation, "roc", "true-positive rate (images)", 1.0, baseline, ax)
    x, y = evaluation.false_positive_rate, evaluation.detection_rate
    if x is not None and y is not None:
        ax.plot(x, y, "o", color=INK, label="threshold from normals")
        ax.legend(frameon=False, loc="lower right", fontsize=8)
    return ax


def precision_recall_curve(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Show precision over recall of images, with the operating point of the threshold.

    The dotted line is what guessing has: the share of defective images.
    """
    ax = new_axes(ax)
    labels, scores = evaluation.labels, evaluation.scores
    precision, recall, _ = metrics.precision_recall_curve(labels, scores)
    label = DETECTOR_NAMES[evaluation.provenance.detector]
    ax.plot(recall, precision, color=DEFECTIVE, label=label, drawstyle="steps-post")
    ax.axhline(labels.mean(), color=INK, linestyle=":", label="guessing")
    alarms = scores > evaluation.threshold.value
    if alarms.any():
        point = labels[alarms].sum() / labels.sum(), labels[alarms].mean()
        ax.plot(*point, "o", color=INK, label="threshold from normals", clip_on=False)
    ax.set(xlabel="recall (images)", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
    ax.legend(frameon=False, loc="lower left", fontsize=8)
    return ax


def pro_curve(
    evaluation: Evaluation, baseline: Evaluation | None = None, ax: Axes | None = None
) -> Axes:
    """Show the per-region overlap over the false-positive rate of pixels, up to 30%.

    The dot is what the threshold, which is for images, does to pixels.
    """
    ax = _curve(evaluation, "pro", "per-region overlap", PRO_LIMIT, baseline, ax)
    for point in evaluation.curves.get("pro_at_threshold", []):
        if point[0] > PRO_LIMIT:
            continue  # beyond the picture
        ax.plot(*point, "o", color=INK, label="threshold from normals", clip_on=False)
        ax.legend(frameon=False, loc="lower right", fontsize=8)
    return ax


def residual_ladder(
    evaluation: Evaluation, baseline: Evaluation | None = None, ax: Axes | None = None
) -> Axes:
    """Show the image AUROC of the plain residual at each depth, beside the whole detector."""
    ax = new_axes(ax)
    ladder = [np.nan if v is None else v for v in evaluation.residual_auroc_by_depth]
    depths = range(1, len(ladder) + 1)
    ax.plot(depths, ladder, "o-", color=NORMAL, label="plain residual of depth n")
    for entry, colour in ((evaluation, DEFECTIVE), (baseline, BASELINE)):
        found = entry.metrics["image_auroc"] if entry else None
        if entry and found:
            label = DETECTOR_NAMES[entry.provenance.detector]
            ax.axhline(found.value, color=colour, linestyle="--", label=label)
    ax.set(xlabel="recursion depth n", ylabel="image AUROC", ylim=(None, 1.01))
    ax.set_xticks(depths)
    ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def loss_curves(losses: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Show the loss of every stage over its optimiser steps, smoothed over 2% of them."""
    count = max(1, len(losses))
    figure, grid = subplots(1, count, squeeze=False, figsize=(3.2 * count, 2.6))
    for ax, (stage, points) in zip(grid[0], losses.items(), strict=False):
        steps, values = np.array(points).T
        width = max(1, len(values) // 50)
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        ax.plot(steps[width - 1 :], smooth, color=NORMAL)
        ax.set(title=stage, xlabel="optimiser step", ylabel="loss", yscale="log")
    return figure


def _networks(
    found: Mapping[str, Restoration], labels: Mapping[str, str] = DETECTOR_NAMES
) -> Iterator[tuple[tuple[float, float, float], str, Restoration]]:
    """Give what the course meets again and again one colour in all figures, and others the rest."""
    blue, orange, green, *others, grey, yellow, cyan = sns.color_palette("colorblind")
    own = {"rcae": blue, "rcae_dpn": orange, "single_pass": green}
    own |= dict.fromkeys(("resizing", "plain resizing"), grey)
    rest = itertools.cycle([*others, yellow, cyan])
    for name, one in found.items():
        yield own.get(name) or next(rest), labels.get(name, name), one


def restoration(
    found: Mapping[str, Restoration],
    ax: Axes | None = None,
    labels: Mapping[str, str] = DETECTOR_NAMES,
) -> Axes:
    """Show the plane of the probe: copied share against the error on structured pixels.

    A line for each network, a numbered dot for each of its depths. Towards the lower left is
    better: the defect is gone and the part is there.

    Parameters
    ----------
    found : mapping of str to Restoration
        By the keys of `rcae_lite.config.DETECTOR_NAMES`, or by any other name.
    ax : Axes, optional
        Where to draw; a new figure by default.
    labels : mapping of str to str, optional
        What the legend calls them; by default as `DETECTOR_NAMES` does, and others by their name.
    """
    ax = new_axes(ax)
    for colour, label, one in _networks(found, labels):
        ax.plot(one.error_structured, one.copied_share, ".-", color=colour, label=label)
        for depth, place in enumerate(zip(one.error_structured, one.copied_share, strict=True), 1):
            ax.annotate(str(depth), place, (3, 3), textcoords="offset points", fontsize=7)
    ax.set(xlabel="error on structured pixels (grey levels)", ylabel="copied share of defects")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    if len(found) > 4:  # so many names would cover the lines
        ax.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    else:
        ax.legend(frameon=False, fontsize=7)
    return ax


def copied_by_size(found: Mapping[str, Restoration]) -> Figure:
    """Show how much of a painted defect is left after each round, a panel for each size.

    Parameters
    ----------
    found : mapping of str to Restoration
        As in `restoration`. What has a single depth is a dashed line: there is no second round.
    """
    sizes = list(next(iter(found.values())).by_size)
    depths = range(1, 1 + max(len(one.copied_share) for one in found.values()))
    figure, axes = subplots(
        1, len(sizes), sharey=True, squeeze=False, figsize=(1.2 + 2.2 * len(sizes), 3.2)
    )
    for ax, size in zip(axes[0], sizes, strict=True):
        for colour, label, one in _networks(found):
            shares = one.by_size[size]["copied_share"]
            if len(shares) == 1:
                ax.axhline(shares[0], color=colour, linestyle="--", label=label)
            else:
                ax.plot(depths[: len(shares)], shares, "o-", color=colour, label=label)
        ax.set_title(f"{size} of the image", fontsize=9)
        ax.set(xlabel="recursion depth n", ylim=(0, 1), xticks=depths)
    axes[0][0].set_ylabel("share of the defect that is left")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure
