"""What a doctor says: findings, what each kind means, and the diagnosis they make up."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from data_utils.errors import printable
from data_utils.published import Counts

__all__ = ["KINDS", "CategorySummary", "Diagnosis", "Finding", "Kind", "Severity"]

Severity = Literal["error", "warning"]

_SHOWN = 3  # findings of a kind on the page of text
_ENOUGH = 16  # pixels of a defect, 4x4: two halvings leave one of them
_SIDES = 32  # training sizes are multiples of it, up to depth 4


class Kind(NamedTuple):
    """A kind of finding.

    Parameters
    ----------
    severity : {"error", "warning"}
        An error makes training fail or a result wrong; a warning asks for a look.
    title, meaning : str
        What it is, and why it matters.
    """

    severity: Severity
    title: str
    meaning: str


KINDS = {
    "no-images": Kind("error", "Images are missing", "Without them there is no run."),
    "layout": Kind("error", "Files do not fit the layout", "Readers refuse the data set."),
    "unreadable": Kind("error", "Files cannot be read", "A training refuses them."),
    "mask-size": Kind(
        "error", "Mask and image differ in size", "Nobody knows which pixels are meant."
    ),
    "mask-empty": Kind(
        "error",
        "Defective image, empty mask",
        "The defect counts as normal in every pixel metric.",
    ),
    "mask-on-good": Kind(
        "error",
        "Normal image, mask with a defect",
        "Folder and mask contradict each other; the folder is believed.",
    ),
    "train-defective": Kind(
        "error", "Defective images to train on", "The detector learns defects as normal."
    ),
    "leak": Kind(
        "error", "Same image in train and test", "The result tells what was learned by heart."
    ),
    "label-conflict": Kind(
        "error", "Same image, normal and defective", "One of the two labels is wrong."
    ),
    "one-class-test": Kind(
        "warning", "One class in the test set", "There is no AUROC and no detection rate."
    ),
    "counts": Kind(
        "warning",
        "Other counts than published",
        "Results are not comparable with published ones.",
    ),
    "unused": Kind(
        "warning", "Images that nothing reads", "Misnamed, or in a folder the layout does not have."
    ),
    "not-read": Kind(
        "warning", "Files that are not read", "They look like images, and count as missing."
    ),
    "no-content": Kind(
        "warning",
        "Images that show next to nothing",
        "Of one value, or of a few: a camera that was off, a format that was read wrong.",
    ),
    "narrow-range": Kind(
        "warning",
        "Images in a quarter of the range of values",
        "Too dark, too flat, or of another bit depth than their files say.",
    ),
    "pages": Kind("warning", "Images of several pages", "The first one is read, no other."),
    "odd-shape": Kind(
        "warning", "Images far too small or too long", "Nothing is left of them in a square."
    ),
    "near-leak": Kind(
        "warning",
        "Nearly the same image in train and test",
        "If it is the same part, the test is easier than practice.",
    ),
    "duplicate": Kind("warning", "Same image twice in one split", "It counts twice."),
    "near-duplicate": Kind(
        "warning",
        "Nearly the same image in one split",
        "If it is the same photograph, it counts twice, and intervals come out too narrow.",
    ),
    "mask-missing": Kind(
        "warning", "Defective image without a mask", "It is left out of the pixel metrics."
    ),
    "mask-not-binary": Kind(
        "warning",
        "Mask with more than two values",
        "Whatever is not 0 is defective; of a smoothed mask, and of a JPEG, the upper half is.",
    ),
    "mask-too-large": Kind(
        "warning",
        "Mask that marks nearly everything",
        "Inverted, or with values other than 0 for normal pixels, it turns the metrics round.",
    ),
    "tiny-defect": Kind(
        "warning",
        "Defects smaller than a pixel at the training size",
        "The detector can hardly see them.",
    ),
    "odd-size": Kind(
        "warning", "Images of odd size or shape", "All are squashed to one square: shapes change."
    ),
    "odd-mode": Kind(
        "warning", "Images of odd mode or bit depth", "A camera was set differently, perhaps."
    ),
    "brightness": Kind(
        "warning", "Normal images of odd brightness", "They teach, or test, another light."
    ),
    "sharpness": Kind(
        "warning", "Normal images of odd sharpness", "Out of focus, moved, or not this part."
    ),
}
"""Every kind, in the order in which they are shown: errors first."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or looks so.

    Parameters
    ----------
    severity : {"error", "warning"}
        As in `KINDS`.
    kind : str
        One of `KINDS`.
    paths : tuple of str
        The images concerned, relative to the data root.
    message : str
        What was found and what was expected.
    remedy : str
        What to do about it, by file name.
    masks : tuple of str
        The masks concerned, relative to the data root.
    """

    severity: Severity
    kind: str
    paths: tuple[str, ...]
    message: str
    remedy: str
    masks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CategorySummary:
    """What is in a category.

    Parameters
    ----------
    name : str
        For example "bottle".
    counts : Counts
        Images that were found, broken ones included.
    masks : int
        Defective test images with a mask.
    published : Counts or None
        What the authors of the data set publish; None if this is no category of theirs.
    sizes, modes : str
        Sizes (height x width), and modes with bit depths, in words.
    small_defects, defects : int
        Connected defects smaller than a pixel at the training size, and all of them.
    small_masks : tuple of float or None
        Pixels at the training size of the smallest mask, and what a tenth of the masks have at
        most; of each its largest defect counts. None without masks.
    examples : tuple of str
        An image of each split and defect, relative to the data root.
    """

    name: str
    counts: Counts
    masks: int
    published: Counts | None
    sizes: str
    modes: str
    small_defects: int
    defects: int
    small_masks: tuple[float, ...] | None
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """All that was found in a data set.

    Parameters
    ----------
    format : str
        The layout: "mvtec", "visa", "btad", "loco", "folder" or "synthetic".
    root : str
        The data root.
    size : int
        Training height and width in pixels.
    categories : tuple of CategorySummary
        What is there.
    findings : tuple of Finding
        What is wrong, errors first.
    """

    format: str
    root: str
    size: int
    categories: tuple[CategorySummary, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make training fail or a result wrong."""
        return tuple(found for found in self.findings if found.severity == "error")

    @property
    def exit_code(self) -> int:
        """0: fine; 1: warnings; 2: errors."""
        return 2 if self.errors else int(bool(self.findings))

    def by_kind(self) -> dict[str, list[Finding]]:
        """Group the findings by kind, in the order of `KINDS`."""
        grouped = {kind: [f for f in self.findings if f.kind == kind] for kind in KINDS}
        return {kind: found for kind, found in grouped.items() if found}

    def verdict(self) -> str:
        """Count errors and warnings in words."""
        errors = len(self.errors)
        warnings = len(self.findings) - errors
        if not self.findings:
            return "fine: nothing found"
        return f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"

    def summary(self) -> str:
        """One page of text: what is there, and the first few findings of each kind."""
        lines = [f"{self.root}: layout {self.format}, checked for {self.size}x{self.size}", ""]
        lines += [*self._table(), "", self.verdict()]
        for kind, found in self.by_kind().items():
            severity, title, meaning = KINDS[kind]
            lines += ["", f"{severity.upper()} {kind}: {title} ({len(found)}). {meaning}"]
            lines += [f"  {finding.message}" for finding in found[:_SHOWN]]
            if len(found) > _SHOWN:
                lines.append(f"  and {len(found) - _SHOWN} more")
        return "\n".join(map(printable, lines))

    def _table(self) -> Iterator[str]:
        width = max([len("category"), *(len(found.name) for found in self.categories)])
        yield f"{'category':{width}}  train  test good  defective  masks  published"
        for found in self.categories:
            train, good, defective = found.counts
            published = "/".join(map(str, found.published)) if found.published else "-"
            yield (
                f"{found.name:{width}}  {train:5}  {good:9}  {defective:9}  {found.masks:5}  "
                f"{published}"
            )
        for found in self.categories:
            yield f"{found.name}: {found.sizes}; {found.modes}"
            if advice := self.size_advice(found):
                yield f"{found.name}: {advice}"
            if found.small_defects:
                yield (
                    f"{found.name}: {found.small_defects} of {found.defects} connected defects are "
                    f"smaller than a pixel at {self.size}x{self.size}; AU-PRO counts each as one "
                    "region"
                )

    def size_advice(self, category: CategorySummary) -> str | None:
        """Say how small the masks are, and from which size on nine of ten are large enough."""
        if category.small_masks is None:
            return None
        smallest, tenth = category.small_masks
        text = (
            f"the smallest mask has {smallest:.1f} pixels at {self.size}x{self.size}, a tenth of "
            f"them at most {tenth:.1f}"
        )
        if tenth >= _ENOUGH:
            return text
        side = _SIDES * math.ceil(self.size * math.sqrt(_ENOUGH / tenth) / _SIDES)
        return (
            f"{text}, which is easily missed; train at {side}x{side}, where these have {_ENOUGH} "
            f"(rcae train ... --set size={side}), or cut the images into tiles"
        )

    def fix_plan(self) -> str:
        """List what to do, a line for each finding, grouped by kind; nothing is changed."""
        if not self.findings:
            return "nothing to do"
        lines = [f"What to do in {self.root}; nothing has been changed."]
        for kind, found in self.by_kind().items():
            lines += ["", f"{KINDS[kind].title}:"]
            lines += [f"  {finding.remedy}" for finding in found]
        return "\n".join(map(printable, lines))

    def to_json(self) -> str:
        """One JSON object with everything."""
        return json.dumps(asdict(self) | {"exit_code": self.exit_code}, indent=1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
