"""Checks of notebooks 10 and 11: your own data, and more than one device."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from rcae_lite.exercises.registry import Attempt, exercise


@exercise(
    "10.split",
    "hard",
    order="with the files in another order, other images are tested; let the content decide",
    random="the same files were split in two ways; let the content decide, not chance",
    copies="copies of one image ended up on both sides: the test would be leaked",
    share="{got} of {count} images are tested; about {expected} were asked for",
)
def split(attempt: Attempt) -> None:
    """Choose about a share of the images for the test, by their content alone: list of bool."""
    count, share = attempt.integer(40, 60), 0.25
    digests = [attempt.random.bytes(8).hex() for _ in range(count)]
    digests += digests[:12]  # twelve copies
    order = attempt.random.permutation(len(digests))
    mixed = [digests[i] for i in order]
    first, second = attempt.call(list(mixed), share), attempt.call(list(mixed), share)
    fits = isinstance(first, list) and len(first) == len(mixed)
    attempt.expect(fits, "kind", expected="a list with True or False per image", got=type(first))
    attempt.expect(list(first) == list(second), "random")
    expected, got = round(share * len(mixed)), sum(map(bool, first))
    attempt.expect(
        expected / 3 <= got <= 2 * expected, "share", got=got, count=len(mixed), expected=expected
    )
    tested = {d for d, chosen in zip(mixed, first, strict=True) if chosen}
    trained = {d for d, chosen in zip(mixed, first, strict=True) if not chosen}
    backwards = attempt.call(mixed[::-1], share)
    again = {d for d, chosen in zip(mixed[::-1], backwards, strict=True) if chosen}
    attempt.expect(tested == again, "order")
    attempt.expect(not tested & trained, "copies")


@exercise(
    "10.precision",
    "medium",
    base="how rare defects are makes no difference in your answer; on a good line it is everything",
    detection="that is the share of defects that are found, not of alarms that are right",
    complement="that is the share of alarms that are *wrong*",
    swapped="the share of defects was applied to the good parts",
)
def precision(attempt: Attempt) -> None:
    """Compute which share of the alarms is right, from the two rates and how rare defects are."""
    # In these ranges the mistakes below lie apart, whatever is drawn.
    false, found, rare = attempt.uniform(3, low=0.1, high=0.2).tolist()
    found, rare = 0.5 + found, 0.07 * rare
    right = found * rare / (found * rare + false * (1 - rare))
    attempt.compare(
        attempt.call(false, found, rare),
        right,
        base=found / (found + false),
        detection=found,
        complement=1 - right,
        swapped=found * (1 - rare) / (found * (1 - rare) + false * rare),
    )


@exercise(
    "11.shard",
    "medium",
    everything="every rank gets all the work: then {world} machines are no faster than one",
    overlap="some work is done twice: the ranks' parts must not overlap",
    lost="some work is done by nobody: {count} does not divide evenly by {world}",
    uneven="one rank has {most} items and another {least}; nobody should have two more",
)
def shard(attempt: Attempt) -> None:
    """List the indices out of range(count) that a rank works on."""
    world = attempt.integer(3, 5)
    count = world * attempt.integer(4, 8) + attempt.integer(2, world - 1)
    given = [attempt.call(count, rank, world) for rank in range(world)]
    parts = [attempt.run(sorted, part) for part in given]
    numbers = {"count": count, "world": world}
    together = sorted(i for part in parts for i in part)
    attempt.expect(any(part != list(range(count)) for part in parts), "everything", **numbers)
    attempt.expect(len(set(together)) == len(together), "overlap", **numbers)
    attempt.expect(together == list(range(count)), "lost", **numbers)
    most, least = max(map(len, parts)), min(map(len, parts))
    attempt.expect(most - least <= 1, "uneven", most=most, least=least)


@exercise(
    "11.accumulate",
    "hard",
    last="only the last part counts: gradients were cleared in the loop",
    total="the gradient is {times:.0f} times too large: a part's loss is a mean already; weigh it",
    equal="the parts are not of one size: weigh each with its own number of images",
    nothing="there is no gradient afterwards: call `backward` for each part, clear nothing after",
    stepped="the weights moved; only the gradients are to be there",
    order="the loss takes the output of the module first, then the images",
)
def accumulate(attempt: Attempt) -> None:
    """Leave, part by part, the gradient of the whole batch in the parameters."""
    width, parts = attempt.integer(3, 6), 3
    module = nn.Linear(width, width)
    batch = attempt.uniform(7, width)  # parts of 3, 3 and 1
    before = copy.deepcopy(module.state_dict())
    weight = module.weight

    def loss(output: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(output, 2 * part.flip(1))

    def gradient_of(*weighted: tuple[float, torch.Tensor]) -> torch.Tensor:
        total = sum(w * loss(module(part), part) for w, part in weighted)
        return torch.autograd.grad(torch.as_tensor(total), weight)[0]

    pieces = batch.chunk(parts)
    right, total = gradient_of((1, batch)), gradient_of(*((1, piece) for piece in pieces))
    attempt.call(module, batch, parts, loss)
    same = all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    attempt.expect(same, "stepped")
    got = weight.grad
    if got is None or not got.any():
        return attempt.refuse("nothing")
    if torch.allclose(got, total, atol=1e-6):
        attempt.refuse("total", times=(total.norm() / right.norm()).item())
    attempt.compare(
        got,
        right,
        last=(
            gradient_of((1, pieces[-1])),
            gradient_of((len(pieces[-1]) / 7, pieces[-1])),
            gradient_of((1 / parts, pieces[-1])),
        ),
        equal=total / parts,
        order=torch.autograd.grad(loss(batch, module(batch)), weight)[0],
    )
