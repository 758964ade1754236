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
# # 01 Data and defects
#
# Before any network: what is a normal part, what is a defect, and what does a test set promise? An
# hour spent here saves a week later. Afterwards you can
#
# - say what a category consists of, and check that nothing leaked from train to test,
# - measure how much normal parts vary, and where,
# - describe defects by area and contrast,
# - resize a mask so that defects neither grow nor shrink on average,
# - name the simplest detector that any network has to beat.
#
# *Measured on one core of a CPU: 1 minute, 1.3 GB.*

# %%
import hashlib
from collections import Counter

import numpy as np
import seaborn as sns
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from data_utils import find_category
from rcae_lite import plotting
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.widgets import Predictions, quiz

# %% tags=["parameters"]
# The data. Another category: find_category("bracket"). Your own images: a folder data/ beside this
# notebook, or the environment variable RCAE_DATA.
category = find_category(size=128)
train, test = category.train, category.test

# %% [markdown]
# ## 1. What a category is
#
# Normal images to train on; normal *and* defective ones to test on, with a mask of each defect.
# **Predict:** how many defective images does the training set hold?

# %%
predict = Predictions("01")  # what you expect, kept in predictions.json
predict.number("defective", "defective training images", 0, 20)

# %%
assert train.labels.sum() == 0  # a reader that lets one in would be wrong
print(f"{category.name} ({category.format}): {len(train)} training images, all normal")
for defect, count in Counter(test.defects).items():
    print(f"  test: {count:3} {defect}")
print(f"native sizes of the test images: {dict(Counter(map(test.native_size, range(len(test)))))}")

# %%
predict.reveal("defective", int(train.labels.sum()))

# %% [markdown]
# An image that stands in both splits makes every figure better than it is. A hash of its pixels
# finds it, whatever the file is called and whether or not a mask lies beside it. The answer is
# exact for identical pixels; a copy saved again as JPEG needs the doctor of notebook 10.


# %%
def pixels(record):
    """Hash what is to be seen: the pixels of an image, not its file and not its mask."""
    return hashlib.sha256(record.read_image().tobytes()).hexdigest()


train_hashes = {pixels(record) for record in train.records}
shared = [record.path for record in test.records if pixels(record) in train_hashes]
print(
    f"{len(shared)} test images are also training images; fingerprint {category.fingerprint[:12]}"
)

# %% [markdown]
# ## 2. What a network gets
#
# A file holds 8-bit colours last, $(h, w, 3)$ in 0 ... 255. A network wants floats with the colours
# first, $(3, H, W)$ in $[0, 1]$, all of one size. `Sample` is what the kit makes of it.

# %%
native = test.records[0].read_image()
sample = test[0]
print(f"file:   {native.dtype}, {native.shape}, {native.min()} to {native.max()}")
print(
    f"sample: {sample.image.dtype}, {tuple(sample.image.shape)}, "
    f"{sample.image.min():.2f} to {sample.image.max():.2f}"
)
assert sample.image.shape == (3, 128, 128) and 0 <= sample.image.min() <= sample.image.max() <= 1

# %%
first = [train[i] for i in range(min(6, len(train)))]
plotting.gallery([s.image for s in first], [s.path.rsplit("/", 1)[-1] for s in first])

# %% [markdown]
# ## 3. How much do normal parts vary?
#
# **Predict:** where on the part is the spread between normal images largest?

# %%
predict.choice("spread", ["along its edges", "away from its edges"])

# %%
normal = train.images() / 255  # (n, 3, H, W)
average, spread = normal.mean(dim=0), normal.std(dim=0).mean(dim=0)
figure, axes = plotting.subplots(1, 2, figsize=(6.4, 2.8))
axes[0].imshow(average.permute(1, 2, 0))
axes[0].set_title("mean normal image")
shown = axes[1].imshow(spread, cmap="magma", vmin=0)
axes[1].set_title("spread between normal images")
for ax in axes:
    ax.set_axis_off()
figure.colorbar(shown, ax=axes[1], label="spread (grey levels 0 to 1)")
figure

# %%
strength = (average.diff(dim=1)[:, :, 1:].abs() + average.diff(dim=2)[:, 1:].abs()).mean(dim=0)
edges, inner = strength > strength.quantile(0.9), spread[1:, 1:]
along = inner[edges].mean() > inner[~edges].mean()
predict.reveal("spread", "along its edges" if along else "away from its edges")

# %% [markdown]
# **Interpret:** a sharp mean image means parts that lie still; a blurred one means parts that lie
# anywhere. Bright lines in the spread are edges that are never at quite the same place. A change
# smaller than the spread cannot be told from normal variation at a single pixel.

# %% [markdown]
# ## 4. Defects
#
# One of each kind. **Predict:** which will be the hardest to find?

# %%
kinds = [defect for defect in dict.fromkeys(test.defects) if defect != "good"]
predict.choice("hardest", kinds)

# %%
one_each = [test[test.defects.index(defect)] for defect in kinds] or [test[0]]
plotting.gallery(
    [s.image for s in one_each], [s.defect for s in one_each], [s.mask for s in one_each], columns=4
)

# %% [markdown]
# Two numbers describe how hard a defect is: the share of the image that it covers, and how far it
# is from what is normal there. The area comes from the mask at native size: in the small mask that
# fits the network's image, a small defect can vanish. The distance is in standard deviations of the
# normal images, plus a floor, so that a pixel that never varies divides by something.

# %%
floor = 0.01  # of the spread, in grey levels 0 to 1
area, contrast, kind = [], [], []
for i in range(len(test)):
    native, sample = test.native_mask(i), test[i]
    if native is None or not native.any():
        continue  # no mask is known, or nothing is defective
    deviation = (sample.image - average).abs().mean(dim=0) / (spread + floor)
    area.append(100 * native.mean())
    contrast.append(deviation[sample.mask].mean().item())  # nan where the small mask is empty
    kind.append(sample.defect)
print(
    f"{len(area)} defects with a mask; {np.isnan(contrast).sum()} vanish in the mask at 128 x 128"
)
if area:
    print(f"area: {min(area):.2f}% to {max(area):.1f}% of the image, median {np.median(area):.2f}%")
print(f"the floor of the spread is {255 * floor:.2f} of 255 grey levels")

# %%
figure, ax = plotting.subplots(figsize=(5.4, 3.2))
if area:
    sns.scatterplot(x=area, y=contrast, hue=kind, ax=ax, palette="colorblind")
    ax.set_xscale("log")
    ticks = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlim(min(area) / 1.3, 1.3 * max(area))
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
ax.set(xlabel="area of the defect (% of the image)", ylabel="mean deviation (spreads)")
figure

# %%
nearness = {
    name: np.nanmedian([c for c, k in zip(contrast, kind) if k == name])
    for name in dict.fromkeys(kind)
}
if nearness:  # nearest to what is normal, by this measure
    predict.reveal("hardest", min(nearness, key=nearness.get))

# %% [markdown]
# **Interpret:** the lower left corner is where detectors fail: small and close to normal. A test
# set without it is an easy one, whatever its figures look like.

# %% [markdown]
# ## 5. Masks are not images
#
# Masks come in many dialects. In some files 255 means defective; in VisA the values are class ids
# 1, 2, 3 and the file looks black; in all of them **not 0** is defective. And a mask that has to be
# resized is resized by *nearest*: no pixel is a little defective.
#
# **Predict:** what do bilinear resizing plus rounding down, and bilinear plus "not 0", do to a thin
# scratch?

# %%
predict.choice("area", ["both keep it", "one shrinks, one inflates it", "both shrink it"])

# %%
y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
sample_mask = ((y - 0.7 * x - 40).abs() < 2).float()  # a scratch, about 3 pixels wide


def resized(mode):
    """Shrink the mask to 128 x 128."""
    return F.interpolate(sample_mask[None, None], (128, 128), mode=mode)


small = {
    "nearest": resized("nearest-exact"),
    "bilinear, rounded down": resized("bilinear").floor(),
    "bilinear, not 0": (resized("bilinear") > 0).float(),
}
for name, mask in small.items():
    print(f"{name:24} {100 * mask.mean() / sample_mask.mean():5.0f}% of the true area")
areas = [mask.mean().item() for mask in small.values()]
assert areas[1] < areas[0] < areas[2]

# %%
between = areas[1] < sample_mask.mean() < areas[2]
predict.reveal("area", "one shrinks, one inflates it" if between else "both shrink it")

# %% [markdown]
# **Interpret:** one shrinks the defect, the other inflates it, and both change the score of every
# method. The kit never resizes a mask for a metric: it enlarges the map to the mask's native size.

# %% [markdown]
# ## 6. The detector to beat
#
# The mean and the spread are a detector already: how many spreads is the most unusual place off?
# It has no layer and nothing to train. The score of an image is the maximum of its smoothed map, as
# everywhere in the kit: `smooth` blurs the map with two Gaussians, of standard deviation height/64
# and height/32, and takes their mean. The narrow one keeps small defects, the wide one fills large
# ones.
#
# **Predict:** its image AUROC on this category?

# %%
predict.number("auroc", "image AUROC", 0, 1)

# %%
images = test.images() / 255
deviation = ((images - average).abs() / (spread + floor)).mean(dim=1)  # (B, H, W)
scores = smooth(deviation).flatten(1).amax(dim=1)
both = 0 < test.labels.sum() < len(test)
auroc = roc_auc_score(test.labels, scores) if both else float("nan")
print(f"image AUROC of 'spreads off the mean image': {auroc:.3f}")

# %%
if both:
    predict.reveal("auroc", auroc)

# %%
shown = [int(i) for i in torch.linspace(0, len(test) - 1, 5)]
plotting.compare_maps(
    images[shown],
    [test[i].mask for i in shown],
    {"spreads off the mean": smooth(deviation)[shown]},
    [test.defects[i] for i in shown],
    {"spreads off the mean": (0.0, float(np.quantile(deviation, 0.999)))},
    unit="spreads",
)

# %% [markdown]
# **Interpret:** does it light up at defects, or at edges that moved and at pictures that are
# brighter than the average? What it cannot know is which changes belong together. That is what an
# autoencoder is for.

# %% [markdown]
# ## What the paper says, what we measured here
#
# | | paper |
# |---|---|
# | data | MVTec AD: 15 categories, 3629 training images, 467 good and 1258 defective test images |
# | | VisA: 12 categories |
# | input | 1024 x 1024 |
# | models | one per category |
#
# The public sets are large for research and small for statistics: what we have here is

# %%
print(
    f"{category.name}: {len(train)} training images, {int((test.labels == 0).sum())} good and "
    f"{int(test.labels.sum())} defective test images, used at 128 x 128"
)
print(
    f"one wrongly ranked pair of images moves the image AUROC by "
    f"{1 / max(1, int(test.labels.sum()) * int((test.labels == 0).sum())):.5f}"
)

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("01")

# %% [markdown]
# ## Summary
#
# - Training data are normal, test data are both, and no image is in both splits: check it.
# - Defects differ in area and contrast; small ones near the normal spread decide.
# - A mask is a set of pixels: not 0 is defective (of smoothed masks the brighter half), nearest if
#   it must be resized at all.
# - A method is worth its distance from the simplest detector, not from 0.5.
#
# Where to go next: [02 Why autoencoders copy defects](02_why_autoencoders_copy.ipynb) gives the
# mean image a rival with layers. Section 5 of [07 Evaluate honestly](07_evaluate_honestly.ipynb)
# shows what the resizing of a mask does to each metric.
#
# ## Exercises
#
# Open [exercises/01_data_and_defects.ipynb](exercises/01_data_and_defects.ipynb): `01.to_tensor`
# (easy), `01.foreground` (easy), `01.mask` (medium), and an open question about small masks. Then,
# here:
#
# 1. Replace the mean image by the median. On which category should that matter, and does it?
# 2. Move every test image by two pixels (`torch.roll`) and compute the AUROC of section 6 again.
# 3. Open another category and guess its AUROC in section 6 from the mean image.
