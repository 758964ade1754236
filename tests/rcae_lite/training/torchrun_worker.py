"""What torchrun starts in `test_distributed`: ``rcae`` with a tiny preset instead of demo."""

import sys
from functools import partial

from rcae_lite.cli import main
from rcae_lite.config import PRESETS
from rcae_lite.evaluation import protocol
from tests.rcae_lite.conftest import tiny_config

PRESETS["demo"] = tiny_config()
for name in ("image_metrics", "pixel_metrics"):  # the intervals are tested elsewhere
    few = partial(getattr(protocol, name), resamples=5)
    setattr(protocol, name, few)

if __name__ == "__main__":
    sys.exit(main())
