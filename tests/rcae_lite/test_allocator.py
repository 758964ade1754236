"""Freed memory is kept: what is computed again takes no new pages from the system."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
import torch
from rcae_lite import RcAEDetector

if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit(77)
detector = RcAEDetector.from_preset("lite", device="cpu")
images = torch.zeros(1, 3, 128, 128)
for _ in range(3):
    detector.predict(images)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    detector.predict(images)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


def faults(**variables: str) -> float:
    """Page faults per prediction in a fresh process, where malloc is told this, or nothing."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))
    }
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=environment | variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode == 77:
        pytest.skip("this C library has no mallopt")
    assert done.returncode == 0
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told to keep memory")
def test_a_prediction_takes_no_new_pages_unless_the_user_has_a_say():
    assert faults() < 200
    assert faults(MALLOC_TOP_PAD_="131072") > 1000  # the user has a say: blocks of 128 KiB go back
