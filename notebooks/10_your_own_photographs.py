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
# # 10 Your own photographs
#
# A folder of photographs, an afternoon, and no defect to show: this is how most inspections start.
# In this notebook you go from the folder to a detector that runs without PyTorch. Afterwards you
# can
#
# - arrange your images so that the kit reads them,
# - let the doctor find what would spoil the result,
# - train, set a threshold with a guarantee, and know what an alarm is worth,
# - score new photographs, and export the detector.
#
# *Measured on one core of a CPU: 8.5 minutes, 1.5 GB.*

# %%
import csv
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from data_utils import KitError, diagnose, find_data, open_category
from data_utils.synthetic import draw
from rcae_lite import RcAEDetector, plotting
from rcae_lite.commands.prediction import predict_files
from rcae_lite.evaluation.thresholds import conformal_threshold, p_values
from rcae_lite.widgets import Predictions, quiz

# %% tags=["parameters"]
# Your folder, with normal/ in it: data/ beside this notebook, or the environment variable
# RCAE_DATA. Without one we photograph our own: so many normal and defective parts.
data, name = find_data()
photographs = 100, 20
options = {}  # what differs from the preset "demo"

# %% [markdown]
# ## 1. The folder
#
# ```
# my_parts/normal/      as many photographs of good parts as you can get: 50 is a start
# my_parts/defective/   optional; only for testing
# my_parts/masks/       optional; white on black, same name as the photograph, .png
# ```
#
# That is all. A fifth of the normal images is set aside for testing, chosen by their *content*:
# renaming files changes nothing, and copies stay on one side.
#
# Without a folder of your own, the next cell photographs synthetic parts, and is careless in the
# ways in which people are careless.


# %%
def photograph(folder, normal, defective):
    """Write synthetic photographs as somebody in a hurry would take them."""
    for name in ("normal", "defective", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(normal):
        Image.fromarray(draw("washer", "train", index).image).save(
            folder / f"normal/{index:03}.png"
        )
    for index in range(defective):
        shot = draw("washer", "test", 30 + 3 * index)
        Image.fromarray(shot.image).save(folder / f"defective/{index:03}.png")
        Image.fromarray(shot.mask).convert("L").save(folder / f"masks/{index:03}.png")
    shutil.copy(folder / "normal/000.png", folder / "normal/000 copy.png")  # a copy
    shutil.copy(folder / "normal/001.png", folder / "defective/sorted_late.png")  # a good part
    with Image.open(folder / "normal/002.png") as image:  # out of focus
        image.filter(ImageFilter.GaussianBlur(6)).save(folder / "normal/002.png")
    (folder / "normal/phone.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")  # half a transfer


# %%
ours = data == "synthetic"
if ours:
    data, name = str(Path("runs") / "10-photographs"), "my_parts"
    shutil.rmtree(data, ignore_errors=True)
    photograph(Path(data, name), *photographs)

# %% [markdown]
# ## 2. The doctor
#
# **Predict:** four things are wrong with these photographs. Which of them would make the *training*
# fail? (The others only make the *result* wrong.)

# %%
predict = Predictions("10")  # what you expect, kept in predictions.json
wrong = (
    "the file that is cut off",
    "the copy",
    "the one out of focus",
    "the good part among defects",
)
predict.choice("fails", wrong)

# %%
try:
    open_category(data, name, size=128).decode()
    print("every file can be read")
except KitError as error:
    print(error)

# %%
if ours:
    predict.reveal("fails", wrong[0])  # the others are read without a complaint

# %%
diagnosis = diagnose(data, name, size=128)
print(diagnosis.summary())

# %%
print(diagnosis.fix_plan())

# %% [markdown]
# The doctor changes nothing: it knows the files, you know the parts. Here we follow its advice, for
# errors and for the two warnings that we know to be mistakes. With your own folder, do it by hand:
# an odd sharpness may be a bad photograph, or just another side of the part.

# %%
if ours:
    for part in (
        "normal/phone.jpg",
        "normal/000 copy.png",
        "normal/002.png",
        "defective/sorted_late.png",
    ):
        Path(data, name, part).unlink(missing_ok=True)
    diagnosis = diagnose(data, name, size=128)
    print(diagnosis.verdict())
assert not diagnosis.errors, "mend the errors first: a result on these data would be wrong"

# %% [markdown]
# ## 3. Look at it
#
# Before any training: which differences between good parts does the detector have to live with?

# %%
category = open_category(data, name, size=128)
category.decode()
rng = np.random.default_rng(0)
chosen = rng.permutation(len(category.train))[:6]
figure, axes = plotting.subplots(1, len(chosen), figsize=(10, 2.0), squeeze=False)
for ax, index in zip(axes[0], chosen, strict=True):
    ax.imshow(category.train[int(index)].image.permute(1, 2, 0))
    ax.set_axis_off()
figure.suptitle(
    f"{category.name}: {len(chosen)} of {len(category.train)} normal images", fontsize=10
)
figure

# %% [markdown]
# ## 4. Train, with a threshold that you can promise
#
# The preset `demo` shows the way; for a detector that matters use `lite`, or `standard` on a GPU.
# The training is kept in a folder that is named after the content of the photographs, too. Other
# photographs, another folder: an old checkpoint is never mixed with new data.

# %%
detector = RcAEDetector.from_preset("demo", seed=0, **options)
content = f"{category.name}-{category.fingerprint[:8]}"
work = Path("runs") / f"10-{content}-{detector.config.preset}"
detector.fit(category.train, checkpoint=work / "checkpoint")
held_out = len(detector.calibration_scores)
print(
    f"{held_out} held-out normal images, at most "
    f"{100 * detector.threshold.false_alarm_rate:.1f}% false alarms"
)

# %% [markdown]
# **Predict:** you would like at most 1% false alarms. How many normal images have to be held out
# for that promise?

# %%
predict.number("held out", "held-out images", 0, 500)

# %%
try:
    print(conformal_threshold(detector.calibration_scores, 0.01))
except KitError as error:
    print(error)

# %%
predict.reveal("held out", round(1 / 0.01) - 1)

# %% [markdown]
# **Interpret:** With $n$ held-out images the lowest rate that can be promised is $1/(n+1)$: that is
# how often a new normal image is the highest of all. The message counts how many images the wished
# rate takes; photographing more good parts is the only honest way to a lower one.
#
# ## 5. What an alarm is worth
#
# A false-alarm rate is about good parts. The person at the line asks another question: *it beeps;
# is the part bad?* That depends on how rare defects are. Count 10,000 parts.
#
# **Predict:** the detector finds nine defects in ten, and one part in 1000 is defective. It beeps.
# Would you bet on a defect?

# %%
predict.choice("bet", ["yes", "no"])

# %%
rate, parts = detector.threshold.false_alarm_rate, 10_000
print(f"of {parts:,} parts, at {100 * rate:.1f}% false alarms and 90% of the defects found:")
print("defective  found  missed  good parts  false alarms  false alarms per defect found")
counts = {}
for bad in (1000, 100, 10):
    hits, wrong = round(0.9 * bad), round(rate * (parts - bad))
    counts[f"{bad} defective"] = (hits, wrong)
    print(f"{bad:9} {hits:6} {bad - hits:7} {parts - bad:11,} {wrong:13} {wrong / hits:30.1f}")

# %%
hits, false = counts["10 defective"]
predict.reveal("bet", "yes" if hits > false else "no")

# %%
figure, ax = plotting.subplots(figsize=(5.4, 2.2))
hits, wrong = np.transpose(list(counts.values()))
ax.barh(list(counts), hits, color=plotting.DEFECTIVE, label="a defect")
ax.barh(list(counts), wrong, left=hits, color=plotting.NORMAL, label="a false alarm")
ax.set(xlabel=f"alarms among {parts:,} parts")
ax.invert_yaxis()
ax.legend(frameon=False)
figure

# %% [markdown]
# **Interpret:** the false alarms hardly change, because nearly all parts are good ones; the defects
# get fewer. The better the line, the less an alarm is worth, with the very same detector. (Exercise
# `10.precision` makes a formula of it.)

# %% [markdown]
# ## 6. New photographs
#
# Scores, heat maps and raw maps of files: the same as `rcae predict`. Each score comes with a
# p-value, which says how surprising it would be for a normal part: at most one in 20 normal parts
# has one of 0.05 or less.
#
# **Predict:** what is the smallest p-value that can come out, however bad the part?

# %%
predict.number("p", "smallest p-value", 0, 0.2)

# %%
inbox = Path("runs") / "10-inbox"
shutil.rmtree(inbox, ignore_errors=True)
inbox.mkdir(parents=True)
test = category.test
for index in np.linspace(0, len(test) - 1, 6).astype(int):
    record = test.records[index]
    Image.fromarray(record.read_image()).save(inbox / f"{record.defect}-{index:03}.png")
shutil.rmtree(inbox.with_name("10-predictions"), ignore_errors=True)
predict_files(detector, [inbox], inbox.with_name("10-predictions"))
with (inbox.with_name("10-predictions") / "scores.csv").open(encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))
for row in rows:
    p = p_values(detector.calibration_scores, [float(row["score"])])[0]
    print(
        f"{row['image']:16} score {float(row['score']):.3g}  p {p:.3f}  "
        f"{'ALARM' if row['defective'] == '1' else ''}"
    )
print(f"smallest possible p-value, with {held_out} held-out images: {1 / (held_out + 1):.3f}")
assert all(float(row["p_value"]) >= 1 / (held_out + 1) - 1e-6 for row in rows)

# %%
predict.reveal("p", 1 / (held_out + 1))

# %% [markdown]
# **Interpret:** a p-value counts how many held-out normal images score at least as high, the new
# one itself among them. With few of them it cannot be small, and a gross defect looks no more
# surprising than a faint one: for that, look at the score.
#
# The heat maps share one scale: transparent at 0, brightest at twice the threshold and above. So a
# good part stays dark, whatever it is shown beside.

# %%
pictures = [Image.open(inbox.with_name("10-predictions") / f"{row['image']}.png") for row in rows]
figure, axes = plotting.subplots(1, len(rows), figsize=(10, 2.2), squeeze=False)
for ax, picture, row in zip(axes[0], pictures, rows, strict=True):
    ax.imshow(picture)
    ax.set_title(
        f"{row['image']}\n{'alarm' if row['defective'] == '1' else 'no alarm'}", fontsize=8
    )
    ax.set_axis_off()
figure

# %% [markdown]
# ## 7. How good is it?
#
# Only if you have defective images can you say. A dozen is enough for a first impression, with an
# interval that says so.
#
# **Predict:** how wide will the interval of the image AUROC be, in points of a hundred?

# %%
predict.number("width", "points", 0, 50)

# %%
evaluation = detector.evaluate(category.test)
print(evaluation.summary())
metric = evaluation.metrics["image_auroc"]
good, bad = (int((category.test.labels == kind).sum()) for kind in (0, 1))
if metric:
    print(f"{good} good and {bad} defective images: {100 * (metric.high - metric.low):.0f} points")

# %%
if metric:
    predict.reveal("width", 100 * (metric.high - metric.low))

# %% [markdown]
# **Interpret:** one defective image of $m$ is worth up to $1/m$ of the AUROC, one good image of $n$
# up to $1/n$. Two presets whose difference is smaller than that interval are not told apart by
# these photographs. And look at the false alarms: is the promised rate inside their interval? If
# not, the good test photographs are not like those that were held out.

# %% [markdown]
# ## 8. Export
#
# One ONNX file, which runs without PyTorch: on a small computer beside the camera, or in a browser.
# `export_onnx` compares its answers with PyTorch's before it writes anything.

# %%
from rcae_lite.commands.export import export_onnx

detector.save(work)
on_cpu = RcAEDetector.load(work, device="cpu")  # the export wants it there, also after a GPU
target = work / "detector.onnx"
target.unlink(missing_ok=True)  # an earlier one is not to be taken for this one
try:
    difference = export_onnx(on_cpu, target)
    size = target.stat().st_size / 1e6
    print(f"{target.name}: {size:.1f} MB; largest difference from PyTorch {difference:.1e}")
except KitError as error:
    print(error)

# %%
if target.exists():  # else the line above says what is missing
    import onnxruntime

    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    image = category.test[0].image[None]
    answers = dict(
        zip(
            [o.name for o in session.get_outputs()],
            session.run(None, {"images": image.as_subclass(torch.Tensor).numpy()}),
            strict=True,
        )
    )
    here = on_cpu.predict(image).score.item()
    print(f"score: {answers['score'][0]:.4f} (ONNX), {here:.4f} (PyTorch)")
    assert np.isclose(answers["score"][0], here, rtol=1e-2, atol=1e-3)

# %% [markdown]
# ## What the paper says, what we measured here
#
# | | paper | here |
# |---|---|---|
# | data | MVTec AD, VisA: photographed for research | your folder |
# | threshold | not given | from held-out normal images |
# | with 10% of the training images | image AUROC 84.1 (MVTec AD) | below, on few images anyway |
# | known weak spot | logical anomalies: a part too many, or misplaced | not measured here |

# %%
if metric:
    print(
        f"{category.name}, {len(category.train)} training images: image AUROC {metric.value:.3f}, "
        f"95% interval [{metric.low:.3f}, {metric.high:.3f}]"
    )
else:
    print(f"{category.name} has no defective images: no AUROC, only the promise about false alarms")

# %%
predict.calibration()

# %% [markdown]
# And a short quiz: click an option, and you see at once whether it is right, and why.

# %%
quiz("10")

# %% [markdown]
# ## Summary
#
# - `normal/` is enough. `defective/` and `masks/` are for measuring, never for training.
# - Ask the doctor first. A copy across the split or a bad part among the normal ones costs more
#   than any preset brings.
# - The threshold is a promise about good parts; how many alarms are right depends on the line.
# - Photograph normal and defective parts in the same session. A detector finds *whatever* differs.
#
# Where to go next: [11 GPU and beyond](11_gpu_and_beyond.ipynb) is for those whose parts need more
# pixels than a laptop gives. What the promise rests on is section 2 of [07 Evaluate
# honestly](07_evaluate_honestly.ipynb).
#
# ## Exercises
#
# Open [exercises/10_your_own_photographs.ipynb](exercises/10_your_own_photographs.ipynb):
# `10.precision` (medium), `10.split` (hard), and an open question about Monday and Friday. Then,
# here:
#
# 1. Photograph 50 good examples of something on your desk, and five that are not. What does the
#    detector find that you did not mean?
# 2. Put one defective image into `normal/` and train again. Does the doctor notice? Does the score?
