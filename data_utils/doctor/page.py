"""A diagnosis as one self-contained page of HTML with thumbnails."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from data_utils.doctor.findings import KINDS, Diagnosis, Finding
from data_utils.errors import DataError
from data_utils.html import render
from data_utils.images import mask_values, read_image, shrunk

__all__ = ["to_html"]

_SIDE = 128  # of a thumbnail, in pixels
_FINDINGS = 8  # of a kind that get thumbnails; the others are listed
_THUMBNAILS = 6  # of a finding


@dataclass(frozen=True)
class _Thumbnail:
    name: str
    data: str | None  # None: cannot be shown


def to_html(diagnosis: Diagnosis) -> str:
    """Render a diagnosis; whatever is in a file name is escaped.

    Parameters
    ----------
    diagnosis : Diagnosis
        What `data_utils.diagnose` found. Its files are read again for the thumbnails.

    Returns
    -------
    str
        The page; nothing in it is loaded from elsewhere.
    """
    root = Path(diagnosis.root)
    page = render(
        "data_utils.doctor",
        "page.html.j2",
        diagnosis=diagnosis,
        groups=[
            {
                "kind": kind,
                "about": KINDS[kind],
                "shown": [(finding, _thumbnails(root, finding)) for finding in found[:_FINDINGS]],
                "listed": found[_FINDINGS:],
            }
            for kind, found in diagnosis.by_kind().items()
        ],
        examples={
            category.name: [_thumbnail(root, path) for path in category.examples]
            for category in diagnosis.categories
        },
    )
    return page.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8


def _thumbnails(root: Path, finding: Finding) -> list[_Thumbnail]:
    images = [_thumbnail(root, path) for path in finding.paths[:_THUMBNAILS]]
    return images + [_thumbnail(root, path, mask=True) for path in finding.masks[:_THUMBNAILS]]


def _thumbnail(root: Path, path: str, *, mask: bool = False) -> _Thumbnail:
    try:
        image = _mask(root / path) if mask else Image.fromarray(read_image(root / path))
    except DataError:
        return _Thumbnail(path, None)
    file = BytesIO()
    shrunk(image, _SIDE).save(file, "JPEG", quality=80)
    return _Thumbnail(path, f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}")


def _mask(path: Path) -> Image.Image:
    """Show a mask with its largest value as white: class ids look black otherwise."""
    values = mask_values(path)[0].astype(np.float32)  # (h, w)
    return Image.fromarray((255 * values / max(values.max(), 1e-6)).clip(0, 255).astype(np.uint8))
