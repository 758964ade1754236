"""Several trainings at a time, in threads: one alone leaves a second core idle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rcae_lite.training.events import Callback, Event, Stopped

__all__ = ["side_by_side"]

T = TypeVar("T")


def side_by_side(trainings: Sequence[Callable[[Callback], T]]) -> list[T]:
    """Train at the same time, the first one in this thread.

    PyTorch lets other threads run while it computes, and every draw of a training has a generator
    of its own, so each comes out as it does alone.

    Parameters
    ----------
    trainings : sequence of callable
        Each is given a callback for its training, which stops it between two steps when another one
        has failed.

    Returns
    -------
    list
        What they return.

    Raises
    ------
    Exception
        Of the first one that failed.
    """
    failed = threading.Event()

    def stop(event: Event) -> None:
        if failed.is_set():
            raise Stopped

    def run(training: Callable[[Callback], T]) -> T:
        try:
            return training(stop)
        except BaseException:
            failed.set()
            raise

    here, *beside = trainings
    with ThreadPoolExecutor(max(1, len(beside))) as threads:
        others = [threads.submit(run, training) for training in beside]
        try:
            first = run(here)
        except Stopped:
            for other in others:
                other.result()  # raises what stopped this one
            raise
        return [first, *(other.result() for other in others)]
