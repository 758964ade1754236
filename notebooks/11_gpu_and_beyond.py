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
# # 11 GPU and beyond
#
# Everything so far ran on a laptop. The paper's settings do not: 1024 x 1024 pixels and 1500
# epochs want a GPU, and a table of ablations wants several. This notebook runs on *any* machine:
# what needs a GPU is measured where there is one, and said where there is none. Afterwards you can
#
# - say what mixed precision changes, and what must stay in float32,
# - explain how several processes train one network, and verify it with two on a CPU,
# - spread a sweep over the cores of a machine, or over many machines.
#
# *Measured on one core of a CPU: 2.5 minutes, 1.3 GB.*

# %%
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from data_utils import find_category
from rcae_lite import RcAE, ablate, plotting
from rcae_lite.example import detector_for
from rcae_lite.model.losses import reconstruction_loss
from rcae_lite.training.draws import generator_for
from rcae_lite.training.pseudo_anomalies import VISIBLE
from rcae_lite.widgets import Predictions, quiz

# %% tags=["parameters"]
# The data. Another category: find_category("bracket"). Your own images: a folder data/ beside this
# notebook, or the environment variable RCAE_DATA.
category = find_category(size=128)
train, test = category.train, category.test

# %%
# Recent GPUs round what goes into a convolution to 10 bits of mantissa ("TF32") unless this is off,
# and then float32 would not be float32 in the comparisons below.
torch.backends.cudnn.allow_tf32 = False
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
print(torch.cuda.get_device_name() if device.type == "cuda" else "no GPU here: that is fine")
images = category.train.images()[:16].float().to(device) / 255

# %% [markdown]
# ## 1. Where the time goes
#
# **Predict:** twice the side of the image: how much more work per image? And depth 5 against depth
# 1: five times as much?

# %%
predict = Predictions("11")  # what you expect, kept in predictions.json
predict.number("side", "times the work", 1, 8)

# %%
predict.number("depth", "times the work", 1, 6)


# %%
def milliseconds(function, repeats=8):
    """Median time of a call, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()  # a GPU works on while Python goes on
        times.append(1000 * (time.perf_counter() - started))
    return sorted(times[1:])[len(times[1:]) // 2]


# %%
before = None
with torch.inference_mode():
    for side in (256, 512, 1024) if device.type == "cuda" else (64, 128, 256):
        network = RcAE(5, size=side).to(device)  # the paper's depth at every size
        batch = F.interpolate(images[:2], (side, side))
        found = [milliseconds(partial(network, batch, n)) for n in (1, 5)]
        print(
            f"{side:4} x {side:4}: depth 1 {found[0]:6.1f} ms, depth 5 {found[1]:6.1f} ms "
            f"({found[1] / found[0]:.2f} times as much)"
        )
        if before:
            larger = found[0] / before
            print(f"  twice the side: {larger:.1f} times as much at depth 1")
        before = found[0]

# %%
predict.reveal("side", larger)
predict.reveal("depth", found[1] / found[0])

# %% [markdown]
# **Interpret:** twice the side is four times the pixels, and four times the work. Small images take
# longer than that says: starting a layer costs the same at any size, and hardly anything else is
# left to do. For large ones the factor comes near 4 (or above, where the cache gets too small).
#
# Every round of the recursion works at half the side, a quarter of the pixels: $1 + \frac14 +
# \frac1{16} + ... < \frac43$. (Where the printed ratio exceeds this, it is for the same reason: the
# deep rounds have tiny images, and starting their layers costs as much.) *One* deep reconstruction
# is nearly as cheap as a shallow one. A detector wants all depths: they share the way down, but
# each comes up on its own.

# %%
work = [4.0**-level for level in range(5)]
print(f"work of depth 5 by this count: {sum(work):.3f} times that of depth 1")
assert sum(work) < 4 / 3
# Down once; up from level n to the image for every depth n, with a decoder as dear as the encoder.
together = (sum(work) + sum(sum(work[:n]) for n in range(1, 6))) / 2
print(f"all five depths: {together:.2f} times depth 1; without sharing the way down, the sum of")
print(f"the five single ones: {sum(sum(work[:n]) for n in range(1, 6)):.2f} times")

# %% [markdown]
# ## 2. Mixed precision
#
# On CUDA the kit runs the forward pass *of the module in training* in bfloat16: 8 bits of mantissa
# instead of 24, the same range as float32. Losses, frozen modules and inference stay in float32.
# Why not everything?

# %%
one = torch.tensor(1.0)
for kind in (torch.float32, torch.bfloat16, torch.float16):
    print(
        f"{str(kind):15} next after 1: {1 + torch.finfo(kind).eps:.7f}   "
        f"largest: {torch.finfo(kind).max:.1e}"
    )
scores = torch.tensor([0.9701, 0.9702, 0.9703, 0.9704])
print("four scores in bfloat16:", scores.bfloat16().tolist())
assert len(set(scores.bfloat16().tolist())) == 1

# %% [markdown]
# Four different scores become one: a tie that was not there. In the forward pass of a training such
# rounding is noise, far smaller than that of the batch; in a score it changes the ranking.
#
# **Predict:** by how much does a reconstruction change in bfloat16, in grey levels of 255?

# %%
predict.number("bfloat16", "grey levels on average", 0, 5)

# %%
trained = detector_for(category).rcae
few = images[:1, :, :64, :64]
with torch.inference_mode():
    full = trained(few)
    with torch.autocast(device.type, torch.bfloat16):
        half = trained(few)
    off = 255 * (full - half.float()).abs()
    print(f"grey levels of 255: {off.mean():.2f} on average, {off.max():.2f} at most")
    print(f"a defect that we paint counts as visible from {255 * VISIBLE:.1f} on")
    for kind, enabled in (("float32", False), ("bfloat16", True)):
        with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            print(f"{kind:8} {milliseconds(lambda: trained(few)):7.1f} ms")
if device.type == "cpu":
    print("a CPU gains nothing unless it has units for bfloat16: the kit uses it on CUDA only")

# %%
predict.reveal("bfloat16", off.mean().item())

# %% [markdown]
# **Interpret:** compare the two lines. On average rounding is nothing, at worst it is a fraction of
# a faint defect. A training averages over thousands of pixels; a score is the *highest* value of a
# map, and meets the worst.
#
# ## 3. Several processes, one network
#
# *Data parallel*: every process (rank) has the whole network and a part of the batch. After
# `backward` the gradients are averaged over the ranks, so that all of them take the same step.
# Then nothing distinguishes this from one process with the whole batch, if the loss is a mean over
# items. First the claim in plain PyTorch, without any processes:

# %%
batch, network = images[:8], RcAE(size=128).to(device)


def gradient_of(part):
    network.zero_grad()
    reconstruction_loss(network(part, 2), part).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


whole = gradient_of(batch)
ranks = torch.stack([gradient_of(part) for part in batch.chunk(2)])
print(
    f"largest difference: {(whole - ranks.mean(dim=0)).abs().max():.1e} "
    f"(gradients up to {whole.abs().max():.1e})"
)
assert torch.allclose(whole, ranks.mean(dim=0), atol=1e-5)

# %% [markdown]
# **Predict:** if the two parts had 7 images and 1 image, would the plain mean still be right?
# (Exercise `11.accumulate`.)
#
# Now with two real processes. `torchrun` starts them and tells each its rank; `gloo` lets them
# talk on CPUs, `nccl` on GPUs. The script below trains the same tiny network on both ranks and
# prints what each of them ends up with.

# %%
predict.choice("uneven", ["yes", "no"])

# %%
text = """
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from rcae_lite import RcAE
from rcae_lite.model.losses import reconstruction_loss

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
network = DistributedDataParallel(RcAE(2, size=64, width=8))
optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
for step in range(5):
    images = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(step))
    mine = images.chunk(world)[rank]  # this rank's part of the batch
    optimiser.zero_grad()
    reconstruction_loss(network(mine), mine).backward()  # averages the gradients over the ranks
    optimiser.step()
total = sum(p.double().abs().sum() for p in network.parameters())
print(f"rank {rank} of {world}, {len(mine)} images: {total.item():.6f}", flush=True)
dist.destroy_process_group()
"""

# %%
script = Path("runs") / "11_two_ranks.py"
script.parent.mkdir(exist_ok=True)
script.write_text(text, encoding="utf-8")


def torchrun(ranks):
    """Run the script with so many processes; what they print, sorted."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={ranks}", str(script)]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired as error:
        return [f"torchrun does not work here: no answer in {error.timeout:.0f} seconds"]
    lines = sorted(line for line in finished.stdout.splitlines() if line.startswith("rank"))
    return lines or [f"torchrun does not work here: {finished.stderr.strip()[-300:]}"]


found = {ranks: torchrun(ranks) for ranks in (1, 2)}
print("\n".join(sum(found.values(), [])))

# %%
sums = [
    float(line.split()[-1]) for lines in found.values() for line in lines if line.startswith("rank")
]
if len(sums) == 3:
    assert sums[1] == sums[2], "the two ranks must hold the same weights"
    assert abs(sums[0] - sums[1]) < 1e-5 * sums[0], "and those of one process, up to rounding"
    print("two ranks, one network: the same weights as in a single process")
else:
    print(f"the ranks wrote into each other's lines; {len(sums)} of 3 sums can be read")

# %%
uneven = (gradient_of(batch[:7]) + gradient_of(batch[7:])) / 2
predict.reveal("uneven", "yes" if torch.allclose(whole, uneven, atol=1e-5) else "no")

# %% [markdown]
# The kit's own training does this by itself. On a machine with four GPUs:
#
# ```
# torchrun --standalone --nproc-per-node=4 -m rcae_lite train DATA bottle --preset standard
# ```
#
# All randomness of a step is drawn from (seed, stage, step), so all ranks agree on the batch
# without a word; each takes its own part of it.

# %%
for rank in range(3):
    drawn = torch.randint(160, (6,), generator=generator_for(0, "rcae", 57))
    print(f"rank {rank} draws {drawn.tolist()} and takes {drawn.chunk(3)[rank].tolist()}")

# %% [markdown]
# ## 4. A sweep over many trainings
#
# The trainings of a table do not talk to each other: no torchrun is needed, only somebody who hands
# them out. `ablate` uses joblib, so *where* they run is one line around the call:
#
# ```python
# with joblib.parallel_config(n_jobs=4):              # four processes on this machine
# with joblib.parallel_config(backend="dask"):        # a dask cluster, near or far
# with joblib.parallel_config(backend="ray"):         # a ray cluster, after register_ray()
# ```
#
# We try dask with a small cluster on this very machine, if it is installed.

# %%
import joblib
from PIL import Image

from data_utils.synthetic import draw

parts = Path("runs") / "11-parts"  # a few small images, so that the trainings are over in seconds
for index in range(20):
    defective = index >= 16
    shot = draw("washer", "test" if defective else "train", 30 + index, size=64)
    for kind, pixels in (
        (("defective", shot.image), ("masks", shot.mask))
        if defective
        else (("normal", shot.image),)
    ):
        (parts / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert("RGB").save(parts / kind / f"{index:02}.png")

# %%
tiny = {"steps": 2, "batch_size": 4}
sweep = {
    "preset": "demo",
    "seeds": (0, 1),
    "out": Path("runs") / "11-sweep",
    "device": "cpu",
    "size": 32,
    "single_pass": tiny,
    "rcae": tiny | {"half_size_steps": 0},
    "dpn": tiny,
    "crd": tiny | {"crop": 0, "pool_chunk": 4, "pool_chunks": 1},
}
try:
    from dask.distributed import Client
except ImportError:
    Client = None
    print("dask is not installed here: pip install 'dask[distributed]'; the sweep runs without it")

# %%
for name in ("11-sweep", "11-plain"):  # finished cells would not be trained again
    shutil.rmtree(Path("runs") / name, ignore_errors=True)
started = time.monotonic()
if Client:
    with (
        Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client,
        joblib.parallel_config(backend="dask"),
    ):
        print(f"{len(client.scheduler_info()['workers'])} dask workers")
        table = ablate("components", parts, ["11-parts"], **sweep)
else:
    table = ablate("components", parts, ["11-parts"], **sweep)
assert not table.missing
print(f"{len(table.results)} cells in {time.monotonic() - started:.0f} s")

# %% [markdown]
# **Predict:** now seed 0 once more, without dask, in this process. Will the scores be the same?

# %%
predict.choice("alone", ["to the bit", "up to rounding", "no"])

# %%
once = sweep | {"seeds": (0,), "out": Path("runs") / "11-plain"}
plain = ablate("components", parts, ["11-parts"], **once)
spread_out = {
    cell.label: cell.evaluation.scores
    for cell in table.results
    if cell.evaluation.provenance.seed == 0
}
for cell in plain.results:
    here, there = cell.evaluation.scores, spread_out[cell.label]
    print(f"{cell.label:18} largest difference of a score {np.abs(here / there - 1).max():.0e}")
    assert np.allclose(here, there, rtol=1e-2)

# %%
pairs = [(cell.evaluation.scores, spread_out[cell.label]) for cell in plain.results]
equal = all(np.array_equal(here, there) for here, there in pairs)
predict.reveal("alone", "to the bit" if equal else "up to rounding")

# %% [markdown]
# **Interpret:** two training steps per stage teach nothing, and the figures mean nothing. What
# counts: with or without dask it is the same table, cell by cell, up to rounding (another number of
# threads adds in another order), because a cell depends on its seed and on nothing else.

# %% [markdown]
# ## 5. How far would a GPU get us?
#
# A step of RcAE on *this* machine, in float32, at the paper's size where there is a GPU and at a
# smaller one elsewhere; then extrapolated to the paper's size and schedule, which is arithmetic. E
# works at full size and there are no identity paths, as in the preset `paper`; the widths are ours.
#
# **Predict:** hours, days or weeks?

# %%
predict.choice("paper", ["hours", "days", "weeks", "months"])

# %%
side = 1024 if device.type == "cuda" else 256
batch = F.interpolate(images[:2], (side, side))
network = RcAE(5, size=side, half_size=False, identity=False).to(device)


def step():
    network.zero_grad()
    reconstruction_loss(network(batch, 5), batch).backward()


per_image = milliseconds(step, repeats=3) / len(batch) * (1024 / side) ** 2
images_per_epoch = len(category.train)
hours = 1500 * images_per_epoch * per_image / 3.6e6
print(
    f"about {per_image:.0f} ms per image of 1024 x 1024; 1500 epochs of {images_per_epoch} images: "
    f"{hours:.0f} hours on {device.type}, for one of three stages"
)

# %%
unit = next(
    (name for name, most in (("hours", 24), ("days", 168), ("weeks", 720)) if hours < most),
    "months",
)
predict.reveal("paper", unit)

# %%
sides = [128, 256, 512, 1024]
figure, ax = plotting.subplots(figsize=(4.4, 2.8))
ax.loglog(sides, [hours * (s / 1024) ** 2 for s in sides], "o-", color=plotting.NORMAL)
ax.set(
    xlabel="side of the image (pixels)",
    ylabel="hours for 1500 epochs of RcAE",
    title=f"from a step at {side} x {side} on {device.type}",
)
ax.set_xticks(sides, [str(s) for s in sides])
ax.minorticks_off()
figure

# %% [markdown]
# ## What the paper says, what we measured here
#
# | | paper | here |
# |---|---|---|
# | device | one RTX 4090 | see the first cell |
# | input | 1024 x 1024 | see the title of the plot |
# | training time | not stated | extrapolated above |
# | mixed precision, several GPUs | not mentioned | bfloat16 on CUDA; torchrun |

# %%
print(
    f"{hours:.0f} hours by extrapolation on {device.type}; "
    f"depth 5 alone costs {sum(work):.2f} times depth 1, all five {together:.2f} times"
)

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("11")

# %% [markdown]
# ## Summary
#
# - One deep reconstruction is cheap; the whole trajectory costs a few times as much; resolution
#   costs most.
# - bfloat16 belongs in the forward pass of a training, not into a score.
# - Averaging the gradients of equal parts is the gradient of the whole. Randomness that depends on
#   the step alone lets ranks agree without talking.
# - Independent trainings need a scheduler, not torchrun: joblib, on processes, dask or ray.
#
# Where to go next: this was the last lecture, so take your own photographs through [10 Your own
# photographs](10_your_own_photographs.ipynb) with a larger preset. The paper's implementation
# details stand beside ours in the preset `paper` of `rcae_lite/config.py`.
#
# ## Exercises
#
# Open [exercises/11_gpu_and_beyond.ipynb](exercises/11_gpu_and_beyond.ipynb): `11.shard` (medium),
# `11.accumulate` (hard), and an open question about four GPUs. Then, here:
#
# 1. Change the script to parts of 7 and 1 images. What do the two ranks end up with, and why is it
#    not what one process gets?
# 2. Which of the kit's losses is not a mean over items? What does that mean for two ranks?
