"""Draw docs/img/trajectory.png: one synthetic part through the recursion of a trained detector.

python benchmarks/readme_picture.py runs/demo
"""

import sys
from pathlib import Path

from data_utils import open_category
from rcae_lite import RcAEDetector, plotting

OUT = Path(__file__).parent.parent / "docs" / "img" / "trajectory.png"


def draw(run: str) -> None:
    detector = RcAEDetector.load(run, device="cpu")
    test = open_category("synthetic", detector.trained["category"], size=128).test
    sample = test[test.defects.index("stain")]
    trajectory = detector.trajectory(sample.image.unsqueeze(0))
    detection = detector.detect(trajectory)
    figure = plotting.trajectory_strip(
        sample.image,
        trajectory.reconstructions[0],
        trajectory.enhanced[0],
        detection.anomaly_map[0],
        title=f"{sample.path}: preset {detector.config.preset}, seed {detector.seed}",
    )
    figure.savefig(OUT, dpi=100)


if __name__ == "__main__":
    draw(sys.argv[1])
