"""Every promise of docs/guarantees.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| promise")
]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_promise_names_tests_that_exist(row):
    assert len(row) == 3, "promise | test | measured"
    named = re.findall(r"`([^`]+)`", row[1])
    assert named, "no test"
    for name in named:
        path, _, function = name.partition("::")
        assert re.fullmatch(r"tests/(\w+/)*test_\w+\.py", path), name
        known = functions(ROOT / path)
        assert function in known if function else any(n.startswith("test_") for n in known)


def test_there_are_promises():
    assert len(ROWS) >= 15
