"""Tensors on disk as safetensors, checked by name, shape and type before use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from data_utils.errors import KitError
from rcae_lite.storage.atomic import write_bytes

__all__ = ["check_modules", "load_modules", "load_state", "load_tensors", "save_tensors"]


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all."""
    write_bytes(path, save({key: t.detach().cpu().contiguous() for key, t in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises
    ------
    KitError
        If it is missing or not a safetensors file.
    """
    try:
        # Not `load_file`: in it PyTorch turns Ctrl-C into a ValueError about shapes.
        return load(path.read_bytes())
    except FileNotFoundError:
        raise KitError(f"{path} does not exist; name the folder that `rcae train` wrote") from None
    except SafetensorError as error:
        raise KitError(f"{path} is not a readable safetensors file ({error})") from None


def load_modules(
    modules: Mapping[str, nn.Module],
    tensors: Mapping[str, Tensor],
    source: Path,
    *,
    besides: tuple[str, ...] = (),
) -> None:
    """Load a file's tensors into all modules after checking them; see `load_state`.

    Parameters
    ----------
    modules : mapping of str to Module
        By the first part of their tensors' names.
    tensors : mapping
        What is in the file.
    source : Path
        The file, for messages.
    besides : tuple of str
        First parts of names that belong to no module and are read elsewhere.

    Raises
    ------
    KitError
        Naming the first tensor that is missing, unexpected, or of another shape or type.
    """
    check_modules(modules, tensors, source, besides=besides)
    for name, module in modules.items():
        load_state(module, tensors, name, source)


def check_modules(
    modules: Mapping[str, nn.Module],
    tensors: Mapping[str, Tensor],
    source: Path,
    *,
    besides: tuple[str, ...] = (),
) -> None:
    """Check what `load_modules` would load; parameters and errors as there.

    The modules may be on the device "meta", where they take no memory.
    """
    for name in tensors:
        if name.partition(".")[0] not in (*modules, *besides):
            raise KitError(
                f"{source}: tensor {name} is unexpected; the file does not match its configuration"
            )
    for name, module in modules.items():
        _checked(module, tensors, name, source)


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, source: Path) -> None:
    """Load the tensors under ``prefix.`` into a module after checking names, shapes and types.

    Raises
    ------
    KitError
        Naming the first tensor that is missing, unexpected, or of another shape or type.
    """
    module.load_state_dict(_checked(module, tensors, prefix, source))


def _checked(
    module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, source: Path
) -> dict[str, Tensor]:
    """Return the tensors under ``prefix.`` by their names in the module; see `load_state`."""
    expected = module.state_dict()
    start = f"{prefix}."
    found = {key[len(start) :]: t for key, t in tensors.items() if key.startswith(start)}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected:
            state = "missing" if name not in found else "unexpected"
            raise KitError(
                f"{source}: tensor {start}{name} is {state}; the file does not match its "
                "configuration"
            )
        want, have = expected[name], found[name]
        halved = want.is_floating_point() and have.dtype == torch.float16  # by Detector.save
        if want.shape != have.shape or (want.dtype != have.dtype and not halved):
            raise KitError(
                f"{source}: tensor {start}{name} is {have.dtype} {tuple(have.shape)}, expected "
                f"{want.dtype} {tuple(want.shape)}"
            )
        if have.is_floating_point() and not have.isfinite().all():
            raise KitError(f"{source}: tensor {start}{name} holds values that are not finite")
    return found
