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
# # 09 Exercises: ablation lab
#
# Back to the lecture: [09_ablation_lab](../09_ablation_lab.ipynb).
#
# What has to stand in a row of an ablation, and when a difference is one.

# %%
import statistics

import numpy as np

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `09.spread` (easy)
#
# Three seeds, three results. Report their mean and the standard deviation of the *sample*.


# %%
def spread(values):
    """(mean, sample standard deviation) of a list of numbers."""
    ### BEGIN SOLUTION
    return statistics.mean(values), statistics.stdev(values)
    ### END SOLUTION


# %%
check("09.spread", spread)

# %% [markdown]
# ## 2 · `09.changed` (medium)
#
# A row of an ablation changes *one* thing. Write the function that finds out: it gets two
# configurations as plain dicts (`Config.to_dict()`) and lists the options that differ, sorted. The
# stages are dicts in the dict: name their options with a dot, `"crd.steps"`.


# %%
def changed(base, other):
    """Sorted names of the options that differ."""
    ### BEGIN SOLUTION
    names = []
    for option, value in base.items():
        if isinstance(value, dict):
            names += [f"{option}.{inner}" for inner in changed(value, other[option])]
        elif value != other[option]:
            names.append(option)
    return sorted(names)
    ### END SOLUTION


# %%
check("09.changed", changed)

# %% [markdown]
# ## 3 · `09.paired` (hard)
#
# Two detectors scored the *same* test images. Give the 95% bootstrap interval of the gain,
# metric(second) - metric(first). Draw the images once per resample, for both: what is hard about
# an image is hard for both of them, and cancels.


# %%
def gain(labels, first, second, metric, rng, resamples):
    """(low, high) of the 95% interval of the gain."""
    ### BEGIN SOLUTION
    gains = []
    for _ in range(resamples):
        again = rng.integers(0, len(labels), len(labels))
        truth = labels[again]
        gains.append(metric(truth, second[again]) - metric(truth, first[again]))
    return tuple(np.quantile(gains, [0.025, 0.975]))
    ### END SOLUTION


# %%
check("09.paired", gain)

# %% [markdown]
# ## 4 · Open question
#
# Of twelve variants, one is better than the base with an interval just above 0. What do you do
# before you write "improves the AUROC"?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# Twelve tries at 95% bring at least one false "gain" in about a quarter of all tables, though none
# of them changes anything (1 - 0.975^12 = 0.26 if they were independent; they are not, they share
# the base and the images, and an unlucky base makes most of them "gain"). Train the base and this
# variant again with new seeds and, better, on another category, decided beforehand.
# <!-- END SOLUTION -->
