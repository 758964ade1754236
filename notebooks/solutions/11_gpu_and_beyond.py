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
# # 11 Exercises: GPU and beyond
#
# Back to the lecture: [11_gpu_and_beyond](../11_gpu_and_beyond.ipynb).
#
# Who does what when there are several devices, and how a large batch fits into a small memory. No
# GPU is needed.

# %%
import torch

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `11.shard` (medium)
#
# `world` processes share the items 0 ... `count` - 1. List those of process `rank`. All of them
# together do everything once, and nobody has two items more than another.


# %%
def shard(count, rank, world):
    """Indices that one process works on."""
    ### BEGIN SOLUTION
    return list(range(rank, count, world))
    ### END SOLUTION


# %%
check("11.shard", shard)

# %% [markdown]
# ## 2 · `11.accumulate` (hard)
#
# A batch is too large for the memory. Send it through in `parts` pieces (`batch.chunk(parts)`), so
# that afterwards the gradients are those of the *mean* loss over the whole batch. The pieces may
# differ in size. `loss(output, piece)` is a mean over its piece; gradients are empty at the start.


# %%
def accumulate(module, batch, parts, loss):
    """Leave the gradient of the whole batch's mean loss in the parameters."""
    ### BEGIN SOLUTION
    for piece in torch.chunk(batch, parts):
        fraction = len(piece) / len(batch)
        (fraction * loss(module(piece), piece)).backward()
    ### END SOLUTION


# %%
check("11.accumulate", accumulate)

# %% [markdown]
# ## 3 · Open question
#
# With four GPUs and the same batch size *per GPU*, the loss curve over steps looks different from
# one GPU's. Which two quantities changed, and what are the options?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# The batch of a step is four times as large, and an epoch has a quarter of the steps. Either divide
# the batch per GPU by four, for the same training, or keep it and adapt learning rate and warm-up.
# <!-- END SOLUTION -->
