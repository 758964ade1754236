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
# # 05 Cross-recursion detection
#
# A reconstruction and a residual for every depth: which one is right? The paper's answer is not to
# choose. The cross recursion detection module, CRD, looks at the whole sequence and outputs one
# map. Afterwards you can
#
# - paint pseudo-anomalies with exact masks, and say what they can and cannot teach,
# - explain a 3-D convolution whose third axis is the recursion step,
# - turn a map into a score that does not saturate,
# - measure whether all steps beat the last one, and none at all, and why.
#
# *Measured on one core of a CPU: 3.5 minutes, 1.7 GB.*

# %%
from pathlib import Path

import numpy as np
import seaborn as sns
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from data_utils import find_category
from rcae_lite import RcAEDetector, plotting
from rcae_lite.base import keys_of
from rcae_lite.config import FAMILIES, PAPER_FAMILIES
from rcae_lite.evaluation.scoring import map_limits, smooth
from rcae_lite.example import detector_for
from rcae_lite.model.losses import bce_dice_loss, map_loss
from rcae_lite.study import plots
from rcae_lite.study.ladder import ladder
from rcae_lite.study.verdict import verdict
from rcae_lite.training.checkpoint import StageStore
from rcae_lite.training.pseudo_anomalies import add_pseudo_anomalies
from rcae_lite.widgets import Predictions, quiz

# %% tags=["parameters"]
# The data. Another category: find_category("bracket"). Your own images: a folder data/ beside this
# notebook, or the environment variable RCAE_DATA.
category = find_category(size=128)
train, test = category.train, category.test
OWN = {"images": 48, "steps": 150}  # of the CRD that you train yourself
STEPS = {"steps": 120, "pool_chunks": 6}  # of each of the three that are compared

# %%
detector = detector_for(category)
images = test.images() / 255
residuals = torch.cat([detector.trajectory(part).residuals.cpu() for part in images.split(8)])

# %% [markdown]
# ## 1. Pseudo-anomalies
#
# CRD needs examples of anomalies, and there are none. So we paint them into normal images: colour
# patches, pieces of other places, lines; and, ours, local changes of brightness or sharpness. The
# mask $M_P$ is exact: it is true where the image *visibly changed*, and in the small gaps between
# such pixels, not where the brush went. A patch of the colour that was there already is no anomaly.
#
# One to four are painted into an image, most of them small, and half of them on the part: where an
# image is unlike its own border (`rcae_lite.training.shapes.foreground`). Drawn anywhere, most
# would miss a small part on a large table, and CRD would learn to look at the table.
#
# Is this how RcAE's input was perturbed? In the paper, yes: one recipe for both, many small blocks
# and short lines (`rcae_lite.training.perturbations`). RcAE is to undo them. CRD is to find what
# RcAE and DPN leave, so our presets paint other things for it.
#
# Before you look: which family is most like the real defects of this category?

# %%
normal = category.train.images()[:6] / 255
pictures, outlines, titles = [], [], []
for name in FAMILIES:
    generator = torch.Generator().manual_seed(1)
    painted, mask = add_pseudo_anomalies(normal, generator, families=[name], probability=1.0)
    unchanged = (painted - normal).abs().amax(dim=1, keepdim=True)[mask == 0]
    assert unchanged.max() == 0  # outside of the mask, bit for bit the normal image
    pictures += list(painted)
    outlines += list(mask[:, 0] > 0)
    titles += [name if name in PAPER_FAMILIES else f"{name} (ours)"] + [""] * (len(normal) - 1)
plotting.gallery(pictures, titles, outlines)

# %% [markdown]
# **Interpret:** where nothing is outlined, the painting changed nothing that one could see. A
# network that has seen only these may find only these. Compare size and contrast with the real
# defects of notebook 01. This is the weak point of every method that trains on painted anomalies,
# and the reason why the kit also looks at the residual itself (section 5).

# %% [markdown]
# ## 2. The sequence as a volume
#
# The image stands beside every enhanced reconstruction: $(B, C, N, H, W)$, and N is an axis like H
# and W. A convolution over it sees neighbouring *steps*. The smallest one, with the kernel (-1, 1)
# along the steps, is something you know:

# %%
which = int(test.labels.argmax())  # the first defective image, if there is any
trajectory = detector.trajectory(images[which : which + 1])
volume = trajectory.reconstructions.cpu()  # (1, 3, N, H, W)
kernel = torch.zeros(3, 1, 2, 1, 1)
kernel[:, 0, 0], kernel[:, 0, 1] = -1, 1  # one kernel per colour, 2 steps deep, 1 x 1 pixel
difference = F.conv3d(volume, kernel, groups=3)  # (1, 3, N - 1, H, W)
torch.testing.assert_close(difference.abs().mean(dim=1), trajectory.changes.cpu())
seen = trajectory.images, trajectory.enhanced
joined = detector.crd.assemble_input(*seen, detector.crd.z_scores(images[which : which + 1]))
print(f"sequence {tuple(volume.shape)}, what CRD sees {tuple(joined.shape)}")
print(f"CRD: {detector.parameters()['crd']:,} parameters")

# %% [markdown]
# That was the change from depth to depth of notebook 03. CRD learns many such kernels, over steps
# *and* places: `(1, 3, 3)` within each step, then `(3, 1, 1)` across steps, on four levels of
# resolution. Only height and width are pooled; all steps stay visible to the end, where one last
# kernel folds them into the map.
#
# ![The image beside every enhanced reconstruction, the two kernels, and four levels with skips that
# end in logits and a map](img/crd.svg)
#
# *What CRD sees, and what it does with it. One more channel of ours is left out, the position
# statistics: how far the colour is off what is normal at its place.*
#
# Here is all of it.


# %%
def convolution(inputs, outputs, kernel):
    """A 3-D convolution that keeps the size, a normalisation and the nonlinearity."""
    padding = [k // 2 for k in kernel]
    layer = nn.Conv3d(inputs, outputs, kernel, padding=padding, bias=False)
    return layer, nn.BatchNorm3d(outputs), nn.GELU()


def block(inputs, outputs):
    """Within each step, then across steps: (B, inputs, N, H, W) to (B, outputs, N, H, W)."""
    within, across = (1, 3, 3), (3, 1, 1)
    return nn.Sequential(
        *convolution(inputs, outputs, within), *convolution(outputs, outputs, across)
    )


# %%
class CRD(nn.Module):
    """What CRD sees, (B, C, N, H, W), to the logits of its map, (B, 1, H, W)."""

    def __init__(self, channels, steps, width):
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        pairs = list(zip(widths, widths[1:]))
        self.stem = nn.Conv3d(channels, width, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1))
        self.first = block(width, width)
        self.down = nn.ModuleList(block(above, below) for above, below in pairs)
        self.up = nn.ModuleList(block(above + below, above) for above, below in pairs)
        self.collapse = nn.Conv3d(width, 2 * width, (steps, 1, 1))
        self.head = nn.Conv3d(2 * width, 4, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, x):
        x, skips = self.first(self.stem(x)), []
        for down in self.down:
            skips.append(x)
            x = down(F.avg_pool3d(x, (1, 2, 2)))
        for up, skip in zip(reversed(self.up), reversed(skips)):
            x = up(torch.cat([skip, F.interpolate(x, scale_factor=(1, 2, 2))], dim=1))
        return F.pixel_shuffle(self.head(F.gelu(self.collapse(x))).squeeze(2), 2)


# %% [markdown]
# The kit computes the same by 2-D convolutions, which a CPU does faster. Its weights have other
# shapes, and as many numbers in the same order.

# %%
kit = detector.crd
ours = CRD(joined.shape[1], joined.shape[2], detector.config.crd.width).to(detector.device).eval()
shapes = {name: weight.shape for name, weight in ours.state_dict().items()}
ours.load_state_dict({name: kit.state_dict()[name].reshape(s) for name, s in shapes.items()})
with torch.inference_mode():
    torch.testing.assert_close(ours(joined), kit.predict_logits(joined), rtol=1e-3, atol=1e-3)
count = sum(map(torch.numel, ours.parameters()))
print(f"the same as the kit's CRD, up to rounding: {count:,} weights")

# %% [markdown]
# Now train one yourself, in a minute or so, from nothing: it sees the image beside the enhanced
# reconstructions, as the paper's CRD does, and (ours, as in the kit) how far the two differ. It
# learns where pieces were painted over.
#
# **Predict:** after so short a training, will its image AUROC beat that of the plain residual?

# %%
predict = Predictions("05")  # what you expect, kept in predictions.json
predict.choice("own", ["yes", "no"])


# %%
def both(images):
    """Image, enhanced reconstructions, differences: (B, 3, H, W) to (B, 9, N, H, W)."""
    enhanced = torch.cat([detector.trajectory(part).enhanced for part in images.split(8)])
    repeated = images.to(enhanced).unsqueeze(2).expand_as(enhanced)
    difference = 4 * (enhanced - repeated).abs()  # brought to the spread of the others
    return torch.cat([repeated - 0.5, enhanced - 0.5, difference], dim=1)


normal_images = train.images()[: OWN["images"]] / 255
generator = torch.Generator().manual_seed(0)
painted, masks = add_pseudo_anomalies(normal_images, generator, probability=0.8)
volumes = both(painted)

# %%
torch.manual_seed(0)
own = CRD(9, volumes.shape[2], 8).to(volumes)
optimiser = torch.optim.Adam(own.parameters(), lr=3e-3)
for _ in range(OWN["steps"]):
    chosen = torch.randint(len(volumes), (8,), generator=generator)
    top, left = torch.randint(0, 65, (2,), generator=generator).tolist()  # a crop of 64 x 64
    crop = (..., slice(top, top + 64), slice(left, left + 64))
    loss = bce_dice_loss(own(volumes[chosen][crop]), masks[chosen][crop].to(volumes))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

# %%
own.eval()
with torch.inference_mode():
    maps = torch.cat([F.softplus(own(both(part)))[:, 0].cpu() for part in images.split(8)])
shown = [which, int(test.labels.argmin())]
plotting.detections(
    images[shown], maps[shown], [test[i].mask for i in shown], [test.defects[i] for i in shown]
)

# %%
if 0 < test.labels.sum() < len(test):
    own_auroc, plain_auroc = (
        roc_auc_score(test.labels, smooth(m).flatten(1).amax(dim=1))
        for m in (maps, residuals[:, -1])
    )
    print(f"image AUROC: our CRD {own_auroc:.3f}, plain residual {plain_auroc:.3f}")
    predict.reveal("own", "yes" if own_auroc > plain_auroc else "no")

# %% [markdown]
# **Interpret:** does the map mark the defect, or something else? (Look at the colour bar, too: how
# sure is it?) An AUROC over all images says nothing about the one in front of you. The kit's CRD
# has more channels, more steps, all kinds of pseudo-anomalies and further inputs; here is what it
# makes of the same part.

# %%
top = plotting.residual_limit(residuals)
detection = detector.predict(images)
limits = map_limits(detection.anomaly_map.numpy())
plotting.trajectory_strip(
    images[which],
    volume[0],
    trajectory.enhanced[0].cpu(),
    detection.anomaly_map[which],
    title=test.paths[which],
    limits=limits,
    residual_top=top,
    mask=test[which].mask,
)

# %% [markdown]
# The paper trains CRD with $\|M_A - M_P\|_2 + \|\nabla M_A - \nabla M_P\|_2$: `losses.map_loss`,
# chosen by the option `crd={"map_loss": "l2"}` and used by the preset `paper`. Our other presets
# take cross entropy + Dice (`losses.bce_dice_loss`), which asks for the *share* of the defect that
# was found, and hardly for the share of the image that the defect covers.
#
# Take one painted line and three maps: one sees nothing and is sure of it, one finds the upper half
# of the line, one finds all of it. Below you see both losses for each, and how hard they *pull* at
# the logits of the missed pixels: the sum of the slopes there.
#
# **Predict:** where nothing is found, how hard does the presets' loss pull, compared with the
# paper's?

# %%
predict.choice("pull", ["about as hard", "10 times as hard", "100 times and more"])

# %%
generator = torch.Generator().manual_seed(1)
_, mask = add_pseudo_anomalies(
    normal[:1], generator, families=["random_lines"], probability=1.0
)  # (1, 1, H, W)
half = mask * (mask.flatten().cumsum(0).view_as(mask) <= mask.sum() / 2)  # the upper half of it
print(f"the lines cover {100 * mask.mean():.2f}% of the image")
costs = {}
for name, found in {"all zero": 0 * mask, "half right": half, "right": mask}.items():
    logits = (8 * (2 * found - 1)).requires_grad_()  # M_A is less than 0.001 from 0 or from 1
    assert (torch.sigmoid(logits) - found).abs().max() < 0.001
    for owner, loss in {"paper": map_loss, "presets": bce_dice_loss}.items():
        cost = loss(logits, mask)
        (slope,) = torch.autograd.grad(cost, logits)
        pull = (slope * (mask - found)).sum().abs().item()  # over the missed pixels
        costs[name, owner] = cost.item(), pull
        print(f"{name:10}  {owner:7}  loss {cost.item():.3f}, pull {pull:.6f}")
times = costs["all zero", "presets"][1] / costs["all zero", "paper"][1]
print(f"where nothing is found the presets' loss pulls {times:.0f} times as hard")
assert times > 10

# %%
much = "100 times and more" if times >= 100 else "10 times as hard"
predict.reveal("pull", much if times >= 5 else "about as hard")

# %% [markdown]
# **Interpret:** seeing nothing costs little in the paper's loss where the defect is small, and
# nearly 1 in Dice whatever its size. And a sigmoid that is sure of itself is flat: the paper's loss
# sees the map through it and hardly pulls at what it is sure to have missed; cross entropy pulls at
# the logit itself. Neither says which of them detects better: train with both
# (`crd={"map_loss": "l2"}`) and compare.

# %% [markdown]
# ## 3. From logits to scores
#
# The paper's map is $M_A = \sigma(\text{logit})$ in $[0, 1]$. A score wants to *rank* anomalies,
# and a sigmoid in float32 is exactly 1 from some logit on: everything beyond it ties. The kit keeps
# the **surprise** $-\log(1 - M_A)$, which has no upper end. It must be computed from the logit,
# because $1 - M_A$ is 0 by then.
#
# **Predict:** at which logit does the naive formula fail?

# %%
predict.choice("naive", ["5.0", "10.0", "16.0", "18.0", "40.0"])

# %%
logits = torch.tensor([0.0, 5.0, 10.0, 16.0, 18.0, 40.0])
naive = -torch.log(1 - torch.sigmoid(logits))
stable = F.softplus(logits)
for row in zip(logits.tolist(), naive.tolist(), stable.tolist()):
    print("logit {:5.1f}: naive {:8.4f}, stable {:8.4f}".format(*row))
assert naive[-1].isinf() and stable.isfinite().all() and (stable.diff() > 0).all()

# %%
fails = (naive - stable).abs() > 0.01 * stable
predict.reveal("naive", logits[fails][0].item())

# %% [markdown]
# ## 4. All steps, the last, or none?
#
# Three CRDs, trained alike: the same frozen RcAE and DPN, the same pseudo-anomalies, the same
# number of steps. One sees $I_D^1 ... I_D^N$, one $I_D^N$ alone. The third is a control: it sees
# the image itself in the place of a reconstruction ($I_D^0 = I$), so no recursion at all; it is a
# segmentation network that learns what painted anomalies look like. What the kit adds to the
# paper's CRD (position statistics, section 5) is off here: it would hide the difference. The
# finished stages go into a folder where the training finds them, so that only CRD is trained.
#
# **Predict:** all steps minus the last, and all steps minus none: by how much will the image AUROC
# differ?

# %%
predict.number("steps", "points of image AUROC more than the last step", -10, 20)

# %%
predict.number("recursion", "points of image AUROC more than the image alone", -10, 20)

# %%
stages, trained = Path("runs") / "05-stages", {}
seen = {"all steps": (), "last step": (detector.config.rcae.depth,), "image alone": (0,)}
for name, depths in seen.items():
    config = detector.config.updated({"crd": {"depths": depths, "z_score_weight": 0.0} | STEPS})
    new = RcAEDetector(config, seed=0)
    keys = keys_of(RcAEDetector, config, 0, train)
    for stage in ("rcae", "dpn"):  # loaded, not trained here; nor is CRD, the next time
        snapshot = detector.snapshot()
        StageStore(stages).save(keys[stage], stage, snapshot, detector.modules[stage])
    trained[name] = new.fit(train, callbacks=[], stages=stages)

# %%
evaluations = {name: new.evaluate(test) for name, new in trained.items()}
for name, evaluation in evaluations.items():
    texts = [
        f"{metric} " + (f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" if found else "-")
        for metric, found in evaluation.metrics.items()
        if metric != "image_f1_max"
    ]
    print(f"{name}: " + ", ".join(texts))

# %%
maps = {name: new.predict(images).anomaly_map for name, new in trained.items()}
shown = [int(i) for i in torch.linspace(0, len(test) - 1, 5)]
plotting.compare_maps(
    images[shown],
    [test[i].mask for i in shown],
    {n: m[shown] for n, m in maps.items()},
    [test.defects[i] for i in shown],
    {n: evaluations[n].map_limits for n in maps},
)

# %% [markdown]
# **Interpret:** each row of maps has a colour scale of its own. And do not compare the two
# intervals: both detectors saw the *same* images, so their luck is shared, and intervals that
# overlap prove nothing either way. What decides is the interval of the *difference* (notebook 09),
# and several seeds.

# %% [markdown]
# ## 5. Why should all steps help?
#
# Because different defects may vanish at different depths (notebook 03 measured it on painted
# ones). Per family of defects, we ask which depth of the plain residual ranks it best (its score:
# the maximum of the smoothed residual, as in notebook 01). If one depth were best for every family,
# the other steps would be ballast.
#
# The best depth is an oracle: it takes the labels of the test set. And a family has few images, so
# chance alone makes the best depths differ. So we measure two gains over the best single depth for
# all: what a depth of its own for each family adds, and what it adds for families of the same sizes
# drawn at random, where there is nothing to gain but luck.
#
# **Predict:** how much does a depth of its own add for the true families?

# %%
predict.number("worth", "of the AUROC", 0, 0.3)

# %%
by_depth = smooth(residuals).flatten(2).amax(dim=2)  # (B, N)
good, bad = by_depth[test.labels == 0], by_depth[test.labels == 1]
names = [defect for defect, label in zip(test.defects, test.labels) if label]
kinds, families = list(dict.fromkeys(names)) if len(good) else [], np.array(names)
# The share of normal images that a defective one beats, ties half: its mean is the family's AUROC.
beaten = (0.5 + 0.5 * (bad.unsqueeze(1) - good).sign()).mean(dim=1).numpy()  # (defective, N)
by_kind = {kind: beaten[families == kind].mean(axis=0) for kind in kinds}
best = {kind: int(values.argmax()) + 1 for kind, values in by_kind.items()}
print("best depth by family (an oracle: chosen on test labels):", best)
print("images by family:", {kind: names.count(kind) for kind in kinds})


# %%
def worth(families):
    """Mean AUROC with a best depth for each family, minus that with the best one for all."""
    rows = np.stack([beaten[families == kind].mean(axis=0) for kind in kinds])  # (families, N)
    return rows.max(axis=1).mean() - rows.mean(axis=0).max()


if kinds:
    rng = np.random.default_rng(0)
    chance = [worth(rng.permutation(families)) for _ in range(500)]
    average = np.mean(list(by_kind.values()), axis=0)  # (N,)
    print(f"best depth for all (an oracle, too): {average.argmax() + 1}, AUROC {average.max():.3f}")
    print(f"a depth for each family adds {worth(families):.3f} to it")
    print(f"families drawn at random: {np.mean(chance):.3f} on average,", end=" ")
    print(f"{np.quantile(chance, 0.95):.3f} or more in one draw of twenty")
    few_images = min(map(names.count, kinds))
    print(f"one image counts up to {1 / few_images:.3f} of the AUROC of its family of {few_images}")

# %%
if kinds:
    predict.reveal("worth", worth(families))

# %%
figure, ax = plotting.subplots(figsize=(5.6, 3))
steps = range(1, detector.config.rcae.depth + 1)
for (family, values), colour in zip(by_kind.items(), sns.color_palette("colorblind", 10)):
    ax.plot(steps, values, "o-", color=colour, label=family)
ax.axhline(0.5, color="0.6", linewidth=1)
ax.set(xlabel="recursion depth n", ylabel="image AUROC of the residual", xticks=steps)
if by_kind:
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
figure

# %% [markdown]
# **Interpret:** depths that differ by less than an image is worth are tied, and a gain that random
# families reach as well is noise: then this test set does not show that the steps are needed. A
# gain well beyond it says that the depth depends on the defect; and since nobody knows the family
# of a defect beforehand, only a reader of the whole sequence can follow, if its training anomalies
# taught it to.
#
# The kit's detector adds one thing to the paper's: how unusual the colour is *at its place*
# compared with the normal training images. A place is one of the part, not of the image: a part
# that lies a few pixels off, or a little turned, is brought back first
# (`rcae_lite.model.registration`). What normal images may show there is their *eigenimages*: the
# mean of the registered images and their principal components, in which light that falls from
# elsewhere and a part that is a little wider find room. An image's projection on them is the
# reconstruction of a linear autoencoder; what is off it, in spreads, is an input of CRD, and once
# CRD is trained its square is added to the logits: a Gaussian's logarithm is quadratic. What would
# you expect it to do for parts that lie still, and for parts in any rotation? The kit asks the
# training images: where they have little structure in the same place even then (`common_structure`
# in `rcae_lite.model.normal_statistics`), images are taken as they lie, and the report says so.

# %% [markdown]
# ## 6. Who did the work?
#
# One ladder for all of it, on the same test images. First, four controls without recursion: how
# many standard deviations a pixel is off the *mean image*; the *eigenimages* of section 5 on their
# own; the residual of the *single pass*; the residual of *resizing* without any network. Then the
# method: the plain residual of RcAE at each depth, the residual after DPN, CRD blind to the
# position statistics (as in half of its training crops), and CRD with them. Each rung comes with
# its interval, each addition also with the paired interval of its gain.
#
# **Predict:** which part adds most to the residual of RcAE at depth N?

# %%
predict.choice("most", ["+ DPN", "+ CRD", "+ position statistics"])

# %%
rungs = []
if 0 < test.labels.sum() < len(test):
    single = detector_for(category, "single_pass")
    rungs = ladder(detector, single, train, test)
for rung in rungs:
    low, high = rung.auroc.low, rung.auroc.high
    gain = (
        rung.gain and f"  gain {rung.gain.value:+.3f} [{rung.gain.low:+.3f}, {rung.gain.high:+.3f}]"
    )
    print(f"{rung.name:22} {rung.auroc.value:.3f} [{low:.3f}, {high:.3f}]{gain or ''}")

# %%
plots.ladder(rungs) if rungs else "without both kinds of test images there is no ladder"

# %%
if rungs:
    gains = {rung.name: rung.gain for rung in rungs if rung.gain}
    predict.reveal("most", max(gains, key=lambda name: gains[name].value))
    best = max((rung.auroc.value, rung.name) for rung in rungs[:4])
    deepest = [rung for rung in rungs if rung.name.startswith("RcAE")][-1]
    print(
        f"the best control, {best[1]}, has {best[0]:.3f}; RcAE alone has {deepest.auroc.value:.3f}"
    )

# %% [markdown]
# **Interpret:** is the recursion's own residual above the controls, or is it what CRD makes of the
# sequence? CRD was trained on painted anomalies, which none of the rungs before it has seen; so its
# gain is that of the trajectory *and* of a supervised task. Section 4, with the image alone against
# all steps, asks for the first of the two. And how far are the eigenimages from the last rung? They
# know nothing but the training images' principal components: where they come close, the networks
# add little here, whatever they add to RcAE.

# %% [markdown]
# ## What the paper says, what we measured here
#
# | CRD sees | paper (N = 5), image / pixel AUROC on MVTec AD |
# |---|---|
# | the last step | 95.7 / 96.6 |
# | steps 1, 3, 5 | 98.0 / 97.1 |
# | all five | 98.9 / 98.7 |


# %%
def percent(evaluation, metric):
    """Return a metric in percent, nan where the test set cannot give it."""
    found = evaluation.metrics[metric]
    return 100 * found.value if found else float("nan")


for name, evaluation in evaluations.items():
    print(
        f"{name}: image {percent(evaluation, 'image_auroc'):.1f}, pixel "
        f"{percent(evaluation, 'pixel_auroc'):.1f} (after {config.crd.steps} steps, one seed)"
    )
ranks = {name: percent(evaluation, "image_auroc") for name, evaluation in evaluations.items()}
difference = ranks["all steps"] - ranks["last step"]
recursion = ranks["all steps"] - ranks["image alone"]
print(f"all steps minus the last, image AUROC: {difference:+.1f} points (paper: +3.2)")
print(f"all steps minus the image alone: {recursion:+.1f} points")

# %%
if not np.isnan(difference):
    predict.reveal("steps", difference)
    predict.reveal("recursion", recursion)

# %% [markdown]
# **Verdict.** Each claim against what was measured here. *Holds* and *opposite* are differences
# beyond the margin, for and against the claim; *not here* is a difference within it, which counts
# as none. The margins are the same for all data.

# %%
if not np.isnan(difference):
    verdict("all steps beat the last one (image AUROC)", difference / 100, 0.02)
    verdict("all steps beat the image alone (image AUROC)", recursion / 100, 0.02)
if kinds:
    chosen = worth(families) - np.quantile(chance, 0.95)
    verdict("a depth for each family is worth more than chance (AUROC)", chosen, 0)
for name, gain in gains.items() if rungs else ():
    verdict(f"{name} helps (image AUROC, paired)", gain.value, gain.doubt)

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("05")

# %% [markdown]
# ## Summary
#
# - CRD learns from painted anomalies with exact masks; what they lack, it may not find.
# - The recursion step is an axis: 3-D convolutions see how each place develops.
# - Scores are surprises computed from logits: ordered to the end, no ties.
# - A ladder with controls says which part did the work; a single figure for the whole does not.
# - A CRD that sees the image alone is the control for the recursion. After a few steps it is
#   behind, how far depends on the category; trained longer it catches up in ranking images, in
#   marking pixels on some categories (bolt) and not on others (bottle).
# - All steps are worth having where different defects vanish at different depths. Whether they do
#   here is measured against chance, not by the number of different best depths.
#
# Where to go next: [06 Train on a category](06_train.ipynb) trains all three networks on your data.
# Why overlapping intervals prove nothing is worked out in section 3 of [09 Ablation
# lab](09_ablation_lab.ipynb).
#
# ## Exercises
#
# Open [exercises/05_cross_recursion_detection.ipynb](exercises/05_cross_recursion_detection.ipynb):
# `05.patch` (medium), `05.join` (medium), `05.surprise` (hard), `05.detector` (hard: a CRD of your
# own), and an open question about a loss that is near zero and finds nothing. Then, here:
#
# 1. Train section 4 with the first and the last step, `crd={"depths": (1, 3)}`. Where does it lie
#    between the two?
# 2. Train with one family only (`crd={"families": ("random_lines",)}`). Which real defects are
#    lost?
# 3. Turn the sequence round before CRD sees it, and predict the AUROC first:
#    `detector.detect(dataclasses.replace(trajectory, enhanced=trajectory.enhanced.flip(2)))`.
# 4. Train section 4 with `crd={"families": ()}`, the paper's blocks and lines of stage 1. RcAE has
#    learned to undo exactly these: does that help CRD, or hide them from it?
# 5. Train section 4 with `crd={"map_loss": "l2"}` as well. What does the AUROC say about section 2?
