"""Predictions: what a student expects before a cell is run, kept, and compared afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ipywidgets import HTML, FloatRangeSlider, ToggleButtons, VBox
from msgspec import Struct
from msgspec.structs import replace

from rcae_lite.storage.records import Number, Record, read_record, write_record

__all__ = ["Predictions"]

SURE = 0.8  # how sure a student is to be of an interval


class Prediction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prediction: an interval or a choice, and whether it came true, once that is known."""

    interval: tuple[Number, Number] | None = None
    choice: str | None = None
    true: bool | None = None

    @property
    def made(self) -> bool:
        """Whether the student has predicted anything."""
        return self.interval is not None or self.choice is not None


class _Kept(Record, frozen=True, kw_only=True):
    """The predictions of all notebooks, by notebook and question ("03.parameters")."""

    kind = "rcae-lite-predictions"
    format_version = 1

    predictions: dict[str, Prediction] = {}


class Predictions:
    """The predictions of one notebook.

    Ask with `number` or `choice` in a cell of its own, `reveal` the answer where it is measured,
    and end with `calibration`. What is predicted is kept in a file, over restarts of the kernel.

    Parameters
    ----------
    notebook : str
        Its number, such as "03".
    file : path
        Made with the first prediction.

    Examples
    --------
    >>> predict = Predictions("03")
    >>> field = predict.number("parameters", "times as many parameters", 1, 10)
    >>> predict.reveal("parameters", 1)
    You made no prediction. It is 1 times as many parameters.
    """

    def __init__(self, notebook: str, file: str | Path = "predictions.json") -> None:
        self.notebook = notebook
        self.file = Path(file)
        self.kept = read_record(self.file, _Kept).predictions if self.file.exists() else {}
        self._units: dict[str, str] = {}

    def number(self, question: str, unit: str, low: float, high: float) -> VBox:
        """Ask for an interval that holds a number, by a slider with two ends.

        Parameters
        ----------
        question : str
            Its name, unique in the notebook.
        unit : str
            What the number counts, such as "grey levels".
        low, high : float
            Ends of the slider.

        Returns
        -------
        ipywidgets.VBox
            To be shown as the last line of a cell.
        """
        before = self._of(question).interval
        self._units[question] = unit
        slider = FloatRangeSlider(
            value=before or (low, high), min=low, max=high, step=(high - low) / 100,
            readout_format=".3g", layout={"width": "420px"},
        )  # fmt: skip
        slider.observe(lambda change: self._keep(question, interval=tuple(change.new)), "value")
        text = f"I am {100 * SURE:.0f}% sure that it is between these two ({unit}):"
        return VBox([HTML(text), slider])

    def choice(self, question: str, options: Sequence[Any]) -> VBox:
        """Ask for one of some options.

        Parameters
        ----------
        question : str
            Its name, unique in the notebook.
        options : sequence
            What can be chosen; shown as text.

        Returns
        -------
        ipywidgets.VBox
            To be shown as the last line of a cell.
        """
        names = [str(option) for option in options]
        before = self._of(question).choice
        buttons = ToggleButtons(options=names, value=before if before in names else None)
        buttons.style.button_width = "auto"
        buttons.observe(lambda change: self._keep(question, choice=change.new), "value")
        return VBox([HTML("I predict:"), buttons])

    def reveal(self, question: str, answer: Any, *also: Any) -> None:
        """Print what was predicted beside what came out.

        Parameters
        ----------
        question : str
            As it was asked.
        answer : float or object
            The number, or the option that is right.
        *also : object
            Further options that are right.
        """
        found = self._of(question)
        unit = self._units.get(question)
        text = " or ".join(map(str, (answer, *also))) if unit is None else f"{answer:.3g} {unit}"
        if not found.made:
            print(f"You made no prediction. It is {text}.")
            return
        if found.interval is not None:
            low, high = found.interval
            true = bool(low <= answer <= high)
            said = f"between {low:.3g} and {high:.3g}"
        else:
            true = found.choice in [str(option) for option in (answer, *also)]
            said = str(found.choice)
        self._keep(question, true=true)
        print(f"You predicted {said}. It is {text}: {'right' if true else 'not as predicted'}.")

    def calibration(self) -> None:
        """Print how many predictions came true, in this notebook and in all so far."""
        mine = [p for name, p in self.kept.items() if name.startswith(f"{self.notebook}.")]
        for where, found in (("this notebook", mine), ("all so far", [*self.kept.values()])):
            known = [p for p in found if p.true is not None]
            intervals = [p for p in known if p.interval is not None]
            choices = [p for p in known if p.interval is None]
            if not known:
                print(f"{where}: no prediction yet; the fields above keep them")
                continue
            print(
                f"{where}: {sum(bool(p.true) for p in choices)} of {len(choices)} choices right, "
                f"{sum(bool(p.true) for p in intervals)} of {len(intervals)} intervals hold the "
                f"number (aim for {SURE:.0%})"
            )

    def _of(self, question: str) -> Prediction:
        return self.kept.get(f"{self.notebook}.{question}", Prediction())

    def _keep(self, question: str, **changes: Any) -> None:
        name = f"{self.notebook}.{question}"
        if "true" not in changes:
            changes["true"] = None  # another prediction has to be compared anew
        self.kept = self.kept | {name: replace(self._of(question), **changes)}
        write_record(self.file, _Kept(predictions=self.kept))
