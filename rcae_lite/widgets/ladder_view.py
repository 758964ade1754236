"""Tick the parts of the method on and off, and see what each of them does."""

from __future__ import annotations

import base64
import html
import io
from pathlib import PurePath
from typing import Any

import numpy as np
from ipywidgets import HTML, Button, Checkbox, Dropdown, HBox, IntSlider, ToggleButtons, VBox
from PIL import Image

from data_utils import KitError
from rcae_lite.evaluation.bootstrap import Interval
from rcae_lite.study.ladder import ADDED, Ladder
from rcae_lite.widgets.state.ladder import LadderState

__all__ = ["ComponentLadder"]

BESIDE_LABELS = {"width": "max-content", "margin": "2px 12px 2px 108px"}
BAR = 220  # pixels, the width of an interval's axis
NOW, REFERENCE = "#d55e00", "#8c8c8c"


class ComponentLadder(VBox):
    """Who did the work? Parts to tick; AUROC, paired difference and map follow at once.

    Nothing is computed by a network: all combinations were measured by the ladder.

    Parameters
    ----------
    ladder : Ladder
        From `rcae_lite.study.ladder.ladder`.

    Attributes
    ----------
    state : LadderState
        The same in plain Python.
    controls : dict of str to Widget
        Whose values are the state's, by the same names.
    """

    def __init__(self, ladder: Ladder) -> None:
        self.state = LadderState(ladder)
        self.controls = self._make_controls()
        self._reasons = {name: HTML() for name in ("source", "depth", *ADDED)}
        self._shown = HTML()
        pin = Button(description="make the current one the reference", layout={"width": "auto"})
        pin.on_click(lambda _: self._pin())
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self._set(name, change.new), "value")
        rows = [HBox([self.controls[name], reason]) for name, reason in self._reasons.items()]
        label = '<div style="width: 106px; text-align: right">rebuilt by</div>'
        rows[0].children = (HTML(label), *rows[0].children)
        rows.append(HBox([self.controls["reference"], pin]))
        super().__init__([*rows, self.controls["image"], self._shown])
        self._update()

    def _make_controls(self) -> dict[str, Any]:
        values, choices = self.state.values, self.state.choices
        style = {"description_width": "104px"}
        wide = {"style": style, "layout": {"width": "max-content"}}
        images = self.state.ladder.images
        names = [
            f"{defect} {PurePath(path).name}"
            for defect, path in zip(images.defects, images.paths, strict=True)
        ]
        controls = {
            "source": ToggleButtons(options=choices["source"], layout={"width": "max-content"}),
            "depth": IntSlider(min=1, max=choices["depth"][-1], description="depth n", style=style),
        }
        for name, text in ADDED.items():
            controls[name] = Checkbox(description=text, indent=False, layout=BESIDE_LABELS)
        parts = [(str(one), one) for one in choices["reference"]]
        controls["reference"] = Dropdown(options=parts, description="compared with", **wide)
        pictures = [(name, index) for index, name in enumerate(names)]
        controls["image"] = Dropdown(options=pictures, description="test image", **wide)
        controls["source"].style.button_width = "auto"
        for name, control in controls.items():
            control.value = values[name]
        return controls

    def _pin(self) -> None:
        self.controls["reference"].value = self.state.current.parts

    def _set(self, name: str, value: Any) -> None:
        try:
            self.state.set(name, value)
        except KitError:  # two quick clicks: the second came before its control was closed
            self.controls[name].value = self.state.values[name]
        self._update()

    def _update(self) -> None:
        closed = self.state.closed()
        for name, reason in self._reasons.items():
            self.controls[name].disabled = name in closed
            reason.value = f"<i>{closed.get(name, '')}</i>"
        self._shown.value = self._table() + self._pictures()

    def _table(self) -> str:
        state = self.state
        now, reference = state.current, state.reference
        lows = [rung.auroc.low for rung in state.ladder.measured.values()]
        low = min(0.5, *lows)  # the mark is on the axis, too
        rows = [
            _row(now.parts, now.auroc, low, 1, NOW),
            _row(f"compared with: {reference.parts}", reference.auroc, low, 1, REFERENCE),
            _row(f"difference: {state.verdict()}", state.difference(), low - 1, 1 - low, NOW, "+"),
        ]
        head = "<tr><th></th><th>image AUROC</th><th>95% interval</th>"
        head += "<th><small>mark: 0.5 (chance), no difference</small></th></tr>"
        return f'<table class="rcae-ladder">{STYLE}{head}{"".join(rows)}</table>'

    def _pictures(self) -> str:
        state = self.state
        index = state.values["image"]
        mask = state.ladder.images[index].mask
        outlined = "true defect outlined" if mask.any() else "no defect marked"
        figures = [_figure(state.picture(), f"test image, {outlined}")]
        for rung in (state.reference, state.current):
            below, others = state.rank(rung)
            text = f"{rung.parts}: scores above {below} of {others} normal images"
            figures.append(_figure(state.picture(rung), text))
        return f'<div class="rcae-ladder">{"".join(figures)}</div>'


STYLE = """<style>
.rcae-ladder { color: var(--jp-ui-font-color1, currentColor); line-height: 1.35; }
.rcae-ladder td, .rcae-ladder th { padding: 2px 10px 2px 0; text-align: left; }
.rcae-ladder td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.rcae-ladder figure { display: inline-block; width: 256px; margin: 8px 12px 0 0;
    vertical-align: top; }
.rcae-ladder img { width: 256px; }
</style>"""


def _row(
    text: object, found: Interval, low: float, high: float, colour: str, sign: str = ""
) -> str:
    """One interval in figures, and as a line on an axis with a mark at 0.5, or no difference."""
    form = f"{{:{sign}.3f}}"
    ends = f"[{form.format(found.low)}, {form.format(found.high)}]"

    def at(value: float) -> str:
        return f"{BAR * (value - low) / (high - low):.1f}"

    mark = at(0.0 if sign else 0.5)
    bar = (
        f'<svg width="{BAR}" height="14" role="img" aria-label="{found}">'
        f'<line x1="{mark}" x2="{mark}" y1="0" y2="14" stroke="currentColor" opacity="0.4"/>'
        f'<line x1="{at(found.low)}" x2="{at(found.high)}" y1="7" y2="7" stroke="{colour}" '
        f'stroke-width="4" opacity="0.5"/>'
        f'<circle cx="{at(found.value)}" cy="7" r="5" fill="{colour}"/></svg>'
    )
    cells = (html.escape(str(text)), form.format(found.value), ends, bar)
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _figure(picture: np.ndarray, text: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(text)
    image = f'<img alt="{text}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
