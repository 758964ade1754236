"""A table of an ablation: its rows, what was found, the paper's column; as CSV and Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean
from typing import Any

import pandas as pd

from rcae_lite.evaluation.metrics import auroc_difference
from rcae_lite.evaluation.results import METRICS, Evaluation
from rcae_lite.study.paper_tables import UNKNOWN, Row

__all__ = ["Ablation", "CellResult", "markdown_table"]
SHOWN = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "au_pro": "AU-PRO"}
MEAN = "mean of the categories"

_InBoth = tuple[float, float, str]  # a row's value in the paper, its value here, its label


@dataclass(frozen=True)
class CellResult:
    """What one training gave.

    Parameters
    ----------
    label : str
        Of its row.
    evaluation : Evaluation
        Category, seed, parameters and seconds are in its provenance.
    psnr, ssim : float or None
        Of the deepest reconstruction, means over the normal test images; PSNR in dB. None where
        the map is CRD's.
    trained_with : tuple of str
        Code versions of the training runs behind it.
    trained_on : tuple of str
        Devices and threads of the training runs behind it.
    """

    label: str
    evaluation: Evaluation
    psnr: float | None
    ssim: float | None
    trained_with: tuple[str, ...]
    trained_on: tuple[str, ...]

    def value(self, metric: str) -> float | None:
        """Return a metric of the protocol in percent, or "psnr" or "ssim" as they are."""
        if metric in ("psnr", "ssim"):
            return self.psnr if metric == "psnr" else self.ssim
        found = self.evaluation.metrics[metric]
        return 100 * found.value if found else None


@dataclass(frozen=True)
class Ablation:
    """A table: rows, cells, and how it was made.

    Parameters
    ----------
    table : str
        Name of the table.
    rows : sequence of Row
        In the order of the paper.
    categories : sequence of str
        What was trained on.
    seeds : sequence of int
        Of the training runs.
    results : sequence of CellResult
        One per row, category and seed that is finished.
    notes : sequence of str
        How it was made: command, preset and so on; one line each.
    """

    table: str
    rows: Sequence[Row]
    categories: Sequence[str]
    seeds: Sequence[int]
    results: Sequence[CellResult]
    notes: Sequence[str]

    @property
    def missing(self) -> int:
        """Cells that are not finished."""
        return len(self.rows) * len(self.categories) * len(self.seeds) - len(self.results)

    def values(self, label: str, metric: str, category: str = MEAN) -> list[float]:
        """Metric in percent, one value per seed that has it; the mean of the categories or of one.

        Parameters
        ----------
        label : str
            Of a row.
        metric : str
            One of `rcae_lite.evaluation.results.METRICS`, or "psnr" or "ssim" (not in percent).
        category : str, optional
            The mean of all of them by default; a seed counts once it has all of them.
        """
        wanted = list(self.categories) if category == MEAN else [category]
        found = []
        for seed in self.seeds:
            cells = [
                cell
                for cell in self._cells(label, category)
                if cell.evaluation.provenance.seed == seed
            ]
            values = [value for cell in cells if (value := cell.value(metric)) is not None]
            if len(values) == len(wanted):
                found.append(mean(values))
        return found

    def differences(self, category: str) -> list[str]:
        """Say by how much rows differ in AUROC from the rows they are compared with.

        Parameters
        ----------
        category : str
            One of `categories`; rows that are not finished there are left out.
        """
        lines = []
        pairs = [(row.label, other) for row in self.rows for other in row.compared_with]
        for pair in pairs:
            ours, theirs = (self._cells(label, category) for label in pair)
            pixels = [self.values(label, "pixel_auroc", category) for label in pair]
            if not all(pixels) or len(ours) != len(theirs):
                continue
            scores = [[cell.evaluation.scores for cell in cells] for cells in (ours, theirs)]
            image = auroc_difference(ours[0].evaluation.labels, *scores)
            value, low, high = (100 * part for part in (image.value, image.low, image.high))
            lines.append(
                f"{pair[0]} minus {pair[1]}: image AUROC {value:+.1f} [{low:+.1f}, {high:+.1f}], "
                f"pixel AUROC {mean(pixels[0]) - mean(pixels[1]):+.1f}"
            )
        return lines

    def _cells(self, label: str, category: str) -> list[CellResult]:
        """Return what is finished of a row; of a category, or of all of them for their mean."""
        return [
            result
            for result in self.results
            if result.label == label and category in (MEAN, result.evaluation.provenance.category)
        ]

    def reversed_pairs(self, metric: str = "image_auroc", source: str = "paper") -> list[str]:
        """Pairs of rows whose order in the paper is not the order found here, in words.

        Parameters
        ----------
        metric : {"image_auroc", "pixel_auroc"}
            What the rows are ordered by: means over categories and seeds.
        source : {"paper", "paper_visa"}
            Which of the paper's values, see `Row`.
        """
        return [
            f"{high[2]} above {low[2]} in the paper ({high[0]} and {low[0]}), "
            f"not here ({high[1]:.1f} and {low[1]:.1f})"
            for low, high in self._reversed(metric, source)
        ]

    def _reversed(self, metric: str, source: str) -> list[tuple[_InBoth, _InBoth]]:
        """Pairs of rows, the lower one in the paper first, that are not so here."""
        return [
            (low, high)
            for low, high in combinations(sorted(self._in_both(metric, source)), 2)
            if low[0] < high[0] and low[1] >= high[1]
        ]

    def _in_both(self, metric: str, source: str) -> list[_InBoth]:
        """Rows with a value in the paper and here: the paper's, ours, the label."""
        place = list(SHOWN).index(metric)
        return [
            (paper, mean(ours), row.label)
            for row in self.rows
            if (paper := getattr(row, source)[place]) is not None
            and (ours := self.values(row.label, metric))
        ]

    @property
    def sources(self) -> dict[str, str]:
        """The paper's data sets that have values for these rows, by field of `Row`."""
        return {
            field: name
            for field, name in {"paper": "MVTec AD", "paper_visa": "VisA"}.items()
            if any(getattr(row, field) != UNKNOWN for row in self.rows)
        }

    def markdown(self) -> str:
        """Return the table beside the paper's column, one per category and one of their mean."""
        lines = [f"# Ablation: {self.table}", "", *(f"- {note}" for note in self.notes)]
        if self.missing:
            lines.append(
                f"- **Not finished**: {self.missing} cells are missing; the same command resumes."
            )
        lines += [
            "",
            "In percent; over several seeds the mean, and in brackets the lowest and the highest.",
            "The paper's figures are image / pixel AUROC at 1024x1024, means over all categories.",
        ]
        for category in [*self.categories, *([MEAN] if len(self.categories) > 1 else [])]:
            lines += ["", f"## {category}", "", *self._markdown_table(category)]
            if differences := self.differences(category) if category != MEAN else []:
                lines += ["", *(f"- {line}." for line in differences)]
                lines.append("- In brackets: 95%, paired bootstrap over the test images.")
        for source, name in self.sources.items():
            lines += ["", f"## The paper's order on {name}", "", *self._order(source)]
        return "\n".join(lines) + "\n"

    def _order(self, source: str) -> list[str]:
        """Say where the order of the rows is not the paper's."""
        lines = []
        for metric in ("image_auroc", "pixel_auroc"):
            pairs = math.comb(len(self._in_both(metric, source)), 2)
            turned = [f"{high[2]} above {low[2]}" for low, high in self._reversed(metric, source)]
            if not pairs:
                verdict = "fewer than two rows have a value in both"
            elif turned:
                verdict = f"{len(turned)} of {pairs} pairs reversed; in the paper: "
                verdict += "; ".join(turned)
            else:
                verdict = "as in the paper, as far as both have a value"
            lines.append(f"- {SHOWN[metric]}: {verdict}.")
        return lines

    def _markdown_table(self, category: str) -> list[str]:
        rebuilt = any(row.detector in ("rcae", "rcae_dpn") for row in self.rows)
        head = [self.table, *SHOWN.values(), *(["PSNR dB", "SSIM"] if rebuilt else [])]
        head += ["parameters", "training s", *(f"paper, {name}" for name in self.sources.values())]
        body = []
        for row in self.rows:
            cells = [_spread(self.values(row.label, metric, category)) for metric in SHOWN]
            if rebuilt:
                cells.append(_spread(self.values(row.label, "psnr", category), 2))
                cells.append(_spread(self.values(row.label, "ssim", category), 3))
            paper = [
                " / ".join("-" if value is None else str(value) for value in getattr(row, source))
                for source in self.sources
            ]
            body.append([row.label, *cells, *self._cost(row.label, category), *paper])
        return markdown_table(head, body)

    def _cost(self, label: str, category: str) -> list[str]:
        cells = [cell.evaluation.provenance for cell in self._cells(label, category)]
        if not cells:
            return ["-", "-"]
        seconds = mean(sum(cell.seconds["train"].values()) for cell in cells)
        return [f"{cells[0].parameters['total']:,}", f"{seconds:.0f}"]

    def csv(self) -> str:
        """Return one line per cell: metrics with intervals, provenance, the paper's values."""
        return pd.DataFrame([self._csv_line(cell) for cell in self.results]).to_csv(index=False)

    def _csv_line(self, result: CellResult) -> dict[str, Any]:
        row = next(row for row in self.rows if row.label == result.label)
        made = result.evaluation.provenance
        line: dict[str, Any] = {"table": self.table, "row": row.label, "detector": row.detector}
        line |= {"category": made.category, "seed": made.seed}
        for name in METRICS:
            found = result.evaluation.metrics[name]
            for part in ("value", "low", "high"):
                value = round(getattr(found, part), 5) if found else None
                line[name if part == "value" else f"{name}_{part}"] = value
        ladder = result.evaluation.residual_auroc_by_depth
        return line | {
            "psnr": result.psnr and round(result.psnr, 3),
            "ssim": result.ssim and round(result.ssim, 4),
            "residual_auroc_by_depth": " ".join("-" if v is None else f"{v:.4f}" for v in ladder),
            "paper_image_auroc": row.paper[0],
            "paper_pixel_auroc": row.paper[1],
            "paper_visa_image_auroc": row.paper_visa[0],
            "paper_visa_pixel_auroc": row.paper_visa[1],
            "parameters": made.parameters["total"],
            "training_images": made.training_images,
            "training_seconds": round(sum(made.seconds["train"].values()), 1),
            "seconds_per_image": made.seconds["inference_per_image"],
            "preset": made.preset,
            "resolution": made.resolution[0],
            "device": made.device,
            "threads": made.threads,
            "data_fingerprint": made.data_fingerprint,
            "trained_with": " ".join(result.trained_with),
            "evaluated_with": made.code_version,
            "torch": made.torch,
        }


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Write a table in Markdown, a string per line."""
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *body]]


def _spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean, and the range where there are several."""
    if not values:
        return "-"
    text = f"{mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return text
