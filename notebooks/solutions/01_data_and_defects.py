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
# # 01 Exercises: data and defects
#
# Back to the lecture: [01_data_and_defects](../01_data_and_defects.ipynb).
#
# Three small functions through which every image and every mask goes. A mistake here costs more
# than any network can win back.

# %%
import torch
from torch.nn import functional as F

from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `01.to_tensor` (easy)
#
# A file gives uint8 in $(H, W, 3)$; networks want float32 in $(3, H, W)$ and in $[0, 1]$.


# %%
def to_tensor(image):
    """A NumPy image (H, W, 3) uint8 to a tensor (3, H, W) float32 in [0, 1]."""
    ### BEGIN SOLUTION
    colours_first = torch.as_tensor(image).movedim(-1, 0)
    return colours_first.to(torch.float32).div(255)
    ### END SOLUTION


# %%
check("01.to_tensor", to_tensor)

# %% [markdown]
# ## 2 · `01.foreground` (easy)
#
# The masks of VisA look black: they hold class ids 1, 2, 3. Some masks of other sets hold 255. A
# pixel is defective if its id is not 0.


# %%
def foreground(ids):
    """Class ids (H, W) uint8 to bool (H, W)."""
    ### BEGIN SOLUTION
    return torch.ne(ids, 0)
    ### END SOLUTION


# %%
check("01.foreground", foreground)

# %% [markdown]
# ## 3 · `01.mask` (medium)
#
# Now shrink a square mask to `size` by `size` pixels. It must stay a mask: no pixel is "a little
# defective". And a scratch must not grow or shrink on average; a very thin one may be lost by
# chance. Nearest takes one native pixel out of every block.


# %%
def shrink_mask(mask, size):
    """A mask (H, W) bool to (size, size) bool, nearest; size divides H = W."""
    ### BEGIN SOLUTION
    as_image = mask[None, None].float()
    return F.interpolate(as_image, (size, size), mode="nearest")[0, 0] > 0.5
    ### END SOLUTION


# %%
check("01.mask", shrink_mask)

# %% [markdown]
# ## 4 · Open question
#
# Your test images are 1024 pixels wide, the network works at 128. A colleague shrinks the masks to
# 128 and computes the pixel metrics there. What do the figures no longer say?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# They describe the small image: a scratch of 4 native pixels is half a pixel wide there, kept or
# lost by luck, and its weight in the metric changes with it. The map has to be enlarged instead.
# Excellent answers note that small defects suffer most, so the ranking of methods may change.
# <!-- END SOLUTION -->
