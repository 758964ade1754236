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
# # 03 Recursion
#
# One encoder, one decoder, each applied n times. You build both from scratch, train them for a
# minute, and then check that the kit's `RcAE` computes the same up to rounding. Afterwards you can
#
# - write $C_i = E(C_{i-1})$ and $R_j = D(R_{j-1})$ as code,
# - say why an output of E has to be a valid input of E,
# - count parameters, and say why they do not grow with the depth,
# - read a trajectory: what settles, what keeps changing.
#
# *Measured on a 2-core CPU: 0.5 minutes, 1.7 GB.*

# %%
# The one line that chooses the data: "synthetic", or a folder with MVTec AD, VisA, your own images.
import os

DATA, CATEGORY = os.environ.get("RCAE_DATA", "synthetic"), os.environ.get("RCAE_CATEGORY")
FAST = "RCAE_FAST" in os.environ  # the tests run every cell with far fewer steps

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from torch import nn
from torch.nn import functional as F

from data_utils import open_category
from rcae_lite import RcAE, plotting
from rcae_lite.example import detector_for
from rcae_lite.model.losses import reconstruction_loss

sns.set_theme(style="whitegrid")
category = open_category(DATA, CATEGORY, size=128)
test = category.test.subset(range(0, len(category.test), 6 if FAST else 1))

# %% [markdown]
# ## 1. E: half the size, the same kind of thing
#
# E is applied to its own output, so what comes out must look like what went in: three channels,
# half the height, half the width. Inside, a convolution with kernel 2 and stride 2 goes down; two
# more work at the lower resolution, where they cost a quarter. The paper leaves the inside open;
# this is our reading of it.
#
# The identity path (average pooling) hands E "make it smaller" for nothing: the convolutions,
# random at first, only have to learn what is to be added.


# %%
class Block(nn.Module):
    """Two convolutions, and around them a path that changes nothing."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x):
        return x + self.body(x)  # (B, width, H, W)


# %%
class E(nn.Module):
    """One compression: (B, 3, H, W) to (B, 3, H/2, W/2)."""

    def __init__(self, width=32):
        super().__init__()
        self.down, self.block = nn.Conv2d(3, width, 2, stride=2), Block(width)
        self.project = nn.Conv2d(width, 3, 1)

    def forward(self, x):
        return F.avg_pool2d(x, 2) + self.project(F.gelu(self.block(self.down(x))))


# %% [markdown]
# ## 2. D: the mirror image
#
# **Predict:** E has one stride-2 convolution. What is its counterpart, and what is the counterpart
# of average pooling?


# %%
class D(nn.Module):
    """One reconstruction: (B, 3, H, W) to (B, 3, 2H, 2W)."""

    def __init__(self, width=32):
        super().__init__()
        self.expand, self.block = nn.Conv2d(3, width, 1), Block(width)
        self.up = nn.ConvTranspose2d(width, 3, 2, stride=2)

    def forward(self, x):
        larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return larger + self.up(F.gelu(self.block(self.expand(x))))


def compose(encode, decode, images, depth):
    """I_R^n = D^n(E^n(I))."""
    for network in [encode] * depth + [decode] * depth:
        images = network(images)
    return images


# %%
torch.manual_seed(0)
encode, decode = E(), D()
batch = category.train.images()[:4] / 255  # (4, 3, 128, 128)
with torch.no_grad():
    sizes = [tuple(compose(encode, decode, batch, n).shape) for n in range(1, 6)]
assert sizes == [tuple(batch.shape)] * 5
print("every depth gives images again:", sizes[0])

# %% [markdown]
# ## 3. Parameters do not grow
#
# **Predict:** from depth 1 to depth 5, how many more parameters does it take?


# %%
def size_of(module):
    """Count all the numbers of a module."""
    return sum(p.numel() for p in module.parameters())


for depth in (1, 3, 5):
    shared, own = RcAE(depth), RcAE(depth, shared=False)
    print(f"N = {depth}: shared {size_of(shared):7,}   own weights per level {size_of(own):7,}")
assert size_of(RcAE(5)) == size_of(RcAE(1)) == size_of(encode) + size_of(decode)
assert size_of(RcAE(5, shared=False)) == 5 * size_of(RcAE(5))

# %% [markdown]
# ## 4. Train it
#
# Each step draws a depth uniformly from 1 ... 5 for the whole batch. If the depth were fixed, E and
# D could agree on a shortcut, a private code that only works for that many rounds. With a random
# depth every intermediate image has to stay an image.
#
# **Predict:** which depth will have the largest loss at the end?

# %%
steps, size = (3, 4) if FAST else (100, 8)
parameters = [*encode.parameters(), *decode.parameters()]
optimiser = torch.optim.Adam(parameters, lr=2e-3)
pictures = category.train.images()
generator, history = torch.Generator().manual_seed(0), []
for _ in range(steps):
    chosen = torch.randint(len(pictures), (size,), generator=generator)
    depth = int(torch.randint(1, 6, (), generator=generator))
    target = pictures[chosen] / 255
    loss = reconstruction_loss(compose(encode, decode, target, depth), target)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    history.append((depth, loss.item()))

# %%
figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for depth, colour in zip(range(1, 6), sns.color_palette("viridis", 5)):
    points = [(step, value) for step, (n, value) in enumerate(history) if n == depth]
    if points:
        ax.plot(*zip(*points), ".-", color=colour, label=f"n = {depth}")
ax.set(xlabel="optimiser step", ylabel="loss of the batch", yscale="log")
ax.legend(frameon=False, fontsize=8)
plt.close(figure)
figure

# %% [markdown]
# **Interpret:** one curve per depth, from one pair of networks. Deeper rounds squeeze the image
# through fewer pixels ($128 / 2^5 = 4$ a side at depth 5), so they lose more.

# %% [markdown]
# ## 5. The kit computes the same
#
# Your E and D have the same layers as the kit's, so its weights fit yours. We take those of a
# detector that was trained longer, and compare every depth.

# %%
detector = detector_for(category, fast=FAST)
rcae = detector.rcae.cpu().eval()
encode.load_state_dict(rcae.encoders[0].state_dict())
decode.load_state_dict(rcae.decoders[0].state_dict())
rounding = {"rtol": 0, "atol": 1e-4}  # of values in [0, 1]: a fortieth of a grey level
with torch.no_grad():
    for depth in range(1, 6):
        ours = compose(encode, decode, batch, depth)
        torch.testing.assert_close(ours, rcae(batch, depth), **rounding)
    together = rcae.trajectory(batch)  # all depths at once: (B, 3, N, H, W)
    for depth in range(1, 6):
        torch.testing.assert_close(together[:, :, depth - 1], rcae(batch, depth), **rounding)
rcae.to(detector.device)
print("equal at every depth, up to rounding;", tuple(together.shape))

# %% [markdown]
# `RcAE.trajectory` shares work: each compressed image is computed once, and on the way up all
# reconstructions that are at the same resolution go through D as one batch.

# %% [markdown]
# ## 6. A trajectory
#
# **Predict:** at which depth will the defect be gone? And what else will be gone?

# %%
images = test.images() / 255
trajectories = [detector.trajectory(part) for part in images.split(8)]
reconstructions = torch.cat([t.reconstructions.cpu() for t in trajectories])
residuals = torch.cat([t.residuals.cpu() for t in trajectories])  # (B, N, H, W)
changes = torch.cat([t.changes.cpu() for t in trajectories])  # (B, N - 1, H, W)
top = plotting.residual_limit(residuals)
which = int(test.labels.argmax())  # the first defective image, if there is any
plotting.trajectory_strip(
    images[which], reconstructions[which], title=f"{test.paths[which]}", residual_top=top
)

# %% [markdown]
# **Interpret:** what vanishes with the defect is whatever else is as small or as rare. Now three
# single pixels. We choose them by their *changes* $|I_R^{n+1} - I_R^n|$, summed over the depths,
# and plot their *residuals* $|I - I_R^n|$. The two are not the same: a pixel can settle, and settle
# far from the image; and one that keeps changing can come nearer to it or move away.

# %%
known = [i for i in range(len(test)) if test.native_mask(i) is not None]
masks = torch.stack([test[i].mask.as_subclass(torch.Tensor) for i in known])  # (B, H, W)
inside = test[which].mask.as_subclass(torch.Tensor) if test[which].mask.any() else None
settled = changes[which].sum(dim=0)
place = {
    "calmest pixel": divmod(int(settled.argmin()), 128),
    "busiest pixel": divmod(int(settled.argmax()), 128),
}
if inside is not None:
    place["busiest defective pixel"] = divmod(int((settled * inside).argmax()), 128)
plotting.pixel_curves(residuals[which], place).get_figure()

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plotting.residuals_by_depth(residuals[known], masks, axes[0])
plotting.changes_by_depth(changes[known], masks, axes[1])
plt.close(figure)
figure

# %%
for n in range(residuals.shape[1]):
    normal, defective = residuals[known, n][~masks].mean(), residuals[known, n][masks].mean()
    print(
        f"n = {n + 1}: residual {normal:.3f} normal, {defective:.3f} defective, "
        f"ratio {defective / normal:.2f}"
    )

# %% [markdown]
# **Interpret:** the ratio is what a threshold on the residual lives on. Where is it largest? Is it
# already large at depth 1, where the defect is still copied, or only where it is gone? (Without a
# mask for any defect the ratio is `nan`: there is nothing to compare.)

# %% [markdown]
# ## What the paper says, what we measured here
#
# | | paper (MVTec AD, image AUROC of the whole method) |
# |---|---|
# | N = 1, 3, 5, 6 | 86.2, 96.3, 98.9, 98.7 |
# | own weights per level | 71.3 |
#
# The paper's ladder is for the whole method, trained anew for each N. Ours is quicker and asks
# less: one trained RcAE, and the plain residual of each depth as the map.

# %%
evaluation = detector.evaluate(test)
ladder = evaluation.residual_auroc_by_depth
if None not in ladder:
    rising = all(a <= b for a, b in zip(ladder, ladder[1:]))
    print("residual AUROC by depth:", " ".join(f"{value:.3f}" for value in ladder))
    print(
        "the ladder rises at every step here"
        if rising
        else "no ladder here: 'deeper is better' is not the rule, the best depth (an oracle: "
        f"chosen on test labels) is {ladder.index(max(ladder)) + 1}"
    )
plotting.residual_ladder(evaluation).get_figure()

# %% [markdown]
# ## Summary
#
# - An encoder whose output is a valid input can be applied again; so can its decoder.
# - All depths share one set of weights; the random depth keeps them honest.
# - The trajectory holds what no single depth has: *when* a region changes.
# - Which depth separates best can depend on the defects, and normal images do not tell it. Notebook
#   05 stops choosing.
#
# ## Exercises
#
# Open [exercises/03_recursion.ipynb](exercises/03_recursion.ipynb): `03.changes` (easy),
# `03.encoder` (medium), `03.reconstruct` (easy), `03.parameters` (medium), and an open question
# about work; for those who want more, `03.trajectory` (hard). Then, here:
#
# 1. Train section 4 with the depth fixed to 5 and look at depth 1 to 4 afterwards.
# 2. Remove the identity paths from E and D. What does the loss do in the first 20 steps?
# 3. The kit has `RcAE(channels=16)`. What do compressed images look like then?
