"""What torchrun starts in `test_distributed`: ``rcae`` with a tiny preset instead of demo."""

import sys
from functools import partial

import rcae_lite.evaluation
from rcae_lite.cli import main
from rcae_lite.config import PRESETS
from tests.rcae_lite.conftest import tiny_config

PRESETS["demo"] = tiny_config()
for name in ("image_metrics", "pixel_metrics"):  # the intervals are tested elsewhere
    few = partial(getattr(rcae_lite.evaluation, name), resamples=5)
    setattr(rcae_lite.evaluation, name, few)

if __name__ == "__main__":
    sys.exit(main())
