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
# # 08 Explore the recursion
#
# Five widgets to explore the recursion with, and six tasks. Afterwards you can
#
# - say at which depth a given defect is gone, and what else is gone by then,
# - read the path of one pixel through the depths,
# - paint a defect that RcAE misses, and say why it does,
# - compare two detectors on the same image, each on its own scale,
# - move a threshold and know what the move costs,
# - watch a training, stop it and go on.
#
# *Measured on one core of a CPU: 1 minute, 1.6 GB.*

# %%
import tempfile
from pathlib import Path

import numpy as np
import torch

from data_utils import find_category
from rcae_lite import RcAEDetector, plotting
from rcae_lite.config import DETECTOR_NAMES
from rcae_lite.example import detectors_for
from rcae_lite.widgets import (
    DefectPainter,
    ModelComparison,
    Predictions,
    RecursionExplorer,
    ThresholdExplorer,
    TrainingMonitor,
    quiz,
)

# %% tags=["parameters"]
# The data. Another category: find_category("bracket"). Your own images: a folder data/ beside this
# notebook, or the environment variable RCAE_DATA.
category = find_category(size=128)
train, test = category.train, category.test
STEPS = 30  # of the training that is watched

# %%
detector, baseline = detectors_for(category)
print(
    f"{category.name}: {len(category.test)} test images, threshold {detector.threshold.value:.3g}"
)

# %% [markdown]
# ## 1. Scrub through the depths
#
# The explorer opens at the depth whose residual shows the defect best. From one depth to the next
# the pictures fade, so your eye can follow what goes.
#
# **Predict:** which goes first on the way down, the defect or the fine texture?
#
# **Task 1.** Choose a defective image and find *the shallowest depth that removes its defect*. Does
# the residual at that depth show the defect and nothing else?

# %%
predict = Predictions("08")  # what you expect, kept in predictions.json
predict.choice("first", ["the defect", "the fine texture"])

# %%
order = np.argsort(-test.labels, kind="stable")  # defective images first
shown = test.subset(order[np.linspace(0, len(test) - 1, 6).astype(int)])
background = category.train.subset(range(min(12, len(category.train))))
explorer = RecursionExplorer(detector, shown, normal=background)
explorer

# %% [markdown]
# The widget's state is plain Python, so what you see can be checked by a number. Below: of the
# pixels of the true defect, how many have a residual that only one normal pixel in a hundred has?

# %%
frames, normal = explorer.state.frames, explorer.state.normal
for index, name in enumerate(frames.names):
    mask = frames.masks[index]
    if mask.any():
        limits = np.quantile(normal.residuals, 0.99, axis=(0, 2, 3))  # one per depth
        share = [
            (r[mask] > limit).mean()
            for r, limit in zip(frames.residuals[index], limits, strict=True)
        ]
        print(f"{name:28} " + " ".join(f"n={n}: {s:4.0%}" for n, s in enumerate(share, 1)))

# %%
masked = [i for i, mask in enumerate(frames.masks) if mask.any()]
if masked:
    gone = np.mean([frames.residuals[i][0][frames.masks[i]].mean() for i in masked])
    texture = np.quantile(normal.residuals[:, 0], 0.9)  # where normal images have the most
    predict.reveal("first", "the defect" if gone > texture else "the fine texture")

# %% [markdown]
# **Interpret:** where the share rises with n, depth removes the defect; where it falls again, the
# deep reconstruction of normal pixels is so poor that the defect no longer stands out. Is one depth
# the best for all of these images?

# %% [markdown]
# ## 2. Follow a pixel
#
# **Task 2.** Click a pixel in the defect and one on a sharp edge of the part (arrow keys and Enter
# do the same). Both have a residual. What tells them apart: its size, its course over the depth, or
# the shaded band, which is the same place in normal images?

# %%
with_mask = [index for index, mask in enumerate(frames.masks) if mask.any()]
explorer.image = with_mask[0] if with_mask else 0
pixels = np.argwhere(frames.masks[explorer.image]) if with_mask else np.array([[64, 64]])
row, column = pixels[len(pixels) // 2].tolist()
for what, path in explorer.state.probe(row, column).items():
    print(f"{what:9}", np.round(path, 3))

# %% [markdown]
# ## 3. Paint a defect
#
# After every stroke the whole trajectory, the map and the score are computed again.
#
# **Task 3.** Paint *a defect that RcAE misses* (the verdict stays "normal"), as large and as
# visible as you can, and say why it is missed. Three ideas to try: a colour that occurs in normal
# parts; a clone of normal texture in a place where it does not belong; a change so soft that every
# depth rebuilds it. The widget keeps your record: the largest defect that went unnoticed. *Save as
# test set* writes image and mask to `runs/painted`, a category that
# `rcae evaluate RUN --data runs/painted` reads.

# %%
# A normal image that was not trained on: on the others, what is painted is easier to find.
normal_images = test if (test.labels == 0).any() else category.train
sample = normal_images[int(normal_images.labels.argmin())]
good = sample.image.as_subclass(torch.Tensor)
before = detector.predict(good.unsqueeze(0))
verdict = "an alarm already" if before.label.item() else "normal"
print(f"{sample.path}, unpainted: {verdict}")
print(f"score {before.score.item():.3g}, threshold {detector.threshold.value:.3g}")
painter = DefectPainter(detector, good, folder=Path("runs") / "painted")
painter

# %% [markdown]
# What the brush does can be done by a program. A square is made ever more visible until the score
# passes the threshold.
#
# **Predict:** which is found at a lower contrast, a square of 4 pixels or one of 32?

# %%
predict.choice("square", ["the small one", "the large one", "both alike"])

# %%
contrasts = {}
for side in (4, 8, 16, 32):
    found = None
    for contrast in (0.05, 0.1, 0.2, 0.4, 0.8):
        painted = good.clone()
        painted[:, 50 : 50 + side, 50 : 50 + side] *= 1 - contrast
        if detector.predict(painted.unsqueeze(0)).label.item():
            found = contrast
            break
    contrasts[side] = found
    said = "not found" if found is None else f"found when {found:.0%} darker"
    print(f"a square of {side:2} pixels: {said}")

# %%
small, large = (contrasts[side] or 1 for side in (4, 32))
first = "the small one" if small < large else "the large one"
predict.reveal("square", "both alike" if small == large else first)

# %% [markdown]
# **Interpret:** the score is the highest value of a map that was smoothed. In it a small square is
# thinned out by its surroundings and has to be darker; a larger one keeps its middle. That is a
# tendency, no law: what lies under the square counts, too. Does the order hold all the way here?
# (If the unpainted image was an alarm already, the first contrast is "found" in any size: take
# another image.)

# %% [markdown]
# ## 4. Two detectors, one image
#
# The single-pass autoencoder is trained on the same images and has one depth. Scores of different
# detectors have different units, so both are shown in units of their own threshold.
#
# **Task 4.** Find an image on which the two disagree. Which of the two is right, and what does the
# other one look at?

# %%
both = {DETECTOR_NAMES[each.kind]: each for each in (detector, baseline)}
comparison = ModelComparison(both, shown)
comparison

# %% [markdown]
# ## 5. What a threshold costs
#
# A threshold $t$ splits the images: above it an image is called defective. The *false-alarm rate*
# is the share of normal images above $t$, the *detection rate* the share of defective ones. Both
# are shares of few images, hence the intervals (exact ones, Clopper and Pearson).
#
# **Predict:** the threshold from held-out normal images bounds the false-alarm rate. By how much
# may the rate on this test set differ from that bound?
#
# **Task 5.** A missed defect costs 50 euros, a false alarm 2 euros, and one image in a hundred has
# a defect. Enter that, and drag the line or the point on the ROC to the cheapest threshold;
# *Cheapest* does it for you. Then say why the cost you would now report is too low. Click an image
# that is called wrongly: would you have seen it?

# %%
predict.number("apart", "points", 0, 30)

# %%
evaluation = detector.evaluate(test)
thresholds = ThresholdExplorer(evaluation, test)
thresholds

# %%
state = thresholds.state
false_alarms, detections = state.false_alarms(), state.detections()
for name, rate in (("false alarms", false_alarms), ("defects found", detections)):
    if rate:
        print(f"{name:14} {rate.value:.1%}  [{rate.low:.1%}, {rate.high:.1%}]")
point = state.pro_point()
if point:
    print(f"{'pixels':14} {point[0]:.2%} of the normal ones marked; of a defect {point[1]:.0%}")
print(f"{'promised':14} at most {detector.threshold.false_alarm_rate:.1%} false alarms")

# %%
if false_alarms:
    promised = detector.threshold.false_alarm_rate
    predict.reveal("apart", 100 * abs(false_alarms.value - promised))

# %% [markdown]
# **Interpret:** does the interval of the false alarms begin above what was promised? Only then
# would this test set contradict the promise; if it does not, so few images can say no more.

# %% [markdown]
# ## 6. Watch a training
#
# **Task 6.** Press *Start*, then *Stop* in the middle of a stage, then *Resume*. The losses go on
# as if nothing had happened: every random number depends on the seed and the step alone. Beside the
# loss you see what it is meant to buy: how much of a painted defect is left, and the error outside
# of it. Afterwards drag the slider back to the first moments: what does the network learn first?

# %%
few = {"steps": STEPS}
options = {"rcae": few | {"half_size_steps": 0}, "dpn": few, "crd": few}
options["crd"] = few | {"pool_chunk": 8, "pool_chunks": 1}
apprentice = RcAEDetector.from_preset("demo", seed=1, **options)
folder = Path(tempfile.mkdtemp())
monitor = TrainingMonitor(apprentice, category.train, folder / "checkpoint", probe=shown[0].image)
monitor

# %%
# The same by program, with a training of its own: start, stop after a moment, resume, wait.
other = RcAEDetector.from_preset("demo", seed=2, **options)
watched = TrainingMonitor(other, category.train, folder / "other", probe=shown[0].image).state
watched.start()
watched.stop()
watched.join()
stopped_at = (watched.stage, watched.done)
if watched.status == "stopped":
    watched.start()
    watched.join()
print(f"stopped at {stopped_at}, then {watched.status}: {watched.stage}")
assert watched.status == "finished", watched.message

# %% [markdown]
# ## 7. Send it to a colleague
#
# One HTML file, no Python, no network: the same modules draw it.

# %%
page = explorer.save_html(folder / "explorer.html")
print(f"{page.name}: {page.stat().st_size / 2**20:.1f} MiB")

# %% [markdown]
# In the terminal, `rcae explore RUN IMAGE... --out page.html` does it for your own photographs, and
# with `--paint` the page carries the detector itself: paint in any browser, without Python.

# %% [markdown]
# ## What the paper says, what we measured here
#
# | | paper | here |
# |---|---|---|
# | shallow depths | keep detail, and defects | task 1 |
# | deep ones | remove defects, and smooth | task 1 |
# | normal regions | settle quickly along the sequence | below |
# | defective regions | keep changing | below |

# %%
known = [i for i in range(len(shown)) if shown.native_mask(i) is not None]  # else not "normal"
plotting.changes_by_depth(frames.changes[known] / 765, frames.masks[known]).get_figure()

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("08")

# %% [markdown]
# ## Summary
#
# - One image becomes a trajectory. Depth trades detail against defects, and no depth suits all.
# - A pixel is judged against what normal pixels do at the same depth, not against zero.
# - What looks normal in colour, texture and place is invisible to a method that knows normality
#   only through what it can rebuild.
# - A threshold chosen on the test set flatters itself; the one from normal images has a bound.
#
# Where to go next: [09 Ablation lab](09_ablation_lab.ipynb) turns what you saw into experiments.
# The paper's method section says what to expect of shallow and of deep rounds; compare it with your
# answers to the tasks.
#
# ## Exercises
#
# Open [exercises/08_explore_the_recursion.ipynb](exercises/08_explore_the_recursion.ipynb):
# `08.rates` (easy; what a threshold does), `08.cost` (medium; the cheapest threshold for two costs)
# and an open question about what that threshold may promise. Then, here:
#
# 1. Save five painted defects with the button *Save as test set*: image and mask lie in
#    `runs/painted`, a category as MVTec AD has it, with the unpainted image as the only normal one.
#    Evaluate the same detector on `open_category("runs/painted", size=128).test`, and compare with
#    section 5. Which metric moves most, and why that one?
# 2. Which of the six tasks could a program answer for all images, and which needs your eye?
