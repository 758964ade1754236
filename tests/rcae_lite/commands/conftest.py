"""Hardly a test here looks at the pictures that it has drawn."""

import pytest


@pytest.fixture(autouse=True)
def _coarse(coarse_pictures) -> None: ...
