"""The loop emits events, is deterministic, and continues where it stood."""

import copy
import threading
import time

import pytest
import torch
from torch import nn

from rcae_lite.config import RcAEConfig, Stage
from rcae_lite.training.batch import Batch
from rcae_lite.training.callbacks import Progress, TensorBoard
from rcae_lite.training.draws import generator_for
from rcae_lite.training.events import Event
from rcae_lite.training.loop import LossNotFinite, learning_rate, new_state, train_stage

STAGE = Stage(steps=12, learning_rate=1e-2)


def problem(seed: int = 0):
    torch.manual_seed(seed)
    module = nn.Linear(4, 1)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (module(x) - x.sum(dim=1, keepdim=True)).square().mean()

    def batch(step: int) -> Batch:
        return Batch({"x": torch.randn(8, 4, generator=generator_for(seed, "x", step))}, loss)

    return module, batch


def test_events_tell_every_step_in_order():
    module, loss = problem()
    events: list[Event] = []
    state = new_state(module, STAGE)
    train_stage("fit", state, loss, STAGE, 12, [events.append])
    assert [e.done for e in events] == list(range(1, 13))
    assert {(e.stage, e.steps) for e in events} == {("fit", 12)}
    assert events[-1].loss < events[0].loss
    assert events[0].state is state and state.seconds > 0 and not module.training


def test_a_continued_training_equals_an_uninterrupted_one():
    whole, loss = problem()
    train_stage("fit", new_state(whole, STAGE), loss, STAGE, 12)

    class Stop(Exception):
        pass

    def stop(event: Event) -> None:
        if event.done == 5:
            raise Stop

    parted, loss = problem()
    state = new_state(parted, STAGE)
    with pytest.raises(Stop):
        train_stage("fit", state, loss, STAGE, 12, [stop])
    saved = copy.deepcopy(state.optimiser.state_dict())
    state = new_state(parted, STAGE)
    state.optimiser.load_state_dict(saved)
    state.done = 5
    train_stage("fit", state, loss, STAGE, 12)
    assert torch.equal(whole.weight, parted.weight)


def test_adam_has_the_papers_constants():
    group = new_state(problem()[0], STAGE).optimiser.param_groups[0]
    assert group["betas"] == (0.9, 0.999) and group["eps"] == 1e-8


def test_learning_rate_warms_up_and_decays():
    rates = [learning_rate(Stage(steps=100, learning_rate=1.0), step, 100) for step in range(100)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert all(a >= b for a, b in zip(rates[3:], rates[4:], strict=False))
    assert 0.01 <= rates[-1] < 0.02
    constant = Stage(steps=100, learning_rate=0.5, schedule="constant")
    assert {learning_rate(constant, step, 100) for step in range(100)} == {0.5}


def test_each_phase_warms_up_and_decays_anew():
    stage = RcAEConfig(steps=60, half_size_steps=40, learning_rate=1.0)
    alone = [
        [learning_rate(Stage(steps=n, learning_rate=1.0), k, n) for k in range(n)] for n in (40, 20)
    ]
    assert [learning_rate(stage, step, 60) for step in range(60)] == alone[0] + alone[1]
    assert learning_rate(stage, 3, 30) == learning_rate(Stage(steps=30, learning_rate=1.0), 3, 30)


def test_generator_depends_on_seed_stage_and_step():
    draws = {
        torch.rand(1, generator=generator_for(*key)).item()
        for key in [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2)]
    }
    assert len(draws) == 4
    first, second = (torch.rand(3, generator=generator_for(0, "a", 1)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_loss_that_is_not_finite_stops_before_the_step_with_its_batch():
    module, batch_of = problem()
    before = module.weight.clone()

    def breaks(step: int) -> Batch:
        batch = batch_of(step)
        return batch if step < 2 else Batch(batch.tensors, lambda x: module.weight.sum() * x.log())

    state = new_state(module, STAGE)
    with pytest.raises(LossNotFinite, match="stage fit became nan at step 2; lower its") as caught:
        train_stage("fit", state, lambda step: mean_of(breaks(step)), STAGE, 12)
    assert caught.value.name == "fit-2" and state.done == 2
    assert torch.equal(caught.value.tensors["x"], batch_of(2).tensors["x"])
    assert module.weight.isfinite().all() and not torch.equal(module.weight, before)


def mean_of(batch: Batch) -> Batch:
    return Batch(batch.tensors, lambda **part: batch.loss(**part).mean())


class Memory:
    """A loss that does not fit the memory when more than ``fits`` items go through at once."""

    def __init__(self, batch_of, fits: int) -> None:
        self.batch_of, self.fits = batch_of, fits
        self.sizes: list[int] = []

    def __call__(self, step: int) -> Batch:
        batch = self.batch_of(step)

        def loss(x: torch.Tensor) -> torch.Tensor:
            self.sizes.append(len(x))
            if len(x) > self.fits:
                raise torch.OutOfMemoryError("CUDA out of memory (made up)")
            return batch.loss(x)

        return Batch(batch.tensors, loss)


@pytest.mark.parametrize(("fits", "parts"), [(8, 1), (4, 2), (3, 4), (1, 8)])
def test_out_of_memory_halves_the_batch_and_adds_up_the_gradients(fits, parts, capsys):
    whole, batch_of = problem()
    train_stage("fit", new_state(whole, STAGE), batch_of, STAGE, 12)
    divided, batch_of = problem()
    memory, state, events = Memory(batch_of, fits), new_state(divided, STAGE), []
    train_stage("fit", state, memory, STAGE, 12, [events.append, Progress()])
    assert state.parts == parts and events[0].state.parts == parts
    assert memory.sizes[-parts:] == [8 // parts] * parts  # the last step goes in parts at once
    assert memory.sizes.count(8) == (12 if parts == 1 else 1)
    torch.testing.assert_close(divided.weight, whole.weight, rtol=1e-5, atol=1e-6)
    assert parts > 1 or torch.equal(divided.weight, whole.weight)
    said = capsys.readouterr()
    assert (f"in {parts} parts" in said.out + said.err) == (parts > 1)


def test_a_batch_that_halves_unevenly_has_the_same_gradient():
    module, batch_of = problem()
    batch = batch_of(0)
    seven = Batch({"x": batch.tensors["x"][:7]}, batch.loss)
    module.zero_grad()
    seven.loss(**seven.tensors).backward()
    expected = module.weight.grad.clone()
    module.zero_grad()
    total = sum(seven.losses(2))
    total.backward()
    assert [len(part) for part in batch.tensors["x"][:7].split(4)] == [4, 3]
    torch.testing.assert_close(module.weight.grad, expected)


def test_out_of_memory_with_one_item_is_told():
    module, batch_of = problem()
    with pytest.raises(torch.OutOfMemoryError):
        train_stage("fit", new_state(module, STAGE), Memory(batch_of, 0), STAGE, 12)
    assert not module.training


def test_an_interrupt_leaves_the_module_ready_to_predict():
    module, loss = problem()

    def interrupt(_: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stage("fit", new_state(module, STAGE), loss, STAGE, 12, [interrupt])
    assert not module.training


def test_progress_draws_a_bar_per_stage(capsys):
    module, loss = problem()
    train_stage("fit", new_state(module, STAGE), loss, STAGE, 12, [Progress()])
    assert "12/12" in capsys.readouterr().err


def test_tensorboard_writes_the_losses(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    module, loss = problem()
    train_stage("fit", new_state(module, STAGE), loss, STAGE, 12, [TensorBoard(str(tmp_path))])
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [e.step for e in events.Scalars("loss/fit")] == list(range(1, 13))


def test_a_gradient_that_becomes_nan_stops_although_the_loss_is_finite():
    """The slope of a square root at 0 is infinite, and 0 times that is no number."""
    module = torch.nn.Linear(2, 1)
    before = [p.detach().clone() for p in module.parameters()]
    stage = Stage(steps=3, batch_size=1, learning_rate=1e-3, clip=1.0)

    def batch_of(step: int) -> Batch:
        return Batch({"x": torch.ones(1, 2)}, lambda x: (0 * module(x)).sqrt().sum())

    with pytest.raises(LossNotFinite, match="the gradient of stage fit became nan at step 0"):
        train_stage("fit", new_state(module, stage), batch_of, stage, 3)
    for old, new in zip(before, module.parameters(), strict=True):
        assert torch.equal(old, new)


def test_a_batch_is_drawn_while_the_one_before_trains():
    module, batch = problem()
    drawn, seen = [], []

    def objective(step: int) -> Batch:
        drawn.append((step, threading.get_ident()))
        return batch(step)

    def look(event: Event) -> None:
        while len(drawn) < min(event.done + 1, 12):  # the time limit of the tests ends it
            time.sleep(0.001)
        seen.append(len(drawn))

    train_stage("fit", new_state(module, STAGE), objective, STAGE, 12, [look])
    assert [step for step, _ in drawn] == list(range(12)), "once each, in order"
    assert seen == [*range(2, 13), 12], "one ahead, and none that nobody needs"
    assert {thread for _, thread in drawn} != {threading.get_ident()}


def test_what_fails_as_a_batch_is_drawn_is_raised_by_the_training():
    module, batch = problem()

    def objective(step: int) -> Batch:
        if step == 3:
            raise OSError("the disk is gone")
        return batch(step)

    state = new_state(module, STAGE)
    with pytest.raises(OSError, match="the disk is gone"):
        train_stage("fit", state, objective, STAGE, 12)
    assert state.done == 3 and not module.training
