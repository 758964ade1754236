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
# # 06 Exercises: training
#
# Back to the lecture: [06_train](../06_train.ipynb).
#
# Three pieces of a training loop that are short, and that most of us have got wrong once.

# %%
import copy

import torch

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `06.depth` (easy)
#
# For every batch a depth is drawn, uniform over $\{1, ..., N\}$, from the generator of that step:
# the same generator state, the same depth.


# %%
def draw_depth(generator, deepest):
    """A whole number from 1 to deepest, both included, as int."""
    ### BEGIN SOLUTION
    drawn = torch.randint(1, deepest + 1, (1,), generator=generator)
    return drawn.item()
    ### END SOLUTION


# %%
check("06.depth", draw_depth)

# %% [markdown]
# ## 2 · `06.step` (medium)
#
# One training step: the loss is `loss(module(batch), batch)`. `stepper` is any optimiser of
# `torch.optim`: the kit trains with Adam, the check uses plain gradient descent. Return the loss as
# a plain number.


# %%
def train_step(module, stepper, batch, loss):
    """One step of the optimiser; returns the loss before it."""
    ### BEGIN SOLUTION
    stepper.zero_grad()
    found = loss(module(batch), batch)
    found.backward()
    stepper.step()
    return found.item()
    ### END SOLUTION


# %%
check("06.step", train_step)

# %% [markdown]
# ## 3 · `06.snapshot` (hard)
#
# A training is stopped and goes on in a *new* process: with a fresh module and a fresh optimiser.
# Write a class that keeps what is needed, and puts it into the fresh ones. The check trains, takes
# a snapshot, trains on, restores, trains on again, and compares the weights.


# %%
class Snapshot:
    """What a training needs to go on from here as if nothing had happened."""

    def __init__(self, module, optimiser):
        ### BEGIN SOLUTION
        self.weights = copy.deepcopy(module.state_dict())
        self.moments = copy.deepcopy(optimiser.state_dict())
        ### END SOLUTION

    def restore(self, module, optimiser):
        """Put it into another module and optimiser of the same kind."""
        ### BEGIN SOLUTION
        module.load_state_dict(self.weights)
        optimiser.load_state_dict(self.moments)
        ### END SOLUTION


# %%
check("06.snapshot", Snapshot)

# %% [markdown]
# ## 4 · Open question
#
# The kit draws all randomness of a step from (seed, stage, step), not from one generator that runs
# through the whole training. What would `Snapshot` need otherwise?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# The state of every generator (PyTorch, NumPy, workers) at that moment, saved and restored as well.
# With a generator per step the step's number is enough, and a resumed training draws the same.
# <!-- END SOLUTION -->
