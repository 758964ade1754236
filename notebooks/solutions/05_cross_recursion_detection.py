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
# # 05 Exercises: cross-recursion detection
#
# Back to the lecture: [05_cross_recursion_detection](../05_cross_recursion_detection.ipynb).
#
# A pseudo-anomaly with an exact mask, the input of CRD, and a score that does not saturate.

# %%
import torch
from torch import nn
from torch.nn import functional as F

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `05.patch` (medium)
#
# Paint a square of one colour into a normal image and say where the image *changed*. A pixel that
# had this colour before did not change; telling CRD that it is anomalous would teach it a lie. The
# image that you are given stays as it is.


# %%
def patch(image, top, left, side, colour):
    """Painted image (3, H, W) and mask (H, W) bool; image (3, H, W), colour (3,)."""
    ### BEGIN SOLUTION
    painted = image.clone()
    painted[:, top : top + side, left : left + side] = colour.view(3, 1, 1)
    return painted, torch.any(painted != image, 0)
    ### END SOLUTION


# %%
check("05.patch", patch)

# %% [markdown]
# ## 2 · `05.join` (medium)
#
# CRD compares the image with *every* enhanced reconstruction. Put the image beside each of them, as
# channels: the image's colours first.


# %%
def join(images, enhanced):
    """I (B, 3, H, W) and I_D^n (B, 3, N, H, W) to (B, 6, N, H, W)."""
    ### BEGIN SOLUTION
    repeated = torch.stack([images] * enhanced.shape[2], dim=2)
    return torch.cat((repeated, enhanced), 1)
    ### END SOLUTION


# %%
check("05.join", join)

# %% [markdown]
# ## 3 · `05.surprise` (hard)
#
# $M_A = \sigma(\text{logit})$ lies in $[0, 1]$, and in float32 it *is* 1 from a logit of about 17
# on: all strong anomalies tie. The surprise $-\log(1 - M_A)$ has no upper end, but only if you
# never compute $1 - M_A$. Simplify the formula first.


# %%
def surprise(logits):
    """-log(1 - sigmoid(logits)), exact for logits of 70 as well; the same shape."""
    ### BEGIN SOLUTION
    # 1 - sigmoid(x) = sigmoid(-x), so that the surprise is log(1 + exp(x)).
    return -F.logsigmoid(-logits)
    ### END SOLUTION


# %%
check("05.surprise", surprise)

# %% [markdown]
# ## 4 · `05.detector` (hard)
#
# Your own CRD, in a few lines: a network that reads the whole sequence $(B, 6, N, H, W)$, the image
# beside every reconstruction, and gives one logit for each pixel. It looks at neighbouring pixels
# *and* at neighbouring steps, is not linear, and works at any size that is a multiple of 8. (No
# pooling is needed; the kit's CRD has four levels of it.)


# %%
class MyCRD(nn.Module):
    """(B, 6, N, H, W) to logits (B, 1, H, W)."""

    def __init__(self, steps):
        super().__init__()
        ### BEGIN SOLUTION
        self.within = nn.Conv3d(6, 8, kernel_size=(1, 3, 3), padding="same")
        self.across = nn.Conv3d(8, 8, kernel_size=(3, 1, 1), padding="same")
        self.collapse = nn.Conv3d(8, 1, kernel_size=(steps, 1, 1))
        ### END SOLUTION

    def forward(self, sequence):
        ### BEGIN SOLUTION
        seen = F.gelu(self.across(F.gelu(self.within(sequence))))
        return self.collapse(seen).squeeze(dim=2)
        ### END SOLUTION


# %%
check("05.detector", MyCRD)

# %% [markdown]
# ## 5 · Open question
#
# CRD reaches a loss near zero on your pseudo-anomalies and finds no real defect. Name two things
# that you would look at first, and why.

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# The pseudo-anomalies beside real defects: size, contrast and place. Too large, too strong or off
# the part, and CRD learns to look for those. Then the map of a good image: is it low everywhere?
# Excellent answers compare with the plain residual, which has seen no pseudo-anomaly.
# <!-- END SOLUTION -->
