"""The data doctor: everything that is wrong with a data set, and not only the first of it.

`diagnose` reads every file once, in parallel (`examine`), and looks at what it learned
(`checks`); near-duplicates are found by a perceptual hash (`similar`). The result (`findings`) is
one page of text, JSON, a list of remedies, or a page of HTML (`page`). Nothing is ever changed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from data_utils.catalogue import (
    FORMATS,
    SYNTHETIC,
    Place,
    category_of,
    locate,
    open_category,
)
from data_utils.doctor.checks import Case, check
from data_utils.doctor.examine import Facts, examine
from data_utils.doctor.findings import KINDS, CategorySummary, Diagnosis, Finding
from data_utils.doctor.page import to_html
from data_utils.errors import DataError
from data_utils.formats.common import subfolders
from data_utils.listing import list_files, list_images
from data_utils.published import PUBLISHED
from data_utils.samples import Category, whole_number

__all__ = [
    "CategorySummary",
    "Diagnosis",
    "Finding",
    "diagnose",
    "check_dataset",
    "to_html",
]

_SHOW_PROGRESS_AFTER = 2.0  # seconds
_LISTED = 3  # sizes that are listed one by one


def diagnose(
    data: str | Path, category: str | None = None, *, size: int = 128, pixels: bool = True
) -> Diagnosis:
    """Look for everything that would spoil a training run or an evaluation. Nothing is changed.

    Parameters
    ----------
    data : str or Path
        "synthetic" or a folder, as in `data_utils.open_category`.
    category : str, optional
        All categories by default.
    size : int
        Training height and width in pixels, for defects that are too small.
    pixels : bool
        Decode every image and mask. Without it files are hashed and headers read, which finds
        what training cannot use, in a fraction of the time.

    Returns
    -------
    Diagnosis
        ``print(diagnosis.summary())`` shows it; ``diagnosis.findings`` are typed.

    Raises
    ------
    DataError
        If the folder is missing, its layout or the category is not known.

    Examples
    --------
    >>> diagnose("synthetic", "washer").verdict()
    'fine: nothing found'
    """
    size = whole_number("size", size, usual=128)
    place = locate(data, category)
    names = place.categories if category is None else [place.choose(category)]
    cases = [_case(place, name, size, pixels) for name in names]
    whole = category is None and os.path.abspath(data) == place.root
    return _diagnosis(place, cases, _strays(place) if whole else [])


def _strays(place: Place) -> list[Finding]:
    """Name the folders and images in a data root that are in no category."""
    root = Path(place.root)
    folders = [folder for folder in subfolders(root) if folder.name not in place.formats]
    found = {f"{folder.name}/": list_images(folder, recursive=True) for folder in folders}
    found["."] = list_images(root)
    return [
        Finding(
            KINDS["unused"].severity,
            "unused",
            tuple(path.relative_to(root).as_posix() for path in images),
            f"{name} with {len(images)} images is in no category",
            f"{name}: arrange it as a category, or move it out of {root}",
        )
        for name, images in found.items()
        if images
    ]


def _diagnosis(place: Place, cases: list[Case], strays: Sequence[Finding] = ()) -> Diagnosis:
    order = list(KINDS)
    findings = [*strays, *(found for case in cases for found in check(case))]
    return Diagnosis(
        format=", ".join(dict.fromkeys(case.format for case in cases)),
        root=place.root,
        size=cases[0].size,
        categories=tuple(_summary(case) for case in cases),
        findings=tuple(sorted(findings, key=lambda found: order.index(found.kind))),
    )


def check_dataset(data: str | Path, category: str | None = None, *, size: int = 128) -> Category:
    """Open a category; refuse one that training would fail on or whose result would mean nothing.

    This is the cheap part of `diagnose`: hashes and headers, read once for both. Raises nothing for
    warnings.

    Parameters
    ----------
    data, category, size
        As in `data_utils.open_category`.

    Returns
    -------
    Category

    Raises
    ------
    DataError
        One line: the first error, how many more there are, and the command that shows them.
    """
    place = locate(data, category)
    if place.root == SYNTHETIC:
        return open_category(data, category, size=size)
    name = place.choose(category)
    case = _case(place, name, size, pixels=False)
    errors = _diagnosis(place, [case]).errors
    if errors:
        more = f"{len(errors) - 1} more of {len(errors)} errors" if len(errors) > 1 else "details"
        raise DataError(
            f"{errors[0].message}; {errors[0].remedy} ({more}: rcae doctor {data} {name})"
        )
    train, test = (
        [facts.record for facts in case.facts if facts.split == split]
        for split in ("train", "test")
    )
    return category_of(place, name, size, train, test)


def _case(place: Place, name: str, size: int, pixels: bool) -> Case:
    """Read a category whole; what its reader complains about is noted."""
    root = Path(place.root)
    complaints: list[tuple[str, Path]] = []
    train, test = place.records(name, on_fault=lambda *fault: complaints.append(fault))
    todo = [("train", record) for record in train] + [("test", record) for record in test]
    progress = {"desc": f"examining {name}", "unit": "image", "leave": False}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda item: examine(item[1], item[0], root, pixels=pixels), todo)
        facts = list(tqdm(found, total=len(todo), delay=_SHOW_PROGRESS_AFTER, **progress))
    known = {path for _, path in complaints}
    for _, record in todo:
        known.update(
            record.mask_files if record.file is None else (record.file, *record.mask_files)
        )
    listing = list_files(root / name, recursive=True)
    return Case(
        name=name,
        format=place.formats[name],
        root=place.root,
        size=size,
        class_ids=place.root != SYNTHETIC and FORMATS[place.formats[name]].CLASS_IDS,
        facts=facts,
        complaints=[(message, _relative(path, root)) for message, path in complaints],
        unused=[_relative(path, root) for path in listing.images if path not in known],
        left_out={
            kind: [_relative(path, root) for path in paths]
            for kind, paths in listing.left_out.items()
        },
    )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _summary(case: Case) -> CategorySummary:
    headers = [facts.header for facts in case.facts if facts.header]
    sizes = Counter(f"{header.height}x{header.width}" for header in headers)
    modes = Counter(_mode(facts) for facts in case.facts if facts.header)
    areas = [area for facts in case.facts for area in facts.defects]
    largest = [facts.defects[-1] for facts in case.facts if facts.defects]  # of each image
    first = {(f.split, f.record.defect): f for f in reversed(case.facts) if not f.fault}
    return CategorySummary(
        name=case.name,
        counts=case.counts,
        masks=sum(_has_mask(facts) for facts in case.facts),
        published=PUBLISHED.get(case.format, {}).get(case.name),
        sizes=_sizes(headers) if len(sizes) > _LISTED else _listed(sizes),
        modes=_listed(modes),
        small_defects=sum(area * case.size**2 < 1 for area in areas),
        defects=len(areas),
        small_masks=(
            tuple((np.quantile(largest, (0, 0.1)) * case.size**2).tolist()) if largest else None
        ),
        examples=tuple(
            facts.record.path for facts in reversed(first.values()) if facts.record.file
        ),
    )


def _mode(facts: Facts) -> str:
    assert facts.header is not None
    used = facts.record.bits
    values = f", values of {used} bits" if used < facts.header.bits else ""
    return f"{facts.header.bits}-bit {facts.header.mode}{values}"


def _has_mask(facts: Facts) -> bool:
    return facts.split == "test" and facts.record.read_mask is not None


def _listed(counted: Counter[str]) -> str:
    if len(counted) == 1:
        return next(iter(counted))
    return ", ".join(f"{value} ({count})" for value, count in counted.most_common())


def _sizes(headers: list) -> str:
    heights, widths = ([header[axis] for header in headers] for axis in (0, 1))
    return f"{min(heights)} to {max(heights)} high, {min(widths)} to {max(widths)} wide"
