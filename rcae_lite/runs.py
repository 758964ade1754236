"""A run: one training with its evaluation, in one folder that says how to repeat it.

``run.json`` (everything needed to repeat it), ``detector.safetensors`` and ``detector.json``,
``checkpoint/`` (while training), ``evaluation.json``, ``scores.csv`` and ``report.html``.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_utils import Category, ImageSet, KitError, list_categories, open_category
from rcae_lite import __version__
from rcae_lite.config import Config, config_from_dict, get_config
from rcae_lite.detector import Detector, RcAEDetector, SinglePassDetector
from rcae_lite.evaluation import code_version
from rcae_lite.files import claim_folder, read_json, write_text
from rcae_lite.report import Example, write_report
from rcae_lite.results import METRICS, Evaluation
from rcae_lite.training import Listener

__all__ = ["evaluate_run", "forget_demo", "load_run", "train_all", "train_run"]

RUN_VERSION = 1


def _description(config: Config, seed: int, category: Category, command: str) -> dict[str, Any]:
    return {
        "kind": "rcae-lite-run",
        "format_version": RUN_VERSION,
        "command": command,
        "data": category.root,
        "format": category.format,
        "category": category.name,
        "data_fingerprint": category.fingerprint,
        "seed": seed,
        "config": json.loads(json.dumps(config.to_dict())),
        "version": __version__,
        "code_version": code_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _resumable(folder: Path, description: dict[str, Any]) -> dict[str, Any]:
    """Read the description of a run; refuse other data, another configuration or another seed."""
    if not (folder / "run.json").exists():
        raise KitError(f"{folder} holds other files and no run; choose another --out")
    before = read_json(folder / "run.json", "rcae-lite-run", RUN_VERSION)
    for name in ("category", "data_fingerprint", "seed", "config"):
        if before.get(name) != description[name]:
            raise KitError(
                f"{folder} holds a run with another {name}; resume it with the command in its "
                f"run.json ({before.get('command')}), or choose another --out"
            )
    return before


def train_run(
    data: str | Path,
    category_name: str | None = None,
    preset: str = "lite",
    *,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    baseline: bool = False,
    command: str = "",
    listeners: Iterable[Listener] | None = None,
) -> tuple[Path, Evaluation]:
    """Train, evaluate and report in one folder.

    Everything that can be wrong with the input is found before the folder is made.

    Parameters
    ----------
    data : str or Path
        "synthetic" or a folder; see `data_utils.open_category`.
    category_name : str, optional
        May be left out when there is only one.
    preset : str
        Name of a preset.
    out : path, optional
        The run's folder; ``runs/CATEGORY-PRESET-SEED`` by default.
    seed, device
        See `rcae_lite.detector.Detector`.
    resume : bool
        Continue in a folder that is not empty.
    baseline : bool
        Train and evaluate the single-pass baseline beside it (in ``baseline/``).
    command : str
        The command line, for the record.
    listeners : iterable of callable, optional
        See `Detector.fit`.

    Returns
    -------
    folder : Path
    evaluation : Evaluation
    """
    config = get_config(preset)
    detector = RcAEDetector(config, seed, device)
    category = open_category(data, category_name, size=config.size)
    if not len(category.test):
        raise KitError(f"category {category.name!r} has no test images; add some under test/good")
    folder = Path(out or Path("runs") / f"{category.name}-{preset}-{seed}")
    claim_folder(folder, resume=resume)
    detector.check_training_set(category.train)
    category.decode()  # an image that cannot be read must not stop a training half-way
    description = _description(config, seed, category, command)
    if folder.is_dir() and any(folder.iterdir()):
        description = _resumable(folder, description)
    else:
        write_text(folder / "run.json", json.dumps(description, indent=1))

    compared = None
    if baseline:
        single = _fitted(
            SinglePassDetector(config, seed, device), category, folder / "baseline", listeners
        )
        compared = single.evaluate(category.test).made_by(command, description["code_version"])
        compared.save(folder / "baseline")
    detector = _fitted(detector, category, folder, listeners)
    origin = command, description["code_version"]
    return folder, _evaluate_and_report(detector, category, folder, origin, compared)


def train_all(
    data: str | Path, preset: str = "lite", *, out: str | Path | None = None, **options: Any
) -> str:
    """Train and evaluate every category of a data set.

    Parameters
    ----------
    data, preset
        See `train_run`.
    out : path, optional
        Folder for the runs and ``summary.csv``; ``runs/all-PRESET-SEED`` by default.
    **options
        ``seed``, ``device``, ``resume``, ``command`` and ``listeners`` of `train_run`.

    Returns
    -------
    str
        The table: a line per category and their mean.
    """
    folder = Path(out or Path("runs") / f"all-{preset}-{options.get('seed', 0)}")
    claim_folder(folder, resume=options.get("resume", False))
    names = list_categories(data)
    rows = []
    for name in names:
        _, evaluation = train_run(data, name, preset, out=folder / name, **options)
        found = [evaluation.metrics[metric] for metric in METRICS]
        rows.append([interval.value if interval else np.nan for interval in found])
        print(f"{name}\n{evaluation.summary()}")
    rows.append(np.nanmean(rows, axis=0).tolist())
    table = [["category", *METRICS]] + [
        [name, *(f"{value:.4f}" for value in row)]
        for name, row in zip([*names, "mean"], rows, strict=True)
    ]
    write_text(folder / "summary.csv", "".join(",".join(row) + "\n" for row in table))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in table
    )


def _fitted(
    detector: Detector, category: Category, folder: Path, listeners: Iterable[Listener] | None
) -> Any:
    """Train into a folder, or load what an earlier try finished there."""
    if (folder / "detector.json").exists():
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        return type(detector).load(folder, device=str(detector.device))
    detector.fit(category.train, checkpoint=folder / "checkpoint", listeners=listeners)
    detector.save(folder)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return detector


def _evaluate_and_report(
    detector: Detector,
    category: Category,
    folder: Path,
    origin: tuple[str, str | None],
    baseline: Evaluation | None,
) -> Evaluation:
    evaluation = detector.evaluate(category.test).made_by(*origin)
    evaluation.save(folder)
    write_report(
        folder,
        evaluation,
        examples=_examples(detector, category.test, evaluation),
        losses=detector.losses,
        limits=evaluation.map_limits,
        baseline=baseline,
    )
    return evaluation


def _examples(detector: Detector, test: ImageSet, evaluation: Evaluation) -> list[Example]:
    """Pick what the report shows: a typical image of each kind, and the two worst mistakes."""
    scores = np.array([image.score for image in evaluation.images])
    labels, defects = test.labels, np.array(test.defects)
    chosen = []
    for defect in dict.fromkeys(test.defects):
        members = np.flatnonzero(defects == defect)
        chosen.append(int(members[np.argsort(scores[members])[len(members) // 2]]))
    for label, worst in ((0, np.argmax), (1, np.argmin)):
        members = np.flatnonzero(labels == label)
        if len(members):
            chosen.append(int(members[worst(scores[members])]))
    return [_example(detector, test, index, scores[index]) for index in dict.fromkeys(chosen)]


def _example(detector: Detector, test: ImageSet, index: int, score: float) -> Example:
    sample = test[index]
    trajectory = detector.trajectory(sample.image.unsqueeze(0))
    enhanced = trajectory.enhanced
    return Example(
        path=sample.path,
        defect=sample.defect,
        label=sample.label,
        score=float(score),
        image=sample.image.numpy(),
        mask=sample.mask.numpy(),
        anomaly_map=detector.detect(trajectory).anomaly_map[0].numpy(),
        reconstructions=trajectory.reconstructions[0].cpu().numpy(),
        enhanced=None if enhanced is None else enhanced[0].cpu().numpy(),
    )


def forget_demo(folder: Path, category: str | None) -> None:
    """Remove an earlier demo from a folder, and nothing else: a demo is there to be run again."""
    open_category("synthetic", category)  # a misspelt name must not cost the earlier demo
    if not (folder / "run.json").exists():
        return
    before = read_json(folder / "run.json", "rcae-lite-run", RUN_VERSION)
    if before.get("format") != "synthetic" or before.get("config", {}).get("preset") != "demo":
        raise KitError(f"{folder} holds a training that is no demo; choose another --out")
    shutil.rmtree(folder)


def load_run(folder: str | Path, device: str = "auto") -> tuple[dict[str, Any], RcAEDetector]:
    """Read a run's description and its detector."""
    folder = Path(folder)
    if not folder.is_dir():
        raise KitError(f"{folder} is not a folder; name the folder that `rcae train` wrote")
    description = read_json(folder / "run.json", "rcae-lite-run", RUN_VERSION)
    if not (folder / "detector.json").exists():
        command = description.get("command")
        raise KitError(f"{folder} holds no finished training; go on with: {command} --resume")
    return description, RcAEDetector.load(folder, device=device)


def evaluate_run(
    folder: str | Path, *, data: str | Path | None = None, device: str = "auto", command: str = ""
) -> Evaluation:
    """Evaluate a finished run again.

    Parameters
    ----------
    folder : path
        The run.
    data : path, optional
        Another copy of the data, or other data; the files of the run then stay as they are.
        Without it the run's own data are used and its files are renewed.
    device : str
        See `rcae_lite.detector.Detector`.
    command : str
        The command line, for the record.
    """
    folder = Path(folder)
    description, detector = load_run(folder, device)
    config = config_from_dict(description["config"])
    name = description["category"]
    commands = " && ".join(filter(None, (description["command"], command)))
    origin = commands, description["code_version"]
    if data is not None:
        known = name in list_categories(data)
        category = open_category(data, name if known else None, size=config.size)
        return detector.evaluate(category.test).made_by(*origin)
    category = open_category(description["data"], name, size=config.size)
    if category.fingerprint != description["data_fingerprint"]:
        raise KitError(
            f"the data in {category.root} have changed since the training; to evaluate them as "
            f"other data: rcae evaluate {folder} --data {category.root}"
        )
    baseline = folder / "baseline" / "evaluation.json"
    compared = Evaluation.load(baseline) if baseline.exists() else None
    return _evaluate_and_report(detector, category, folder, origin, compared)
