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
# # 07 Exercises: evaluate honestly
#
# Back to the lecture: [07_evaluate_honestly](../07_evaluate_honestly.ipynb).
#
# Six functions; with them you can audit most papers. The last three are for those who want more.

# %%
import numpy as np
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `07.leak` (easy)
#
# Which *test* images are copies of training images? Both are $(n, 3, H, W)$ uint8. Give their
# places in the test set as a sorted list. (Turning pixels into bytes makes them comparable.)


# %%
def leaked(train, test):
    """Places of the test images that are also in the training set."""
    ### BEGIN SOLUTION
    known = {picture.numpy().tobytes() for picture in train}
    return [place for place, picture in enumerate(test) if picture.numpy().tobytes() in known]
    ### END SOLUTION


# %%
check("07.leak", leaked)

# %% [markdown]
# ## 2 · `07.auroc` (easy)
#
# The AUROC is the share of pairs (one defective, one normal image) in which the defective one
# scores higher; a tie counts one half. Write it that way, without scikit-learn.


# %%
def auroc(labels, scores):
    """AUROC from labels (M,) in {0, 1} and scores (M,), as a float."""
    ### BEGIN SOLUTION
    bad, good = scores[labels == 1], scores[labels == 0]
    gap = np.subtract.outer(bad, good)
    return float(np.mean((np.sign(gap) + 1) / 2))
    ### END SOLUTION


# %%
check("07.auroc", auroc)

# %% [markdown]
# ## 3 · `07.threshold` (medium)
#
# $n$ normal images were held out. If the threshold is their $k$-th highest score, a *new* normal
# image is above it with probability at most $k / (n + 1)$. For a wished rate, take
# $k = \lfloor \mathrm{rate} \cdot (n + 1) \rfloor$. (The wished rate is at least $1 / (n + 1)$; a
# lower one cannot be had. And mind the computer's arithmetic: what is `int(0.29 * 100)`?)


# %%
def threshold(scores, rate):
    """The k-th highest of the normal scores (n,), as a float."""
    ### BEGIN SOLUTION
    k = int(rate * (len(scores) + 1) + 1e-9)
    return float(sorted(scores, reverse=True)[k - 1])
    ### END SOLUTION


# %%
check("07.threshold", threshold)

# %% [markdown]
# ## 4 · `07.pixels` (hard; for those who want more)
#
# Pixel AUROC: every pixel of every image is one case. The maps differ in size; good images count,
# too. (Here scikit-learn's `roc_auc_score` is welcome.)


# %%
def pixel_auroc(maps, masks):
    """Pixel AUROC from lists of maps (h, w) and masks (h, w) bool."""
    ### BEGIN SOLUTION
    truth = np.concatenate([mask.reshape(-1) for mask in masks])
    values = np.concatenate([one.reshape(-1) for one in maps])
    return float(roc_auc_score(truth, values))
    ### END SOLUTION


# %%
check("07.pixels", pixel_auroc)

# %% [markdown]
# ## 5 · `07.bootstrap` (medium; for those who want more)
#
# Draw as many images as there are, with replacement, compute the metric, and do so `resamples`
# times. 95% of the values lie between the ends of the interval. `rng` is a NumPy generator.


# %%
def bootstrap(labels, scores, metric, rng, resamples):
    """(low, high) of the 95% bootstrap interval of metric(labels, scores)."""
    ### BEGIN SOLUTION
    collected = []
    for _ in range(resamples):
        lucky = rng.integers(len(labels), size=len(labels))
        collected.append(metric(labels[lucky], scores[lucky]))
    return tuple(np.quantile(collected, [0.025, 0.975]))
    ### END SOLUTION


# %%
check("07.bootstrap", bootstrap)

# %% [markdown]
# ## 6 · `07.pro` (hard; for those who want more)
#
# PRO at one threshold: for each *connected* defect the share of its pixels above the threshold, and
# the mean of these shares. A small defect counts as much as a large one; good images have none.
# (`scipy.ndimage.label` finds the connected defects of a mask.)


# %%
def pro(maps, masks, threshold):
    """Lists of maps (h, w) and masks (h, w) bool to a number."""
    ### BEGIN SOLUTION
    covered = []
    for one, mask in zip(maps, masks, strict=True):
        numbered, count = label(mask)
        for defect in range(1, count + 1):
            covered.append(np.mean(one[numbered == defect] > threshold))
    return float(np.mean(covered))
    ### END SOLUTION


# %%
check("07.pro", pro)

# %% [markdown]
# ## 7 · Open question
#
# A paper reports an image AUROC of 98.9 against 98.7 of another method, on a category with 83 test
# images, from one seed. What would you ask the authors for?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# Several seeds with mean and spread, and an interval over test images, best of the *difference* on
# the same images. With n good and m defective images, one defective image is worth up to 1/m and
# a good one up to 1/n: in the 83 of MVTec AD's bottle, 20 good and 63 defective, 1.6 and 5 points.
# 0.2 points may be the rank of a single image. Also: was the epoch chosen on the test set?
# <!-- END SOLUTION -->
