"""The paper's tables, regenerated on any data: train every cell once, put it beside the paper.

A table is a list of `Row`; a row, a category and a seed are a cell: one detector, trained and
evaluated by the protocol. Cells run through joblib, so ``joblib.parallel_config(n_jobs=2)`` or
``(backend="dask")`` around `ablate` spreads them. Finished stages and cells are kept in the output
folder: the same call goes on where it stopped, and tables share what they have in common.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from joblib import Parallel, delayed, effective_n_jobs
from tqdm.auto import tqdm

from data_utils import Category, ImageSet, KitError, open_category
from data_utils.doctor import require_sound
from rcae_lite.config import PRESETS, Config, get_config
from rcae_lite.cost import Cost, measure
from rcae_lite.detector import Detector
from rcae_lite.evaluation import SCORE_RULE
from rcae_lite.files import read_json, write_text
from rcae_lite.residuals import VARIANTS, last_reconstruction
from rcae_lite.results import Evaluation
from rcae_lite.stages import STAGE_VERSION, StageStore
from rcae_lite.tables import UNKNOWN, Ablation, CellResult, Row
from rcae_lite.training import generator_for

__all__ = ["TABLES", "ablate"]

CELL, CELL_VERSION = "rcae-lite-cell", 2


def _components(config: Config) -> list[Row]:
    ours = [Row("+ normality (ours)")] if config.normality else []
    return [
        Row("single-pass", "single_pass", paper=(82.4, 90.8)),
        Row("RcAE", "rcae", paper=(94.1, 95.8)),
        Row("+ DPN", "dpn", paper=(95.7, 96.6)),
        Row("+ CRD", options={"normality": 0.0}, paper=(98.9, 98.7)),
        *ours,
    ]


def _depth(config: Config) -> list[Row]:
    paper = {1: (86.2, 87.4), 3: (96.3, 96.8), 5: (98.9, 98.7), 6: (98.7, 98.4)}
    return [Row(f"N = {n}", options={"depth": n}, paper=paper.get(n, UNKNOWN)) for n in range(1, 7)]


def _sharing(config: Config) -> list[Row]:
    return [
        Row("shared weights, skips", paper=(98.9, 98.7)),
        Row("shared weights, no skips", options={"skips": False}),
        Row("own weights per level, skips", options={"shared": False}, paper=(71.3, None)),
        Row("own weights per level, no skips", options={"shared": False, "skips": False}),
    ]


def _data(config: Config) -> list[Row]:
    paper = {
        ("RcAE", 10): (84.1, 93.4),
        ("RcAE", 100): (98.9, 98.7),
        ("single-pass", 100): (82.4, 90.8),
    }
    return [
        Row(f"{name}, {percent}%", variant, {}, percent / 100, paper.get((name, percent), UNKNOWN))
        for name, variant in (("RcAE", "crd"), ("single-pass", "single_pass"))
        for percent in (10, 25, 50, 75, 100)
    ]


def _steps(config: Config) -> list[Row]:
    last = config.depth
    three = tuple(sorted({1, (1 + last) // 2, last}))
    return [
        Row(f"{last} only", options={"crd_depths": (last,)}, paper=(95.7, 96.6)),
        Row(", ".join(map(str, three)), options={"crd_depths": three}, paper=(98.0, 97.1)),
        Row(f"all of 1..{last}", options={"crd_depths": ()}, paper=(98.9, 98.7)),
    ]


def _residual(config: Config) -> list[Row]:
    """RcAE alone, one change at a time: what holds its plain residual back."""
    changes: list[tuple[str, Any]] = [
        ("depth", 2),
        ("depth", 3),
        ("channels", 16),
        ("rcae_width", 2 * config.rcae_width),
        ("variation", 0.0),
        ("size", 2 * config.size),
    ]
    return [
        Row("single-pass", "single_pass"),
        Row(f"RcAE, N = {config.depth}", "rcae"),
        *(Row(f"{name}: {value:g}", "rcae", {name: value}) for name, value in changes),
    ]


def _departures(config: Config) -> list[Row]:
    """Each option in which a preset departs from the paper, set to the paper's, one at a time."""
    paper = PRESETS["paper"]
    fresh = {"pool_chunk": config.crd.batch_size, "pool_chunks": 1, "pool_every": 1}
    kept = {"preset", "size", "rcae", "dpn", "crd", *fresh}
    options: dict[str, Any] = {
        field.name: getattr(paper, field.name)
        for field in dataclasses.fields(Config)
        if field.name not in kept and getattr(paper, field.name) != getattr(config, field.name)
    }
    schedules: dict[str, Any] = {}
    for name in ("rcae", "dpn", "crd"):
        length = {
            key: getattr(getattr(config, name), key) for key in ("steps", "epochs", "batch_size")
        }
        schedules[name] = dataclasses.replace(getattr(paper, name), **length)
    stage = paper.rcae
    return [
        Row(f"as `{config.preset}`"),
        *(
            Row(f"{name}: {_words(value)}", options={name: value})
            for name, value in options.items()
        ),
        Row(
            f"{stage.schedule} learning rate {stage.learning_rate:g}, no clipping",
            options=schedules,
        ),
        Row("no pool: sequences made anew in every step", options=fresh),
        Row("all of these", options=options | schedules | fresh, paper=(98.9, 98.7)),
    ]


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


TABLES: dict[str, Callable[[Config], list[Row]]] = {
    "components": _components,
    "depth": _depth,
    "sharing": _sharing,
    "data": _data,
    "steps": _steps,
    "residual": _residual,
    "departures": _departures,
}
"""The tables by name: each gives its rows for a configuration."""


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

    def detector(self) -> Detector:
        return VARIANTS[self.row.variant](self.config, self.seed, self.device)

    def open(self) -> tuple[ImageSet, Category]:
        """Return the training images that this cell may see, and the category they are from."""
        category = _open(self.data, self.category, self.config.size)
        count = max(3, round(self.row.share * len(category.train)))
        generator = generator_for(self.seed, "share")  # smaller shares lie within larger ones
        order = torch.randperm(len(category.train), generator=generator).tolist()
        return category.train.subset(sorted(order[:count])), category

    def stage_keys(self) -> dict[str, str]:
        return self.detector().stage_keys(self.open()[0])

    def only_up_to(self, stage: str) -> _Cell:
        return dataclasses.replace(self, row=dataclasses.replace(self.row, variant=stage))


@lru_cache(maxsize=4)
def _open(data: str, category: str, size: int) -> Category:
    return open_category(data, category, size=size)


def _train(cell: _Cell, progress: bool) -> Detector:
    """Train a cell's detector, going on from its checkpoint and the stages that are there."""
    train, category = cell.open()
    category.decode()  # an image that cannot be read must not stop a training half-way
    detector = cell.detector()
    checkpoint = cell.out / "checkpoints" / list(detector.stage_keys(train).values())[-1]
    detector.fit(
        train,
        listeners=None if progress else [],
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
    train, category = cell.open()
    stages = [
        read_json(cell.out / "stages" / key / "stage.json", "rcae-lite-stage", STAGE_VERSION)
        for key in detector.stage_keys(train).values()
    ]
    rebuilds = cell.row.variant != "crd"
    values = {
        "kind": CELL,
        "format_version": CELL_VERSION,
        "evaluation": detector.evaluate(category.test).to_dict(),
        "reconstruction": _reconstruction_quality(detector, category.test) if rebuilds else {},
        "trained_with": sorted({str(stage["code_version"]) for stage in stages}),
        "trained_on": sorted({f"{one['device']}, {one['threads']} threads" for one in stages}),
    }
    write_text(path, json.dumps(values, indent=1, allow_nan=False))
    return path


def _read(path: Path, label: str) -> CellResult:
    values = read_json(path, CELL, CELL_VERSION)
    quality = values["reconstruction"]
    return CellResult(
        label,
        Evaluation.from_dict(values["evaluation"], str(path)),
        quality.get("psnr"),
        quality.get("ssim"),
        tuple(values["trained_with"]),
        tuple(values["trained_on"]),
    )


def _run(cells: Sequence[_Cell]) -> Iterator[CellResult]:
    """Give every cell's result: those that are there already, then each as it is finished."""
    keys = [cell.stage_keys() for cell in cells]
    paths = [
        cell.out / "cells" / f"{list(names.values())[-1]}.json"
        for cell, names in zip(cells, keys, strict=True)
    ]
    keys_of = dict(zip(paths, keys, strict=True))
    there = [path.exists() and _score_rule(path) == SCORE_RULE for path in paths]
    todo = {path: cell for path, cell, done in zip(paths, cells, there, strict=True) if not done}
    yield from (
        _read(path, cell.row.label)
        for path, cell, done in zip(paths, cells, there, strict=True)
        if done
    )
    progress = effective_n_jobs(None) == 1  # bars of several processes would overwrite each other
    for stage in ("rcae", "dpn"):
        names = {path: keys_of[path].get(stage, "") for path in todo}
        uses = Counter(names.values())
        shared = {
            key: todo[path].only_up_to(stage)
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
    return read_json(path, CELL, CELL_VERSION)["evaluation"]["score_rule"]


def _reconstruction_quality(detector: Detector, test: ImageSet) -> dict[str, float]:
    """PSNR in dB and SSIM of the deepest reconstruction, means over the normal test images."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    normal = test.images()[torch.from_numpy(test.labels == 0)]
    psnr, ssim = [], []
    for image in (normal / 255).split(1):
        rebuilt = last_reconstruction(detector.trajectory(image)).cpu()
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
) -> Ablation | Cost:
    """Train and evaluate every cell of a table, and write it.

    ``OUT/TABLE.csv`` (a line per cell), ``OUT/TABLE.md`` (beside the paper's column) and
    ``OUT/TABLE.png`` are the table; ``OUT/stages``, ``OUT/cells`` and ``OUT/checkpoints`` hold what
    a later call goes on from. Trained stages are reused by all tables in the same folder; delete
    ``OUT/cells`` to evaluate again.

    Parameters
    ----------
    table : str
        One of `TABLES`, or "cost", which measures untrained detectors and needs no data.
    data : str or Path
        See `data_utils.open_category`.
    categories : sequence of str
        One detector each.
    preset : str
        Configuration of all rows, except for what a row is about.
    seeds : sequence of int
        One training of every row each.
    out : path
        Folder for the table and what is needed to go on; several tables may share one.
    step_fraction : float
        Train every stage for this fraction of the preset's steps, in (0, 1]; the table says so.
    device : str
        See `rcae_lite.detector.Detector`.
    command : str
        The command line, for the record.
    **options
        Fields of the configuration to replace in all rows, see `rcae_lite.config.get_config`.

    Returns
    -------
    Ablation or Cost

    Raises
    ------
    KitError
        If the table, a category or an option is unknown, or a training fails.
    """
    from rcae_lite import plotting  # here, so that `import rcae_lite` stays quick

    out = Path(out).absolute()  # other processes may run elsewhere
    if table == "cost":
        config = get_config(preset, **options)
        _claim(out)
        cost = measure(config, device=device, command=command)
        _write(out, table, cost)
        plotting.cost(cost).savefig(out / "cost.png", dpi=110)
        return cost
    if table not in TABLES:
        raise KitError(f"unknown table {table!r}; choose from {', '.join(TABLES)}, cost")
    if not categories or not seeds:
        raise KitError(f"{len(categories)} categories and {len(seeds)} seeds: give one of each")
    config = get_config(preset, **options).shortened(step_fraction)
    rows = TABLES[table](config)
    source = str(data) if str(data) == "synthetic" else str(Path(data).absolute())
    for name in categories:
        require_sound(source, name)
    _claim(out)
    cells = [
        _Cell(row, name, seed, dataclasses.replace(config, **row.options), source, out, device)
        for seed in seeds
        for name in categories
        for row in rows
    ]
    made_by = command or f"rcae_lite.ablate({table!r}, {str(data)!r}, {list(categories)!r}, ...)"
    notes = [f"Command: `{made_by}`", _schedule(config, seeds, options)]
    order = [row.label for row in rows]
    found: list[CellResult] = []
    result = Ablation(table, rows, categories, seeds, [], notes)
    for cell in _run(cells):
        found = sorted([*found, cell], key=lambda one: _place(one, categories, order))
        origins = _origins(found)
        result = dataclasses.replace(result, results=found, notes=[*notes, *origins])
        _write(out, table, result)
    plotting.ablation(result).savefig(out / f"{table}.png", dpi=110)
    return result


def _claim(out: Path) -> None:
    """Refuse a folder with other files in it; mark it as one of tables, which they may share."""
    stages = out / "stages"
    if out.is_dir() and any(out.iterdir()) and not stages.is_dir():
        raise KitError(f"{out} holds other files; choose another folder for the table")
    stages.mkdir(parents=True, exist_ok=True)


def _write(out: Path, table: str, result: Ablation | Cost) -> None:
    write_text(out / f"{table}.csv", result.csv())
    write_text(out / f"{table}.md", result.markdown())


def _place(cell: CellResult, categories: Sequence[str], order: Sequence[str]) -> tuple[int, ...]:
    made = cell.evaluation.provenance
    return categories.index(made.category), made.seed, order.index(cell.label)


def _schedule(config: Config, seeds: Sequence[int], options: Mapping[str, Any]) -> str:
    stages = [(name, getattr(config, name)) for name in ("rcae", "dpn", "crd")]
    lengths = ", ".join(
        f"{name} {stage.steps or stage.epochs} {'steps' if stage.steps else 'epochs'}"
        for name, stage in stages
    )
    names = ", ".join(f"{name} {_words(value)}" for name, value in options.items())
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
