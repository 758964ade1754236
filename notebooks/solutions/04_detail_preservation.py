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
# # 04 Exercises: detail preservation
#
# Back to the lecture: [04_detail_preservation](../04_detail_preservation.ipynb).
#
# How detail is measured, what DPN may see, and what "frozen" has to mean.

# %%
import torch

from rcae_lite.exercises import check
from rcae_lite.model.losses import gradient

# %% [markdown]
# ## 1 · `04.psnr` (easy)
#
# The peak signal-to-noise ratio in decibels, $10 \log_{10}(1 / \mathrm{MSE})$ for images in
# $[0, 1]$: one number per image.


# %%
def psnr(reconstruction, image):
    """PSNR per image: two (B, 3, H, W) to (B,)."""
    ### BEGIN SOLUTION
    mse = ((reconstruction - image) ** 2).mean(dim=(1, 2, 3))
    return 10 * torch.log10(1 / mse)
    ### END SOLUTION


# %%
check("04.psnr", psnr)

# %% [markdown]
# ## 2 · `04.input` (medium)
#
# DPN sees the reconstruction, and what that lacks of the *input image's* gradient: $d = \nabla I -
# \nabla I_R^n$, softly bounded to $d / (|d| + 0.05)$, so that a strong edge does not drown fine
# texture. Nine channels, the three colours first. (`gradient` is imported above.)


# %%
def dpn_input(reconstruction, image):
    """I_R^n, then d / (|d| + 0.05): two (B, 3, H, W) to (B, 9, H, W)."""
    ### BEGIN SOLUTION
    lacking = gradient(image) - gradient(reconstruction)
    return torch.cat((reconstruction, lacking / (0.05 + torch.abs(lacking))), 1)
    ### END SOLUTION


# %%
check("04.input", dpn_input)

# %% [markdown]
# ## 3 · `04.freeze` (medium)
#
# While DPN trains, RcAE is frozen: nothing about it may change, neither through an optimiser nor by
# merely being used. Change the module in place; nothing needs to be returned.


# %%
def freeze(module):
    """From now on the module is only used."""
    ### BEGIN SOLUTION
    module.requires_grad_(False).eval()
    ### END SOLUTION


# %%
check("04.freeze", freeze)

# %% [markdown]
# ## 4 · `04.weighted` (medium)
#
# Our loss of DPN counts the painted region once more: $\mathrm{mean}\,|I_D - I|$ over all pixels
# and colours, plus a weight times the mean of the same *over the painted region*. A batch in which
# nothing was painted has the first term alone.


# %%
def weighted_loss(enhanced, clean, mask, weight):
    """I_D and I (B, 3, H, W), mask (B, 1, H, W) of 0 and 1, weight a number; to a scalar."""
    ### BEGIN SOLUTION
    error = torch.abs(enhanced - clean).mean(1, keepdim=True)
    region = (error * mask).sum() / mask.sum().clamp(min=1)
    return error.mean() + region * weight
    ### END SOLUTION


# %%
check("04.weighted", weighted_loss)

# %% [markdown]
# ## 5 · Open question
#
# Trained on clean images only, DPN reaches a high PSNR, and brings defects back. Why? And why is it
# not enough to keep the image itself from it and to show it the gradient alone?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# On clean images whatever the image has and the reconstruction lacks should be added, so the best
# DPN trusts every gradient, a defect's too: nothing in its training says which edges to leave out.
# The gradient alone lacks the absolute brightness, but the reconstruction around a small defect has
# it, and its edges say the rest. Excellent answers propose damaged input with a clean target.
# <!-- END SOLUTION -->
