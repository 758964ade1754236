"""Our metrics against code we did not write; the script writes results/metrics_crosscheck.txt."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location(
    "metrics_crosscheck", ROOT / "benchmarks" / "metrics_crosscheck.py"
)
crosscheck = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(crosscheck)

# scikit-learn computes in float64; torchmetrics and anomalib answer in float32.
ALLOWED = {"scikit-learn": 1e-12, "torchmetrics": 1e-6, "anomalib": 1e-5}
NAMES = [f"{name}-{package}" for name, _, _, package in crosscheck.COMPARISONS]


def compare(comparison, count: int) -> None:
    name, ours, theirs, package = comparison
    if crosscheck.available(package) is None:
        pytest.skip(f"{package} is not installed; see benchmarks/metrics_crosscheck.py")
    assert crosscheck.differences(ours, theirs, count).max() <= ALLOWED[package], name


@pytest.mark.parametrize("comparison", crosscheck.COMPARISONS, ids=NAMES)
def test_metrics_agree_with_other_code(comparison):
    compare(comparison, 100)


@pytest.mark.slow
@pytest.mark.parametrize("comparison", crosscheck.COMPARISONS, ids=NAMES)
def test_metrics_agree_with_other_code_on_a_thousand_cases(comparison):
    compare(comparison, crosscheck.CASES)


def test_the_committed_result_covers_all_three_packages():
    lines = (ROOT / "results" / "metrics_crosscheck.txt").read_text().splitlines()
    assert lines[0] == "python benchmarks/metrics_crosscheck.py"
    for name, _, _, package in crosscheck.COMPARISONS:
        (line,) = [line for line in lines if line.startswith(f"{name:<14}{package} ")]
        assert float(line.split()[-1]) <= ALLOWED[package]
