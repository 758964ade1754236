"""From the facts of a category to findings: every check is a short function of its own."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np

from data_utils.doctor.examine import Facts, Look
from data_utils.doctor.findings import KINDS, Finding
from data_utils.doctor.similar import near_duplicates
from data_utils.images import Header
from data_utils.published import PUBLISHED, Counts

__all__ = ["Case", "check"]

_FEWEST = 3  # normal images that a detector can be trained on
_USUAL = 0.9  # of the images must agree before another one is odd
_SHAPES = 1.25  # largest over smallest aspect ratio, above which squashing changes the parts
_FAR = 5.0  # robust standard deviations; the normal images of bottle stay below 3
_MOST_OF_IT = 0.9  # of an image: a mask above it is inverted, or all of one value
_ENOUGH = 10  # normal images, to know what is usual
_FEW_LEVELS = 2  # grey values that 95% of the pixels have
_NARROW = 64  # grey values between the darkest and the brightest
_SMALLEST, _LONGEST = 16, 16  # pixels of a side; the longer side over the shorter one
_LEAST_SPREAD = {"brightness": 2.0, "sharpness": 0.1}  # grey values; octaves


@dataclass(frozen=True)
class Case:
    """A category and all that is known of it.

    Parameters
    ----------
    name, format : str
        As in `data_utils.Category`.
    root : str
        The data root.
    size : int
        Training height and width in pixels.
    class_ids : bool
        Masks may have more than two values; see `data_utils.catalogue.Format`.
    facts : sequence of Facts
        Train images, then test images.
    complaints : sequence of (str, str)
        What the reader of the layout said, and of which file.
    unused : sequence of str
        Image files in the category's folder that no record has.
    left_out : mapping of str to sequence of str
        What else lies there and is not read, by its kind; see `data_utils.listing.Listing`.
    """

    name: str
    format: str
    root: str
    size: int
    class_ids: bool
    facts: Sequence[Facts]
    complaints: Sequence[tuple[str, str]]
    unused: Sequence[str]
    left_out: Mapping[str, Sequence[str]]

    @property
    def counts(self) -> Counts:
        """Images by split and label."""
        train = sum(found.split == "train" for found in self.facts)
        defective = sum(f.split == "test" and f.record.label == 1 for f in self.facts)
        return Counts(train, len(self.facts) - train - defective, defective)


def check(case: Case) -> list[Finding]:
    """Do every check; what a check needs and was not read, it does without."""
    return [finding for function in _CHECKS for finding in function(case)]


def _finding(
    kind: str, paths: Sequence[str], message: str, remedy: str, masks: Sequence[str] = ()
) -> Finding:
    return Finding(KINDS[kind].severity, kind, tuple(paths), message, remedy, tuple(masks))


def _from_error(
    case: Case, kind: str, error: str, paths: Sequence[str], masks: Sequence[str] = ()
) -> Finding:
    """Make a finding of an error's one line, whose last part is the remedy."""
    message, _, remedy = error.replace(f"{case.root}{os.sep}", "").rpartition("; ")
    return _finding(kind, paths, message, f"{(*paths, *masks)[0]}: {remedy}", masks)


def _images(case: Case) -> Iterator[Finding]:
    train, good, defective = case.counts
    if train < _FEWEST:
        yield _finding(
            "no-images",
            [],
            f"{case.name} has {train} images to train on; expected {_FEWEST} or more",
            f"{case.name}: add photographs of normal parts to train on",
        )
    if good + defective == 0:
        yield _finding(
            "no-images",
            [],
            f"{case.name} has no test images; expected normal and defective ones",
            f"{case.name}: add test images of both kinds",
        )
    elif not good or not defective:
        missing = "defective" if good else "normal"
        yield _finding(
            "one-class-test",
            [],
            f"{case.name} has no {missing} test images",
            f"{case.name}: add {missing} test images",
        )


def _counts(case: Case) -> Iterator[Finding]:
    published = PUBLISHED.get(case.format, {}).get(case.name)
    if published and published != case.counts:
        shown, expected = ("/".join(map(str, counts)) for counts in (case.counts, published))
        yield _finding(
            "counts",
            [],
            f"{case.name} has {shown} images (train/test good/test defective); published are "
            f"{expected}",
            f"{case.name}: unpack the archive again, or name your results after a part of it",
        )


def _layout(case: Case) -> Iterator[Finding]:
    for message, path in case.complaints:
        yield _from_error(case, "layout", message, [path])
    folders = groupby(case.unused, lambda path: path.rpartition("/")[0])
    for folder, paths in ((folder, list(paths)) for folder, paths in folders):
        named = paths[0] if len(paths) == 1 else f"{folder}/ with {len(paths)} images"
        yield _finding(
            "unused",
            paths,
            f"{named} is read by nothing: as {case.format}, this layout has no use for it",
            f"{named}: rename it, move it where the layout expects it, or out of {case.name}/",
        )
    for kind, names in case.left_out.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield _finding(
            "not-read",
            names,
            f"{names[0]}{more}: {kind}, not read",
            f"{names[0]}{more}: save as PNG, JPEG or TIFF, or move out of {case.name}/",
        )


def _unreadable(case: Case) -> Iterator[Finding]:
    for facts in case.facts:
        if facts.fault:
            yield _from_error(case, "unreadable", facts.fault, [facts.record.path])
        for mask in facts.masks:
            if mask.fault:
                yield _from_error(case, "unreadable", mask.fault, [], [mask.path])


def _train_labels(case: Case) -> Iterator[Finding]:
    for facts in case.facts:
        if facts.split == "train" and facts.record.label:
            path = facts.record.path
            yield _finding(
                "train-defective",
                [path],
                f"{path} is defective and in the training split",
                f"{path}: move it to the test split",
            )


def _masks(case: Case) -> Iterator[Finding]:
    for facts in case.facts:
        path = facts.record.path
        if facts.record.label and not facts.masks and facts.record.file:
            yield _finding(
                "mask-missing",
                [path],
                f"{path} has no mask",
                f"{path}: draw its mask, or live without it in the pixel metrics",
            )
        for mask in facts.masks:
            if facts.record.label and mask.area == 0:
                yield _finding(
                    "mask-empty",
                    [path],
                    f"{mask.path} marks nothing; its image {path} is filed as defective",
                    f"{mask.path}: draw the defect; or delete the mask, and move {path} to the "
                    "normal images if it shows a normal part",
                    [mask.path],
                )
            if facts.record.label and mask.share > _MOST_OF_IT:
                yield _finding(
                    "mask-too-large",
                    [path],
                    f"{mask.path} marks {mask.share:.0%} of its image as defective",
                    f"{mask.path}: look at it beside {path}; if the defect is what it leaves out, "
                    "save it again with 0 for normal and 255 for defective pixels",
                    [mask.path],
                )
            if not facts.record.label and mask.area:
                yield _finding(
                    "mask-on-good",
                    [path],
                    f"{mask.path} marks {mask.area} pixels; its image {path} is filed as normal",
                    f"{path}: move it to the defective images; or delete {mask.path} if it shows a "
                    "normal part",
                    [mask.path],
                )
            if facts.record.label and mask.values > 2 and not case.class_ids:
                yield _finding(
                    "mask-not-binary",
                    [path],
                    f"{mask.path} has {mask.values} different values; expected 2",
                    f"{mask.path}: save it again as PNG with the values 0 and 255 alone",
                    [mask.path],
                )


def _mask_sizes(case: Case) -> Iterator[Finding]:
    for facts in case.facts:
        for mask in facts.masks:
            if not (facts.record.label and facts.header and mask.header):
                continue
            image, own = facts.header[:2], mask.header[:2]
            if image != own:
                yield _finding(
                    "mask-size",
                    [facts.record.path],
                    f"{mask.path} is {_size(own)} (height x width); its image is {_size(image)}",
                    f"{mask.path}: export it again at {_size(image)}, without smoothing",
                    [mask.path],
                )


def _tiny_defects(case: Case) -> Iterator[Finding]:
    for facts in case.facts:
        if facts.defects and facts.defects[-1] * case.size**2 < 1:
            path, largest = facts.record.path, facts.defects[-1]
            needed = math.ceil(math.sqrt(1 / largest))
            yield _finding(
                "tiny-defect",
                [path],
                f"{path}: its largest defect covers {largest * case.size**2:.2f} of a pixel at "
                f"{case.size}x{case.size}; from {needed}x{needed} on it is a whole one",
                f"{path}: train at {needed}x{needed} or more, cut the images into tiles, or "
                "correct the mask if it is a speck",
                [mask.path for mask in facts.masks],
            )


def _exact_duplicates(case: Case) -> Iterator[Finding]:
    same: defaultdict[str, list[Facts]] = defaultdict(list)
    for facts in case.facts:
        if facts.digest:
            same[facts.digest].append(facts)
    for group in same.values():
        if len(group) == 1:
            continue
        paths = [facts.record.path for facts in group]
        named = " = ".join(paths)
        train = [facts.record.path for facts in group if facts.split == "train"]
        test = [facts.record.path for facts in group if facts.split == "test"]
        if train and test:
            defective = any(facts.record.label for facts in group)
            yield _finding(
                "leak",
                paths,
                f"{named}: the same bytes in train and test",
                f"delete {' and '.join(train)}, which the test calls defective; or, if the part is "
                f"normal, {' and '.join(test)}"
                if defective
                else f"delete {' and '.join(test)}",
            )
        elif len({facts.record.label for facts in group}) > 1:
            yield _finding(
                "label-conflict",
                paths,
                f"{named}: the same bytes, normal and defective",
                f"look at {paths[0]} and delete the copy in the wrong folder: {named}",
            )
        else:
            yield _finding(
                "duplicate", paths, f"{named}: the same bytes", f"delete {' and '.join(paths[1:])}"
            )


def _near_duplicates(case: Case) -> Iterator[Finding]:
    seen = {f.digest: f for f in reversed(case.facts) if f.look}  # the first of identical ones
    facts = list(reversed(seen.values()))
    if len(facts) < 2:
        return
    hashes = np.stack([_look(found).hash for found in facts])  # (n, K)
    for group in near_duplicates(hashes):
        paths = [facts[index].record.path for index in group]
        splits = sorted({facts[index].split for index in group}, reverse=True)  # train, test
        more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
        yield _finding(
            "near-leak" if len(splits) > 1 else "near-duplicate",
            paths,
            f"{paths[0]} ~ {paths[-1]}{more}, in {' and '.join(splits)}",
            f"look at {', '.join(paths)}: if they show one part, "
            + ("move them to one split" if len(splits) > 1 else "keep one"),
        )


def _look(facts: Facts) -> Look:
    assert facts.look is not None
    return facts.look


_T = TypeVar("_T")


def _odd_ones(
    facts: Sequence[Facts], describe: Callable[[Facts], _T]
) -> tuple[Counter[_T], list[Facts]]:
    """Count a property, and return the images that differ where nearly all others agree."""
    counted = Counter(map(describe, facts))
    usual, count = counted.most_common(1)[0]
    agree = count >= _USUAL * len(facts)
    return counted, [found for found in facts if agree and describe(found) != usual]


def _sizes(case: Case) -> Iterator[Finding]:
    facts = [found for found in case.facts if found.header]
    if not facts:
        return
    counted, odd = _odd_ones(facts, lambda found: _size(_header(found)))
    usual, count = counted.most_common(1)[0]
    for found in odd:
        path, size = found.record.path, _size(_header(found))
        yield _finding(
            "odd-size",
            [path],
            f"{path} is {size} (height x width); {count} of {len(facts)} images are {usual}",
            f"{path}: take it again at {usual}, or delete it",
        )
    by_shape = sorted(facts, key=lambda found: _shape(_header(found)))
    narrow, wide = by_shape[0], by_shape[-1]
    low, high = _shape(_header(narrow)), _shape(_header(wide))
    if not odd and high > _SHAPES * low:
        yield _finding(
            "odd-size",
            [narrow.record.path, wide.record.path],
            f"{case.name}: width over height goes from {low:.2f} to {high:.2f}",
            f"{case.name}: cut or pad the images to one shape",
        )


def _modes(case: Case) -> Iterator[Finding]:
    facts = [found for found in case.facts if found.header]
    if not facts:
        return
    counted, odd = _odd_ones(facts, _mode)
    usual, count = counted.most_common(1)[0]
    for found in odd:
        path, mode = found.record.path, _mode(found)
        yield _finding(
            "odd-mode",
            [path],
            f"{path} is {mode}; {count} of {len(facts)} images are {usual}",
            f"{path}: take it again as {usual}, or convert it",
        )
    if not odd and len(counted) > 1:
        first = {_mode(found): found.record.path for found in reversed(facts)}
        shown = ", ".join(f"{mode} ({n})" for mode, n in counted.most_common())
        yield _finding(
            "odd-mode",
            list(first.values()),
            f"{case.name} mixes {shown}",
            f"{case.name}: convert all images to {usual}",
        )


def _content(case: Case) -> Iterator[Finding]:
    """Look at the pixels as the networks see them."""
    looks = [found for found in case.facts if found.look]
    few = [found.record.path for found in looks if _look(found).levels <= _FEW_LEVELS]
    narrow = [found.record.path for found in looks if _look(found).span < _NARROW]
    narrow = [path for path in narrow if path not in few]
    # 16-bit colours are not scaled, as 16-bit greyscale is.
    deep = [_look(f).top for f in looks if _header_of(f).bits > 8 and _header_of(f).mode[0] != "I"]
    hint = ""
    if deep and max(deep) < _NARROW:
        bits = 8 + 2 * math.ceil(math.log2(max(deep) + 1) / 2)  # 10, 12 or 14
        hint = f" (16-bit colours of {bits} bits: multiply them by {2 ** (16 - bits)})"
    found = f"hardly more than two grey values{hint}"
    yield from _together(case, "no-content", few, len(looks), found)
    found = f"less than {_NARROW} of 256 values{hint}"
    yield from _together(case, "narrow-range", narrow, len(looks), found)


def _pages(case: Case) -> Iterator[Finding]:
    several = [f for f in case.facts if f.header and f.header.pages > 1]
    if several:
        path, pages = several[0].record.path, _header_of(several[0]).pages
        yield _finding(
            "pages",
            [found.record.path for found in several],
            f"{len(several)} images have several pages, such as {path} with {pages}; the first "
            "one is read",
            f"{path}: save the page that is meant alone",
        )


def _together(
    case: Case, kind: str, paths: Sequence[str], looked_at: int, what: str
) -> Iterator[Finding]:
    """One finding for all images that have the same thing."""
    if paths:
        yield _finding(
            kind,
            paths,
            f"{len(paths)} of {looked_at} images have {what}, such as {paths[0]}",
            f"{case.name}: look at {paths[0]}, at its exposure and at how its file was written",
        )


def _shapes(case: Case) -> Iterator[Finding]:
    for facts in (found for found in case.facts if found.header):
        short, long = sorted(_header(facts))
        if short < _SMALLEST or long > _LONGEST * short:
            path = facts.record.path
            yield _finding(
                "odd-shape",
                [path],
                f"{path} is {_size(_header(facts))} (height x width)",
                f"{path}: cut it to the part, or delete it",
            )


def _outliers(case: Case) -> Iterator[Finding]:
    normal = [found for found in case.facts if found.look and not found.record.label]
    if len(normal) < _ENOUGH:
        return
    for kind, least in _LEAST_SPREAD.items():
        values = np.array([getattr(found.look, kind) for found in normal])  # (n,)
        usual = float(np.median(values))
        spread = max(1.4826 * float(np.median(np.abs(values - usual))), least)
        for index in np.flatnonzero(np.abs(values - usual) > _FAR * spread):
            path, far = normal[index].record.path, (values[index] - usual) / spread
            yield _finding(
                kind,
                [path],
                f"{path}: {kind} {values[index]:.1f}; usual is {usual:.1f}, and this is {far:+.1f} "
                "robust standard deviations away",
                f"{path}: look at it, and delete it if it is no good photograph of a normal part",
            )


def _header_of(facts: Facts) -> Header:
    assert facts.header is not None
    return facts.header


def _header(facts: Facts) -> tuple[int, int]:
    return _header_of(facts)[:2]


def _size(header: tuple[int, int]) -> str:
    return f"{header[0]}x{header[1]}"


def _shape(header: tuple[int, int]) -> float:
    return header[1] / header[0]


def _mode(facts: Facts) -> str:
    header = _header_of(facts)
    return f"{header.bits}-bit {header.mode}"


_CHECKS = (
    _images,
    _layout,
    _unreadable,
    _mask_sizes,
    _masks,
    _train_labels,
    _exact_duplicates,
    _counts,
    _near_duplicates,
    _tiny_defects,
    _sizes,
    _modes,
    _shapes,
    _content,
    _pages,
    _outliers,
)
