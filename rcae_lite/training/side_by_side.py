"""Several trainings at a time, in threads: one alone leaves a second core idle."""

from __future__ import annotations

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
    failures: list[BaseException] = []  # in the order of their happening

    def stop(event: Event) -> None:
        if failures:
            raise Stopped

    def run(training: Callable[[Callback], T]) -> T:
        try:
            return training(stop)
        except BaseException as error:
            failures.append(error)
            raise

    here, *beside = trainings
    with ThreadPoolExecutor(max(1, len(beside))) as threads:
        others = [threads.submit(run, training) for training in beside]
        try:
            return [run(here), *(other.result() for other in others)]
        except BaseException as error:  # or an interrupt, while this thread waits for the others
            failures.append(error)
            raise failures[0] from None
