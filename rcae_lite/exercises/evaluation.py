"""Checks of notebooks 07 and 08: honest figures and honest thresholds."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from rcae_lite.exercises.registry import Attempt, exercise

Array = np.ndarray


@exercise(
    "07.auroc",
    "easy",
    generous="equal scores count as a success; a tie is worth one half",
    strict="equal scores count as a failure; a tie is worth one half",
    inverted="that is the share of pairs in the *wrong* order",
    share="that is the share of images on the right side of 0.5; AUROC needs no threshold",
)
def auroc(attempt: Attempt) -> None:
    """Compute the AUROC: how often a defective image scores above a normal one, ties half."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    wrong: dict[str, float] = {}
    right = 0.0
    # Until every mistake gives another number, not only another rounding of the same.
    while len({round(value, 6) for value in (right, *wrong.values())}) < 5:
        scores = attempt.random.integers(0, 9, 9) / 10
        pairs = scores[labels == 1][:, None] - scores[labels == 0]
        right = float(roc_auc_score(labels, scores))
        wrong = {
            "generous": float((pairs >= 0).mean()),
            "strict": float((pairs > 0).mean()),
            "inverted": 1 - right,
            "share": float(((scores > 0.5) == labels).mean()),
        }
    order = attempt.random.permutation(9)
    attempt.compare(attempt.call(labels[order], scores[order]), right, **wrong)


@exercise(
    "07.threshold",
    "medium",
    quantile="that is an interpolated quantile: it guarantees nothing for a *new* image",
    highest="that is the highest score: it answers a lower rate than the one asked for",
    lowest="counted from the wrong end: the threshold lies among the highest scores",
    next="one place too far down: the k-th highest is at index k - 1",
    count="k is rate times n; the new image is one of n + 1 that could be the highest",
    rounding="0.29 * 100 is 28.999999999999996 here; add a tiny number before you round down",
    beyond="k is rate times n + 1: you counted one image more than the n and the new one",
)
def threshold(attempt: Attempt) -> None:
    """Take the k-th highest of n normal scores, k = rate * (n + 1) rounded down."""
    k, rate = attempt.integer(3, 8), 0.125
    n = 8 * k - 1  # well apart, so that no two answers are alike
    scores = attempt.random.permutation(n) + attempt.random.uniform(0, 0.3, n)
    ordered = np.sort(scores)[::-1]
    attempt.compare(
        attempt.call(scores.copy(), rate),
        float(ordered[k - 1]),
        quantile=float(np.quantile(scores, 1 - rate)),
        highest=float(ordered[0]),
        lowest=float(ordered[-k]),
        next=float(ordered[k]),
        count=float(ordered[k - 2]),
    )
    got = attempt.call(attempt.random.permutation(99).astype(float), 0.29)
    attempt.compare(got, 70.0, rounding=71.0)  # the 29th and the 28th highest of 0 to 98
    got = attempt.call(attempt.random.permutation(18).astype(float), 0.5)
    attempt.compare(got, 9.0, beyond=8.0)  # the 9th and the 10th highest of 0 to 17


class Spy:
    """A metric that remembers what it was asked, and answers the mean score of the defective."""

    def __init__(self) -> None:
        self.asked: list[tuple[Array, Array]] = []
        self.answers: list[float] = []

    def __call__(self, labels: Array, scores: Array) -> float:
        """Answer, and remember."""
        labels, scores = np.asarray(labels), np.asarray(scores)
        if labels.ndim != 1 or labels.shape != scores.shape or not set(labels.tolist()) <= {0, 1}:
            raise TypeError("metric(labels, scores) takes two arrays (n,), the labels 0 or 1")
        self.asked.append((np.array(labels), np.array(scores)))
        answer = float((labels * scores).sum() / max(labels.sum(), 1))
        self.answers.append(answer)
        return answer


@exercise(
    "07.bootstrap",
    "medium",
    single="the metric was asked {calls} times for {resamples} resamples",
    permuted="no image was drawn twice: draw *with* replacement, or every resample is the same set",
    unpaired="labels and scores were drawn separately: an image keeps its own score",
    size="a resample has as many images as the test set: expected {expected}, got {got}",
    ninety="these are the 5% and 95% points, which hold 90%; for 95% take 2.5% and 97.5%",
    spread="that is the mean plus and minus two standard deviations; take the percentiles",
    narrow="that interval is far too narrow: the spread of the resamples is the error already",
    uneven="some images are drawn more often than others; each has the same chance, the first too",
)
def bootstrap(attempt: Attempt) -> None:
    """Give the ends (low, high) of the 95% bootstrap interval of a metric over images."""
    size, resamples = attempt.integer(14, 20), 200
    labels = np.arange(size) % 2
    scores = attempt.random.random(size) + labels
    spy = Spy()
    got = attempt.call(labels, scores, spy, np.random.default_rng(attempt.seed), resamples)
    enough = resamples <= len(spy.asked) <= resamples + 1
    attempt.expect(enough, "single", calls=len(spy.asked), resamples=resamples)
    drawn = spy.asked[-resamples:]
    sizes = {len(part) for _, part in drawn}
    attempt.expect(sizes == {size}, "size", expected=size, got=min(sizes))
    owner = dict(zip(scores, labels, strict=True))
    paired = all(owner[s] == y for ys, ss in drawn for y, s in zip(ys, ss, strict=True))
    attempt.expect(paired, "unpaired")
    attempt.expect(any(len(set(part)) < size for _, part in drawn), "permuted")
    places = {score: place for place, score in enumerate(scores)}
    attempt.expect(even([places[s] for _, part in drawn for s in part], size), "uneven")
    answers = np.array(spy.answers[-resamples:])
    middle, spread = answers.mean(), answers.std()
    attempt.compare(
        [float(end) for end in got],
        np.percentile(answers, [2.5, 97.5]).tolist(),
        ninety=np.percentile(answers, [5, 95]).tolist(),
        spread=tuple(
            [middle - z * s, middle + z * s]
            for z in (1.96, 2)
            for s in (spread, answers.std(ddof=1))
        ),
        narrow=tuple([middle - z * e, middle + z * e] for z in (1.96, 2) for e in _errors(answers)),
    )


def even(drawn: Sequence[int], size: int) -> bool:
    """Tell whether places 0 to size - 1 were drawn about equally often, in thousands of draws."""
    share = np.bincount(drawn, minlength=size) * size / len(drawn)
    return bool(0.5 < share.min() and share.max() < 1.5)  # six standard deviations and more


def _errors(values: Array) -> list[float]:
    return [float(values.std(ddof=d) / len(values) ** 0.5) for d in (0, 1)]


@exercise(
    "07.pixels",
    "hard",
    average="that is the mean of one AUROC per image; pool the pixels of all images first",
    stretched="every map was stretched to [0, 1]: a good image then looks as alarming as a bad one",
    defective="good images were left out: their false alarms are to count",
)
def pixels(attempt: Attempt) -> None:
    """Compute the pixel AUROC of lists of maps and masks (h, w), images of different sizes."""
    maps, masks = [], []
    for number in range(4):
        shape = attempt.integer(5, 7), attempt.integer(8, 9)
        mask = np.zeros(shape, bool)
        if number < 2:
            mask[1:3, 2:5] = True
        maps.append(attempt.random.random(shape) * (1, 3, 1.5, 0.5)[number] + 0.3 * mask)
        masks.append(mask)

    def pooled(values: list[Array], truth: list[Array]) -> float:
        flat = [np.concatenate([v.ravel() for v in part]) for part in (truth, values)]
        return float(roc_auc_score(*flat))

    stretched = [(m - m.min()) / (m.max() - m.min()) for m in maps]
    each = [pooled([m], [t]) for m, t in zip(maps[:2], masks[:2], strict=True)]
    attempt.compare(
        attempt.call(maps, masks),
        pooled(maps, masks),
        average=float(np.mean(each)),
        stretched=pooled(stretched, masks),
        defective=pooled(maps[:2], masks[:2]),
    )


@exercise(
    "07.leak",
    "easy",
    train="these are places in the *training* set; name the test images",
    position="only equal places were compared; a copy may lie anywhere",
    count="that is how many; name which ones",
    brightness="images with the same mean were called copies; compare every pixel",
)
def leak(attempt: Attempt) -> None:
    """List the places of the test images that are training images, too: sorted."""
    train = torch.randint(0, 256, (6, 3, 4, 5), generator=attempt.generator).byte()
    test = torch.randint(0, 256, (7, 3, 4, 5), generator=attempt.generator).byte()
    test[2], test[4], test[5] = train[2], train[1], train[0]
    test[6] = train[3].flip(2)  # the same mean, another image; others may meet it by chance
    as_bright = torch.isin(test.sum(dim=(1, 2, 3)), train.sum(dim=(1, 2, 3)))
    attempt.compare(
        attempt.call(train, test),
        [2, 4, 5],
        train=([2, 1, 0], [0, 1, 2]),
        position=[2],
        count=3,
        brightness=as_bright.nonzero().flatten().tolist(),
    )


@exercise(
    "07.pro",
    "hard",
    pooled="all defective pixels were pooled, so a large defect counts more than a small one",
    images="that is a mean over images; take it over the defects, of which one image has two",
    at="a pixel that equals the threshold is not above it",
    false="pixels outside of the defects were counted; PRO looks inside of them",
    good="good images were counted as defects of which nothing is found",
)
def pro(attempt: Attempt) -> None:
    """Compute PRO at a threshold: mean over connected defects of their share above it."""
    maps, masks, threshold = [], [], 0.5
    defects = [
        [(1, 3, 1, 4), (6, 8, 5, 9)],
        [(2, 7, 2, 9)],
        [],
    ]  # two in the first, none in the last
    shares, by_image = [], []
    for places in defects:
        values = attempt.random.integers(0, 9, (9, 11)) / 8 * 0.999
        mask, found = np.zeros((9, 11), bool), []
        for top, bottom, left, right in places:
            mask[top:bottom, left:right] = True
            values[top, left] = threshold  # exactly
            found.append(float((values[top:bottom, left:right] > threshold).mean()))
        shares += found
        by_image += [float(np.mean(found))] if found else []
        maps.append(values)
        masks.append(mask)
    above = [values > threshold for values in maps]
    inside = np.concatenate([a[m] for a, m in zip(above, masks, strict=True)])
    at = [
        float((values[top:bottom, left:right] >= threshold).mean())
        for values, places in zip(maps, defects, strict=True)
        for top, bottom, left, right in places
    ]
    attempt.compare(
        attempt.call(maps, masks, threshold),
        float(np.mean(shares)),
        pooled=float(inside.mean()),
        images=float(np.mean(by_image)),
        at=float(np.mean(at)),
        false=(float(np.mean(above)), float(np.mean([a.mean() for a in above]))),
        good=(float(np.sum(shares) / 4), float(np.sum(by_image) / 3)),
    )


@exercise(
    "08.rates",
    "easy",
    swapped="the two are in the wrong order: false alarms first, then detections",
    share="divide by the images of that kind, not by all images",
    at="a score equal to the threshold is not above it",
    precision="the second number is the share of alarms that are right; asked is the share of "
    "defects that are found",
)
def rates(attempt: Attempt) -> None:
    """Give the false-positive rate and the detection rate at a threshold."""
    normal, defective = attempt.random.normal(size=11), attempt.random.normal(1, size=5)
    threshold = float(np.sort(normal)[5])  # one of them, and five above it
    labels = np.repeat([0, 1], [11, 5])
    defective[:2] = threshold + 1, threshold - 1
    scores = np.concatenate([normal, defective])
    order = attempt.random.permutation(16)
    false, true = int((normal > threshold).sum()), int((defective > threshold).sum())
    right = [false / 11, true / 5]
    got = attempt.call(labels[order], scores[order], threshold)
    pair = isinstance(got, (tuple, list, np.ndarray)) and len(got) == 2
    attempt.expect(pair, "kind", expected="two numbers", got=type(got).__name__)
    attempt.compare(
        [float(value) for value in got],
        right,
        swapped=right[::-1],
        share=[false / 16, true / 16],
        at=[(false + 1) / 11, true / 5],
        precision=[false / 11, true / (true + false)],
    )


def _cost(labels: Array, scores: Array, threshold: float, alarm: float, miss: float) -> float:
    called = scores > threshold
    return float(alarm * (called & (labels == 0)).sum() + miss * (~called & (labels == 1)).sum())


@exercise(
    "08.cost",
    "medium",
    swapped="the costs are swapped: your threshold suits a line where *alarms* are dear",
    equal="your threshold counts both mistakes alike; weigh each kind with its cost",
    unpriced="your threshold counts an alarm as 1, whatever it costs; multiply it by `alarm`",
    found="defects that are found count as alarms in your sum; only good images are false alarms",
    quiet="your threshold is above every score, so nothing is ever called defective; the missed "
    "defects cost more than the alarms you save",
    lowest="a score is called defective *above* the threshold, so the lowest scores as thresholds "
    "never catch the image that has them: try one below all of them, too",
)
def cost(attempt: Attempt) -> None:
    """Find a threshold with the lowest total cost of false alarms and misses."""
    labels = np.repeat([0, 1], [30, 30])
    alarm, miss = 3.0, 36.0
    wrong = {"swapped": (miss, alarm), "equal": (1.0, 1.0), "unpriced": (1.0, miss)}
    _try_costs(attempt, labels, alarm, miss, wrong, 1.2)
    # Dear alarms: who counts the defects that are found as alarms would rather find none.
    _try_costs(attempt, labels, 4.0, 5.0, {"found": (4.0, 1.0)}, 1.2)
    scores = attempt.random.normal(size=60) + 1.2 * labels
    scores[30] = scores.min() - 0.1  # the lowest of all is a defect, and misses are dear
    costs = 1.0, 1000.0
    _judge_cost(
        attempt, labels, scores, costs, {"lowest": _lowest(labels, scores, *costs, least=1)}
    )


def _try_costs(
    attempt: Attempt,
    labels: Array,
    alarm: float,
    miss: float,
    wrong: dict[str, tuple[float, float]],
    distance: float,
) -> None:
    """Draw scores until right and wrong costs have different thresholds, then ask."""
    top = len(labels)
    while True:
        scores = attempt.random.normal(size=len(labels)) + distance * labels
        right = _lowest(labels, scores, alarm, miss)
        places = {name: _lowest(labels, scores, *costs) for name, costs in wrong.items()}
        every = [right, *places.values()]
        if len(set().union(*every)) == sum(map(len, every)) and top not in set().union(*every):
            return _judge_cost(attempt, labels, scores, (alarm, miss), places)


def _judge_cost(
    attempt: Attempt,
    labels: Array,
    scores: Array,
    costs: tuple[float, float],
    wrong: dict[str, set[int]],
) -> None:
    got = attempt.call(labels, scores, *costs)
    attempt.expect(isinstance(got, (float, np.floating)), "kind", expected="a number", got=got)
    place = int((np.sort(scores) <= got).sum())  # how many lie at or below it
    if place in _lowest(labels, scores, *costs):
        return
    for mistake, places in {**wrong, "quiet": {len(scores)}}.items():
        attempt.expect(place not in places, mistake)
    reached = _cost(labels, scores, float(got), *costs)
    least = min(_cost(labels, scores, t, *costs) for t in (-np.inf, *scores))
    attempt.refuse("value", expected=f"a cost of {least}", got=f"{reached}")


def _lowest(labels: Array, scores: Array, alarm: float, miss: float, *, least: int = 0) -> set[int]:
    """Count the scores at or below each threshold of lowest cost; at least ``least`` must be."""
    tried = (-np.inf, *np.sort(scores))
    costs = np.array([_cost(labels, scores, t, alarm, miss) for t in tried[least:]])
    return set((least + np.flatnonzero(costs == costs.min())).tolist())
