"""Modules in eval mode for a while, whatever mode they were left in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Put modules into eval mode, so that a batch moves no statistics; afterwards back, each one.

    Parameters
    ----------
    modules : iterable of Module
        With all that is in them.
    """
    before = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for part, _ in before:
            part.training = False
        yield
    finally:
        for part, training in before:
            part.training = training
