"""A run: one training with its evaluation, in one folder that says how to repeat it.

``run.json`` (everything needed to repeat it), ``detector.safetensors`` and ``detector.json``,
``checkpoint/`` (while training), ``evaluation.json``, ``scores.csv`` and ``report.html``.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_utils import Category, ImageSet, KitError, list_categories, open_category
from data_utils.doctor import require_sound
from rcae_lite import __version__, distributed
from rcae_lite.config import config_from_dict, get_config
from rcae_lite.detector import Detector, RcAEDetector, SinglePassDetector
from rcae_lite.evaluation import code_version
from rcae_lite.files import claim_folder, contents, locked, read_json, write_text
from rcae_lite.report import Example, write_report
from rcae_lite.results import METRICS, Evaluation
from rcae_lite.schemas import RUN
from rcae_lite.training import Listener

__all__ = ["evaluate_run", "forget_demo", "load_run", "train_all", "train_run"]

RUN_VERSION = 1


def _description(
    detector: Detector, category: Category, false_alarm_rate: float | None, command: str
) -> dict[str, Any]:
    """Everything that it takes to repeat a run."""
    return {
        "kind": "rcae-lite-run",
        "format_version": RUN_VERSION,
        "command": command,
        "data": category.root,
        "format": category.format,
        "category": category.name,
        "data_fingerprint": category.fingerprint,
        "seed": detector.seed,
        "config": json.loads(json.dumps(detector.config.to_dict())),
        "false_alarm_rate": false_alarm_rate,
        "device": detector.device.type,
        "machine": machine(),
        "version": __version__,
        "code_version": code_version(),
        "python": platform.python_version(),
        **environment(),
    }


def environment() -> dict[str, Any]:
    """Versions and threads on which bits depend: of the training, and of decoding and resizing."""
    names = ("torchvision", "numpy", "scipy", "pillow")
    versions = {name: metadata.version(name) for name in names}
    return {"torch": torch.__version__, **versions, "threads": torch.get_num_threads()}


def machine() -> str:
    """Tell machines apart without naming them: a hash of the host's name, and the CPU's features.

    On the CPU, the same PyTorch with as many threads computes the same bits on the same machine.
    """
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:12]
    return f"{host}, {platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"


def _resumable(folder: Path, description: dict[str, Any]) -> dict[str, Any]:
    """Read the description of a run; refuse other data, another configuration or another seed."""
    if not (folder / "run.json").exists():
        raise KitError(f"{folder} holds other files and no run; choose another --out")
    before = read_run(folder)
    for name in ("category", "data_fingerprint", "seed", "config", "false_alarm_rate"):
        if before.get(name) != description[name]:
            raise KitError(
                f"{folder} holds a run with another {name}; resume it with the command in its "
                f"run.json ({before.get('command')}), or choose another --out"
            )
    here = {name: description[name] for name in ("device", "machine", "code_version")}
    here |= environment()
    if any(before.get(name) != value for name, value in here.items()):
        before["resumed_with"] = [*before.get("resumed_with", []), here]  # other bits may come out
    return before


def train_run(
    data: str | Path,
    category_name: str | None = None,
    preset: str = "lite",
    *,
    out: str | Path | None = None,
    seed: int = 0,
    step_fraction: float = 1.0,
    device: str = "auto",
    resume: bool = False,
    baseline: bool = False,
    false_alarm_rate: float | None = None,
    command: str = "",
    listeners: Iterable[Listener] | None = None,
) -> tuple[Path, Evaluation]:
    """Train, evaluate and report in one folder.

    Everything that can be wrong with the input is found before the folder is made. While it lasts,
    no other training gets the folder.

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
    step_fraction : float
        Train every stage for this fraction of the preset's steps, in (0, 1]; what comes of it
        carries that with the preset's name.
    resume : bool
        Continue in a folder that is not empty.
    baseline : bool
        Train and evaluate the single-pass baseline beside it (in ``baseline/``).
    false_alarm_rate : float, optional
        See `Detector.fit`.
    command : str
        The command line, for the record.
    listeners : iterable of callable, optional
        See `Detector.fit`.

    Returns
    -------
    folder : Path
    evaluation : Evaluation
    """
    detector = RcAEDetector(get_config(preset).shortened(step_fraction), seed, device)
    require_sound(data, category_name)
    category, folder = _opened(detector, preset, data, category_name, out)
    claim_folder(folder, resume=resume)
    detector.check_training_set(category.train, false_alarm_rate)
    category.decode()  # an image that cannot be read must not stop a training half-way
    description = _description(detector, category, false_alarm_rate, command)
    with locked(folder):
        claim_folder(folder, resume=resume)  # another run may have come and gone meanwhile
        if contents(folder):
            description = _resumable(folder, description)
        write_text(folder / "run.json", json.dumps(description, indent=1))

        options = {"listeners": listeners, "false_alarm_rate": false_alarm_rate}
        origin = command, description["code_version"]
        compared = None
        if baseline:
            single: Detector = SinglePassDetector(detector.config, seed, device)
            single = fitted(single, category, folder / "baseline", **options)
            compared = single.evaluate(category.test).made_by(*origin)
            compared.save(folder / "baseline")
        distributed.wait()  # for those in `follow_run`
        detector = fitted(detector, category, folder, **options)
        return folder, _evaluate_and_report(detector, category, folder, origin, compared)


def follow_run(
    data: str | Path,
    category_name: str | None = None,
    preset: str = "lite",
    *,
    out: str | Path | None = None,
    seed: int = 0,
    step_fraction: float = 1.0,
    device: str = "auto",
    false_alarm_rate: float | None = None,
) -> None:
    """Take part in the training of `train_run` in another process; writes and shows nothing.

    Parameters
    ----------
    data, category_name, preset, out, seed, step_fraction, device, false_alarm_rate
        As there, the same in all processes.
    """
    detector = RcAEDetector(get_config(preset).shortened(step_fraction), seed, device)
    category, folder = _opened(detector, preset, data, category_name, out)
    category.decode()
    distributed.wait()  # until the folder is ready
    if not (folder / "detector.json").exists():
        detector.fit(
            category.train,
            listeners=[],
            checkpoint=folder / "checkpoint",
            false_alarm_rate=false_alarm_rate,
        )


def _opened(
    detector: Detector,
    preset: str,
    data: str | Path,
    category_name: str | None,
    out: str | Path | None,
) -> tuple[Category, Path]:
    """Open the category at the detector's size, and name the folder of the run."""
    category = open_category(data, category_name, size=detector.config.size)
    return category, Path(out or Path("runs") / f"{category.name}-{preset}-{detector.seed}")


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
        ``seed``, ``step_fraction``, ``device``, ``resume``, ``false_alarm_rate``, ``command`` and
        ``listeners`` of `train_run`.

    Returns
    -------
    str
        The table: a line per category and their mean.
    """
    folder = Path(out or Path("runs") / f"all-{preset}-{options.get('seed', 0)}")
    claim_folder(folder, resume=options.get("resume", False))
    names, rows = list_categories(data), []
    size = get_config(preset).size
    for name in names:  # what is wrong with the last one must not be found out after hours
        require_sound(data, name)
        open_category(data, name, size=size).decode()
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


def fitted(detector: Detector, category: Category, folder: Path, **options: Any) -> Any:
    """Train into a folder with the options of `Detector.fit`, or load what is finished there."""
    if (folder / "detector.json").exists():
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        return type(detector).load(folder, device=str(detector.device))
    detector.fit(category.train, checkpoint=folder / "checkpoint", **options)
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
    before = read_run(folder)
    if before["format"] != "synthetic" or before["config"]["preset"] != "demo":
        raise KitError(f"{folder} holds a training that is no demo; choose another --out")
    with locked(folder):
        for path in contents(folder):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_run(folder: Path) -> dict[str, Any]:
    """Read and check a run's description."""
    return read_json(folder / "run.json", "rcae-lite-run", RUN_VERSION, RUN)


def load_run(folder: str | Path, device: str = "auto") -> tuple[dict[str, Any], RcAEDetector]:
    """Read a run's description and its detector."""
    folder = Path(folder)
    if not folder.is_dir():
        raise KitError(f"{folder} is not a folder; name the folder that `rcae train` wrote")
    description = read_run(folder)
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
