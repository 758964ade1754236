"""No small change of a solution passes its check, but for those that mean the same."""

import ast
import re

import pytest

from rcae_lite.exercises import EXERCISES, NotYet, check
from tests.rcae_lite.exercises.mutation import compiled, mutants
from tests.rcae_lite.exercises.test_checks import SOLUTIONS

SAME = {  # what may be changed without changing what comes out, or its worth
    "00.score": ["`(-1, -2)` for `(-2, -1)`"],
    "01.mask": [
        "`(None, None)` for `(None, None)`", "`(size, size)` for `(size, size)`",
        "`(0, 0)` for `(0, 0)`", "`-1` for `0`",  # of a single image with a single channel
        "[0, 0] >= 0.5` for", "(size, size))` for `F.interpolate",  # nearest: values 0 and 1
    ],
    "02.gradient": ["`[x, x]` for `[x, x]`", "`x.diff()` for `x.diff(dim=-1)`", "`2` for `-2`"],
    "02.loss": ["F.l1_loss(reconstruction, image)` for", "(gradient(reconstruction), gradient(im"],
    "02.copied": ["`(painted - clean).abs()` for"],  # nothing is painted outside of the mask
    "03.changes": ["`(reconstructions[:, :, :-1], reconstructions[:, :, 1:])` for"],
    "03.encoder": ["`4` for `3`", "`2` for `3`"],  # the size of a kernel with padding "same"
    "04.psnr": ["`(2, 3, 1)` for `(1, 2, 3)`"],
    "04.weighted": ["`2` for `1`"],  # of the fewest pixels in a region
    "05.detector": [  # sizes of kernels, and which of the two GELUs is there: all of them will do
        "for `(1, 3, 3)`", "for `(3, 1, 1)`", "`4` for `3`", "`2` for `3`", "`2` for `1`",
        "`1` for `2`", "for `nn.Conv3d(8, 8, kernel_size=(3, 1, 1)", "` for `F.gelu(",
    ],
    "07.pixels": ["`2` for `1`"],  # NumPy takes any negative number as -1
    "07.pro": ["for `zip(maps, masks, strict=True)`", "`False` for `True`"],
    "08.cost": ["[*scores.tolist(), scores.min() - 1.0]` for", "`2.0` for `1.0`"],
    "09.changed": ["`changed(other[option], value)` for"],  # the names alone are asked for
    "09.paired": ["`range(resamples + 1)` for `range(resamples)`"],
    "10.split": ["`digests` for `set(digests)`", "for `set(different[:"],  # in a list as in a set
}  # fmt: skip


def solutions():
    """Each exercise, the text of its solution's file, and what is handed to the check."""
    for source in SOLUTIONS:
        text = source.read_text(encoding="utf-8")
        for exercise, name in re.findall(r'^check\("([\w.]+)", (\w+)\)$', text, re.M):
            yield pytest.param(exercise, text, name, id=exercise)


@pytest.mark.parametrize(("exercise", "text", "name"), list(solutions()))
def test_a_small_change_of_the_solution_is_refused(exercise, text, name):
    definitions = {getattr(node, "name", None): node for node in ast.parse(text).body}
    tried, accepted = 0, []
    for words, mutant in mutants(definitions[name]):
        tried += 1
        try:
            check(exercise, compiled(text, mutant, name), seed=5)
            accepted.append(words)
        except NotYet:
            pass
    assert tried > 0
    same = SAME.get(exercise, [])
    assert [words for words in accepted if not any(known in words for known in same)] == []
    assert [known for known in same if not any(known in words for words in accepted)] == []


def test_every_exercise_is_changed():
    assert {parameter.values[0] for parameter in solutions()} == EXERCISES.keys()
