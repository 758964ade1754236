"""``python -m rcae_lite`` is ``rcae``; torchrun starts it this way."""

import sys

from rcae_lite.cli import main

sys.exit(main())
