"""The batch of one optimiser step, drawn ahead; its gradient in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rcae_lite.training import distributed

__all__ = ["Batch", "Objective", "backward", "drawn_ahead"]


@dataclass(frozen=True)
class Batch:
    """What one optimiser step minimises.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Each holds B items along its first axis.
    loss : callable
        Mean loss of some of the items, given their tensors by name.
    """

    tensors: Mapping[str, Tensor]
    loss: Callable[..., Tensor]

    @property
    def size(self) -> int:
        """B, the number of items."""
        return len(next(iter(self.tensors.values())))

    def of_this_process(self) -> Batch:
        """Return this process's part of the batch; all of it without torchrun."""
        own = {name: distributed.own_part(field) for name, field in self.tensors.items()}
        return Batch(own, self.loss)

    def losses(self, parts: int) -> Iterator[Tensor]:
        """Losses of ``parts`` parts, each weighted by its share of the items."""
        length = -(-self.size // parts)
        names, fields = self.tensors.keys(), self.tensors.values()
        for part in zip(*(one.split(length) for one in fields), strict=True):
            share = len(part[0]) / self.size
            yield share * self.loss(**dict(zip(names, part, strict=True)))


Objective = Callable[[int], Batch]
"""Gives the batch of a step; called once per step, in order, in another thread."""


def drawn_ahead(objective: Objective, first: int, steps: int) -> Generator[Batch, None, None]:
    """Give the batches of steps ``first`` to ``steps - 1``, each drawn while the one before trains.

    A second core draws, perturbs and follows the images through frozen networks. A batch depends on
    its step alone, so nothing else changes.
    """
    with ThreadPoolExecutor(1, "batch") as thread:
        drawn = thread.submit(objective, first)
        for step in range(first + 1, steps + 1):
            batch = drawn.result()
            if step < steps:
                drawn = thread.submit(objective, step)
            yield batch


def backward(batch: Batch, module: nn.Module, parts: int) -> tuple[float, int]:
    """Leave the gradient of a batch in a module.

    A batch that does not fit the memory is halved, again and again if need be, and the gradients of
    the parts are added up. Weighted by their sizes, the parts have the gradient of the whole batch
    where its loss is a mean over items. The mean over the perturbed region (``mask_weight``), batch
    normalisation and Dice (CRD) see a part instead of the batch, so there it is close, not equal.

    Parameters
    ----------
    batch : Batch
        What to minimise.
    module : Module
        What is trained.
    parts : int
        In how many parts the batch goes through at first.

    Returns
    -------
    loss : float
        Of the whole batch.
    parts : int
        In how many parts it went through.

    Raises
    ------
    torch.OutOfMemoryError
        If not even one item fits the memory of the device; under torchrun at once.
    """
    while True:
        module.zero_grad(set_to_none=True)
        try:
            total = 0.0
            for loss in batch.losses(parts):
                total += loss.item()
                loss.backward()
            distributed.average_gradients(module)
            return distributed.average(total), parts
        except torch.OutOfMemoryError:
            if parts >= batch.size or distributed.world_size() > 1:
                raise
        # Out of the handler, whose traceback keeps the tensors of the failed attempt alive.
        parts = min(2 * parts, batch.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
