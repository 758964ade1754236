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
# # 02 Exercises: why autoencoders copy defects
#
# Back to the lecture: [02_why_autoencoders_copy](../02_why_autoencoders_copy.ipynb).
#
# The loss that every stage is built on, and the residual that is the simplest anomaly map.

# %%
import torch
from torch.nn import functional as F

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `02.residual` (easy)
#
# How far is a reconstruction off, pixel by pixel? Absolute difference, mean over the colours.


# %%
def residual(image, reconstruction):
    """|I - R|, mean over colours: two (B, 3, H, W) to (B, H, W)."""
    ### BEGIN SOLUTION
    distance = torch.abs(image - reconstruction)
    return distance.mean(1)
    ### END SOLUTION


# %%
check("02.residual", residual)

# %% [markdown]
# ## 2 · `02.gradient` (medium)
#
# $\nabla x$ by forward differences: the next pixel minus this one. First to the right for all $C$
# channels, then downwards for all $C$. The last column (the last row) has no next pixel: 0 there.


# %%
def gradient(x):
    """Forward differences: (B, C, H, W) to (B, 2C, H, W)."""
    ### BEGIN SOLUTION
    slopes = torch.zeros_like(torch.cat([x, x], dim=1))
    to_right, downwards = slopes.chunk(2, dim=1)
    to_right[..., :, :-1] = x.diff(dim=-1)
    downwards[..., :-1, :] = x.diff(dim=-2)
    return slopes
    ### END SOLUTION


# %%
check("02.gradient", gradient)

# %% [markdown]
# ## 3 · `02.loss` (medium, with 2 at hand)
#
# The paper's loss: $\|I - R\|_1 + \|\nabla I - \nabla R\|_1$, both as means. You may use your own
# `gradient`, or `rcae_lite.model.losses.gradient`.


# %%
def reconstruction_loss(reconstruction, image):
    """Intensity and gradient L1: two (B, 3, H, W) to a scalar."""
    ### BEGIN SOLUTION
    intensity = F.l1_loss(image, reconstruction)
    edges = F.l1_loss(gradient(image), gradient(reconstruction))
    return intensity + edges
    ### END SOLUTION


# %%
check("02.loss", reconstruction_loss)

# %% [markdown]
# ## 4 · `02.copied` (medium)
#
# Without its square an image is $x$, with it $p$; $M$ is where it was painted. Of what was painted,
# how much comes out again? $\sum_M |R(p) - R(x)| \,/\, \sum_M |p - x|$, over the whole batch.


# %%
def copied_share(rebuilt_painted, rebuilt_clean, painted, clean, mask):
    """R(p), R(x), p, x (B, 3, H, W) and M (B, 1, H, W) bool to a number."""
    ### BEGIN SOLUTION
    passed = (rebuilt_painted - rebuilt_clean).abs() * mask
    given = (painted - clean).abs() * mask
    return (passed.sum() / given.sum()).item()
    ### END SOLUTION


# %%
check("02.copied", copied_share)

# %% [markdown]
# ## 5 · Open question
#
# Training lowered the loss of a plain autoencoder on normal images by half, and its image AUROC got
# *worse*. How can that be?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# The loss sees normal images only. A network that learns to copy any image has a low loss and
# copies defects as well, so the residual of a defect falls faster than that of a normal edge.
# Excellent answers suggest how to see it: the residual inside and outside of the masks by step.
# <!-- END SOLUTION -->
