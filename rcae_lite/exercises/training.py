"""Checks of notebook 06: what a training loop must get right."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from rcae_lite.exercises.registry import Attempt, exercise, same


@exercise(
    "06.depth",
    "easy",
    zero="depth 0 was drawn: that is the image itself, from which nothing can be learned",
    never="depth {deepest} was never drawn: the upper end of `randint` is not included",
    gap="depth {missing} was never drawn: every depth from 1 on has its turn",
    constant="the same depth came every time: one depth alone invites shortcuts",
    unseeded="the same generator state gave another depth: draw from the generator you are given",
    beyond="depth {got} was drawn, the deepest is {deepest}",
)
def depth(attempt: Attempt) -> None:
    """Draw a depth from a generator: a whole number, uniform over 1 ... deepest."""
    deepest = attempt.integer(3, 6)

    def series() -> list[int]:
        generator = torch.Generator().manual_seed(attempt.seed % 2**31)
        return [attempt.call(generator, deepest) for _ in range(400)]

    drawn = series()
    whole = all(isinstance(n, int) for n in drawn)
    attempt.expect(whole, "kind", expected="a whole number (int)", got=type(drawn[0]).__name__)
    attempt.expect(len(set(drawn)) > 1, "constant")
    attempt.expect(min(drawn) > 0, "zero")
    attempt.expect(max(drawn) <= deepest, "beyond", got=max(drawn), deepest=deepest)
    missing = set(range(1, deepest + 1)) - set(drawn)
    attempt.expect(deepest not in missing, "never", deepest=deepest)
    attempt.expect(not missing, "gap", missing=", ".join(map(str, sorted(missing))))
    attempt.expect(drawn == series(), "unseeded")


def _loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compute a loss in which output and target cannot be exchanged."""
    return F.l1_loss(output, 2 * target)


def _train(module: nn.Module, batch: torch.Tensor, *, clear: bool = True, steps: int = 1) -> None:
    """Two training steps by plain gradient descent, possibly with a mistake."""
    for _ in range(2):
        loss = _loss(module(batch), batch)
        if clear:
            module.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in module.parameters():
                p.sub_(0.1 * steps * torch.as_tensor(p.grad))


@exercise(
    "06.step",
    "medium",
    idle="the weights did not move: no `backward`, no `step`, or the gradients cleared in between",
    accumulated="the second step used the gradients of the first as well: clear them before",
    double="each call moved the weights twice as far as it should: two steps?",
    order="the loss takes the output of the module first, then the target",
    graph="the loss still holds its graph, which would fill the memory: return a plain number",
)
def step(attempt: Attempt) -> None:
    """Do one training step with an optimiser; return the loss as a float."""
    width = attempt.integer(3, 6)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(attempt.seed % 2**31)
        module = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
    batch = attempt.uniform(4, width)
    right, accumulated, double, start = (copy.deepcopy(module) for _ in range(4))
    _train(right, batch)
    _train(accumulated, batch, clear=False)
    _train(double, batch, steps=2)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    before = _loss(module(batch), batch).item()
    exchanged = _loss(batch, module(batch)).item()
    first = attempt.call(module, optimiser, batch, _loss)
    attempt.expect(not same(first, exchanged), "order")
    attempt.call(module, optimiser, batch, _loss)
    got, *others = (
        nn.utils.parameters_to_vector(m.parameters())
        for m in (module, right, accumulated, double, start)
    )
    attempt.compare(got, others[0], idle=others[3], accumulated=others[1], double=others[2])
    attempt.expect(not isinstance(first, torch.Tensor), "graph")
    attempt.compare(first, before)


@exercise(
    "06.snapshot",
    "hard",
    alias="the weights that come back are those of *now*: a state_dict shares its tensors with the "
    "module, so training went on inside your snapshot; copy it deeply",
    optimiser="the weights come back, but training continues differently: Adam's moments are "
    "part of the state",
    moments="the weights come back, but Adam's moments are those of *now*: copy them deeply, too",
)
def snapshot(attempt: Attempt) -> None:
    """Write a class `Snapshot(module, optimiser)` whose `restore` puts both back as they were."""
    width = attempt.integer(3, 6)
    batch = attempt.uniform(8, width)

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        module = nn.Linear(width, width)
        return module, torch.optim.Adam(module.parameters(), lr=0.05)

    def run(module: nn.Module, optimiser: torch.optim.Optimizer, steps: int) -> torch.Tensor:
        for _ in range(steps):
            optimiser.zero_grad()
            F.mse_loss(module(batch), batch.flip(1)).backward()
            optimiser.step()
        return nn.utils.parameters_to_vector(module.parameters()).detach().clone()

    module, optimiser = fresh()
    then = run(module, optimiser, 4)
    kept = attempt.call(module, optimiser)
    moments = optimiser.state_dict()["state"][0]["exp_avg"]
    now = run(module, optimiser, 3)
    later = moments.clone()  # Adam changes them in place
    module, optimiser = fresh()  # as after a crash
    attempt.run(lambda: kept.restore(module, optimiser))
    attempt.compare(run(module, optimiser, 0), then, alias=now)
    state = optimiser.state_dict()["state"]
    shared = bool(state) and torch.equal(state[0]["exp_avg"], later)
    attempt.expect(not shared, "moments")
    attempt.expect(torch.allclose(run(module, optimiser, 3), now, atol=1e-5), "optimiser")
