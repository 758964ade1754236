"""The paper's tables, regenerated on any data: train every cell once, put it beside the paper.

A table is a list of `Row`; a row, a category and a seed are a cell: one detector, trained and
evaluated by the protocol. Cells run through joblib, so ``joblib.parallel_config(n_jobs=2)`` or
``(backend="dask")`` around `ablate` spreads them. Finished stages and cells are kept in the output
folder: the same call resumes where it stopped, and tables share what they have in common.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from joblib import Parallel, delayed, effective_n_jobs
from tqdm.auto import tqdm

from data_utils import Category, ImageSet, KitError, open_category
from data_utils.doctor import check_dataset
from rcae_lite.base import Detector, keys_of
from rcae_lite.baselines import DETECTORS
from rcae_lite.config import Config, get_config
from rcae_lite.evaluation.results import Evaluation
from rcae_lite.evaluation.scoring import SCORE_RULE
from rcae_lite.storage.atomic import write_text
from rcae_lite.storage.provenance import code_version
from rcae_lite.storage.records import Record, read_record, write_record
from rcae_lite.study import plots, restoration
from rcae_lite.study.cost import Cost, measure
from rcae_lite.study.paper_tables import TABLES, Row, in_words
from rcae_lite.study.restoration import (
    Probed,
    RestorationTable,
    probe_detector,
    probe_resizing,
)
from rcae_lite.study.summary import Ablation, CellResult
from rcae_lite.training.checkpoint import StageStore
from rcae_lite.training.draws import generator_for

__all__ = ["ablate"]


class _CellFile(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a finished cell leaves on disk; fields as in `CellResult`."""

    kind = "rcae-lite-cell"
    format_version = 4

    evaluation: dict[str, Any]
    psnr: float | None = None
    ssim: float | None = None
    trained_with: tuple[str, ...]
    trained_on: tuple[str, ...]


@dataclass(frozen=True)
class _Cell:
    """A detector to train and evaluate; small, because it travels to other processes."""

    row: Row
    category: str
    seed: int
    config: Config
    data: str
    out: Path
    device: str

    @property
    def kind(self) -> type[Detector]:
        return DETECTORS[self.row.detector]

    def open(self) -> tuple[ImageSet, Category]:
        """Return the training images that this cell may see, and the category they are from."""
        category = _open(self.data, self.category, self.config.size)
        count = max(3, round(self.row.share * len(category.train)))
        generator = generator_for(self.seed, "share")  # smaller shares lie within larger ones
        order = torch.randperm(len(category.train), generator=generator).tolist()
        return category.train.subset(sorted(order[:count])), category

    def stage_keys(self) -> dict[str, str]:
        return keys_of(self.kind, self.config, self.seed, self.open()[0])

    def only_up_to(self, detector: str) -> _Cell:
        return dataclasses.replace(self, row=dataclasses.replace(self.row, detector=detector))


@lru_cache(maxsize=4)
def _open(data: str, category: str, size: int) -> Category:
    return open_category(data, category, size=size)


def _train(cell: _Cell, progress: bool) -> Detector:
    """Train a cell's detector, going on from its checkpoint and the stages that are there."""
    train, category = cell.open()
    category.decode()  # an image that cannot be read must not stop a training run half-way
    detector = cell.kind(cell.config, cell.seed, cell.device)
    checkpoint = cell.out / "checkpoints" / list(cell.stage_keys().values())[-1]
    detector.fit(
        train,
        callbacks=None if progress else [],
        checkpoint=checkpoint,
        stages=cell.out / "stages",
    )
    shutil.rmtree(checkpoint, ignore_errors=True)
    return detector


def _prepare(cell: _Cell, progress: bool) -> None:
    """Train stages that several cells share; they stay in the store, nothing travels back."""
    _train(cell, progress)


def _finish(cell: _Cell, path: Path, progress: bool) -> Path:
    """Train and evaluate a cell, and write what was found."""
    detector = _train(cell, progress)
    origins = [stage.origin for stage in detector.stages.values()]
    test = cell.open()[1].test
    quality = {} if cell.row.detector == "full" else _reconstruction_quality(detector, test)
    cell_file = _CellFile(
        evaluation=detector.evaluate(test).to_dict(),
        trained_with=tuple(sorted({str(one.code_version) for one in origins})),
        trained_on=tuple(sorted({f"{one.device}, {one.threads} threads" for one in origins})),
        **quality,
    )
    write_record(path, cell_file)
    return path


def _read(path: Path, label: str) -> CellResult:
    found = read_record(path, _CellFile)
    return CellResult(
        label,
        Evaluation.from_dict(found.evaluation, str(path)),
        found.psnr,
        found.ssim,
        found.trained_with,
        found.trained_on,
    )


def _run(cells: Sequence[_Cell]) -> Iterator[CellResult]:
    """Give every cell's result: those that are there already, then each as it is finished."""
    found = [cell.stage_keys() for cell in cells]
    paths = [
        cell.out / "cells" / f"{list(names.values())[-1]}.json"
        for cell, names in zip(cells, found, strict=True)
    ]
    keys = dict(zip(paths, found, strict=True))
    there = [path.exists() and _score_rule(path).startswith(SCORE_RULE) for path in paths]
    todo = {path: cell for path, cell, done in zip(paths, cells, there, strict=True) if not done}
    yield from (
        _read(path, cell.row.label)
        for path, cell, done in zip(paths, cells, there, strict=True)
        if done
    )
    progress = effective_n_jobs(None) == 1  # bars of several processes would overwrite each other
    for stage, detector in (("rcae", "rcae"), ("dpn", "rcae_dpn")):
        names = {path: keys[path].get(stage, "") for path in todo}
        uses = Counter(names.values())
        shared = {
            key: todo[path].only_up_to(detector)
            for path, key in names.items()
            if key and uses[key] > 1
        }
        Parallel()(
            delayed(_prepare)(cell, progress)
            for key, cell in shared.items()
            if key not in StageStore(cell.out / "stages")
        )
    jobs = (delayed(_finish)(cell, path, progress) for path, cell in todo.items())
    finished = Parallel(return_as="generator_unordered")(jobs)
    for done in tqdm(finished, total=len(todo), desc="cells", disable=not todo):
        for path, cell in zip(paths, cells, strict=True):
            if path == done:
                yield _read(path, cell.row.label)


def _score_rule(path: Path) -> str:
    return read_record(path, _CellFile).evaluation["score_rule"]


def _reconstruction_quality(detector: Detector, test: ImageSet) -> dict[str, float]:
    """PSNR in dB and SSIM of the deepest reconstruction, means over the normal test images."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    normal = test.images()[torch.from_numpy(test.labels == 0)]
    psnr, ssim = [], []
    for image in (normal / 255).split(1):
        rebuilt = detector.trajectory(image).restored[:, :, -1].cpu()
        pair = image[0].numpy(), rebuilt[0].clamp(0, 1).numpy()
        psnr.append(peak_signal_noise_ratio(*pair, data_range=1))
        ssim.append(structural_similarity(*pair, data_range=1, channel_axis=0))
    return {"psnr": mean(map(float, psnr)), "ssim": mean(map(float, ssim))} if psnr else {}


def ablate(
    table: str,
    data: str | Path = "",
    categories: Sequence[str] = (),
    *,
    preset: str = "lite",
    seeds: Sequence[int] = (0, 1, 2),
    out: str | Path,
    step_fraction: float = 1.0,
    device: str = "auto",
    command: str = "",
    **options: Any,
) -> Ablation | Cost | RestorationTable:
    """Train and evaluate every cell of a table, and write it.

    ``OUT/TABLE.csv`` (a line per cell), ``OUT/TABLE.md`` (beside the paper's column) and
    ``OUT/TABLE.png`` are the table; ``OUT/stages``, ``OUT/cells`` and ``OUT/checkpoints`` hold what
    a later call resumes from. Trained stages are reused by all tables in the same folder; delete
    ``OUT/cells`` to evaluate again.

    Parameters
    ----------
    table : str
        One of `TABLES`; "restoration", which probes stages 1 and 2; or "cost", which measures
        untrained detectors and needs no data.
    data : str or Path
        See `data_utils.open_category`.
    categories : sequence of str
        One detector each.
    preset : str
        Configuration of all rows, except for what a row is about.
    seeds : sequence of int
        One training of every row each.
    out : path
        Folder for the table and what is needed to resume; several tables may share one.
    step_fraction : float
        Train every stage for this fraction of the preset's steps, in (0, 1]; the table says so.
    device : str
        See `rcae_lite.base.Detector`.
    command : str
        The command line, for the record.
    **options
        Options to replace in all rows: ``size=64``, ``crd={"width": 24}``; see
        `rcae_lite.config.Config.updated`.

    Returns
    -------
    Ablation, Cost or RestorationTable

    Raises
    ------
    KitError
        If the table, a category or an option is unknown, or a training run fails.
    """
    out = Path(out).absolute()  # other processes may run elsewhere
    if table == "cost":
        config = get_config(preset, **options)
        _claim(out)
        cost = measure(config, device=device, command=command)
        _write(out, table, cost)
        plots.cost(cost).savefig(out / "cost.png", dpi=110)
        return cost
    if table not in (*TABLES, "restoration"):
        known = ", ".join((*TABLES, "restoration", "cost"))
        raise KitError(f"unknown table {table!r}; choose from {known}")
    categories, seeds = list(dict.fromkeys(categories)), list(dict.fromkeys(seeds))
    if not categories or not seeds:
        raise KitError(f"{len(categories)} categories and {len(seeds)} seeds: give one of each")
    config = get_config(preset, **options).shortened(step_fraction)
    rows = restoration.rows(config) if table == "restoration" else TABLES[table](config)
    source = str(data) if str(data) == "synthetic" else str(Path(data).absolute())
    for name in categories:
        check_dataset(source, name)
    _claim(out)
    cells = [
        _Cell(row, name, seed, config.updated(row.options), source, out, device)
        for seed in seeds
        for name in categories
        for row in rows
    ]
    made_by = command or f"rcae_lite.ablate({table!r}, {str(data)!r}, {list(categories)!r}, ...)"
    notes = [f"Command: `{made_by}`", _schedule(config, seeds, options)]
    if table == "restoration":
        probed = RestorationTable(_probe(cells, config), [*notes, f"Code: `{code_version()}`."])
        _write(out, table, probed)
        plots.restoration(probed).savefig(out / f"{table}.png", dpi=110)
        return probed
    order = [row.label for row in rows]
    found: list[CellResult] = []
    result = Ablation(table, rows, categories, seeds, [], notes)
    for cell in _run(cells):
        found = sorted([*found, cell], key=lambda one: _place(one, categories, order))
        origins = _origins(found)
        result = dataclasses.replace(result, results=found, notes=[*notes, *origins])
        _write(out, table, result)
    plots.ablation(result).savefig(out / f"{table}.png", dpi=110)
    return result


def _claim(out: Path) -> None:
    """Refuse a folder with other files in it; mark it as one of tables, which they may share."""
    stages = out / "stages"
    if out.is_dir() and any(out.iterdir()) and not stages.is_dir():
        raise KitError(f"{out} holds other files; choose another folder for the table")
    stages.mkdir(parents=True, exist_ok=True)


def _probe(cells: Sequence[_Cell], config: Config) -> list[Probed]:
    """Train what is not in the store yet, and probe it on the images that were held out."""
    probed = []
    for cell in tqdm(cells, desc="cells"):
        detector, train = _train(cell, progress=True), cell.open()[0]
        if cell.row is cells[0].row:
            probed.append(probe_resizing(config, cell.seed, train))
        probed.append(probe_detector(cell.row, detector, train))
    return probed


def _write(out: Path, table: str, result: Ablation | Cost | RestorationTable) -> None:
    write_text(out / f"{table}.csv", result.csv())
    write_text(out / f"{table}.md", result.markdown())


def _place(cell: CellResult, categories: Sequence[str], order: Sequence[str]) -> tuple[int, ...]:
    made = cell.evaluation.provenance
    return categories.index(made.category), made.seed, order.index(cell.label)


def _schedule(config: Config, seeds: Sequence[int], options: Mapping[str, Any]) -> str:
    lengths = ", ".join(f"{name} {getattr(config, name).length}" for name in ("rcae", "dpn", "crd"))
    names = ", ".join(f"{name} {in_words(value)}" for name, value in options.items())
    changed = f"in all rows {names}; " if names else ""
    return (
        f"Preset `{config.preset}` at {config.size}x{config.size}: {lengths}; {changed}"
        f"seeds {', '.join(map(str, seeds))}; the last step is evaluated."
    )


def _origins(results: Sequence[CellResult]) -> list[str]:
    """Say what made the cells, each value once."""

    def listed(values: Iterator[str]) -> str:
        return ", ".join(f"`{value}`" for value in dict.fromkeys(values))

    made = [result.evaluation.provenance for result in results]
    trained = (version for result in results for version in result.trained_with)
    return [
        f"Data: {listed(f'{m.category} {m.data_fingerprint[:12]}' for m in made)}.",
        f"Trained on {listed(place for r in results for place in r.trained_on)} with PyTorch "
        f"{listed(m.torch for m in made)}; code {listed(trained)}, "
        f"evaluated with {listed(str(m.code_version) for m in made)}.",
    ]
