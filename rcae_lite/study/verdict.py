"""A verdict on a claim, computed from what was measured."""

from __future__ import annotations

__all__ = ["verdict"]


def verdict(claim: str, difference: float, margin: float, unit: str = "") -> None:
    """Print whether a claim holds: "holds", "not here", or "opposite".

    Parameters
    ----------
    claim : str
        What is claimed, such as "DPN brings detail back".
    difference : float
        What was measured, positive where it speaks for the claim.
    margin : float
        Up to this size a difference counts as none: "not here". Choose it before you look.
    unit : str
        Of both.
    """
    word = "holds" if difference > margin else "opposite" if difference < -margin else "not here"
    print(f"Verdict: {claim}: {word} ({difference:+.3g}{unit}, margin {margin:.3g}{unit})")
