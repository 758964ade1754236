"""Checks of notebook 03: one encoder, one decoder, many rounds."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rcae_lite.exercises.registry import Attempt, exercise


@exercise(
    "03.encoder",
    "medium",
    unhalved="your encoder does not halve: expected height {expected}, got {got}",
    twice="your encoder halves twice: expected height {expected}, got {got}; once is enough",
    side="only one side is halved: expected {expected}, got {got}",
    channels="expected {expected} channels as in the input, got {got}: E has to eat its own output",
    nothing="your encoder has no parameters: there is nothing that could be learned",
    linear="your encoder is linear, so that n rounds are no more than one; put a GELU inside",
    size="your encoder works at one size only ({error}); each round is smaller",
    padding="expected height {expected}, got {got}: a kernel larger than its stride needs padding "
    "(kernel 3, stride 2: padding 1)",
    doubled="your encoder makes the image larger: expected height {expected}, got {got}",
    ignored="three of four pixels have no effect: look at all of them before you halve",
    inplace="your encoder changed the image that it was given; the recursion needs it again",
)
def encoder(attempt: Attempt) -> None:
    """Write a class `MyEncoder(channels)`, (B, C, H, W) to (B, C, H/2, W/2), not linear."""
    channels = attempt.integer(3, 6)
    network = attempt.call(channels)
    attempt.expect(isinstance(network, nn.Module), "kind", expected="a Module", got=type(network))
    attempt.expect(any(p.numel() for p in network.parameters()), "nothing")
    network.eval()
    height, width = 32, 16 * attempt.integer(3, 4)
    image = attempt.uniform(2, channels, height, width) - 0.5
    given = image.clone()
    got = attempt.run(network, given)
    attempt.expect(torch.equal(given, image), "inplace")
    attempt.expect(
        isinstance(got, Tensor) and got.ndim == 4, "kind", expected="(B, C, H/2, W/2)", got=got
    )
    _check_encoded(attempt, tuple(image.shape), tuple(got.shape))
    try:
        network(attempt.uniform(1, channels, 8, 16))
    except Exception as error:
        attempt.refuse("size", error=error)
    given.requires_grad_()
    effect = torch.autograd.grad(network(given).square().sum(), given)[0]
    seen = (effect != 0).any(dim=(0, 1)).float().mean()
    attempt.expect(seen > 0.3, "ignored")
    zero, other = torch.zeros_like(image), attempt.uniform(*image.shape)
    with torch.no_grad():
        bend = network(image + other) - network(image) - network(other) + network(zero)
    attempt.expect(bend.abs().max() > 1e-4, "linear")


def _check_encoded(attempt: Attempt, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    expected, got = (before[2] // 2, before[3] // 2), after[2:]
    if got != expected:
        sides = [one == half for one, half in zip(got, expected, strict=True)]
        near = all(abs(one - half) < 3 for one, half in zip(got, expected, strict=True))
        numbers = {"expected": expected[0], "got": got[0]}
        if any(sides) and not near:
            attempt.refuse("side", expected=expected, got=got)
        if got == before[2:]:
            attempt.refuse("unhalved", **numbers)
        if got == (before[2] // 4, before[3] // 4):
            attempt.refuse("twice", **numbers)
        attempt.expect(got[0] < before[2], "doubled", **numbers)
        attempt.expect(not near, "padding", **numbers)
        attempt.refuse("kind", expected=f"height and width {expected}", got=got)
    attempt.expect(after[1] == before[1], "channels", expected=before[1], got=after[1])


def _networks(attempt: Attempt) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Draw a small E and D, different every time, whose order cannot be exchanged."""
    a, b, c, d = attempt.uniform(4, low=0.3, high=0.8)

    def encode(x: Tensor) -> Tensor:
        return torch.sin(4 * (a * x[..., ::2, ::2] + b * x[..., 1::2, 1::2]))

    def decode(x: Tensor) -> Tensor:
        return torch.cos(4 * c * F.interpolate(x, scale_factor=2.0) - d)

    return encode, decode


def _chain(network: Callable[[Tensor], Tensor], x: Tensor, n: int) -> Tensor:
    for _ in range(n):
        x = network(x)
    return x


def _reconstruct(
    encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor], x: Tensor, n: int
) -> Tensor:
    return _chain(decode, _chain(encode, x, n), n)


@exercise(
    "03.reconstruct",
    "easy",
    once="E and D ran once each; at depth n each of them runs n times",
    zigzag="that is D(E(...)) repeated n times: the image never gets smaller than half. "
    "All of E first, then all of D",
    shallow="that is depth n - 1: is the loop one round short?",
    lopsided="E ran n times, D only once: the result is too small",
    restart="each round of E started from the image again; it has to start from the last result",
    deep="that is depth n + 1: is the loop one round too long?",
    swapped="that is E^n(D^n(I)): the image is made larger first; E comes first",
    compressed="that is the compressed image I_C^n; D has to bring it back to its size",
    image="that is the image itself; do the results of E and D get lost?",
    stacked="these are all depths at once; asked is depth n alone",
)
def reconstruct(attempt: Attempt) -> None:
    """Reconstruct at depth n: I_R^n = D^n(E^n(I))."""
    encode, decode = _networks(attempt)
    images, n = attempt.uniform(2, 3, 32, 64), attempt.integer(3, 4)
    zigzag, small = _chain(lambda x: decode(encode(x)), images, n), _chain(encode, images, n)
    steps = [_reconstruct(encode, decode, images, depth) for depth in range(1, n + 1)]
    attempt.compare(
        attempt.call(encode, decode, images, n),
        _reconstruct(encode, decode, images, n),
        once=_reconstruct(encode, decode, images, 1),
        zigzag=zigzag,
        shallow=_reconstruct(encode, decode, images, n - 1),
        lopsided=decode(small),
        restart=_chain(decode, encode(images), n),
        deep=_reconstruct(encode, decode, images, n + 1),
        swapped=_chain(encode, _chain(decode, images, n), n),
        compressed=small,
        image=images,
        stacked=tuple(torch.stack(steps, dim=axis) for axis in (0, 1, 2)),
    )
    attempt.compare(
        attempt.call(encode, decode, images, 1), _reconstruct(encode, decode, images, 1)
    )


@exercise(
    "03.trajectory",
    "hard",
    axis="the depths are on another axis; the kit keeps colours on axis 1 and depths on axis 2",
    reversed="the depths run from N to 1; shallow ones come first",
    image="the image itself is in it: a trajectory starts with I_R^1",
    short="the deepest reconstruction is missing: does the loop end one round early?",
    shifted="these are the depths 2 ... N + 1; a trajectory starts with I_R^1",
    only="that is the deepest reconstruction alone; all depths are asked for",
    joined="the depths were joined along an axis that was there; `torch.stack` makes a new one",
    listed="that is a list of images; make one tensor of it",
    zigzag="depth n is n times D(E(...)) there; it is n times E, and then n times D",
    wasteful="the values are right, but E ran {calls} times; keep C_1 ... C_N, then {depth} do",
)
def trajectory(attempt: Attempt) -> None:
    """Stack the reconstructions of all depths, (B, 3, N, H, W), running E only N times."""
    encode, decode = _networks(attempt)
    images, depth = attempt.uniform(2, 3, 32, 64), attempt.integer(3, 4)
    calls = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return encode(x)

    *steps, beyond = [_reconstruct(encode, decode, images, n) for n in range(1, depth + 2)]
    zigzag = [_chain(lambda x: decode(encode(x)), images, n) for n in range(1, depth + 1)]
    got = attempt.call(counted, decode, images, depth)
    attempt.expect(not isinstance(got, (list, tuple)), "listed")
    attempt.compare(
        got,
        torch.stack(steps, dim=2),
        axis=tuple(torch.stack(steps, dim=axis) for axis in (0, 1, 3, 4)),
        reversed=torch.stack(steps[::-1], dim=2),
        image=torch.stack([images, *steps], dim=2),
        short=torch.stack(steps[:-1], dim=2),
        shifted=torch.stack([*steps[1:], beyond], dim=2),
        only=steps[-1],
        joined=tuple(torch.cat(steps, dim=axis) for axis in range(4)),
        zigzag=torch.stack(zigzag, dim=2),
    )
    attempt.expect(calls <= depth, "wasteful", calls=calls, depth=depth)


@exercise(
    "03.changes",
    "easy",
    signed="the sign is still there: brighter and darker would cancel; take absolute values",
    first="these are differences to depth 1; a change is from each depth to the next",
    coloured="there are still three colours; take their mean",
    pixels="you took differences between neighbouring pixels; the depth is axis 2",
    cancelled="the mean came first, in which brighter and darker cancel; absolute values first",
    total="that is the sum over the colours; take their mean",
    strongest="that is the colour that changes most; take the mean of all three",
    squared="the differences are squared; take absolute values",
    last="these are differences to the deepest; a change is from each depth to the next",
    reversed="the changes run from the deepest to the first",
    averaged="the mean went over the depths, too; keep one change for each step",
)
def changes(attempt: Attempt) -> None:
    """Measure the change from depth to depth: (B, 3, N, H, W) to (B, N - 1, H, W)."""
    x = attempt.uniform(2, 3, attempt.integer(4, 6), 7, 8)
    steps = x[:, :, 1:] - x[:, :, :-1]
    attempt.compare(
        attempt.call(x.clone()),
        steps.abs().mean(dim=1),
        signed=(steps.mean(dim=1), -steps.mean(dim=1)),
        first=(x[:, :, 1:] - x[:, :, :1]).abs().mean(dim=1),
        coloured=steps.abs(),
        pixels=(x.diff(dim=3).abs().mean(dim=1), x.diff(dim=4).abs().mean(dim=1)),
        cancelled=steps.mean(dim=1).abs(),
        total=steps.abs().sum(dim=1),
        strongest=steps.abs().amax(dim=1),
        squared=(steps.square().mean(dim=1), steps.square().mean(dim=1).sqrt(), steps.norm(dim=1)),
        last=(x[:, :, -1:] - x[:, :, :-1]).abs().mean(dim=1),
        reversed=steps.abs().mean(dim=1).flip(1),
        averaged=steps.abs().mean(dim=(1, 2)),
    )


class _Shared(nn.Module):
    """One layer used twice, a frozen layer, and a layer with buffers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = self.first
        self.frozen = nn.Linear(width, 2).requires_grad_(False)
        self.norm = nn.BatchNorm1d(width + 1)


@exercise(
    "03.parameters",
    "medium",
    tensors="that is the number of tensors; a tensor holds many parameters",
    frozen="frozen parameters are counted, too; only those with `requires_grad` are trained",
    double="the layer that is used twice is counted twice: sharing is the point of the recursion",
    buffers="running statistics are counted, too; they are state, but nobody trains them",
    rows="only the first side of each tensor is counted; `numel` counts all its numbers",
    layers="that is the number of layers; count the numbers in them",
    bytes="that is the bytes that they take; count the numbers",
    weights="only tensors called `weight` are counted; biases are trained as well",
    linear="only linear layers are counted; normalisation has a scale and a shift to train",
    outer="only parameters of the module itself are counted, not those of the layers inside it",
)
def parameters(attempt: Attempt) -> None:
    """Count the trainable parameters of a module; a shared layer counts once."""
    width = attempt.integer(4, 9)
    module = _Shared(width)
    shared, fixed, norm = width * width + width, 2 * width + 2, 2 * (width + 1)
    statistics = norm + 1  # mean, variance and a counter
    right = shared + norm
    attempt.compare(
        attempt.call(module),
        right,
        tensors=(4, 6),
        frozen=right + fixed,
        double=(right + shared, right + shared + fixed),
        buffers=(right + statistics, 2 * shared + fixed + norm + statistics),
        rows=(2 * width + norm, 2 * width + norm + 4),
        layers=(3, 5),
        bytes=(4 * right, 4 * (right + fixed)),
        weights=(width * width + norm // 2, width * width + 2 * width + norm // 2),
        linear=(shared, shared + fixed, 2 * shared),
        outer=0,
    )
