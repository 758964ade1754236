"""The scripts of tools/ and docs/ as modules, and the notebooks."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "docs")]


@pytest.fixture(scope="session")
def generator():
    import generate

    return generate


@pytest.fixture(scope="session")
def executor():
    import execute

    return execute
