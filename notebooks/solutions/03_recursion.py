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
# # 03 Exercises: recursion
#
# Back to the lecture: [03_recursion](../03_recursion.ipynb).
#
# You build the recursion: an encoder that can eat its own output, the reconstruction of any depth,
# and all depths at once without doing work twice.

# %%
import torch
from torch import nn

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `03.changes` (easy)
#
# Given the trajectory $(B, 3, N, H, W)$: by how much does each pixel still change from one depth to
# the next? Absolute, mean over the colours.


# %%
def changes(reconstructions):
    """|I_R^{n+1} - I_R^n|, mean over colours: (B, 3, N, H, W) to (B, N - 1, H, W)."""
    ### BEGIN SOLUTION
    later, earlier = reconstructions[:, :, 1:], reconstructions[:, :, :-1]
    return torch.abs(later - earlier).mean(1)
    ### END SOLUTION


# %%
check("03.changes", changes)

# %% [markdown]
# ## 2 · `03.encoder` (medium)
#
# Write your own E. It takes images with `channels` channels and gives images with as many channels,
# half as high and half as wide. It needs something to learn, something that is not linear, and it
# must work at any even size: the recursion shows it a smaller image each round.


# %%
class MyEncoder(nn.Module):
    """One compression: (B, C, H, W) to (B, C, H/2, W/2)."""

    def __init__(self, channels):
        super().__init__()
        ### BEGIN SOLUTION
        self.halve = nn.Conv2d(channels, 16, kernel_size=2, stride=2)
        self.leave = nn.Conv2d(16, channels, kernel_size=3, padding="same")
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        return self.leave(nn.functional.gelu(self.halve(x)))
        ### END SOLUTION


# %%
check("03.encoder", MyEncoder)

# %% [markdown]
# ## 3 · `03.reconstruct` (easy)
#
# The reconstruction of depth $n$: $I_R^n = D^n(E^n(I))$. First E, $n$ times; then D, $n$ times.
# Section 2 of the lecture has it; try it without looking.


# %%
def reconstruct(encoder, decoder, images, n):
    """I_R^n: (B, 3, H, W) to (B, 3, H, W)."""
    ### BEGIN SOLUTION
    current = images
    for network in (encoder, decoder):
        for _round in range(n):
            current = network(current)
    return current
    ### END SOLUTION


# %%
check("03.reconstruct", reconstruct)

# %% [markdown]
# ## 4 · `03.parameters` (medium)
#
# The parameters of RcAE do not grow with the depth, because all rounds share E and D. Count the
# *trainable* parameters of any module: what is frozen does not count, and a layer that is used
# twice counts once.


# %%
def count_parameters(module):
    """Number of trainable parameters."""
    ### BEGIN SOLUTION
    trainable = [weight.numel() for weight in module.parameters() if weight.requires_grad]
    return sum(trainable)
    ### END SOLUTION


# %%
check("03.parameters", count_parameters)

# %% [markdown]
# ## 5 · `03.trajectory` (hard)
#
# For those who want more. All depths 1 ... N on a new axis 2: $(B, 3, N, H, W)$. Calling
# `reconstruct` N times would run E $N (N + 1) / 2$ times. Run it N times only.


# %%
def trajectory(encoder, decoder, images, depth):
    """I_R^1 ... I_R^N: (B, 3, H, W) to (B, 3, N, H, W)."""
    ### BEGIN SOLUTION
    finished, small = [], images
    for reached in range(1, 1 + depth):
        small = encoder(small)
        rebuilt = small
        for _round in range(reached):
            rebuilt = decoder(rebuilt)
        finished.append(rebuilt)
    return torch.stack(finished, 2)
    ### END SOLUTION


# %%
check("03.trajectory", trajectory)

# %% [markdown]
# ## 6 · Open question
#
# Calling `reconstruct` for each of the depths 1 ... N runs D $N (N + 1) / 2$ times. Why can the
# kit's `RcAE.trajectory` do with N *calls* of D, and is that less work? (Read it, it has a dozen
# lines: `from rcae_lite import RcAE`, then `RcAE.trajectory??`.)

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# Reconstructions at one resolution go through D together, as one batch: N calls in all, not
# $N (N + 1) / 2$.
# The multiplications are the same; what is saved is the overhead of small calls, which matters on
# a GPU. The different depths must stay apart, because their contents differ.
# <!-- END SOLUTION -->
