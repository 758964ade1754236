"""Train the detectors that ship with the kit and write them beside this file: some minutes.

python -m rcae_lite.example
"""

from __future__ import annotations

from msgspec.structs import replace

from data_utils import open_category
from rcae_lite.baselines import DETECTORS
from rcae_lite.config import get_config
from rcae_lite.example import KINDS, SHIPPED

COMMAND = "python -m rcae_lite.example"


def make() -> None:
    """Train, write and evaluate each detector."""
    config = get_config("demo")
    category = open_category("synthetic", size=config.size)
    for kind in KINDS:
        detector_class = DETECTORS[kind]
        detector = detector_class(config).fit(category.train)
        detector.data["command"] = COMMAND
        detector.save(SHIPPED / kind, half=True)
        loaded = detector_class.load(SHIPPED / kind)
        loaded.calibrate(category.train)  # the rounded weights
        loaded.save(SHIPPED / kind, half=True)
        files = [file.stat().st_size for file in (SHIPPED / kind).glob("detector.*")]
        print(f"{kind}: {sum(files) / 1e6:.2f} MB, as it is loaded again:")
        evaluation = loaded.evaluate(category.test)
        print(replace(evaluation, restoration=loaded.restoration(category.train)).summary())


if __name__ == "__main__":
    make()
