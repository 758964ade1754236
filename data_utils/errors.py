"""The errors a user can fix: one line with the value, what was expected, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["OnFault", "DataError", "KitError", "printable", "refuse"]


class KitError(ValueError):
    """A mistake the user can fix; the command line shows its message alone and exits with 2."""


class DataError(KitError):
    """Something is wrong with the data: a folder, an image or a mask."""


OnFault = Callable[[str, Path], None]
"""What a reader calls with a fault of the layout and the file at fault: `refuse`, or a collector.

A reader continues after the call as if the file were not there.
"""


def refuse(message: str, path: Path) -> None:
    """Stop at the first fault."""
    raise DataError(message)


def printable(line: str) -> str:
    """Show what a file name could use to deceive a terminal: control characters, line ends."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
