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
# # 08 Exercises: explore
#
# Back to the lecture: [08_explore_the_recursion](../08_explore_the_recursion.ipynb).
#
# What the threshold slider computes, and what it should be set to when mistakes cost money.

# %%
import numpy as np

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `08.rates` (easy)
#
# At a threshold: which share of the normal images is called defective (false-positive rate), and
# which share of the defective ones (detection rate)? Called defective is what scores strictly
# above.


# %%
def rates(labels, scores, threshold):
    """(false-positive rate, detection rate) from labels (M,) and scores (M,)."""
    ### BEGIN SOLUTION
    alarms = np.greater(scores, threshold)
    return alarms[labels == 0].mean(), alarms[labels == 1].mean()
    ### END SOLUTION


# %%
check("08.rates", rates)

# %% [markdown]
# ## 2 · `08.cost` (medium)
#
# A false alarm costs `alarm`, a missed defect costs `miss`. Find a threshold with the lowest total
# cost on these images. (Which thresholds are worth a try? Do not forget the one below all scores.)


# %%
def cheapest(labels, scores, alarm, miss):
    """A threshold, as a float, with the lowest cost."""

    ### BEGIN SOLUTION
    def price(candidate):
        above = scores > candidate
        return alarm * np.sum(above & (labels == 0)) + miss * np.sum(~above & (labels == 1))

    return min([scores.min() - 1.0, *scores.tolist()], key=price)
    ### END SOLUTION


# %%
check("08.cost", cheapest)

# %% [markdown]
# ## 3 · Open question
#
# You found the cheapest threshold with the labels of the test set. May you report its cost as what
# the line will pay?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# No: it was chosen on the very images that it is judged by, an oracle like F1-max. Choose it on
# other labelled images, or from normal ones alone, and judge it on the test set once.
# <!-- END SOLUTION -->
