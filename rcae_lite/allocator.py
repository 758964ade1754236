"""Where the tensors of a step get their memory: from what the step before has freed."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in malloc.h


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MiB that were freed, and blocks up to 32 MiB among them.

    Every training step and every prediction allocates the same tensors. By default glibc hands them
    back to the system in between, which then fills each page with zeros again: a sixth of the time
    of a prediction (benchmarks/contention.py). Nothing is changed without glibc, nor where the
    environment sets ``MALLOC_...`` or ``GLIBC_TUNABLES``.
    """
    if sys.platform != "linux" or any(
        name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ
    ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other libraries of C have none
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, 256 * 2**20)
        mallopt(MMAP_THRESHOLD, 32 * 2**20)
