"""How long the data doctor takes for 5,000 JPEG images of 512x512 pixels, on two cores.

    python benchmarks/doctor_speed.py

Writes 250 different synthetic images into a temporary folder, each twenty times with other noise
(so that no two files are the same), and prints the time that `diagnose` takes for them.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from data_utils import diagnose, synthetic

SIDE = 512
SCENES = 250
COPIES = 20  # of each scene


def write(folder: Path) -> None:
    """Write the images as the training split of a category."""
    for scene in range(SCENES):
        picture = synthetic.draw("washer", "train", scene, size=SIDE, defect="good").image
        for copy in range(COPIES):
            rng = np.random.default_rng([scene, copy])
            moved = np.roll(picture, rng.integers(-60, 60, 2), axis=(0, 1))
            noise = rng.normal(0, 2, moved.shape).astype(np.float32)
            image = Image.fromarray((moved + noise).clip(0, 255).astype(np.uint8))
            image.save(folder / f"{scene:03}-{copy:02}.jpg", quality=90)


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "washer" / "train" / "good"
        folder.mkdir(parents=True)
        write(folder)
        wall, cpu = time.perf_counter(), time.process_time()
        diagnosis = diagnose(place)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    (category,) = diagnosis.categories
    print(
        f"{category.counts.train} JPEG images of {category.sizes}: {wall:.1f} s, of which "
        f"{cpu:.1f} s on a processor; load of the machine {os.getloadavg()[0]:.1f}; "
        f"{diagnosis.verdict()}"
    )


if __name__ == "__main__":
    main()
