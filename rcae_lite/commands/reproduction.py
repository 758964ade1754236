"""Repeat a run from its `run.json` and compare: to the bit on its machine, else by its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from data_utils import KitError
from rcae_lite.commands.run import fit_or_load
from rcae_lite.commands.run_record import RunRecord, load_run, open_data_of
from rcae_lite.detector import RcAEDetector
from rcae_lite.evaluation.results import METRICS, Evaluation
from rcae_lite.storage.atomic import contents, locked
from rcae_lite.storage.provenance import environment, machine
from rcae_lite.storage.tensors import load_tensors
from rcae_lite.training.events import Callback

__all__ = ["Reproduction", "SPREAD", "reproduce_run"]
SPREAD = {  # largest difference between three seeds, on bottle or tiles: results/*-lite-?.json
    "image_auroc": 0.0245,
    "pixel_auroc": 0.0118,
    "pixel_ap": 0.0120,
    "au_pro": 0.0159,
    "image_f1_max": 0.0125,
}


@dataclass(frozen=True)
class Reproduction:
    """What came out of repeating a run.

    Parameters
    ----------
    identical : bool
        All weights are the same to the bit.
    elsewhere : list of str
        How this place differs from that of the run. Empty: the same bits were to be expected.
    metrics : dict of str to (float or None, float or None)
        The run's and the repeated ones.
    """

    identical: bool
    elsewhere: list[str]
    metrics: dict[str, tuple[float | None, float | None]]

    @property
    def outside(self) -> list[str]:
        """Metrics that differ by more than `SPREAD`, or that only one of the two has."""
        return [name for name, pair in self.metrics.items() if not _close(pair, SPREAD[name])]

    @property
    def succeeded(self) -> bool:
        """Identical, or, elsewhere, within the spread."""
        return self.identical or (bool(self.elsewhere) and not self.outside)

    def summary(self) -> str:
        """Return the comparison for the terminal."""
        lines = [f"weights: {'identical to the bit' if self.identical else 'not identical'}"]
        if self.elsewhere:
            lines.append(f"not the same place: {'; '.join(self.elsewhere)}")
        for name, (before, now) in self.metrics.items():
            shown = ["-" if value is None else f"{value:.4f}" for value in (before, now)]
            note = "  outside" if name in self.outside else ""
            lines.append(
                f"  {METRICS[name]:<22} {shown[0]} then, {shown[1]} now "
                f"(spread {SPREAD[name]:.4f}){note}"
            )
        if not self.identical and not self.elsewhere:
            lines.append("the same machine, PyTorch and threads should have given the same bits")
        lines.append("reproduced" if self.succeeded else "not reproduced")
        return "\n".join(lines)


def _close(pair: tuple[float | None, float | None], spread: float) -> bool:
    before, now = pair
    if before is None or now is None:
        return before is now
    return abs(before - now) <= spread


def reproduce_run(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Reproduction:
    """Train a finished run again from its description, and compare weights and metrics.

    Parameters
    ----------
    folder : path
        The run. It is only read.
    data : path, optional
        Where its data are now, if they have moved.
    out : path, optional
        Where the repeated training goes; ``RUN-reproduced`` beside it by default. A training that
        was stopped there resumes.
    device : str, optional
        Another device than the run's.
    callbacks : iterable of callable, optional
        See `Detector.fit`.

    Raises
    ------
    KitError
        If the run is not finished, its data are not where they were or have changed, or ``out``
        holds anything but such a training run that was stopped.
    """
    folder = Path(folder).absolute()  # "." has no name
    run, before = load_run(folder, device="cpu")
    evaluation = Evaluation.load(folder / "evaluation.json")
    category = open_data_of(run, data)
    if category.fingerprint != run.data_fingerprint:
        raise KitError(
            f"the data in {category.root} are not those of the run (fingerprint "
            f"{category.fingerprint[:12]}, then {run.data_fingerprint[:12]}); restore them, "
            "or name a copy with --data"
        )
    out = Path(out or folder.with_name(f"{folder.name}-reproduced"))
    other = [path.name for path in contents(out) if path.name != "checkpoint"]
    if other:  # a detector that is there would be compared instead of a new one
        raise KitError(
            f"{out} holds {other[0]}; remove it or name another folder with --out: a run is "
            "trained again, not read"
        )
    detector = RcAEDetector(run.config, run.seed, device or run.device)
    with locked(out), _threads(run.threads):
        options = {"callbacks": callbacks, "false_alarm_rate": run.false_alarm_rate}
        detector = fit_or_load(detector, category, out, **options)
        again = detector.evaluate(category.test)
    weights = [load_tensors(place / "detector.safetensors") for place in (folder, out)]
    return Reproduction(
        identical=weights[0].keys() == weights[1].keys()
        and all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        and before.calibration_scores == detector.calibration_scores,
        elsewhere=_differences(run, detector),
        metrics={name: (_value(evaluation, name), _value(again, name)) for name in METRICS},
    )


def _value(evaluation: Evaluation, name: str) -> float | None:
    found = evaluation.metrics[name]
    return found.value if found else None


def _differences(run: RunRecord, detector: RcAEDetector) -> list[str]:
    """Say why other bits are to be expected; only CPUs promise the same ones."""
    here = environment() | {"machine": machine(), "device": detector.device.type}
    here["threads"] = run.threads  # set for the training, see `_threads`
    found = [
        f"{name} {getattr(run, name)!r} then, {value!r} now"
        for name, value in here.items()
        if getattr(run, name) != value
    ]
    if run.resumed_with:
        found.append("the run was resumed in another environment")
    return found + (["trained on a GPU"] if here["device"] != "cpu" else [])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with as many threads as the run had: sums are split, and so rounded, like then."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
