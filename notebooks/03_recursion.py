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
# One encoder, one decoder, each applied n times. You build both from scratch, train them twice,
# once on clean and once on damaged images, and then check that the kit's `RcAE` computes the same
# up to rounding. Afterwards you can
#
# - write $I_C^i = E(I_C^{i-1})$ and $I_R^j = D(I_R^{j-1})$ as code,
# - say why an output of E has to be a valid input of E,
# - count parameters, and say why they do not grow with the depth,
# - say why RcAE is trained on damaged images, and what it learns without them,
# - tell forgetting from blurring, by two measures that need no real defect.
#
# *Measured on one core of a CPU: 1.5 minutes, 2.6 GB.*

# %%
import numpy as np
import seaborn as sns
import torch
from torch import nn
from torch.nn import functional as F

from data_utils import find_category
from rcae_lite import RcAE, plotting
from rcae_lite.base import split
from rcae_lite.baselines import resize_trajectory
from rcae_lite.evaluation.restoration import PROBE_FAMILIES, probe
from rcae_lite.example import detector_for
from rcae_lite.model.layers import layers_at
from rcae_lite.model.losses import reconstruction_loss
from rcae_lite.study.verdict import verdict
from rcae_lite.training.perturbations import perturb
from rcae_lite.widgets import Predictions, quiz

# %% tags=["parameters"]
# The data. Another category: find_category("bracket"). Your own images: a folder data/ beside this
# notebook, or the environment variable RCAE_DATA.
category = find_category(size=128)
train, test = category.train, category.test
STEPS = 400, 60  # of each training: on images of half the size, and then of the full size

# %%
detector = detector_for(category, "rcae")  # no more is needed here
N = detector.config.rcae.depth
print(f"{category.name} at 128 x 128 pixels, N = {N}")

# %% [markdown]
# ## 1. An autoencoder with four layers
#
# In the paper E and D are each a standard convolutional autoencoder with four layers and skips: an
# image goes in, an image comes out. The layers of the way down see ever smaller maps, so they know
# more of their surroundings; the way up returns to the size of the input. A *skip* hands each layer
# on the way up the features of the same size from the way down. In each layer, groups of features
# are brought to mean 0 and spread 1 within the image (group normalisation). The paper does not say
# whether it does that; here it makes the reconstruction sharper, for a little more time.


# %%
def layer(inputs, outputs):
    """A 3x3 convolution, group normalisation and the nonlinearity."""
    convolution, norm = nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs)
    return nn.Sequential(convolution, norm, nn.LeakyReLU(0.1))


class ConvAutoencoder(nn.Module):
    """Down and up again through up to four layers: (B, inputs, H, W) to (B, 16, H, W)."""

    def __init__(self, inputs, widths=(16, 32, 32, 32)):
        super().__init__()
        self.stem, pairs = layer(inputs, widths[0]), list(zip(widths, widths[1:]))
        self.down = nn.ModuleList(layer(above, below) for above, below in pairs)
        self.lift = nn.ModuleList(nn.Conv2d(below, above, 1) for above, below in pairs)
        self.up = nn.ModuleList(layer(above, above) for above, _ in pairs)

    def forward(self, x, layers=4):
        x, skips = self.stem(x), []
        for down in self.down[: layers - 1]:
            skips.append(x)
            x = down(F.avg_pool2d(x, 2))
        for i in reversed(range(layers - 1)):
            x = self.up[i](F.interpolate(self.lift[i](x), scale_factor=2) + skips[i])
        return x


# %% [markdown]
# ## 2. E and D
#
# E is applied to its own output, so what comes out must look like what went in: three channels,
# half the height, half the width. Such an autoencoder and a step with stride 2 do it; here the step
# comes first (`pixel_unshuffle`: four pixels become twelve channels), so that the rest works at
# half the size, at a quarter of the cost. That is ours, and so is the *identity path*: average
# pooling gives E "make it smaller" for nothing, and the convolutions only learn what is to be
# added.
#
# **Predict:** D is the mirror image. What is the counterpart of a step with stride 2, and what is
# the counterpart of average pooling?

# %%
predict = Predictions("03")  # what you expect, kept in predictions.json
predict.choice("mirror", ["Conv2d", "ConvTranspose2d", "MaxUnpool2d"])


# %%
class E(nn.Module):
    """One compression: (B, 3, H, W) to (B, 3, H/2, W/2)."""

    def __init__(self):
        super().__init__()
        self.body, self.last = ConvAutoencoder(12), nn.Conv2d(16, 3, 1)

    def forward(self, x, layers=4):
        return F.avg_pool2d(x, 2) + self.last(self.body(F.pixel_unshuffle(x, 2), layers))


class D(nn.Module):
    """One reconstruction: (B, 3, H, W) to (B, 3, 2H, 2W)."""

    def __init__(self):
        super().__init__()
        self.body, self.last = ConvAutoencoder(3), nn.ConvTranspose2d(16, 3, 2, stride=2)

    def forward(self, x, layers=4):
        larger = F.interpolate(x, scale_factor=2, mode="bilinear")
        return larger + self.last(self.body(x, layers))


# %% [markdown]
# The recursion is two loops. Deep images are small, and a layer on a map of 2 x 2 pixels has
# nothing to see: so a round on a small image goes through fewer of the four layers. The weights are
# the same.
#
# ![E compresses the image three times, to an eighth of its sides; from each compressed image D
# leads back to full size, as often as E was applied](img/recursion.svg)
#
# *The recursion unrolled for N = 3. A sketch: section 5 measures how much of a defect goes, and
# what goes with it.*

# %%
LAYERS = layers_at(128, N)
print("layers of E and of D in each round:", LAYERS)


def compose(encode, decode, images, depth):
    """I_R^n = D^n(E^n(I)): (B, 3, H, W) to (B, 3, H, W)."""
    for layers, _ in LAYERS[:depth]:
        images = encode(images, layers)
    for _, layers in reversed(LAYERS[:depth]):
        images = decode(images, layers)
    return images


batch = category.train.images()[:4] / 255  # (4, 3, 128, 128)
with torch.no_grad():
    sizes = [tuple(compose(E(), D(), batch, n).shape) for n in range(1, N + 1)]
assert sizes == [tuple(batch.shape)] * N
print("every depth gives images again:", sizes[0])

# %%
predict.reveal("mirror", type(D().last).__name__)

# %% [markdown]
# ## 3. What does depth cost?
#
# **Predict:** how many times as many parameters does depth 5 take as depth 1?

# %%
predict.number("parameters", "times as many parameters", 1, 10)


# %%
def size_of(module):
    """Count all the numbers of a module."""
    return sum(p.numel() for p in module.parameters())


for depth in (1, 3, 5):
    shared, own = RcAE(depth), RcAE(depth, shared=False)
    print(f"N = {depth}: shared {size_of(shared):7,}   own weights per level {size_of(own):7,}")
assert size_of(RcAE(5)) == size_of(RcAE(1)) == size_of(E()) + size_of(D())
assert size_of(RcAE(5, shared=False)) == 5 * size_of(RcAE(5))

# %%
predict.reveal("parameters", size_of(RcAE(5)) / size_of(RcAE(1)))

# %% [markdown]
# ## 4. What to train it on
#
# Ask these networks for their own input, and there is an easy way out: make it smaller, make it
# larger, sharpen it a little. Whoever resizes well has a low loss, and needs to know nothing about
# the part. A defect is then kept or blurred exactly like everything else of its size.
#
# So the input is *damaged*: a random share of small blocks, from none to all, is painted over or
# copied from elsewhere, and a few short lines are drawn. The target is the clean image. Resizing no
# longer helps: to put back what was there, the network has to know what the part looks like.

# %%
generator = torch.Generator().manual_seed(3)
damaged, masks = perturb(batch[:3], generator)  # and where: (B, 1, H, W)
covered = [f"{100 * mask.mean():.0f}% painted over" for mask in masks]
plotting.gallery([*damaged, *batch[:3]], [*covered, *["target"] * len(masks)])

# %% [markdown]
# Each step draws a depth uniformly from 1 ... N for the whole batch. If the depth were fixed, E and
# D could agree on a shortcut, a private code that only works for that many rounds. With a random
# depth every intermediate image has to stay an image.
#
# E and D work at any scale, so most steps take images of half the size, at a third of the price.

# %%
pictures, held_out = train.images()[:-8], train.images()[-8:] / 255


def fit(encode, decode, damage, small, large):
    """Train on clean or on damaged images; returns the depth and the loss of every step."""
    parameters = [*encode.parameters(), *decode.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=2e-3)
    generator, history = torch.Generator().manual_seed(0), []
    for step in range(small + large):
        chosen = torch.randint(len(pictures), (8,), generator=generator)
        depth = int(torch.randint(1, N + 1, (), generator=generator))
        target = pictures[chosen] / 255
        target = F.avg_pool2d(target, 2) if step < small else target
        given = perturb(target, generator)[0] if damage else target
        loss = reconstruction_loss(compose(encode, decode, given, depth), target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        history.append((depth, loss.item()))
    return history


# %% [markdown]
# **Predict:** two pairs of E and D, trained for the same number of steps, one on clean and one on
# damaged images. Which of them ends with the lower loss? Which of them forgets a defect that
# neither has seen?

# %%
ways = ["trained on clean", "trained on damaged"]
predict.choice("lower loss", ways)

# %%
predict.choice("forgets", ways)

# %%
pairs, histories = {}, {}
for name, damage in {"trained on clean": False, "trained on damaged": True}.items():
    torch.manual_seed(0)  # the same weights to begin with
    pairs[name] = encode, decode = E(), D()
    for last in (encode.last, decode.last):  # start next to the identity paths: resizing
        last.weight.data.mul_(0.1)
        last.bias.data.mul_(0.1)
    histories[name] = fit(encode, decode, damage, *STEPS)

# %%
figure, axes = plotting.subplots(1, 2, figsize=(9, 3), sharey=True)
for ax, (name, history) in zip(axes, histories.items()):
    for depth, colour in zip(range(1, N + 1), sns.color_palette("viridis", N)):
        points = [(step, value) for step, (n, value) in enumerate(history) if n == depth]
        if points:
            ax.plot(*zip(*points), ".", markersize=3, color=colour, label=f"n = {depth}")
    ax.set(xlabel="optimiser step", title=name, yscale="log")
axes[0].set_ylabel("loss of the batch")
axes[1].legend(frameon=False, fontsize=8)
figure

# %%
final = {name: np.mean([loss for _, loss in found[-50:]]) for name, found in histories.items()}
predict.reveal("lower loss", min(final, key=final.get))

# %% [markdown]
# **Interpret:** each colour is a depth, each panel one pair of networks. (The jump near the end is
# where the images go from half size to full size.) Each round squeezes the image through a quarter
# of the pixels of the one before: does it lose more, in both panels? And the losses of the two
# pairs answer different questions: the one trained on clean images only has to repeat what it sees.
#
# ## 5. Does it forget? Does it only blur?
#
# We paint defects into images that were not trained on, of kinds that no training paints: stains,
# grooves, specks, holes. That turns an image $x$ into $p$; the mask $M$ holds the painted pixels,
# and $R_n$ is the reconstruction at depth n. Two measures belong together:
#
# - the **copied share** $\sum_M |R_n(p) - R_n(x)| \,/\, \sum_M |p - x|$: 1 where the defect passes,
#   0 where it is gone;
# - the **error outside** of it, mean $|R_n(p) - x|$ in grey levels of 255, over the *structured*
#   pixels: the fifth of the image with the strongest edges, which blur destroys first.
#
# A grey blob has a copied share of 0, and a large error. For comparison we take what is *only*
# blur: halve the image n times by averages, and double it n times, as the identity paths do.


# %%
def resizing(images):
    """Halve n times and double n times, for n = 1 ... N: (B, 3, N, H, W)."""
    return resize_trajectory(images, N)


def restored(images):
    """Send images through all depths of every pair."""
    every = range(1, N + 1)
    found = {
        name: torch.stack([compose(*pair, images, n) for n in every], dim=2)
        for name, pair in pairs.items()
    }
    return found | {"resizing": resizing(images)}


probed = probe(restored, held_out, paintings=4)  # of every image, one of each kind
plotting.restoration(probed).get_figure()

# %%
for name, found in probed.items():
    print(f"{name:18} copied share by depth", " ".join(f"{c:.2f}" for c in found.copied_share))
    print(f"{'':18} error, structured    ", " ".join(f"{e:4.1f}" for e in found.error_structured))


def below(found, other):
    """Count the depths that copy less than another curve does at the same error."""
    x, y = zip(*sorted(zip(other.error_structured, other.copied_share)))
    x, y = (0, *x), (1, *y)  # without an error everything is copied
    return sum(c < np.interp(e, x, y) for e, c in zip(found.error_structured, found.copied_share))


for name in pairs:
    print(f"{name}: {below(probed[name], probed['resizing'])} of {N} depths lie below resizing")

# %%
predict.reveal("forgets", min(pairs, key=lambda name: probed[name].copied_share[-1]))

# %% [markdown]
# **Interpret:** on the line of resizing, a defect fades only as fast as the part does. A network
# that lies below the line knows something about the part. Where do your two pairs lie, after so
# short a training?

# %% [markdown]
# ## 6. The kit computes the same
#
# Your E and D have the same layers as the kit's, so its weights fit yours. We take those of a
# detector that was trained longer, and compare every depth.

# %%
rcae = detector.rcae.cpu().eval()
encode.load_state_dict(rcae.encoders[0].state_dict())
decode.load_state_dict(rcae.decoders[0].state_dict())
rounding = {"rtol": 0, "atol": 1e-4}  # of values in [0, 1]: a fortieth of a grey level
with torch.no_grad():
    together = rcae.trajectory(batch)  # all depths at once: (B, 3, N, H, W)
    for depth in range(1, N + 1):
        ours = compose(encode, decode, batch, depth)
        torch.testing.assert_close(ours, rcae(batch, depth), **rounding)
        torch.testing.assert_close(ours, together[:, :, depth - 1], **rounding)
rcae.to(detector.device)
print("equal at every depth, up to rounding;", tuple(together.shape))

# %% [markdown]
# `RcAE.trajectory` shares work: each compressed image is computed once, and on the way up all
# reconstructions that are at the same resolution go through D as one batch.
#
# ## 7. A trajectory
#
# **Predict:** at which depth is the residual of defective pixels largest, relative to that of
# normal ones?

# %%
predict.choice("ratio", [f"n = {n}" for n in range(1, N + 1)])

# %%
images = test.images() / 255
trajectories = [detector.trajectory(part) for part in images.split(8)]
reconstructions = torch.cat([t.reconstructions.cpu() for t in trajectories])
residuals = torch.cat([t.residuals.cpu() for t in trajectories])  # (B, N, H, W)
changes = torch.cat([t.changes.cpu() for t in trajectories])  # (B, N - 1, H, W)
top = plotting.residual_limit(residuals)
which = int(test.labels.argmax())  # the first defective image, if there is any
plotting.trajectory_strip(
    images[which],
    reconstructions[which],
    title=test.paths[which],
    residual_top=top,
    mask=test[which].mask,
)

# %% [markdown]
# **Interpret:** does anything of the part vanish together with the defect? What is rare looks like
# damage to the network. Now three single pixels. We choose them by their *changes*
# $|I_R^{n+1} - I_R^n|$, summed over the depths, and plot their *residuals* $|I - I_R^n|$. The two
# are not the same. A pixel can stop changing and still be far from the image, as where a defect is
# gone after the first round; one that keeps changing can move towards the image or away from it.

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
figure, axes = plotting.subplots(1, 2, figsize=(9, 3.2))
plotting.residuals_by_depth(residuals[known], masks, axes[0])
plotting.changes_by_depth(changes[known], masks, axes[1])
figure

# %%
for n in range(residuals.shape[1]):
    normal, defective = residuals[known, n][~masks].mean(), residuals[known, n][masks].mean()
    print(
        f"n = {n + 1}: residual {normal:.3f} normal, {defective:.3f} defective, "
        f"ratio {defective / normal:.2f}"
    )

# %%
normal = residuals[known].movedim(1, 3)[~masks].mean(dim=0)
defective = residuals[known].movedim(1, 3)[masks].mean(dim=0)
if masks.any():
    predict.reveal("ratio", f"n = {int((defective / normal).argmax()) + 1}")

# %% [markdown]
# **Interpret:** the larger the ratio, the better a threshold on the residual can work. Where is it
# largest? Is it already large at depth 1, where the defect is still copied, or only where it is
# gone? (Without a mask for any defect the ratio is `nan`: there is nothing to compare.)

# %% [markdown]
# ## 8. What is forgotten first?
#
# The measures of section 5, for the detector that was trained longer, on the images that were held
# out of its training. Beside it the single pass of notebook 02, and resizing.
#
# **Predict:** which of the painted defects stay longest?

# %%
predict.choice("longest", list(PROBE_FAMILIES))

# %%
full = category.train  # the shipped detector held its own images out of all of these
single = detector_for(category, "single_pass")
unseen = full.images()[split(detector.seed, len(full))[1]] / 255


def made_of(images):
    """Send images through the trained networks, and through none."""
    return {
        "rcae": detector.trajectory(images).reconstructions,
        "single_pass": single.trajectory(images).reconstructions,
        "resizing": resizing(images),
    }


found = probe(made_of, unseen)
plotting.copied_by_size(found)

# %%
plotting.restoration(found).get_figure()

# %%
ours, depth = found["rcae"], np.arange(1, N + 1)
print("copied share by depth    ", " ".join(f"{c:.2f}" for c in ours.copied_share))
print("resizing                 ", " ".join(f"{c:.2f}" for c in found["resizing"].copied_share))
print(f"depths below resizing at the same error: {below(ours, found['resizing'])} of {N}")
once, passed = ours.copied_share[-1], found["single_pass"].copied_share[0]
print(f"the last round copies {once:.2f}, the single pass {passed:.2f}")

# %%
for title, kinds in (("kind", ours.by_family), ("share of the image", ours.by_size)):
    print(f"\n{title:20} copied by RcAE at n = 1 ... {N}")
    for kind, curves in kinds.items():
        print(f"{kind:20}", " ".join(f"{c:.2f}" for c in curves["copied_share"]))
    first = min(kinds, key=lambda kind: kinds[kind]["copied_share"][0])
    longest = max(kinds, key=lambda kind: kinds[kind]["copied_share"][-1])
    print(f"copied least at n = 1: {first}; copied most at n = {N}: {longest}")

# %%
left = {kind: curves["copied_share"][-1] for kind, curves in ours.by_family.items()}
predict.reveal("longest", max(left, key=left.get))

# %% [markdown]
# **Interpret:** blur forgets by size alone, the small things first. Does RcAE do the same, or does
# it also forget large defects that look like nothing it knows? And does the kind that stays longest
# look like something that good parts have, too, such as a soft shadow?

# %% [markdown]
# ## What the paper says, what we measured here
#
# | | paper (MVTec AD, image AUROC of the whole method) |
# |---|---|
# | N = 1, 3, 5, 6 | 86.2, 96.3, 98.9, 98.7 |
# | N = 5, own weights per level | 71.3 |
# | N = 5, shared weights without skips | 92.2 |
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
# **Verdict.** Each claim against what was measured here. *Holds* and *opposite* are differences
# beyond the margin, for and against the claim; *not here* is a difference within it, which counts
# as none. The margins are the same for all data.

# %%
falls = [before - after for before, after in zip(ours.copied_share, ours.copied_share[1:])]
verdict("every further round copies less", min(falls), 0.01)
verdict("the last round copies less than the single pass", passed - once, 0.02)
error = found["single_pass"].error_structured[0] - ours.error_structured[-1]
verdict("and keeps the part better (grey levels)", error, 0.5)
lies = below(ours, found["resizing"]) - N / 2
verdict("most depths copy less than resizing with the same error", lies, 0)
if None not in ladder:
    verdict("the deeper residual ranks better (AUROC, N against 1)", ladder[-1] - ladder[0], 0.02)

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("03")

# %% [markdown]
# ## Summary
#
# - An encoder whose output is a valid input can be applied again; so can its decoder.
# - All depths share one set of weights; the random depth keeps them honest.
# - Damaged input and a clean target ask for knowledge of the part; clean input asks for resizing.
# - Forgetting counts only beside the error that it costs: a blob forgets everything.
# - The trajectory holds what no single depth has: *when* a region changes.
# - Which depth separates best can depend on the defects, and normal images do not tell it. Notebook
#   05 stops choosing.
#
# Where to go next: [04 Detail preservation](04_detail_preservation.ipynb) brings back what the deep
# rounds lost. The whole network, with the trajectory in one batch per resolution, is
# `rcae_lite/model/rcae.py`, short enough to read in one go: `RcAE??` in a cell shows it.
#
# ## Exercises
#
# Open [exercises/03_recursion.ipynb](exercises/03_recursion.ipynb): `03.changes` (easy),
# `03.encoder` (medium), `03.reconstruct` (easy), `03.parameters` (medium), and an open question
# about work; for those who want more, `03.trajectory` (hard). Then, here:
#
# 1. Train section 4 with the depth fixed to N and look at the shallower depths afterwards.
# 2. Remove the identity paths from E and D. What does the loss do in the first 20 steps?
# 3. Remove the skips from `ConvAutoencoder`. In the paper this costs 6.7 points of image AUROC.
#    Predict what it does to the two measures of section 5, then measure.
# 4. The kit has `RcAE(half_size=False)`, the paper's order inside E. What does a step cost then,
#    and what do the two measures of section 5 gain?
