"""Exercises of the notebooks: `check` tries an answer on fresh random input and gives a hint.

The answers are not here: they lie between markers in ``notebooks/solutions``, and the notebooks in
``notebooks/exercises`` are generated from them. The checks help to learn; they do not supervise.
"""

from rcae_lite.exercises import (  # noqa: F401  (each registers its exercises)
    ablation,
    copying,
    data,
    detail,
    detection,
    evaluation,
    practice,
    recursion,
    start,
    training,
)
from rcae_lite.exercises.registry import EXERCISES, Exercise, NotYet, check

__all__ = ["EXERCISES", "Exercise", "NotYet", "check"]
