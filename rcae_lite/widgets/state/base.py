"""Controls with limits, and what every widget's state has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_utils.errors import KitError

__all__ = ["Control", "State", "Tree"]

Tree = dict[str, Any]  # JSON values, and NumPy arrays as leaves; see `rcae_lite.widgets.packing`


@dataclass(frozen=True)
class Control:
    """A number the user can set.

    Parameters
    ----------
    value : float
        At the start.
    low, high : float
        Its range, both ends included.
    whole : bool
        Only whole numbers.
    """

    value: float
    low: float
    high: float
    whole: bool = True

    def check(self, name: str, value: Any) -> float:
        """Return the value, or raise a `KitError` that says what was expected."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high or (self.whole and value % 1):
            kind = "a whole number" if self.whole else "a number"
            raise KitError(f"{name} {value!r}: choose {kind} from {self.low:g} to {self.high:g}")
        return int(value) if self.whole else float(value)


class State(ABC):
    """The state of one widget: what is fixed (`data`) and what the user moves (`controls`).

    Attributes
    ----------
    controls : mapping of str to Control
        What can be set, by name; the views have a synchronised trait of each name.
    values : dict
        The present value of each control.
    """

    def __init__(self, controls: Mapping[str, Control]) -> None:
        self.controls = dict(controls)
        self.values: dict[str, Any] = {name: c.value for name, c in controls.items()}

    def check(self, name: str, value: Any) -> Any:
        """Return the value as it will be kept.

        Raises
        ------
        KitError
            If there is no such control, or the value is outside its range.
        """
        if name not in self.controls:
            raise KitError(f"control {name!r} is unknown; choose from {list(self.controls)}")
        return self.controls[name].check(name, value)

    def set(self, **values: Any) -> None:
        """Set controls by name; all of them or, after an error, none."""
        self.values |= {name: self.check(name, value) for name, value in values.items()}

    @abstractmethod
    def data(self) -> Tree:
        """All that the JavaScript side needs, sent once."""
