# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 Ablation lab
#
# 82.4, 94.1, 95.7, 98.9: the paper's table of components reads as a staircase. An ablation is an
# experiment, and experiments can be done badly. In this notebook you repeat the paper's tables on a
# small budget and learn what they can and cannot say. Afterwards you can
#
# - build a row that changes one thing, and say what else changed with it,
# - tell a difference from the spread between seeds,
# - compare two detectors on the same images, with a paired interval,
# - read a table of ablations with the right suspicion.
#
# *Measured on one core of a CPU: 6.5 minutes, 1.7 GB.*

# %%
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from joblib import cpu_count, parallel_config
from scipy.stats import chi2

from data_utils import find_category, open_category
from rcae_lite import ablate, get_config, plotting
from rcae_lite.evaluation.metrics import image_auroc
from rcae_lite.example import detectors_for
from rcae_lite.study import plots
from rcae_lite.study.ladder import Parts, ladder
from rcae_lite.study.verdict import verdict
from rcae_lite.widgets import ComponentLadder, Predictions, quiz

# %% tags=["parameters"]
# The data. Another category: find_category("bracket"). Your own images: a folder data/ beside this
# notebook, or the environment variable RCAE_DATA.
category = find_category(size=128)
if not 0 < category.test.labels.sum() < len(category.test):
    print(f"{category.name} has no defective images: going on with the synthetic category")
    category = open_category("synthetic", size=128)
train, test = category.train, category.test
print(f"{category.name}: {len(train)} training and {len(test)} test images")

# %% [markdown]
# ## Who did the work here?
#
# Before anything is trained anew: take a trained detector apart. The paper's **claim** is that
# every part adds something: RcAE to a single pass, DPN to RcAE, CRD to both. The **controls** are
# that single pass and *resizing*, which rebuilds an image without any network.
#
# **Predict:** for how many of these three steps does the paired interval of the gain lie above 0?

# %%
predict = Predictions("09")  # what you expect, kept in predictions.json
predict.choice("steps_up", [0, 1, 2, 3])

# %% [markdown]
# Every combination of parts that the detector was trained for is measured once; then you can tick
# them on and off. The table compares what is ticked with a reference on the same test images, and
# the maps show what each of the two makes of one of them.
#
# Try it: choose RcAE with the depth you like, make it the reference, then tick DPN. Which defects
# does it gain, and which does it lose?

# %%
detector, single = detectors_for(category)
rungs = ladder(detector, single, train, test)
ComponentLadder(rungs)

# %% [markdown]
# And the verdict on the claim, step by step, with the control of the same depth last:

# %%
deep = Parts("RcAE", rungs.depth)
enhanced, up = deep._replace(dpn=True), 0
pairs = {
    "RcAE over a single pass": (deep, Parts("single pass")),
    "DPN over RcAE": (enhanced, deep),
    "CRD over DPN": (enhanced._replace(crd=True), enhanced),
    "RcAE over resizing": (deep, deep._replace(source="resizing")),
}
for step, (new, old) in pairs.items():
    gain = rungs.measured[new].over(rungs.measured[old])
    verdict(f"{step} (image AUROC, paired)", gain.value, gain.doubt)
    up += gain.low > 0 and step != "RcAE over resizing"
predict.reveal("steps_up", up)

# %% [markdown]
# **Interpret:** this ladder speaks about *one* trained detector and one category. It says which of
# its parts carries it on these images, not whether the part would do so again with another seed.
# CRD's step is a double one: it reads the trajectory, and it was trained on painted anomalies,
# which nothing below it has seen. To answer either, something has to be trained: the rest of this
# notebook.

# %% [markdown]
# ## 1. The budget
#
# A table with five rows, three seeds and one category is fifteen detectors. Three things make it
# affordable: rows share the stages that they have in common (RcAE of seed 0 is trained once), every
# stage is shortened to the same fraction of its steps, and two detectors are trained at a time, a
# core for each: networks as small as these gain little from a second core.

# %% tags=["parameters"]
budget = {
    "preset": "demo",
    "seeds": (0, 1, 2),
    "step_fraction": 0.1,
    "out": Path("runs") / "09-ablation",
}
JOBS = min(2, cpu_count())
print(get_config("demo").rcae, f"x {budget['step_fraction']}")

# %% [markdown]
# ## 2. The table of components
#
# The same call in the terminal is `rcae ablate components DATA CATEGORY --preset demo`. It can be
# stopped and called again: finished stages and finished cells are kept in the folder.

# %%
with parallel_config(n_jobs=JOBS):
    table = ablate("components", category.root, [category.name], **budget)
assert len(table.rows) == 5
print(table.markdown())

# %%
plots.ablation(table)

# %% [markdown]
# **Interpret:** look at the spread before you look at the means. Which neighbouring rows are apart
# by more than their seeds are? Which rows come in another order than in the paper?

# %%
labels = [row.label for row in table.rows]
spreads = {}
for label in labels:
    values = table.values(label, "image_auroc")
    spreads[label] = stdev(values)
    print(f"{label:18} {mean(values):5.1f} ± {stdev(values):4.1f} over {len(values)} seeds")
print("in another order than in the paper:", table.reversed_pairs() or "none")

# %% [markdown]
# ## 3. Is that a difference?
#
# Two detectors saw the *same* test images. What is hard about an image is hard for both, so it
# should cancel. We draw the test images again and again, the same ones for both, and look at the
# gain. (AUROC is written out here: the library's checks its input anew at each of these draws.)
#
# **Predict:** will the paired interval of the gain be narrower or wider than what the two single
# intervals suggest?

# %%
predict.choice("paired", ["narrower", "wider"])


# %%
def scores_of(label, seed=0):
    """Labels and scores of one cell of the table."""
    (cell,) = [
        result.evaluation
        for result in table.results
        if result.label == label and result.evaluation.provenance.seed == seed
    ]
    return cell.labels, cell.scores


def auroc(truth, scores):
    """Share of the pairs of a defective and a normal image that are in order; ties count half."""
    ahead = scores[truth == 1][:, None] - scores[truth == 0]
    return (ahead > 0).mean() + (ahead == 0).mean() / 2


assert np.isclose(auroc(*scores_of(labels[0])), image_auroc(*scores_of(labels[0])))


# %%
def gains(first, second, resamples=1000, paired=True):
    """Bootstrap draws of image AUROC(second) - image AUROC(first)."""
    (truth, a), (_, b) = scores_of(first), scores_of(second)
    rng, found = np.random.default_rng(0), []
    while len(found) < resamples:
        i = rng.integers(len(truth), size=len(truth))
        j = i if paired else rng.integers(len(truth), size=len(truth))
        if all(0 < truth[k].sum() < len(k) for k in (i, j)):
            found.append(auroc(truth[j], b[j]) - auroc(truth[i], a[i]))
    return 100 * np.array(found)


# %%
pairs = list(zip(labels, labels[1:], strict=False))
intervals = {}
for kind, paired in (("unpaired", False), ("paired", True)):
    draws = [gains(*pair, 1000, paired) for pair in pairs]
    intervals[kind] = [np.percentile(drawn, [2.5, 97.5]) for drawn in draws]
    for (first, second), (low, high) in zip(pairs, intervals[kind], strict=True):
        print(f"{first} to {second}, {kind:8}: [{low:+.1f}, {high:+.1f}] points, seed 0")
width = {kind: np.ptp(ends, axis=1).mean() for kind, ends in intervals.items()}
print(f"paired intervals are {width['paired'] / width['unpaired']:.2f} times as wide on average")

# %%
narrower = width["paired"] < width["unpaired"]
predict.reveal("paired", "narrower" if narrower else "wider")

# %%
figure, ax = plotting.subplots(figsize=(7, 2.6))
colours = (plotting.BASELINE, plotting.DEFECTIVE)
for shift, (kind, ends), colour in zip((0, -0.12), intervals.items(), colours, strict=True):
    low, high = np.transpose(ends)
    rows = np.arange(len(pairs)) + shift
    ax.hlines(rows, low, high, color=colour, linewidth=3, label=f"{kind} 95% interval")
ax.axvline(0, color=plotting.INK, linewidth=1)
ax.set_yticks(range(len(pairs)), [f"{first} to {second}" for first, second in pairs])
ax.set(xlabel="gain in image AUROC (points), seed 0")
figure.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=2)
figure

# %% [markdown]
# **Interpret:** below 1, what is hard about an image was hard for both detectors, and cancelled.
# The less the two agree about which images are hard, the less there is to cancel. Where one finds
# hard what the other finds easy, the paired interval is even the wider one, and still the right
# one: the unpaired one answers another question, that of two different test sets.
#
# An interval that leaves 0 outside speaks about *these two trained networks* on
# *other test images*. It does not speak about other seeds; for that there is the table above. A
# claim about the method needs both.

# %% [markdown]
# ## 4. One thing at a time?
#
# `+ CRD` does not only add a module: it adds parameters, training steps and pseudo-anomalies. The
# step from the single pass to RcAE is no better: it brings recursion *and* perturbed images.
# Which of them helps? The table cannot tell. (What this kit adds on top, what is normal at each
# place, has a row of its own for this reason.) At least the bill can be presented:

# %%
for label in labels:
    (cell,) = [
        r.evaluation
        for r in table.results
        if r.label == label and r.evaluation.provenance.seed == 0
    ]
    made = cell.provenance
    seconds = sum(made.seconds["train"].values())
    print(
        f"{label:18} {made.parameters['total']:>8,} parameters, {seconds:5.0f} s of training, "
        f"{1000 * made.seconds['inference_per_image']:5.0f} ms per image"
    )

# %% [markdown]
# A configuration is data, so that "what differs?" can be asked. Exercise `09.changed` asks you to
# write this for nested options.

# %%
base = get_config("demo")
other = base.updated({"crd.residual_input": False, "rcae.depth": 2})
print([name for name, value in base.to_dict().items() if other.to_dict()[name] != value])

# %% [markdown]
# ## 5. A table of your own
#
# How many recursion steps does CRD need? RcAE and DPN are those of the first table: the folder
# knows them, only CRD is trained again. The first row is a control of ours: CRD sees the image in
# the place of every step.
#
# **Predict:** the paper finds 95.7 with the last step alone and 98.9 with all five. With a tenth
# of a small training, will you see that order?

# %%
predict.choice("order", ["yes", "no"])

# %%
with parallel_config(n_jobs=JOBS):
    steps = ablate("steps", category.root, [category.name], **(budget | {"seeds": (0,)}))
last, *_, every = [row for row in steps.rows if row.paper[0]]
assert (last.paper[0], every.paper[0]) == (95.7, 98.9)
print(steps.markdown())

# %% [markdown]
# One seed gives no spread. Take the one of the same detector from section 2 as a measure.

# %%
found = {row.label: steps.values(row.label, "image_auroc")[0] for row in steps.rows}
for label, value in found.items():
    print(f"{label:20} {value:.1f}")
gap, spread = max(found.values()) - min(found.values()), spreads[labels[-1]]
print(f"largest difference {gap:.1f} points, spread over seeds {spread:.1f} points")
freedom = len(budget["seeds"]) - 1
low, high = (np.sqrt(freedom / chi2.ppf(end, freedom)) for end in (0.975, 0.025))
print(f"the true spread, from {freedom + 1} seeds: {low:.1f} to {high:.1f} times that (95%)")

# %%
predict.reveal("order", "yes" if found[last.label] < found[every.label] else "no")

# %% [markdown]
# **Interpret:** the difference of two single trainings scatters $\sqrt 2$ times as much as one
# training, so two spreads are nothing to write about. Is any difference larger than three? Even
# then, look at the last line, which takes the results of the seeds for normally distributed: so few
# seeds hardly know their own spread.

# %% [markdown]
# ## What the paper says, what we measured here
#
# | components (image AUROC, %) | paper, mean of 15 categories |
# |---|---|
# | ConvAE | 82.4 |
# | RcAE | 94.1 |
# | + DPN | 95.7 |
# | + CRD | 98.9 |
#
# Ours: one category, a small training, several seeds. Where PatchCore, EfficientAD, DRAEM and the
# diffusion models stand beside it, and what we measured of them, is on [a page of its
# own](https://github.com/rcae-lite/rcae-lite/blob/main/docs/related.md).

# %%
for row in table.rows:
    values = table.values(row.label, "image_auroc")
    paper = "-" if row.paper[0] is None else row.paper[0]  # it does not have our own row
    print(
        f"{row.label:18} paper {paper}, here {mean(values):.1f} "
        f"({min(values):.1f} to {max(values):.1f})"
    )

# %%
paper_gains = np.diff([row.paper[0] for row in table.rows if row.paper[0] is not None])
print("the paper's gains per row, in points:", np.round(paper_gains, 1))
alone = 1 - 0.975**12
print(
    f"12 variants that change nothing, if they were independent: at least one 'gains' at 95% "
    f"with probability {alone:.0%}"
)
assert 0.2 < alone < 0.3

# %% [markdown]
# They are not independent: all are compared with the same base, on the same images. If the base had
# an unlucky seed, *most* of them "gain". So the figure is a guide, not a correction.

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("09")

# %% [markdown]
# ## Summary
#
# - A row changes one thing, and says what else that changes: parameters, steps, data.
# - Seeds give the spread of the training, the bootstrap gives that of the test images. A claim
#   needs both; a paired comparison is the sharper one.
# - Twelve comparisons at 95% bring a false success far more often than one. Decide beforehand.
#
# Where to go next: [10 Your own photographs](10_your_own_photographs.ipynb) leaves the prepared
# data behind. The paper's ablation tables can be read anew now: ask of each row what else it
# changes, and of how many seeds it is the mean.
#
# ## Exercises
#
# Open [exercises/09_ablation_lab.ipynb](exercises/09_ablation_lab.ipynb): `09.spread` (easy),
# `09.changed` (medium), `09.paired` (hard), and an open question about twelve variants. Then, here:
#
# 1. Run the table `depth` overnight (`rcae ablate depth ...`). Does the ladder rise as in the
#    paper?
# 2. Write down, before you run it, what you expect of the table `sharing`. Then run it.
