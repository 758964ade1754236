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
# # 00 Start here: a recursion that forgets defects
#
# An inspection camera has seen many good parts and not one bad one. How can it find a defect that
# nobody has ever shown it?
#
# **RcAE** (Wu et al., AAAI 2026) learns to undo damage: its training paints over good parts, and
# the network has to give the clean part back. It does so by applying the *same* encoder and decoder
# several times. The idea: every further round keeps what it knows and forgets what it does not.
#
# In a few minutes you
#
# - open a category and look at it,
# - follow one part through the recursion of a trained detector,
# - measure how much of a defect is left after each round,
# - see which images it calls defective, and how far to trust it.
#
# *Measured on one core of a CPU: 1 minute, 2.4 GB.*

# %%
import numpy as np
import torch

from data_utils import find_category
from rcae_lite import plotting
from rcae_lite.example import detectors_for
from rcae_lite.study.restoration import probe_resizing
from rcae_lite.widgets import Predictions, quiz

# %% tags=["parameters"]
# The data. Another category: find_category("bracket"). Your own images: a folder data/ beside this
# notebook, or the environment variable RCAE_DATA.
category = find_category(size=128)
train, test = category.train, category.test

# %% [markdown]
# ## 1. The data
#
# Training sees only normal parts. Before you look: what will differ from one to the next?

# %%
defective = int(test.labels.sum())
print(f"{category.name}: {len(category.train)} normal images to train on")
print(f"to test: {len(test) - defective} normal, {defective} defective")

# %%
chosen = [int(i) for i in torch.linspace(0, len(test) - 1, 4)]
samples = [category.train[0], category.train[1], *(test[i] for i in chosen)]
plotting.gallery(
    [s.image for s in samples],
    ["training", "training", *(s.defect for s in samples[2:])],
    [s.mask for s in samples],
)

# %% [markdown]
# Green outlines the true defects, where the data has a *mask*, an image of the defective pixels.
# Exposure, position and grain change between good parts: a detector must not mind them.

# %% [markdown]
# ## 2. A trained detector
#
# For its default category the kit ships one, and its *control*, an autoencoder that an image passes
# once, so you can start right away. For any other data the next cell trains both with the smallest
# preset, which takes some minutes; notebook 06 shows how.
#
# Three networks were trained one after the other, on normal images only: **RcAE** rebuilds, **DPN**
# is to bring back the detail but not the defect, **CRD** reads the whole sequence of
# reconstructions.
#
# ![The image goes through RcAE, DPN and CRD to an anomaly map, a score and a threshold; below, what
# each of the three stages of training learns](img/detector.svg)
#
# *$I$ is the image and $\nabla I$ its edges; $I_R^n$ are the reconstructions, $I_D^n$ the same with
# detail, and $M_A$ is the anomaly map. A sketch: how far the scratch fades, and what comes back
# with the detail, is measured below.*

# %%
detector, single = detectors_for(category)
for name, count in detector.parameters().items():
    print(f"{name:5} {count:8,} parameters")

# %% [markdown]
# ## 3. One part, every depth
#
# At depth n the image is compressed n times and rebuilt n times, always by the same two small
# networks: $I_R^n = D^n(E^n(I))$.
#
# **Predict:** at which depth will less than a quarter of a defect be left? And will the part still
# be there?
#
# Click your guess before you run on; a later cell compares. (Under most cells you see what came out
# for us. To guess without it: *Edit → Clear Outputs of All Cells*, in any notebook.)

# %%
predict = Predictions("00")  # what you expect, kept in predictions.json
predict.choice("gone", ["n = 1", "n = 2", "n = 3", "never"])

# %%
images = test.images() / 255
residuals, changes = [], []
for part in images.split(8):
    followed = detector.trajectory(part)
    residuals.append(followed.residuals.cpu())
    changes.append(followed.changes.cpu())
residuals, changes = torch.cat(residuals), torch.cat(changes)
evaluation = detector.evaluate(test)
top = plotting.residual_limit(residuals)  # one colour scale for every image of the test set

# %%
sample = test[int(test.labels.argmax())]  # the first defective one, if there is any
trajectory = detector.trajectory(sample.image.unsqueeze(0))
plotting.trajectory_strip(
    sample.image,
    trajectory.reconstructions[0].cpu(),
    trajectory.enhanced[0].cpu(),
    detector.detect(trajectory).anomaly_map[0],
    title=f"{sample.path} ({sample.defect})",
    limits=evaluation.map_limits,
    residual_top=top,
    mask=sample.mask,
)

# %% [markdown]
# **Interpret:** follow the defect along the first row, then along the *residuals*, the difference
# from the image. The last rows enlarge the defect and a normal place, after DPN. Which depth would
# you trust, and would you trust it for a defect of another size? CRD looks at all of them at once.
#
# One picture proves little. So we paint defects into normal images that the training has not seen,
# where the truth is known, and ask: which share of the defect comes out again, and how far off is
# the rest of the part? (The kinds of defect are none that the training painted.)

# %%
probed = detector.restoration(train)  # RcAE, and RcAE with DPN
for name, found in probed.items():
    network = "RcAE" if name == "rcae" else "RcAE + DPN"
    print(f"{network}, by depth 1 to {detector.config.rcae.depth}")
    print("  share of the defect:    ", " ".join(f"{100 * c:4.0f}%" for c in found.copied_share))
    print("  error in grey levels:   ", " ".join(f"{e:5.1f}" for e in found.error))
forgotten = [found.copied_share[-1] < found.copied_share[0] for found in probed.values()]
print("deeper rounds keep less of the defect:", "holds" if all(forgotten) else "not here")

# %%
controls = single.restoration(train)
controls["plain resizing"] = probe_resizing(detector.config, detector.seed, train).found
plotting.copied_by_size(probed | controls)

# %%
left = probed["rcae"].copied_share
gone = next((n for n, share in enumerate(left, start=1) if share < 0.25), None)
predict.reveal("gone", f"n = {gone}" if gone else "never")

# %% [markdown]
# Two controls tell forgetting from mere blur: the single pass, and plain resizing, which only makes
# the image smaller and larger again.
#
# **Interpret:** blur alone forgets only small defects. Does the recursion also forget large ones,
# and does it go on from round to round? And where the single pass keeps least, has it won? A low
# share alone is no merit: a grey blob has one, too. The error of the part has to be read beside it,
# and notebook 03 draws the two against each other.
#
# Now the true defects. Here is how much each pixel changes from one depth to the next.

# %%
known = [i for i in range(len(test)) if test.native_mask(i) is not None]
masks = torch.stack([test[i].mask.as_subclass(torch.Tensor) for i in known])
plotting.changes_by_depth(changes[known], masks).get_figure()

# %% [markdown]
# **Interpret:** do the defective pixels change more from depth to depth than the normal ones? Where
# is the difference largest? (Without a mask for any defect, only the normal curve is there.)

# %% [markdown]
# ## 4. Which images are defective?
#
# The score of an image is the highest value of its smoothed map. The threshold comes from normal
# images that were held out of the training, never from the test set. It is set so that at most a
# chosen share of new normal images, printed below, is expected to score above it.
#
# *Image AUROC*: how often a random defective image scores above a random normal one; 1 is perfect,
# 0.5 is guessing. *Pixel AUROC*: the same for pixels. The rest is notebook 07.
#
# **Predict:** how many of the normal test images will raise an alarm? Which kind of defect will be
# missed most often?

# %%
predict.number("alarms", "% of the normal test images", 0, 50)

# %%
kinds = [defect for defect in dict.fromkeys(test.defects) if defect != "good"]
predict.choice("missed", kinds)

# %%
print(evaluation.summary())
plotting.score_strip(evaluation).get_figure()

# %%
for defect in dict.fromkeys(test.defects):
    alarms = [image.predicted for image in evaluation.images if image.defect == defect]
    print(f"{defect:12} alarm for {sum(alarms):3} of {len(alarms):3}")

# %%
if evaluation.false_positive_rate is not None:
    predict.reveal("alarms", 100 * evaluation.false_positive_rate)
found = {
    kind: np.mean([image.predicted for image in evaluation.images if image.defect == kind])
    for kind in kinds
}
if found:
    predict.reveal("missed", *[k for k in kinds if found[k] == min(found.values())])

# %%
shown = [int(i) for i in torch.linspace(0, len(test) - 1, 6)]
detection = detector.predict(images[shown])
plotting.detections(
    images[shown],
    detection.anomaly_map,
    [test[i].mask for i in shown],
    [f"{test.defects[i]}: {'alarm' if d else 'no alarm'}" for i, d in zip(shown, detection.label)],
    limits=evaluation.map_limits,
)

# %% [markdown]
# **Interpret:** does the share of false alarms that the threshold promises lie within the interval
# of those measured? And where a defect is missed, is its map dark at the defect, or is it lit, only
# no brighter than the most unusual normal image? A lower threshold would find the second kind, at
# the price of false alarms; the first kind no threshold finds.

# %% [markdown]
# ## What the paper says, what we measured here
#
# | | paper (MVTec AD, mean of 15 categories) |
# |---|---|
# | image AUROC, pixel AUROC | 98.9, 98.7 |
# | input | 1024 x 1024, trained for 1500 + 400 + 300 epochs |
#
# Ours is one category, small images and minutes of training, so this is no contest:

# %%
for name in ("image_auroc", "pixel_auroc"):
    found = evaluation.metrics[name]  # None where the test set cannot give it
    text = (
        f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]" if found else "-"
    )
    print(f"{name} of {category.name} at {detector.config.size} pixels, 95% interval: {text}")
print({name: f"{seconds:.0f} s" for name, seconds in detector.trained["seconds"].items()})

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("00")

# %% [markdown]
# ## Summary
#
# - The recursion turns one image into a *trajectory*; the anomaly is in how it develops.
# - Whether a network forgets defects can be measured without one real defect: paint some.
# - A score is the maximum of a map, a decision is a score above a threshold, and the threshold
#   comes from normal images.
# - Every figure has an interval: a test set this small does not support three digits.
#
# Where to go next: [01 Data and defects](01_data_and_defects.ipynb) looks at the data before any
# network does. For the idea in its authors' words, read the abstract and the introduction of [the
# paper](https://arxiv.org/abs/2512.11284).
#
# ## Exercises
#
# Open [exercises/00_start_here.ipynb](exercises/00_start_here.ipynb): `00.score` (easy),
# `00.label` (easy), and an open question about scores. Then, here:
#
# 1. Choose `find_category("bracket")` at the top, or put MVTec AD into a folder `data/` beside this
#    notebook and choose `find_category("bottle")`, and run the notebook again. What changes first?
# 2. `residual by depth` in the summary of the evaluation is the method without DPN and CRD. What do
#    the two add here?
# 3. Find the defective image with the lowest score. Would you have seen the defect?
