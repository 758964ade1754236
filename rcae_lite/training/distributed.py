"""One training on several devices, started by torchrun.

    torchrun --standalone --nproc-per-node 2 -m rcae_lite train ...

Every process draws the same batch from the same seed and works on its own part of it; gradients
are averaged. What depends on the whole batch (batch normalisation, Dice) is computed over all
processes, so the training is that of one process with the same batch, up to rounding. Without
torchrun everything here does nothing.

This is data parallelism on `torch.distributed`, without its wrapper `DistributedDataParallel`: our
losses call more than ``forward``, and two megabytes of gradients need no overlap with the backward
pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from data_utils.errors import KitError

__all__ = [
    "BatchNorm3d",
    "average",
    "average_gradients",
    "gather",
    "is_leader",
    "leader_first",
    "own_part",
    "process_group",
    "synchronise",
    "wait",
    "world_size",
]

T = TypeVar("T")


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun started, each with its own GPU where there is one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """Return the number of processes; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_leader() -> bool:
    """Tell whether this is the process that writes files and shows progress."""
    return world_size() == 1 or dist.get_rank() == 0


def wait() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        dist.barrier()


def leader_first(function: Callable[[], T]) -> T:
    """Call a function in the leader, then in the others."""
    if not is_leader():
        wait()
        return function()
    result = function()
    wait()
    return result


def own_part(x: Tensor) -> Tensor:
    """Return this process's items of a batch: (B, ...) to (B / processes, ...).

    Raises
    ------
    KitError
        If the batch cannot be divided evenly.
    """
    count = world_size()
    if count == 1:
        return x
    if len(x) % count:
        raise KitError(
            f"a batch of {len(x)} cannot be divided among {count} processes; use a number of "
            "processes that divides it"
        )
    return x.chunk(count)[dist.get_rank()]


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient of the sum of their losses is a sum over them, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def gather(x: Tensor) -> Tensor:
    """Return the items of all processes, (B / processes, ...) to (B, ...), with gradients."""
    if world_size() == 1:
        return x
    ranks = range(world_size())
    return _Sum.apply(
        torch.cat([x if rank == dist.get_rank() else torch.zeros_like(x) for rank in ranks])
    )


def average(value: float) -> float:
    """Mean of a number over the processes."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(total)
    return total.item() / world_size()


def average_gradients(module: nn.Module) -> None:
    """Replace the gradients by their means over the processes."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    total = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(total)
    parts = (total / world_size()).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def synchronise(module: nn.Module) -> None:
    """Let the batch normalisations of a module see the batch of all processes, in place.

    What `torch.nn.SyncBatchNorm.convert_sync_batchnorm` does, on CPUs too. Only the class changes,
    so parameters and their names stay what they are.
    """
    if world_size() > 1:
        for layer in module.modules():
            if type(layer) is nn.BatchNorm3d:
                layer.__class__ = BatchNorm3d


class BatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation over the batch of all processes.

    `torch.nn.SyncBatchNorm` does the same, on GPUs only. Alone, and outside training, this is
    `torch.nn.BatchNorm3d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features: (B, C, N, H, W) to the same."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        dims, shape = (0, 2, 3, 4), (1, -1, 1, 1, 1)
        count = world_size() * x.numel() // x.shape[1]
        mean = _Sum.apply(x.float().sum(dims)) / count  # (C,)
        centred = x.float() - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dims)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)
