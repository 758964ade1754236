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
# # 00 Start here: a recursion that forgets defects
#
# An inspection camera has seen many good parts and not one bad one. How can it find a defect that
# nobody has ever shown it?
#
# **RcAE** (Wu et al., AAAI 2026) learns to compress and rebuild good parts, then applies the *same*
# encoder and decoder several times. Every further round keeps what it knows and loses what it does
# not. Normal regions settle quickly; defects keep changing.
#
# In this notebook you
#
# 1. open a category and look at it,
# 2. train a small detector while you watch,
# 3. follow one part through the recursion,
# 4. see which images the detector calls defective, and how far to trust it.

# %%
# The one line that chooses the data: "synthetic", or a folder with MVTec AD, VisA, your own images.
import os

DATA, CATEGORY = os.environ.get("RCAE_DATA", "synthetic"), os.environ.get("RCAE_CATEGORY")
FAST = "RCAE_FAST" in os.environ  # the tests run every cell with far fewer steps

import torch

from data_utils import open_category
from rcae_lite import RcAEDetector, plotting

# %% [markdown]
# ## 1. The data
#
# **Predict:** training sees only normal parts. What will differ from one normal part to the next?

# %%
category = open_category(DATA, CATEGORY, size=128)
print(f"{category.name}: {len(category.train)} normal images to train on")
defective = int(category.test.labels.sum())
print(f"to test: {len(category.test) - defective} normal, {defective} defective")

# %%
tested = torch.linspace(0, len(category.test) - 1, 4).long()
chosen = [category.train[0], category.train[1], *(category.test[int(i)] for i in tested)]
no_map = torch.zeros(128, 128)
plotting.detections(
    [s.image for s in chosen],
    [no_map] * len(chosen),
    [s.mask for s in chosen],
    ["training"] * 2 + [s.defect for s in chosen[2:]],
    limits=(0, 1),
)

# %% [markdown]
# The upper row outlines the true defects in green; the lower row is where anomaly maps will appear.
# Exposure, position and grain change between good parts: a detector must not mind them.

# %% [markdown]
# ## 2. Train
#
# Three stages, one after the other, each from scratch and on normal images only: **RcAE** learns to
# rebuild, **DPN** to bring detail back, **CRD** to read the whole sequence of reconstructions (on
# defects that we paint ourselves). The preset `demo` is the smallest one that works.

# %%
few = {"steps": 3}
options = {"rcae": few, "dpn": few, "crd": few, "pool_chunk": 8, "pool_chunks": 1} if FAST else {}
detector = RcAEDetector.from_preset("demo", seed=0, **options)
print(detector.parameters())

# %%
detector.fit(category.train)
plotting.loss_curves(detector.losses)

# %% [markdown]
# ## 3. One part, five depths
#
# At depth n the image is compressed n times and rebuilt n times, always by the same two small
# networks: $I_R^n = D^n(E^n(I))$.
#
# **Predict:** which depth still shows the defect, and which shows only what the network knows?

# %%
sample = category.test[int(category.test.labels.argmax())]  # the first defective one, if any
trajectory = detector.trajectory(sample.image.unsqueeze(0))
detection = detector.detect(trajectory)
plotting.trajectory_strip(
    sample.image,
    trajectory.reconstructions[0].cpu(),
    trajectory.enhanced[0].cpu(),
    detection.anomaly_map[0],
    title=f"{sample.path} ({sample.defect})",
)

# %% [markdown]
# **Interpret:** follow the defect along the first row, then the residuals below. Which depth would
# you trust, and would you trust it for a defect of another size? CRD looks at all of them at once.

# %%
batch = torch.stack([category.test[i].image for i in range(len(category.test))])
masks = torch.stack([torch.as_tensor(category.test[i].mask) for i in range(len(category.test))])
changes = torch.cat([detector.trajectory(part).changes.cpu() for part in batch.split(8)])
plotting.changes_by_depth(changes, masks).get_figure()

# %% [markdown]
# **Interpret:** do the defective pixels change more from depth to depth than the normal ones? Where
# is the difference largest?

# %% [markdown]
# ## 4. Which images are defective?
#
# The threshold comes from normal images that were held out of the training, never from the test
# set: at most the stated share of new normal images is expected above it.

# %%
evaluation = detector.evaluate(category.test)
print(evaluation.summary())

# %%
plotting.score_histogram(evaluation).get_figure()

# %%
detection = detector.predict(batch)
shown = [int(i) for i in torch.linspace(0, len(batch) - 1, 6)]
plotting.detections(
    [batch[i] for i in shown],
    [detection.anomaly_map[i] for i in shown],
    [masks[i] for i in shown],
    [f"{category.test.defects[i]}: {'defective' if detection.label[i] else 'fine'}" for i in shown],
    limits=evaluation.map_limits,
)

# %% [markdown]
# ## What to take with you
#
# - The recursion turns one image into a *trajectory*; the anomaly is in how it develops.
# - Every number above has an interval: a test set this small does not support three digits.
# - The plain residual at each depth (`residual by depth` above) is the method without DPN and CRD.
#   What do the two add here?
#
# **Try it:** set `RCAE_DATA` to a folder with MVTec AD and `RCAE_CATEGORY` to `bottle` before you
# start Jupyter, and run this notebook again. Or stay in the terminal: `rcae train --help`.
