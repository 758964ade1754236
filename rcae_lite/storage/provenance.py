"""Where a result comes from: code version, machine, environment, device. Written once, here."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta, Struct

from data_utils.errors import KitError
from rcae_lite.version import __version__

__all__ = [
    "Origin",
    "code_version",
    "device_name",
    "environment",
    "machine",
    "origin_on",
    "resolve_device",
]


class Origin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What trained something.

    Parameters
    ----------
    device : str
        Name of the device, see `device_name`.
    threads : int
        CPU threads.
    version, torch : str
        Of the kit and of PyTorch.
    code_version : str or None
        Git commit of the kit, if known.
    """

    device: str
    threads: Annotated[int, Meta(ge=1, le=4096)]
    version: str
    torch: str
    code_version: str | None = None


def origin_on(device: torch.device) -> Origin:
    """Return the origin of what is trained here and now."""
    return Origin(
        device=device_name(device),
        threads=torch.get_num_threads(),
        version=__version__,
        torch=str(torch.__version__),
        code_version=code_version(),
    )


def environment() -> dict[str, Any]:
    """Versions and threads on which bits depend: of the training, and of decoding and resizing."""
    names = ("torchvision", "numpy", "scipy", "pillow")
    versions = {name: metadata.version(name) for name in names}
    return {"torch": str(torch.__version__), **versions, "threads": torch.get_num_threads()}


def machine() -> str:
    """Tell machines apart without naming them: a hash of the host's name, and the CPU's features.

    On the CPU, the same PyTorch with as many threads computes the same bits on the same machine.
    """
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:12]
    return f"{host}, {platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"


def device_name(device: torch.device) -> str:
    """Name a device: the GPU's own name, or the machine's architecture."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({platform.machine()})"


@lru_cache(maxsize=1)  # what runs is what was imported, whatever happens to the files meanwhile
def code_version() -> str | None:
    """Git commit of the kit's source, with "+changes" if files differ from it; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # not installed into another's
        changed = git("status", "--porcelain", "--", ":/rcae_lite", ":/data_utils")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def resolve_device(name: str = "auto") -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device; "auto" is CUDA if there, else the CPU.

    Raises
    ------
    KitError
        If the device is unknown or not available.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = "cuda" if available["cuda"] else "cpu"
    kind = name.partition(":")[0]
    if kind not in available:
        raise KitError(f"device {name!r} is unknown; choose auto, cpu, cuda or mps")
    if not available[kind]:
        raise KitError(f"device {name!r} is not available here; use --device auto or cpu")
    return torch.device(name)
