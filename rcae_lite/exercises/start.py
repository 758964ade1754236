"""Checks of notebook 00: from a map to a verdict."""

from rcae_lite.exercises.registry import Attempt, exercise


@exercise(
    "00.score",
    "easy",
    mean="that is the mean of the map, in which a small defect drowns; take the highest value",
    whole="that is one number for the whole batch; every image needs a score of its own",
    axis="only one of the two axes of the image is gone; the highest value is over both",
    lowest="that is the lowest value of the map; the most anomalous pixel has the highest",
)
def score(attempt: Attempt) -> None:
    """Turn anomaly maps (B, H, W) into one score per image (B,): the highest value."""
    maps = attempt.uniform(3, 6, 8, low=-1)
    attempt.compare(
        attempt.call(maps),
        maps.flatten(1).amax(dim=1),
        mean=maps.flatten(1).mean(dim=1),
        whole=(maps.max(), maps.max().item()),
        axis=(maps.amax(dim=1), maps.amax(dim=2)),
        lowest=maps.flatten(1).amin(dim=1),
    )


@exercise(
    "00.label",
    "easy",
    at="a score equal to the threshold is not above it: the guarantee holds for strictly above",
    below="that is the other way round: high scores are the defective ones",
    numbers="the comparison is right, but labels are True or False, not numbers",
)
def label(attempt: Attempt) -> None:
    """Say which scores (B,) are defective at a threshold: strictly above it, as bool (B,)."""
    scores = attempt.uniform(7, low=-3, high=3)
    threshold = scores.median().item()  # one of the seven
    right = scores > threshold
    attempt.compare(
        attempt.call(scores, threshold),
        right,
        at=scores >= threshold,
        below=(scores < threshold, scores <= threshold),
        numbers=(right.float(), right.long(), right.int()),
    )
