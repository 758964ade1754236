"""Feed damaged files to everything that reads one: a clean error or a right result, nothing else.

::

    python -m tests.fuzz --files 100000 --seed 0 --out results/fuzz.txt
    python -m tests.fuzz --seed 0 --only 1234        # that file again, with its traceback

Valid files (images in every format, a detector, a checkpoint, an evaluation, a run) are damaged in
one to three of the ways below, folders of images get odd names and links, and a child process reads
them, which has a limit on its memory and on the CPU time of each file. Every file depends on the
seed and its number only.

- clean error: `KitError`, in one line.
- right result: what was read keeps every promise of its reader: shape, type, range, the size that
  the header says, the same again when it is read again. A format without a
  checksum (JPEG, BMP, most of TIFF) can hold damaged pixels that no reader could know of.
- anything else is a finding: another exception, a broken promise, a dead process, more than 10 s.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from data_utils import Category, ImageSet, KitError, diagnose, open_category
from data_utils.images import image_size, preview, read_image, read_mask, value_bits
from data_utils.listing import THUMBNAILS, list_files
from rcae_lite.base import keys_of
from rcae_lite.commands.run_record import describe, read_run
from rcae_lite.config import Config
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.results import Evaluation
from rcae_lite.storage.records import write_record
from rcae_lite.storage.tensors import load_modules
from rcae_lite.training.checkpoint import load_checkpoint, restore_optimiser
from rcae_lite.training.loop import new_state
from tests.rcae_lite.conftest import tiny_config, tiny_records

SECONDS = 10  # of CPU time, for one file
MEMORY = 2 << 30  # bytes beyond what the process has before the first file
WARM_UP = 200  # files before the memory is measured
GROWTH = 128 << 20  # bytes of memory that may stay after all files

QUICK = {"steps": 2, "batch_size": 2, "learning_rate": 2e-3}
CONFIG = tiny_config(single_pass=QUICK, rcae=QUICK | {"width": 8, "depth": 3}, dpn=QUICK, crd=QUICK)

Files = dict[str, bytes]  # name in the folder -> content


class Target(NamedTuple):
    """What is read: its share of all files, valid examples, the reader with its promises.

    And how an example is damaged; by default in the bytes of one of its files.
    """

    share: float
    examples: list[Files]
    read: Callable[[Path], None]
    damage: Callable[[np.random.Generator, Files], Files] | None = None


# -- valid files ---------------------------------------------------------------------------------


def images() -> list[Files]:
    """Small images in every format, mode and compression that cameras and tools write."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :40]
    smooth = (127 + 60 * np.sin(x / 5) + 60 * np.cos(y / 4))[..., None] + rng.normal(
        0, 9, (24, 40, 3)
    )
    rgb = Image.fromarray(smooth.clip(0, 255).astype(np.uint8))
    grey = rgb.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    camera = Image.fromarray(np.asarray(grey).astype(np.uint16) * 16)  # 12 bits of 16
    clear = rgb.copy()
    clear.putalpha(grey)
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = Image.fromarray(np.asarray(grey, dtype=np.float32))
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((image, "PNG", {}) for image in (rgb, grey, deep, clear, rgb.convert("1"))),
        (rgb.quantize(16), "PNG", {"transparency": 3}),
        (rgb, "PNG", {"exif": turned, "dpi": (72, 72), "icc_profile": bytes(200)}),
        *((rgb, "JPEG", options) for options in ({}, {"progressive": True}, {"exif": turned})),
        (grey, "JPEG", {}),
        (rgb.convert("CMYK"), "JPEG", {}),
        *(
            (rgb, "TIFF", {"compression": name})
            for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
        ),
        (deep, "TIFF", {}),
        (wide, "TIFF", {}),
        (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        (rgb, "TIFF", {"save_all": True, "append_images": [grey], "compression": "tiff_lzw"}),
        (rgb, "TIFF", {"exif": turned}),
        *((image, kind, {}) for image in (camera, rgb.quantize(2)) for kind in ("PNG", "TIFF")),
        *((image, "TIFF", {"tiffinfo": {262: 0}}) for image in (grey, deep, rgb.convert("1"))),
        (grey, "TIFF", {"tiffinfo": {339: 2}}),  # signed
        *((image, "TIFF", {"tiffinfo": {274: 6}}) for image in (grey, deep, clear)),  # turned
        *((rgb.convert(mode), "TIFF", {}) for mode in ("CMYK", "YCbCr", "LAB", "RGBX")),
        *((grey.convert("P").convert("PA"), "TIFF", {}), (clear.convert("LA"), "PNG", {})),
        *((image, "WEBP", {"lossless": exact}) for image in (rgb, clear) for exact in (0, 1)),
        *((image, "PPM", {}) for image in (rgb, grey, deep, rgb.convert("1"))),
        *((image, "BMP", {}) for image in (rgb, grey, rgb.quantize(16), rgb.convert("1"))),
    ]
    found = []
    for image, kind, options in kinds:
        file = BytesIO()
        image.copy().save(file, format=kind, **options)  # an image remembers how it was saved
        found.append({"image": file.getvalue()})
    return found


def folders() -> list[Files]:
    """Small data sets in some layouts: the files that have something to be mixed up."""
    image = BytesIO()
    Image.fromarray(np.tile(np.uint8([[9, 200], [90, 40]]), (8, 8))).save(image, "PNG")
    layouts = (
        ("normal/0", "normal/1", "normal/2", "defective/dent/0", "masks/dent/0"),
        ("good/0", "good/1", "dent/K\u00e4fer", "ground_truth/dent/K\u00e4fer"),
        ("train/good/0", "train/good/1", "test/good/0", "test/dent/0", "ground_truth/dent/0_mask"),
        ("train/ok/0", "train/ok/1", "test/ok/0", "test/ko/0", "ground_truth/ko/0"),
        ("train/good/0", "train/good/1", "test_public/good/0", "test_public/bad/0"),
    )
    return [{f"parts/{name}.png": image.getvalue() for name in names} for names in layouts]


def tiny() -> Category:
    """Give the category of all runs here; nothing is decoded yet."""
    common = {"category": "tiny", "fingerprint": "f" * 64}
    train = ImageSet(tiny_records(12), 32, split="train", **common)
    test = ImageSet(tiny_records(8, defective=4), 32, split="test", **common)
    return Category("tiny", "synthetic", "synthetic", 32, train, test, "f" * 64)


def run_files() -> tuple[Files, Files]:
    """Train the smallest detector there is: the files of its run, and those of its checkpoint."""
    category = tiny()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        detector = RcAEDetector(CONFIG, 0, "cpu")
        detector.fit(category.train, callbacks=[], checkpoint=folder / "checkpoint")
        detector.save(folder)
        detector.evaluate(category.test).save(folder)
        description = describe(detector, category, None, "rcae train synthetic tiny")
        write_record(folder / "run.json", description)
        top, checkpoint = (
            {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
            for place in (folder, folder / "checkpoint")
        )
    return top, checkpoint


# -- readers and what they promise ---------------------------------------------------------------


def check(holds: bool, promise: str) -> None:
    """A broken promise is a finding, and no `assert` that -O could take out."""
    if not holds:
        raise BrokenPromise(promise)


class BrokenPromise(Exception):
    """A reader accepted a file and gave something wrong."""


def read_as_image(folder: Path) -> None:
    """Every reader of images; each may refuse, and what one of them tells must fit the others."""
    path, seen, refused = folder / "image", {}, None
    check(value_bits([path]) in (8, 10, 12, 14, 16), "a bit depth")
    for reader in (image_size, read_image, read_mask, lambda path: preview(path, 16, bits=12)):
        try:
            seen[reader] = reader(path)
        except KitError as error:
            refused = error
    size, image, mask = seen.get(image_size), seen.get(read_image), seen.get(read_mask)
    if image is not None:
        check(
            image.dtype == np.uint8 and image.shape == (*(size or ()), 3), "RGB, as the header says"
        )
        check(np.array_equal(image, read_image(path)), "the same image when read again")
    if mask is not None:
        check(mask.dtype == bool and mask.shape == size, "a mask of the size in the header")
    if refused:
        raise refused


def read_as_folder(folder: Path) -> None:
    """Every image in a folder is listed or named; a data set is opened, or refused in one line."""
    listed, left_out = list_files(folder, recursive=True)
    told = {os.path.realpath(path) for path in chain(listed, *left_out.values())}
    for place, names, files in os.walk(folder):
        names[:] = [name for name in names if name[0] != "." and name not in THUMBNAILS]
        for name in files:
            path = Path(place, name)
            other = name[0] == "." or path.suffix.lower() != ".png" or path.is_char_device()
            check(other or os.path.realpath(path) in told, f"{path!r} is listed or named")
    diagnosis = diagnose(folder)
    for category in diagnosis.categories:
        if diagnosis.errors:
            continue
        opened = open_category(folder, category.name, size=16)
        check(opened.train.images().shape[1:] == (3, 16, 16), "images to train on")
        check(not opened.train.labels.any(), "normal images alone")


def read_as_detector(folder: Path) -> None:
    """A detector that was accepted has what its type says, and answers."""
    detector = RcAEDetector.load(folder, device="cpu")
    for module in detector.modules.values():
        check(all(t.isfinite().all() for t in module.state_dict().values()), "finite weights")
    check(detector.threshold is None or math.isfinite(detector.threshold.value), "finite threshold")
    side = detector.config.size
    check(
        side > 256 or detector.predict(torch.rand(1, 3, side, side)).score.shape == (1,), "a score"
    )


def read_as_checkpoint(folder: Path) -> None:
    """A checkpoint that was accepted continues a training."""
    detector = RcAEDetector(CONFIG, 0, "cpu")
    detector.training_set = keys_of(RcAEDetector, CONFIG, 0, tiny().train)["crd"]
    found = load_checkpoint(folder, detector.snapshot())
    assert found is not None
    snapshot, tensors = found
    load_modules(detector.modules, tensors, folder, besides=("adam",))
    state = new_state(detector.crd, CONFIG.crd)
    restore_optimiser(state, tensors, folder)
    state.module.train()
    loss = sum(p.square().sum() for p in state.module.parameters())
    loss.backward()
    state.optimiser.step()
    begun = snapshot.in_training
    check(begun is None or begun.done >= 0, "a number of steps")


def read_as_evaluation(folder: Path) -> None:
    """An evaluation that was accepted can be shown, and written and read."""
    evaluation = Evaluation.load(folder / "evaluation.json")
    evaluation.summary()
    text = evaluation.to_json()
    check(Evaluation.from_json(text).to_json() == text, "round trip")


def read_as_run(folder: Path) -> None:
    """The description of a run that was accepted names a configuration."""
    check(isinstance(read_run(folder).config, Config), "a configuration")


def targets() -> dict[str, Target]:
    """Everything that is read, with its examples."""
    run, checkpoint = run_files()

    def part(*names: str) -> list[Files]:
        return [{name: run[name] for name in names}]

    both = part("detector.json", "detector.safetensors")
    return {
        "image": Target(0.87, images(), read_as_image),
        "folder": Target(0.03, folders(), read_as_folder, rearranged),
        "detector": Target(0.03, both, read_as_detector),
        "checkpoint": Target(0.02, [checkpoint], read_as_checkpoint),
        "evaluation.json": Target(0.03, part("evaluation.json"), read_as_evaluation),
        "run.json": Target(0.02, part("run.json"), read_as_run),
    }


# -- damage --------------------------------------------------------------------------------------

INTERESTING = [
    0,
    1,
    2,
    7,
    8,
    16,
    255,
    256,
    4095,
    32767,
    32768,
    65535,
    65536,
    1 << 20,
    (1 << 24) + 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
]
NASTY = [
    None,
    True,
    -1,
    0,
    1,
    3.5,
    -0.0,
    1e308,
    10**400,
    1 << 63,
    1 << 31,
    4096,
    8192,
    "",
    "x" * 3000,
    "../../up",
    "nan",
    "1",
    "\0",
    "\ud800",
    [],
    {},
    [[]],
    [0] * 300,
    {"": {}},
]


def flip_bits(rng: np.random.Generator, content: bytearray, other: bytes) -> None:
    for place in rng.integers(len(content), size=rng.integers(1, 9)):
        content[place] ^= 1 << rng.integers(8)


def truncate(rng: np.random.Generator, content: bytearray, other: bytes) -> None:
    del content[rng.integers(len(content)) :]


def splice(rng: np.random.Generator, content: bytearray, other: bytes) -> None:
    del content[rng.integers(len(content)) :]
    content += other[rng.integers(len(other)) :]


def edit_length(rng: np.random.Generator, content: bytearray, other: bytes) -> None:
    """Put a telling number where a length may stand, mostly near the beginning."""
    width = int(rng.choice([1, 2, 4, 8]))
    reach = len(content) if rng.random() < 0.5 else min(len(content), 64)
    place = int(rng.integers(reach))
    value = int(INTERESTING[rng.integers(len(INTERESTING))]) % (1 << 8 * width)
    order: Any = "little" if rng.random() < 0.5 else "big"
    content[place : place + width] = value.to_bytes(width, order)


def move_block(rng: np.random.Generator, content: bytearray, other: bytes) -> None:
    """Repeat a block somewhere else, take it out, or overwrite it with noise."""
    start, place = rng.integers(len(content), size=2)
    stop = start + rng.integers(1, 65)
    how = rng.integers(3)
    if how == 0:
        content[place:place] = content[start:stop]
    elif how == 1:
        del content[start:stop]
    else:
        content[start:stop] = rng.bytes(len(content[start:stop]))


def nest(rng: np.random.Generator, content: bytearray, other: bytes) -> None:
    """Open thousands of brackets."""
    place = rng.integers(len(content))
    content[place:place] = (b"[" if rng.random() < 0.5 else b'{"a":') * int(rng.integers(1, 20000))


def change_value(rng: np.random.Generator, values: Any) -> None:
    """Replace, remove, copy or rename one value somewhere in what JSON holds."""
    holders, queue = [], [values]
    while queue:
        node = queue.pop()
        if isinstance(node, dict | list) and node:
            holders.append(node)
            queue += node.values() if isinstance(node, dict) else node
    holder = holders[rng.integers(len(holders))]
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key, how = keys[rng.integers(len(keys))], rng.random()
    if how < 0.15:
        del holder[key]
    elif how < 0.3 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif how < 0.4:
        holder[key] = holder[keys[rng.integers(len(keys))]]
    elif how < 0.55 and type(holder[key]) in (int, float):
        holder[key] = holder[key] * float(rng.choice([-1, 0, 0.5, 2, 1000, 1e30]))
    else:
        holder[key] = NASTY[rng.integers(len(NASTY))]


def damage_json(rng: np.random.Generator, content: bytearray) -> None:
    values = json.loads(content)
    change_value(rng, values)
    content[:] = json.dumps(values).encode("utf-8", "surrogatepass")


def damage_safetensors(rng: np.random.Generator, content: bytearray) -> None:
    """Change the header, and let its length tell the truth."""
    length = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8 : 8 + length])
    change_value(rng, header)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    content[: 8 + length] = struct.pack("<Q", len(text)) + text


def mend_png(content: bytearray) -> None:
    """Make the checksums of a PNG right again, for the damage to get past them."""
    place = 8
    while place + 12 <= len(content):
        end = place + 8 + struct.unpack_from(">I", content, place)[0]
        if end + 4 > len(content):
            return
        struct.pack_into(">I", content, end, zlib.crc32(content[place + 4 : end]))
        place = end + 4


LINK = b"\0link to "  # begins the content of what is none, but a link
NAMES = [
    *("K\u00e4fer.png", "Ka\u0308fer.png", "A.PNG", "a.png", "a.jpg", "0.png", "0_mask.png"),
    *(".png", "a\nb.png", "a b.png", "-a.png", "[1].png", "%41.png", "'\".png", "\udcff.png"),
    *("x" * 250 + ".png", "good", "normal", "masks", "train", "test", "@eaDir", "__MACOSX"),
    *("Good", "NORMAL", "Thumbs.db", "a.gif", "a.heic", "a.tif", "a", "a.zip", "\u96f6\u4ef6"),
    *("rcae_predictions.json", "scores.csv"),
]
TARGETS = [".", "..", "a.png", "0.png", "/nowhere/at/all", "../normal", "../../parts", "/dev/null"]


def rearranged(rng: np.random.Generator, files: Files) -> Files:
    """Rename, copy and link some files and folders of a tree."""
    for _ in range(rng.integers(1, 5)):
        path = str(rng.choice(sorted(files)))
        parts = path.split("/")
        parts[rng.integers(len(parts))] = NAMES[rng.integers(len(NAMES))]
        other = "/".join(parts)
        way = rng.integers(4)
        if way == 0:
            files = {(other if name == path else name): content for name, content in files.items()}
        elif way == 1:
            files[other] = files[path]
        elif way == 2:
            files[other] = LINK + TARGETS[rng.integers(len(TARGETS))].encode()
        else:
            folder = path.rpartition("/")[0]
            moved = "/".join(parts[:-1])
            files = {name.replace(folder, moved, 1): content for name, content in files.items()}
    return files


def put(folder: Path, files: Files) -> None:
    """Write files and links; what has the place of another is left out."""
    for name, content in files.items():
        with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith(LINK):
                path.symlink_to(content[len(LINK) :].decode())
            else:
                path.write_bytes(content)


def damaged(rng: np.random.Generator, target: Target) -> Files:
    """Choose an example and damage one of its files in one to three ways."""
    files = dict(target.examples[rng.integers(len(target.examples))])
    if target.damage:
        return target.damage(rng, files)
    name = list(files)[rng.integers(len(files))]
    content = bytearray(files[name])
    structure = {".json": damage_json, ".safetensors": damage_safetensors}.get(Path(name).suffix)
    if structure and rng.random() < 0.5:
        structure(rng, content)
    else:
        ways = [flip_bits, truncate, splice, edit_length, move_block]
        ways += [nest] if name.endswith(".json") else []
        for _ in range(rng.integers(1, 4)):
            other = target.examples[rng.integers(len(target.examples))]
            if content:
                ways[rng.integers(len(ways))](rng, content, other.get(name, files[name]))
        if content.startswith(b"\x89PNG") and rng.random() < 0.7:
            mend_png(content)
    return files | {name: bytes(content)}


# -- the child process ---------------------------------------------------------------------------


class TooSlow(BaseException):
    """Not an Exception: no reader may catch it."""


def _stop(*_: object) -> None:
    raise TooSlow


def memory() -> int:
    """Resident bytes of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def open_files() -> int:
    """File descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def read_one(
    number: int, seed: int, known: dict[str, Target], folder: Path
) -> tuple[str, str, str]:
    """Damage file ``number`` and read it: target, outcome, and where it is a finding the reason."""
    rng = np.random.default_rng([seed, number])
    name = str(rng.choice(list(known), p=[target.share for target in known.values()]))
    shutil.rmtree(folder, ignore_errors=True)
    put(folder, damaged(rng, known[name]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        known[name].read(folder)
        return name, "right", ""
    except KitError as error:
        lines = len(str(error).splitlines())
        return (name, "refused", "") if lines == 1 else (name, "finding", f"{lines} lines: {error}")
    except TooSlow:
        return name, "finding", f"more than {SECONDS} s"
    except Exception:
        return name, "finding", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def work(first: int, stop: int, seed: int, known: dict[str, Target], pipe: Connection) -> None:
    """Read the files ``first`` to ``stop``; tell of each, and at the end of what was not freed."""
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and Pillow write what they think there
    signal.signal(signal.SIGPROF, _stop)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "files")
        for number in range(WARM_UP):  # what is loaded once and stays: codecs, caches
            read_one(number, seed + 1, known, folder)
        before = memory(), open_files()
        virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY, resource.RLIM_INFINITY))
        for number in range(first, stop):
            pipe.send((number, None))
            pipe.send((number, read_one(number, seed, known, folder)))
    pipe.send((stop, (memory() - before[0], open_files() - before[1])))


# -- the parent ----------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """Counts by (target, outcome), findings by number of file, and what was not freed."""

    counts: Counter[tuple[str, str]]
    findings: dict[int, str]
    growth: int
    descriptors: int
    seconds: float


def fuzz(files: int, seed: int) -> Outcome:
    """Read ``files`` damaged files in a child process; a dead one is a finding, and replaced."""
    known = targets()
    counts: Counter[tuple[str, str]] = Counter()
    findings: dict[int, str] = {}
    growth = descriptors = first = 0
    started = time.monotonic()
    context = multiprocessing.get_context("fork")
    while first < files:
        pipe, end = context.Pipe()
        child = context.Process(target=work, args=(first, files, seed, known, end))
        child.start()
        end.close()
        first, leaks, reason = _follow(pipe, counts, findings)
        if reason:
            findings[first] = reason
            counts["?", "finding"] += 1
            first += 1
            child.kill()
        else:
            growth, descriptors = max(growth, leaks[0]), max(descriptors, leaks[1])
            first = files
        child.join()
    return Outcome(counts, findings, growth, descriptors, time.monotonic() - started)


def _follow(
    pipe: Connection, counts: Counter[tuple[str, str]], findings: dict[int, str]
) -> tuple[int, tuple[int, int], str]:
    """Count what a child tells until it ends: last file, what was not freed, why it died."""
    number = 0
    while True:
        if not pipe.poll(60 * SECONDS):  # the machine may be busy
            return number, (0, 0), f"no answer for {60 * SECONDS} s"
        try:
            number, told = pipe.recv()
        except EOFError:
            return number, (0, 0), "the process died"
        if told and len(told) == 2:
            return number, told, ""
        if told:
            counts[told[:2]] += 1
            if told[1] == "finding":
                findings[number] = told[2]


def report(outcome: Outcome, command: str) -> str:
    """Say what was done and found, as a page of text."""
    names = sorted({name for name, _ in outcome.counts})
    lines = [
        command,
        "",
        f"{'':<18}{'files':>8}{'right result':>14}{'clean error':>13}{'finding':>9}",
    ]
    for name in [*names, "all"]:
        row = [
            sum(
                n
                for (target, kind), n in outcome.counts.items()
                if kind == wanted and name in (target, "all")
            )
            for wanted in ("right", "refused", "finding")
        ]
        lines.append(f"{name:<18}{sum(row):>8}{row[0]:>14}{row[1]:>13}{row[2]:>9}")
    lines += [
        "",
        f"{outcome.seconds:.0f} s; memory at the end {outcome.growth / 2**20:+.1f} MiB, "
        f"open files {outcome.descriptors:+d}",
    ]
    lines += [
        f"\nfile {number}: {reason}" for number, reason in sorted(outcome.findings.items())[:20]
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run from the command line; exit code 1 where there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="read this one file, in this process")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.only is not None:
        signal.signal(signal.SIGPROF, _stop)
        with tempfile.TemporaryDirectory() as name:
            print(*read_one(args.only, args.seed, targets(), Path(name)))
        return 0
    outcome = fuzz(args.files, args.seed)
    text = report(outcome, f"python -m tests.fuzz --files {args.files} --seed {args.seed}")
    print(text)
    if args.out:
        args.out.write_text(text)
    return int(bool(outcome.findings))


if __name__ == "__main__":
    sys.exit(main())
