"""The version of the kit, which stands in pyproject.toml alone."""

from importlib.metadata import version

__version__ = version("rcae-lite")
