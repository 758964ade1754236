"""A verdict has three outcomes."""

import pytest

from rcae_lite.evaluation.bootstrap import Interval
from rcae_lite.study.verdict import verdict


@pytest.mark.parametrize(
    ("difference", "word"),
    [(0.03, "holds"), (0.02, "not here"), (-0.02, "not here"), (-0.03, "opposite")],
)
def test_what_lies_within_the_margin_is_no_difference(difference, word, capsys):
    verdict("more is better", difference, 0.02, " dB")
    assert capsys.readouterr().out == (
        f"Verdict: more is better: {word} ({difference:+g} dB, margin 0.02 dB)\n"
    )


def test_what_cannot_be_measured_speaks_for_nothing(capsys):
    verdict("x", float("nan"), 0)
    assert "not here (+nan" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gain", "word"),
    [
        (Interval(0.07, 0.002, 0.139), "holds"),
        (Interval(0.07, -0.002, 0.139), "not here"),
        (Interval(-0.07, -0.2, -0.002), "opposite"),
        (Interval(-0.07, -0.2, 0.002), "not here"),
    ],
)
def test_a_gain_counts_where_its_interval_does_not_hold_0(gain, word, capsys):
    verdict("it helps", gain.value, gain.doubt)
    assert f"it helps: {word} (" in capsys.readouterr().out
