"""Every promise of docs/guarantees.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8").split("\n### ")[1:]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def paragraph(promise: str, title: str) -> str:
    (found,) = re.findall(rf"^{title}: (.+?)(?:\n\n|\n*\Z)", promise, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.split("\n")[0][:40])
def test_a_promise_names_tests_that_exist(promise):
    assert paragraph(promise, "Measured")
    named = re.findall(r"`([^`]+)`", paragraph(promise, "Test"))
    assert named, "no test"
    for name in named:
        path, _, function = name.partition("::")
        assert re.fullmatch(r"tests/(\w+/)*test_\w+\.py", path), name
        known = functions(ROOT / path)
        assert function in known if function else any(n.startswith("test_") for n in known)


def test_there_are_promises():
    assert len(PROMISES) >= 15
