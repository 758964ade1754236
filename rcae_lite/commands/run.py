"""A run: one training with its evaluation, in one folder that says how to repeat it.

``run.json`` (everything needed to repeat it), ``detector.safetensors`` and ``detector.json``,
``checkpoint/`` (while training), ``evaluation.json``, ``scores.csv`` and ``report.html``.
"""

from __future__ import annotations

import errno
import shutil
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec.structs import replace

from data_utils import Category, ImageSet, KitError, list_categories, open_category
from data_utils.catalogue import SYNTHETIC
from data_utils.doctor import check_dataset, diagnose
from data_utils.listing import list_files, notes
from rcae_lite.base import Detector
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.commands.report import Example, write_report
from rcae_lite.commands.run_record import (
    RunRecord,
    describe,
    load_detector,
    open_category_of,
    open_data_of,
    read_run,
)
from rcae_lite.config import Config, get_config
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.restoration import NothingVisible, Restoration
from rcae_lite.evaluation.results import METRICS, Evaluation
from rcae_lite.storage.atomic import contents, locked, require_empty_folder, write_text
from rcae_lite.storage.records import write_record
from rcae_lite.training import distributed
from rcae_lite.training.callbacks import or_progress
from rcae_lite.training.events import Callback
from rcae_lite.training.side_by_side import side_by_side

__all__ = ["evaluate_run", "forget_demo", "train_all", "train_run"]

_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def _resumable(folder: Path, now: RunRecord) -> RunRecord:
    """Read the description of a run; refuse other data, another configuration or another seed."""
    if not (folder / "run.json").exists():
        raise KitError(f"{folder} holds other files and no run; choose another --out")
    before = read_run(folder)
    for name in ("category", "data_fingerprint", "seed", "config", "false_alarm_rate"):
        if getattr(before, name) != getattr(now, name):
            raise KitError(
                f"{folder} holds a run with another {name}; resume it with "
                f"{before.how_to_resume}, or choose another --out"
            )
    if before.here != now.here:  # other bits may come out
        return replace(before, resumed_with=[*before.resumed_with, now.here])
    return before


def train_run(
    data: str | Path,
    category_name: str | None = None,
    preset: str = "lite",
    *,
    out: str | Path | None = None,
    seed: int = 0,
    step_fraction: float = 1.0,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    resume: bool = False,
    baseline: bool = False,
    false_alarm_rate: float | None = None,
    command: str = "",
    callbacks: Iterable[Callback] | None = None,
) -> tuple[Path, Evaluation]:
    """Train, evaluate and report in one folder.

    Everything that can be wrong with the input is found before the folder is made. The folder is
    locked during training.

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
        See `rcae_lite.base.Detector`.
    step_fraction : float
        Train every stage for this fraction of the preset's steps, in (0, 1]; results record the
        fraction.
    options : mapping, optional
        Options of the preset to replace, see `rcae_lite.config.get_config`; results record them.
    resume : bool
        Continue in a folder that is not empty.
    baseline : bool
        Train and evaluate the single-pass baseline at the same time (in ``baseline/``).
    false_alarm_rate : float, optional
        See `Detector.fit`.
    command : str
        The command line, for the record.
    callbacks : iterable of callable, optional
        See `Detector.fit`; with ``baseline`` they are called by two threads.

    Returns
    -------
    folder : Path
    evaluation : Evaluation
    """
    detector = RcAEDetector(_config(preset, options, step_fraction), seed, device)
    category = check_dataset(data, category_name, size=detector.config.size)
    warn_of_left_out(category)
    folder = _folder_of(detector, preset, category, out)
    require_empty_folder(folder, resume=resume)
    baselines = [SinglePassDetector(detector.config, seed, device)] if baseline else []
    for one in (detector, *baselines):
        one.check_training_set(category.train, false_alarm_rate)
    category.decode()  # an image that cannot be read must not stop a training run half-way
    description = describe(detector, category, false_alarm_rate, command)
    with locked(folder):
        require_empty_folder(folder, resume=resume)  # another run may have come and gone meanwhile
        if contents(folder):
            description = _resumable(folder, description)
        write_record(folder / "run.json", description)

        origin = command, description.code_version
        distributed.wait()  # for those in `follow_run`

        def finish(one: Detector, where: Path, also: Callback) -> tuple[Any, Evaluation]:
            calls = [*or_progress(callbacks), also]
            one = fit_or_load(
                one, category, where, callbacks=calls, false_alarm_rate=false_alarm_rate
            )
            found = one.evaluate(category.test).with_provenance(*origin)
            return one, replace(found, restoration=_restoration(one, category))

        work = [partial(finish, detector, folder)]
        work += [partial(finish, single, folder / "baseline") for single in baselines]
        (detector, evaluation), *others = side_by_side(work)
        for _, compared in others:
            compared.save(folder / "baseline")
        evaluation = _with_doctor(evaluation, category)
        _write_results(detector, category.test, folder, evaluation)
        return folder, evaluation


def _config(preset: str, options: Mapping[str, Any] | None, step_fraction: float = 1.0) -> Config:
    """Return a preset with some options replaced; its name says which."""
    config = get_config(preset, **options or {})
    if options:
        changed = ", ".join(f"{name}={value}" for name, value in options.items())
        config = replace(config, preset=f"{preset} ({changed})")
    return config.shortened(step_fraction)


def follow_run(
    data: str | Path,
    category_name: str | None = None,
    preset: str = "lite",
    *,
    out: str | Path | None = None,
    seed: int = 0,
    step_fraction: float = 1.0,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    false_alarm_rate: float | None = None,
) -> None:
    """Take part in the training of `train_run` in another process; writes and shows nothing.

    Parameters
    ----------
    data, category_name, preset, out, seed, step_fraction, options, device, false_alarm_rate
        As there, the same in all processes.
    """
    detector = RcAEDetector(_config(preset, options, step_fraction), seed, device)
    category = open_category(data, category_name, size=detector.config.size)
    folder = _folder_of(detector, preset, category, out)
    category.decode()
    distributed.wait()  # until the folder is ready
    if not (folder / "detector.json").exists():
        detector.fit(
            category.train,
            callbacks=[],
            checkpoint=folder / "checkpoint",
            false_alarm_rate=false_alarm_rate,
        )


def warn_of_left_out(category: Category) -> None:
    """Warn of what looks like an image and is not read: a line for each kind, with its count."""
    if category.format != SYNTHETIC:
        folder = Path(category.root, category.name)
        for line in notes(list_files(folder, recursive=True).left_out, folder):
            warnings.warn(line, stacklevel=2)


def _folder_of(detector: Detector, preset: str, category: Category, out: str | Path | None) -> Path:
    return Path(out or Path("runs") / f"{category.name}-{preset}-{detector.seed}")


def train_all(
    data: str | Path, preset: str = "lite", *, out: str | Path | None = None, **common: Any
) -> str:
    """Train and evaluate every category of a data set.

    Parameters
    ----------
    data, preset
        See `train_run`.
    out : path, optional
        Folder for the runs and ``summary.csv``; ``runs/all-PRESET-SEED`` by default.
    **common
        ``seed``, ``step_fraction``, ``options``, ``device``, ``resume``, ``false_alarm_rate``,
        ``command`` and ``callbacks`` of `train_run`.

    Returns
    -------
    str
        The table: a line per category and their mean.
    """
    folder = Path(out or Path("runs") / f"all-{preset}-{common.get('seed', 0)}")
    require_empty_folder(folder, resume=common.get("resume", False))
    names, rows = list_categories(data), []
    config = _config(preset, common.get("options"))
    detector = RcAEDetector(config, common.get("seed", 0), common.get("device", "auto"))
    for name in names:  # what is wrong with the last one must not be found out after hours
        category = check_dataset(data, name, size=config.size)
        detector.check_training_set(category.train, common.get("false_alarm_rate"))
        category.decode()
    for name in names:
        _, evaluation = train_run(data, name, preset, out=folder / name, **common)
        found = [evaluation.metrics[metric] for metric in METRICS]
        rows.append([interval.value if interval else np.nan for interval in found])
        print(f"{name}\n{evaluation.summary()}")
    table = pd.DataFrame(rows, index=names, columns=list(METRICS), dtype=float)
    table.loc["mean"] = table.mean()  # of those that have the metric
    table = table.rename_axis("category")
    write_text(folder / "summary.csv", table.to_csv(float_format="%.4f"))
    return table.reset_index().to_string(index=False, float_format="%.4f", justify="left")


def fit_or_load(detector: Detector, category: Category, folder: Path, **options: Any) -> Any:
    """Train into a folder with the options of `Detector.fit`, or load what is finished there."""
    if (folder / "detector.json").exists():
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        return type(detector).load(folder, device=str(detector.device))
    detector.fit(category.train, checkpoint=folder / "checkpoint", **options)
    detector.save(folder)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return detector


def _write_results(
    detector: Detector,
    test: ImageSet,
    folder: Path,
    evaluation: Evaluation,
) -> None:
    baseline = folder / "baseline" / "evaluation.json"
    evaluation.save(folder)
    write_report(
        folder,
        evaluation,
        examples=_examples(detector, test, evaluation),
        losses=detector.losses,
        limits=evaluation.map_limits,
        baseline=Evaluation.load(baseline) if baseline.exists() else None,
    )


def _restoration(detector: Detector, category: Category) -> dict[str, Restoration]:
    """Probe what is kept of defects; a warning where none can be painted."""
    try:
        return detector.restoration(category.train)
    except NothingVisible as error:
        warnings.warn(f"what is kept of defects is not measured: {error}", stacklevel=2)
        return {}


def _evaluate(detector: Detector, category: Category, origin: tuple[str, str | None]) -> Evaluation:
    return _with_doctor(detector.evaluate(category.test).with_provenance(*origin), category)


def _with_doctor(evaluation: Evaluation, category: Category) -> Evaluation:
    """Count what the doctor finds in the data, unless they are drawn."""
    if category.format == SYNTHETIC:
        return evaluation
    found = diagnose(category.root, category.name, size=category.size)
    errors = len(found.errors)
    counts = {"errors": errors, "warnings": len(found.findings) - errors}
    return replace(evaluation, doctor=counts)


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
    if before.format != "synthetic" or before.config.preset != "demo":
        raise KitError(f"{folder} holds a training run that is no demo; choose another --out")
    with locked(folder):
        for path in contents(folder):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _read_alike(category: Category, detector: Detector) -> Category:
    """Read 16-bit greyscale as in the training; say so where these images have other bits."""
    own, bits = category.test.bits, detector.bits
    if own in (None, bits):
        return category
    warnings.warn(
        f"{category.name}: 16-bit greyscale is read with {bits} bits, as in the detector's "
        f"training; these images have {own}",
        stacklevel=3,
    )
    return open_category(category.root, category.name, size=category.size, bits=bits)


def evaluate_run(
    folder: str | Path, *, data: str | Path | None = None, device: str = "auto", command: str = ""
) -> Evaluation:
    """Evaluate a finished run again.

    Parameters
    ----------
    folder : path
        The run, or a saved detector; that needs ``data``.
    data : path, optional
        Another copy of the data, or other data; the files of the run then stay as they are.
        Without it the run's own data are used and its files are renewed, if they can be written.
    device : str
        See `rcae_lite.base.Detector`.
    command : str
        The command line, for the record.
    """
    folder = Path(folder)
    description, detector = load_detector(folder, device)
    before = description.command if description else ""
    trained = description.code_version if description else detector.trained.get("code_version")
    origin = " && ".join(filter(None, (before, command))), trained
    if description is None:
        if data is None:
            raise KitError(
                f"{folder} holds a detector without a run, which has no data; name some with --data"
            )
        name = str(detector.data.get("category", ""))
        category = open_category_of(data, name, detector.config.size)
        return _evaluate(detector, _read_alike(category, detector), origin)
    category = _read_alike(open_data_of(description, data), detector)
    if data is not None:
        return _evaluate(detector, category, origin)
    if category.fingerprint != description.data_fingerprint:
        raise KitError(
            f"the data in {category.root} have changed since the training; to evaluate them as "
            f"other data: rcae evaluate {folder} --data {category.root}"
        )
    evaluation = _evaluate(detector, category, origin)
    evaluation = replace(evaluation, restoration=_restoration(detector, category))
    try:
        _write_results(detector, category.test, folder, evaluation)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        reason = f"{folder} cannot be written to ({error.strerror})"
        warnings.warn(f"{reason}; nothing was written, the result is only shown", stacklevel=2)
    return evaluation
