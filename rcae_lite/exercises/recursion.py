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
)
def encoder(attempt: Attempt) -> None:
    """Write a class `MyEncoder(channels)`, (B, C, H, W) to (B, C, H/2, W/2), not linear."""
    channels = attempt.integer(3, 6)
    network = attempt.call(channels)
    attempt.expect(isinstance(network, nn.Module), "kind", expected="a Module", got=type(network))
    attempt.expect(any(p.numel() for p in network.parameters()), "nothing")
    network.eval()
    height, width = 32, 16 * attempt.integer(3, 4)
    image = attempt.uniform(2, channels, height, width)
    got = attempt.run(network, image)
    attempt.expect(
        isinstance(got, Tensor) and got.ndim == 4, "kind", expected="(B, C, H/2, W/2)", got=got
    )
    _check_encoded(attempt, tuple(image.shape), tuple(got.shape))
    try:
        network(attempt.uniform(1, channels, 8, 16))
    except Exception as error:
        attempt.refuse("size", error=error)
    zero, other = torch.zeros_like(image), attempt.uniform(*image.shape)
    with torch.no_grad():
        bend = network(image + other) - network(image) - network(other) + network(zero)
    attempt.expect(bend.abs().max() > 1e-4, "linear")


def _check_encoded(attempt: Attempt, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    expected = before[2] // 2, before[3] // 2
    if after[2:] != expected:
        numbers = {"expected": expected[0], "got": after[2]}
        if after[2:] == before[2:]:
            attempt.refuse("unhalved", **numbers)
        if after[2:] == (before[2] // 4, before[3] // 4):
            attempt.refuse("twice", **numbers)
        attempt.refuse("side", expected=expected, got=after[2:])
    attempt.expect(after[1] == before[1], "channels", expected=before[1], got=after[1])


def _networks(attempt: Attempt) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Draw a small E and D, different every time, whose order cannot be exchanged."""
    a, b, c, d = attempt.uniform(4, low=0.3, high=0.8)

    def encode(x: Tensor) -> Tensor:
        return torch.sin(4 * (a * x[..., ::2, ::2] + b * x[..., 1::2, 1::2]))

    def decode(x: Tensor) -> Tensor:
        return torch.cos(4 * c * F.interpolate(x, scale_factor=2.0) - d)

    return encode, decode


def _reconstruct(
    encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor], x: Tensor, n: int
) -> Tensor:
    for network in [encode] * n + [decode] * n:
        x = network(x)
    return x


@exercise(
    "03.reconstruct",
    "easy",
    once="E and D ran once each; at depth n each of them runs n times",
    zigzag="that is D(E(...)) repeated n times: the image never gets smaller than half. "
    "All of E first, then all of D",
    shallow="that is depth n - 1: is the loop one round short?",
    lopsided="E ran n times, D only once: the result is too small",
)
def reconstruct(attempt: Attempt) -> None:
    """Reconstruct at depth n: I_R^n = D^n(E^n(I))."""
    encode, decode = _networks(attempt)
    images, n = attempt.uniform(2, 3, 16, 32), attempt.integer(3, 4)
    zigzag = small = images
    for _ in range(n):
        zigzag, small = decode(encode(zigzag)), encode(small)
    attempt.compare(
        attempt.call(encode, decode, images, n),
        _reconstruct(encode, decode, images, n),
        once=_reconstruct(encode, decode, images, 1),
        zigzag=zigzag,
        shallow=_reconstruct(encode, decode, images, n - 1),
        lopsided=decode(small),
    )
    attempt.compare(
        attempt.call(encode, decode, images, 1), _reconstruct(encode, decode, images, 1)
    )


@exercise(
    "03.trajectory",
    "hard",
    axis="the depths are on axis 1; the kit keeps colours there and depths on axis 2",
    reversed="the depths run from N to 1; shallow ones come first",
    image="the image itself is in it: a trajectory starts with I_R^1",
    wasteful="the values are right, but E ran {calls} times; keep C_1 ... C_N, then {depth} do",
)
def trajectory(attempt: Attempt) -> None:
    """Stack the reconstructions of all depths, (B, 3, N, H, W), running E only N times."""
    encode, decode = _networks(attempt)
    images, depth = attempt.uniform(2, 3, 16, 32), attempt.integer(3, 4)
    calls = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return encode(x)

    steps = [_reconstruct(encode, decode, images, n) for n in range(1, depth + 1)]
    attempt.compare(
        attempt.call(counted, decode, images, depth),
        torch.stack(steps, dim=2),
        axis=torch.stack(steps, dim=1),
        reversed=torch.stack(steps[::-1], dim=2),
        image=torch.stack([images, *steps], dim=2),
    )
    attempt.expect(calls <= depth, "wasteful", calls=calls, depth=depth)


@exercise(
    "03.changes",
    "easy",
    signed="the sign is still there: brighter and darker would cancel; take absolute values",
    first="these are differences to depth 1; a change is from each depth to the next",
    coloured="there are still three colours; take their mean",
    pixels="you took differences between neighbouring pixels; the depth is axis 2",
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
    )
