"""Checks of notebook 09: what an ablation may claim."""

import numpy as np

from rcae_lite.config import PRESETS, get_config
from rcae_lite.exercises.evaluation import Spy, even
from rcae_lite.exercises.registry import Attempt, exercise, same


@exercise(
    "09.spread",
    "easy",
    population="divided by n; the standard deviation of a *sample* divides by n - 1",
    standard_error="that is the standard error of the mean; asked is the spread from seed to seed",
    range="that is the range; asked is the standard deviation",
    median="the first number is the median; asked is the mean",
)
def spread(attempt: Attempt) -> None:
    """Give mean and sample standard deviation of a list of results, one per seed."""
    values = attempt.random.random(attempt.integer(3, 6))
    values[0] += 2  # the median is far from the mean
    mean, deviation = values.mean(), values.std(ddof=1)
    got = attempt.call(values.tolist())
    pair = isinstance(got, (tuple, list, np.ndarray)) and len(got) == 2
    attempt.expect(pair, "kind", expected="two numbers", got=type(got).__name__)
    attempt.compare(
        [float(value) for value in got],
        [mean, deviation],
        population=[mean, values.std()],
        standard_error=[mean, deviation / len(values) ** 0.5],
        range=[mean, values.max() - values.min()],
        median=[float(np.median(values)), deviation],
    )


@exercise(
    "09.changed",
    "medium",
    shallow="options inside a stage are options, too: name them with a dot, as `crd.steps`",
    same="these are the options that are equal; asked are those that differ",
    nothing="nothing was found, but {count} options differ",
)
def changed(attempt: Attempt) -> None:
    """List the options in which two `Config.to_dict()` differ, sorted."""
    base = get_config(str(attempt.random.choice(list(PRESETS)))).to_dict()
    other = get_config(base["preset"]).to_dict()
    size, steps = 32 * attempt.integer(40, 80), attempt.integer(10_000, 20_000)
    other["size"], other["crd"]["steps"], other["dpn"]["batch_size"] = size, steps, 99
    got = attempt.call(base, other)
    right = ["crd.steps", "dpn.batch_size", "size"]
    equal = {name for name in base if base[name] == other[name]}
    got = sorted(got) if isinstance(got, (set, tuple)) else got
    attempt.expect(got != [], "nothing", count=len(right))
    attempt.expect(not (isinstance(got, list) and equal & set(got)), "same")
    attempt.compare(got, right, shallow=["crd", "dpn", "size"])


@exercise(
    "09.paired",
    "hard",
    unpaired="the two detectors saw different resamples: their common luck does not cancel",
    ends="these are differences of two intervals' ends; take the interval of the differences",
    sign="the sign is turned round: positive is to mean that the second one is better",
    single="the metric was asked {calls} times; {resamples} resamples of two detectors are needed",
    uneven="some images are drawn more often than others; give all the same chance, the first too",
)
def paired(attempt: Attempt) -> None:
    """Give the 95% interval of the gain (second minus first) on the same test images."""
    size, resamples = attempt.integer(14, 20), 150
    labels = np.arange(size) % 2
    first = attempt.random.random(size)
    second = 2 + first + attempt.random.random(size)  # all above 2: so we know who is asked about
    spy = Spy()
    rng = np.random.default_rng(attempt.seed)
    got = attempt.call(labels, first, second, spy, rng, resamples)
    about = np.array([scores.max() >= 2 for _, scores in spy.asked])
    one, two = (np.flatnonzero(about == kind)[-resamples:] for kind in (False, True))
    enough = len(one) == len(two) == resamples
    attempt.expect(enough, "single", calls=len(spy.asked), resamples=resamples)
    drawn = [np.array([np.flatnonzero(first == v)[0] for v in spy.asked[i][1]]) for i in one]
    together = all(
        np.array_equal(second[indices], spy.asked[j][1])
        for indices, j in zip(drawn, two, strict=True)
    )
    answers = np.array(spy.answers)
    ends = [np.percentile(answers[kind], [2.5, 97.5]) for kind in (one, two)]
    attempt.expect(not same([float(v) for v in got], (ends[1] - ends[0]).tolist()), "ends")
    attempt.expect(together, "unpaired")
    attempt.expect(even(np.concatenate(drawn).tolist(), size), "uneven")
    interval = np.percentile(answers[two] - answers[one], [2.5, 97.5])
    attempt.compare([float(end) for end in got], interval.tolist(), sign=(-interval[::-1]).tolist())
