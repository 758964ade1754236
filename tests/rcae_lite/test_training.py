"""The loop emits events, is deterministic, and continues where it stood."""

import copy

import pytest
import torch
from torch import nn

from data_utils import KitError
from rcae_lite.config import Stage
from rcae_lite.training import (
    Event,
    Progress,
    TensorBoard,
    generator_for,
    learning_rate,
    new_state,
    train_stage,
)

STAGE = Stage(steps=12, learning_rate=1e-2)


def problem(seed: int = 0):
    torch.manual_seed(seed)
    module = nn.Linear(4, 1)

    def loss(step: int) -> torch.Tensor:
        x = torch.randn(8, 4, generator=generator_for(seed, "x", step))
        return (module(x) - x.sum(dim=1, keepdim=True)).square().mean()

    return module, loss


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


def test_generator_depends_on_seed_stage_and_step():
    draws = {
        torch.rand(1, generator=generator_for(*key)).item()
        for key in [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2)]
    }
    assert len(draws) == 4
    first, second = (torch.rand(3, generator=generator_for(0, "a", 1)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_loss_that_is_not_finite_stops_with_stage_and_step():
    module, _ = problem()
    with pytest.raises(KitError, match="stage fit became nan at step 0"):
        train_stage(
            "fit", new_state(module, STAGE), lambda _: module.weight.sum() * float("nan"), STAGE, 12
        )


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
