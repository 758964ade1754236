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
# # 00 Exercises: start here
#
# Back to the lecture: [00_start_here](../00_start_here.ipynb).
#
# Replace each `raise NotImplementedError`, run the cell, then the check below it. A check tries
# your function on new random input every time; if something is off, it says what the likely mistake
# is. Only your last try counts.

# %%
import torch

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `00.score` (easy)
#
# A detector outputs an anomaly map per image, $(B, H, W)$. An inspection line wants one number per
# image. Even one strange pixel makes a part strange: take the highest value.


# %%
def image_score(maps):
    """Highest value of each map: (B, H, W) to (B,)."""
    ### BEGIN SOLUTION
    return maps.amax(dim=(-2, -1))
    ### END SOLUTION


# %%
check("00.score", image_score)

# %% [markdown]
# ## 2 · `00.label` (easy)
#
# The threshold of the kit promises: at most so many normal images score *above* it. Say which
# images are defective, as bool.


# %%
def is_defective(scores, threshold):
    """True where a score is strictly above the threshold: (B,) to (B,) bool."""
    ### BEGIN SOLUTION
    return torch.gt(scores, threshold)
    ### END SOLUTION


# %%
check("00.label", is_defective)

# %% [markdown]
# ## 3 · Open question
#
# A colleague proposes the *mean* of the map as the score, "because it is less noisy". For which
# defects would that be better, for which worse? Two or three sentences.

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# The mean ranks well what changes many pixels a little: a stain, a wrong colour, poor lighting.
# A scratch of 20 pixels out of 16,384 moves the mean by a thousandth of its strength and drowns.
# Good answers name both sides and an area; excellent ones propose to measure it by defect family.
# <!-- END SOLUTION -->
