"""The registry of exercises, and what a check works with: an `Attempt`.

An exercise has a name (``"03.encoder"``: notebook and topic), a level, a task, and its *mistakes*:
the likely wrong answers, each with the hint that a student gets. The hints are data, not code, so
the same list tells a teacher which misconceptions to expect, and the tests hold a wrong answer for
every one of them.
"""

from __future__ import annotations

import os
import secrets
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data_utils.errors import KitError

__all__ = ["EXERCISES", "LEVELS", "Attempt", "Exercise", "NotYet", "check", "exercise"]

LEVELS = {"easy": 1, "medium": 2, "hard": 3}  # and the points
ROUNDS = 3  # fresh random inputs per check

# What can go wrong in any exercise.
COMMON = {
    "unwritten": "not written yet: put your code where NotImplementedError is raised",
    "result": "hand over the function or class itself, without ( ), not {got}",
    "error": "your code stopped with {error}",
    "kind": "expected {expected}, got {got}",
    "value": "the values differ: for one random input, expected {expected}, got {got}",
    "form": "the check cannot read what your code gave or asked for ({error}); compare it with the "
    "docstring",
}


class NotYet(AssertionError):
    """An answer is not right yet; the message is a hint.

    Jupyter shows the hint without a traceback. As an AssertionError it counts as a failed test for
    nbgrader and pytest.

    Parameters
    ----------
    name : str
        Of the exercise.
    mistake : str
        Key of the mistake that was recognised.
    hint : str
        What the student reads.
    unclear : bool
        Another mistake gives by chance the same value in this round.
    """

    def __init__(self, name: str, mistake: str, hint: str, *, unclear: bool = False) -> None:
        end = "" if hint.endswith("?") else "."
        super().__init__(f"{name}: not yet. {hint[:1].upper()}{hint[1:]}{end}")
        self.mistake = mistake
        self.unclear = unclear

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython's hook


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Parameters
    ----------
    name : str
        ``NN.topic``, NN the notebook.
    level : {"easy", "medium", "hard"}
        Worth 1, 2 and 3 points.
    judge : callable
        Takes an `Attempt`; raises `NotYet` through it.
    mistakes : dict of str to str
        Likely mistakes and their hints; a hint may have fields in braces.
    """

    name: str
    level: str
    judge: Callable[[Attempt], None]
    mistakes: dict[str, str]

    @property
    def task(self) -> str:
        """What the answer is to do, in one line."""
        return (self.judge.__doc__ or "").strip().splitlines()[0]

    @property
    def points(self) -> int:
        """Points of the level."""
        return LEVELS[self.level]


EXERCISES: dict[str, Exercise] = {}


def exercise(name: str, level: str, **mistakes: str) -> Callable[[Any], Any]:
    """Register the decorated function as the judge of an exercise."""

    def register(judge: Callable[[Attempt], None]) -> Callable[[Attempt], None]:
        assert level in LEVELS and name not in EXERCISES and not COMMON.keys() & mistakes.keys()
        EXERCISES[name] = Exercise(name, level, judge, mistakes)
        return judge

    return register


@dataclass
class Attempt:
    """A student's answer, fresh random numbers to try it on, and the ways to refuse it.

    Parameters
    ----------
    exercise : Exercise
        What was asked.
    answer : object
        What the student gave: a function, a class.
    seed : int
        Of the random numbers.
    """

    exercise: Exercise
    answer: Any
    seed: int
    random: np.random.Generator = field(init=False)
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.generator = torch.Generator().manual_seed(self.seed)

    def uniform(self, *size: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Random numbers; the answer gets them, so every round looks different."""
        return low + (high - low) * torch.rand(size, generator=self.generator)

    def integer(self, low: int, high: int) -> int:
        """Draw a random whole number from low to high, both included."""
        return int(self.random.integers(low, high, endpoint=True))

    def refuse(self, mistake: str, **numbers: Any) -> None:
        """Raise the hint of a mistake."""
        hint = (COMMON | self.exercise.mistakes)[mistake].format(**numbers)
        raise NotYet(self.exercise.name, mistake, hint)

    def expect(self, condition: Any, mistake: str, **numbers: Any) -> None:
        """Refuse the answer unless the condition holds."""
        if not bool(condition):
            self.refuse(mistake, **numbers)

    def call(self, *arguments: Any, **named: Any) -> Any:
        """Call the answer as its author would; whatever it raises becomes a hint."""
        return self.run(self.answer, *arguments, **named)

    def run(self, function: Callable, *arguments: Any, **named: Any) -> Any:
        """Call something that the answer made; see `call`."""
        try:
            return function(*arguments, **named)
        except NotImplementedError:
            return self.refuse("unwritten")
        except Exception as error:
            return self.refuse("error", error=f"{type(error).__name__}: {error}{_own_line(error)}")

    def compare(self, got: Any, expected: Any, **wrong: Any) -> None:
        """Accept ``expected``, recognise the values of likely mistakes, explain anything else.

        Parameters
        ----------
        got : object
            What the answer gave.
        expected : Tensor, array, number, bool or list
            What is right.
        **wrong
            By mistake, the value that it gives; a tuple holds several such values.
        """
        if same(got, expected):
            return
        fitting = [
            mistake
            for mistake, value in wrong.items()
            if any(same(got, one) for one in (value if isinstance(value, tuple) else (value,)))
        ]
        if fitting:
            hint = self.exercise.mistakes[fitting[0]]
            raise NotYet(self.exercise.name, fitting[0], hint, unclear=len(fitting) > 1)
        if kind_of(got) != kind_of(expected):
            self.refuse("kind", expected=kind_of(expected), got=kind_of(got))
        self.refuse("value", expected=excerpt(expected), got=excerpt(got))


def _own_line(error: Exception) -> str:
    """Quote the student's line that an error came from, not that of a library or of the kit."""
    foreign = tuple(
        str(Path(str(module.__file__)).parents[up])
        for module, up in ((os, 0), (torch, 1), (sys.modules[__name__], 1))
    )
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.line for f in frames if f.line and not f.filename.startswith(foreign)]
    return f" at `{lines[-1]}`" if lines else ""


def same(got: Any, expected: Any) -> bool:
    """Tell whether two values are of one kind and equal up to rounding."""
    if kind_of(got) != kind_of(expected):
        return False
    try:
        a, b = (np.asarray(torch.as_tensor(v).detach().double()) for v in (got, expected))
    except (TypeError, ValueError, RuntimeError):
        return bool(got == expected)
    return bool(np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True))


def as_number(value: Any) -> Any:
    """Return the number in a tensor without axes; anything else as it is."""
    return value.item() if isinstance(value, Tensor) and value.ndim == 0 else value


def kind_of(value: Any) -> str:
    """Say what a value is, as far as it matters: numbers are numbers, tensors have a shape."""
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {value.shape}"
    if isinstance(value, (bool, np.bool_)):
        return "True or False"
    if isinstance(value, (int, float, np.number)):
        return "a number"
    if isinstance(value, (list, tuple)):
        return f"{len(value)} values"
    return "nothing (None): is a `return` missing?" if value is None else type(value).__name__


def excerpt(value: Any) -> str:
    """Show the first few numbers of a value."""
    if isinstance(value, (Tensor, np.ndarray)):
        flat = np.asarray(torch.as_tensor(value).detach()).ravel()
        shown = ", ".join(f"{v:.4g}" if v.dtype.kind == "f" else str(v) for v in flat[:4])
        return f"[{shown}{', ...' if flat.size > 4 else ''}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _judge(attempt: Attempt) -> None:
    try:
        attempt.exercise.judge(attempt)
    except NotYet:
        raise
    except Exception as error:  # of the check itself, which cannot foresee every form
        attempt.refuse("form", error=f"{type(error).__name__}: {error}")


def check(name: str, answer: Any, *, seed: int | None = None) -> None:
    """Try an answer on fresh random input; say that it is right, or raise a hint.

    Parameters
    ----------
    name : str
        Of the exercise, such as "03.encoder".
    answer : object
        The function or class itself, not its result.
    seed : int, optional
        Repeats the same input; another one at every call by default.

    Raises
    ------
    NotYet
        With a hint that names the likely mistake.
    KitError
        If there is no such exercise.
    """
    if name not in EXERCISES:
        raise KitError(f"no exercise {name!r}; choose from {', '.join(sorted(EXERCISES))}")
    chosen = EXERCISES[name]
    start = secrets.randbits(32) if seed is None else seed
    unclear: NotYet | None = None
    for number in range(ROUNDS):
        attempt = Attempt(chosen, answer, start + number)
        result = isinstance(answer, nn.Module) or not callable(answer)  # a Module is callable
        attempt.expect(not result, "result", got=kind_of(answer))
        try:
            _judge(attempt)
        except NotYet as error:
            if not error.unclear:
                raise
            unclear = error  # another round tells the two mistakes apart
    if unclear:
        raise unclear
    print(f"{name}: right.")
