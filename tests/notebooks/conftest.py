"""The scripts of notebooks/ and docs/ as modules, and the notebooks."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "notebooks"), str(ROOT / "docs")]


@pytest.fixture(scope="session")
def generator():
    import generate

    return generate
