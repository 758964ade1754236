"""Damaged files: 2,000 of them in `make test`, 100,000 in `make test-full`; see tests/fuzz.py."""

import sys
from pathlib import Path

import pytest

from data_utils import KitError
from tests import fuzz

RESULT = Path(__file__).parents[1] / "results" / "fuzz.txt"

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def assert_nothing_found(outcome: fuzz.Outcome, files: int) -> None:
    print(f"\n{fuzz.report(outcome, f'{files} files')}")
    assert sum(outcome.counts.values()) == files
    assert not outcome.findings
    assert outcome.growth < fuzz.GROWTH and outcome.descriptors == 0
    for name in ("image", "detector", "checkpoint", "evaluation.json", "run.json"):
        assert outcome.counts[name, "refused"], f"the damage never reached {name}"
        assert outcome.counts[name, "right"], f"nothing of {name} was read"


@linux
def test_2000_damaged_files_are_read_right_or_refused_in_one_line():
    assert_nothing_found(fuzz.fuzz(2000, seed=1), 2000)


@linux
@pytest.mark.slow
def test_100000_damaged_files_are_read_right_or_refused_in_one_line():
    assert_nothing_found(fuzz.fuzz(100_000, seed=0), 100_000)


@linux
def test_whatever_goes_wrong_is_found(monkeypatch):
    """A reader that crashes, hangs, dies, leaks or lies is a finding each."""
    kept = []

    def bad(folder: Path) -> None:
        content = (folder / "image").read_bytes()
        kept.append(open(folder / "image", "rb"))
        if content[0] % 5 == 0:
            raise IndexError("not ours")
        if content[0] % 5 == 1:
            raise KitError("two\nlines")
        if content[0] % 5 == 2:
            fuzz.check(False, "a promise")
        if content[0] % 5 == 3:
            while True:
                pass
        import os

        os.abort()

    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    monkeypatch.setattr(fuzz, "damaged", lambda rng, target: {"image": rng.bytes(1)})
    target = fuzz.Target(1.0, [{"image": b"x"}], bad)
    monkeypatch.setattr(fuzz, "targets", lambda: {"image": target})
    monkeypatch.setattr(fuzz, "WARM_UP", 0)
    outcome = fuzz.fuzz(40, seed=0)
    assert sum(outcome.counts.values()) == len(outcome.findings) == 40
    reasons = "\n".join(outcome.findings.values())
    for word in (
        "IndexError: not ours",
        "2 lines: two",
        "BrokenPromise: a promise",
        "more than 0.2 s",
        "the process died",
    ):
        assert word in reasons
    assert outcome.descriptors > 0 or outcome.findings[39] == "the process died"


@pytest.mark.skipif(not RESULT.exists(), reason="results/fuzz.txt: not measured yet")
def test_the_committed_result_holds_what_is_promised():
    text = RESULT.read_text()
    assert text.startswith("python -m tests.fuzz --files 100000 --seed 0")
    (total,) = [line.split() for line in text.splitlines() if line.startswith("all ")]
    assert total[1] == "100000" and total[4] == "0"
    assert int(total[2]) + int(total[3]) == 100_000
