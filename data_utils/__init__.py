"""Data for industrial anomaly detection: readers, the built-in categories, typed samples."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_utils.catalogue import (
        find_category,
        find_data,
        list_categories,
        open_category,
    )
    from data_utils.doctor import diagnose
    from data_utils.errors import DataError, KitError
    from data_utils.samples import Category, ImageSet, Record, Sample

__all__ = [
    "Category",
    "DataError",
    "ImageSet",
    "KitError",
    "Record",
    "Sample",
    "diagnose",
    "find_category",
    "find_data",
    "list_categories",
    "open_category",
]

_HOMES = {
    "Category": "data_utils.samples",
    "DataError": "data_utils.errors",
    "ImageSet": "data_utils.samples",
    "KitError": "data_utils.errors",
    "Record": "data_utils.samples",
    "Sample": "data_utils.samples",
    "diagnose": "data_utils.doctor",
    "find_category": "data_utils.catalogue",
    "find_data": "data_utils.catalogue",
    "list_categories": "data_utils.catalogue",
    "open_category": "data_utils.catalogue",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: `rcae --help` needs no PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
