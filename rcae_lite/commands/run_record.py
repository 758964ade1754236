"""A run's folder, read again: what ``run.json`` says of it, its detector, its data."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from data_utils import Category, KitError, list_categories, open_category
from data_utils.errors import DataError
from rcae_lite.base import Detector
from rcae_lite.baselines import DETECTORS
from rcae_lite.config import Config
from rcae_lite.detector import RcAEDetector
from rcae_lite.storage.provenance import code_version, environment, machine
from rcae_lite.storage.records import Count, Rate, Record, read_record
from rcae_lite.training.checkpoint import Snapshot
from rcae_lite.version import __version__

__all__ = [
    "RunRecord",
    "describe",
    "load_detector",
    "load_run",
    "open_category_of",
    "open_data_of",
    "read_run",
]


class RunRecord(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``run.json``: everything that it takes to repeat a run."""

    kind = "rcae-lite-run"
    format_version = 2

    command: str
    data: str
    format: str
    category: str
    data_fingerprint: str
    seed: Count
    config: Config
    false_alarm_rate: Rate | None = None
    device: str
    machine: str
    version: str
    code_version: str | None = None
    python: str
    torch: str
    torchvision: str
    numpy: str
    scipy: str
    pillow: str
    threads: Annotated[int, Meta(ge=1, le=4096)]
    resumed_with: list[dict[str, Any]] = []

    @property
    def how_to_resume(self) -> str:
        """The command line, or what to write in Python."""
        return f"{self.command} --resume" if self.command else "train_run(..., resume=True)"

    @property
    def here(self) -> dict[str, Any]:
        """What other bits may come of: device, machine, code and the environment."""
        names = ("device", "machine", "code_version", *environment())
        return {name: getattr(self, name) for name in names}


def describe(
    detector: Detector, category: Category, false_alarm_rate: float | None, command: str
) -> RunRecord:
    """Say how a detector is trained here."""
    return RunRecord(
        command=command,
        data=category.root,
        format=category.format,
        category=category.name,
        data_fingerprint=category.fingerprint,
        seed=detector.seed,
        config=detector.config,
        false_alarm_rate=false_alarm_rate,
        device=detector.device.type,
        machine=machine(),
        version=__version__,
        code_version=code_version(),
        python=platform.python_version(),
        **environment(),
    )


def read_run(folder: Path) -> RunRecord:
    """Read and check a run's description."""
    return read_record(folder / "run.json", RunRecord)


def load_run(folder: str | Path, device: str = "auto") -> tuple[RunRecord, RcAEDetector]:
    """Read a run's description and its detector."""
    folder = Path(folder)
    if not folder.is_dir():
        raise KitError(f"{folder} is not a folder; name the folder that `rcae train` wrote")
    description = read_run(folder)
    if not (folder / "detector.json").exists():
        raise KitError(
            f"{folder} holds no finished training; resume it with {description.how_to_resume}"
        )
    return description, RcAEDetector.load(folder, device=device)


def load_detector(
    folder: str | Path, device: str = "auto"
) -> tuple[RunRecord, RcAEDetector] | tuple[None, Detector]:
    """Read a run as `load_run`, or a detector of any kind that `Detector.save` wrote."""
    folder = Path(folder)
    saved = folder / "detector.json"
    if (folder / "run.json").exists() or not saved.exists():
        return load_run(folder, device)
    kind = read_record(saved, Snapshot).detector
    return None, DETECTORS[kind].load(folder, device=device)


def open_data_of(run: RunRecord, data: str | Path | None = None) -> Category:
    """Open the data of a run.

    Parameters
    ----------
    run : RunRecord
        From its ``run.json``.
    data : path, optional
        Where they are now, or other data; the run's category of them, if they have it.

    Raises
    ------
    DataError
        As `data_utils.open_category`; for data that are not where they were it names ``--data``.
    """
    if data is not None:
        return open_category_of(data, run.category, run.config.size)
    try:
        return open_category(run.data, run.category, size=run.config.size)
    except DataError as error:
        raise DataError(f"{error}; if the data have moved, say where with --data") from None


def open_category_of(data: str | Path, name: str, size: int) -> Category:
    """Open other data: the category of this name, if they have it."""
    return open_category(data, name if name in list_categories(data) else None, size=size)
