"""Tensors on disk."""

import itertools
import sys

import pytest
import torch

from rcae_lite.storage.tensors import load_tensors, save_tensors


class InterruptedAt:
    """Raises KeyboardInterrupt at the given event of Python's tracing, as Ctrl-C may."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, frame, event, argument):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in a generator
def test_ctrl_c_while_tensors_are_read_is_nothing_else(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(3, 4), "step": torch.tensor(2.0)})
    interrupted, before = 0, sys.gettrace()
    for number in itertools.count(1):
        trace = InterruptedAt(number)
        try:
            sys.settrace(trace)
            load_tensors(path)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        if trace.left > 0:
            break
    assert interrupted > 20
