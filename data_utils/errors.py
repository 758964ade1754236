"""The errors a user can mend: one line with the value, what was expected, and the remedy."""

__all__ = ["DataError", "KitError"]


class KitError(ValueError):
    """A mistake the user can mend; the command line shows its message alone and exits with 2."""


class DataError(KitError):
    """Something is wrong with the data: a folder, an image or a mask."""
