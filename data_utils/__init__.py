"""Data for industrial anomaly detection: readers, the built-in categories, typed samples."""

from data_utils.catalogue import list_categories, open_category
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
    "list_categories",
    "open_category",
]
