"""What the detectors cost: parameters, operations, time and memory, over depth and resolution.

Weights are random: none of this depends on training. Each detector is measured in a process of
its own (``python -m rcae_lite.study.cost``), because the peak memory of a process never goes down
again.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from data_utils import KitError
from rcae_lite.baselines import DETECTORS
from rcae_lite.config import DETECTOR_NAMES, Config, config_from_dict
from rcae_lite.storage.provenance import code_version, device_name, resolve_device
from rcae_lite.study.summary import markdown_table

__all__ = ["Cost", "Measured", "SIZES", "measure"]
SIZES = (128, 256, 512, 1024)
DEPTHS = (1, 2, 3, 4, 5, 6)
MEASURED = ("single_pass", "rcae", "full")
QUANTITIES = {"gflop": "GFLOP", "milliseconds": "ms", "mebibytes": "MiB"}


@dataclass(frozen=True)
class Measured:
    """One detector at one resolution on one device, one image at a time.

    Parameters
    ----------
    device : str
        Name of the device.
    detector : {"single_pass", "rcae", "full"}
        The baseline, RcAE with its plain residual, or the whole detector.
    depth, size : int
        N; height and width in pixels.
    parameters : dict of str to int
        Per module, and ``total``.
    gflop : float
        10^9 operations of convolutions and matrix products (the smoothing of the map) per image, a
        multiplication and an addition each one.
    milliseconds : float
        Median time of `predict`.
    mebibytes : float or None
        Peak memory of `predict`, beyond what the process had before it: of the CUDA allocator, or
        resident memory on the CPU (None where the system does not tell).
    """

    device: str
    detector: str
    depth: int
    size: int
    parameters: dict[str, int]
    gflop: float
    milliseconds: float
    mebibytes: float | None

    @property
    def label(self) -> str:
        """Name of the detector, with N where it has one."""
        depth = "" if self.detector == "single_pass" else f", N = {self.depth}"
        return DETECTOR_NAMES[self.detector] + depth


@dataclass(frozen=True)
class Cost:
    """The table `cost`: everything measured, and how.

    Parameters
    ----------
    measured : sequence of Measured
        By device, detector, depth and size.
    notes : sequence of str
        How it was made.
    """

    measured: Sequence[Measured]
    notes: Sequence[str]

    @property
    def devices(self) -> list[str]:
        """Names of the devices, in the order of measuring."""
        return list(dict.fromkeys(m.device for m in self.measured))

    def on(self, device: str) -> Cost:
        """Return what was measured on one of `devices`."""
        return Cost([m for m in self.measured if m.device == device], self.notes)

    def exponent(self, detector: str, quantity: str, over: str, **fixed: int) -> float | None:
        """Fit ``quantity ~ x ** exponent`` by least squares on the logarithms, on one device.

        Parameters
        ----------
        detector : str
            One of `rcae_lite.config.DETECTOR_NAMES`.
        quantity : {"gflop", "milliseconds", "mebibytes"}
            What grows.
        over : {"pixels", "depth"}
            x.
        **fixed
            ``depth=5`` or ``size=256``: what stays the same.

        Returns
        -------
        float or None
            None where fewer than two points have the quantity.
        """
        points = [
            (m.size**2 if over == "pixels" else m.depth, getattr(m, quantity))
            for m in self.measured
            if m.detector == detector and all(getattr(m, k) == v for k, v in fixed.items())
        ]
        points = [(x, y) for x, y in points if y]
        if len({x for x, _ in points}) < 2:
            return None
        x, y = np.log(np.array(points)).T
        return float(np.polyfit(x, y, 1)[0])

    def markdown(self) -> str:
        """Return the tables: parameters, then per device each quantity and its growth."""
        lines = ["# Cost", "", *(f"- {note}" for note in self.notes)]
        lines += ["", "## Parameters", "", *self._parameters()]
        for device in self.devices:
            here = self.on(device)
            lines += ["", f"## On {device}"]
            for quantity, unit in QUANTITIES.items():
                lines += ["", f"### {unit} per image", "", *here._by_size(quantity)]
            lines += ["", "### Growth", "", *here._growth()]
        return "\n".join(lines) + "\n"

    def _parameters(self) -> list[str]:
        rows = {}
        for m in self.measured:
            parts = " + ".join(f"{n} {c:,}" for n, c in m.parameters.items() if n != "total")
            rows[m.label] = [m.label, parts, f"{m.parameters['total']:,}"]
        return markdown_table(["detector", "modules", "total"], list(rows.values()))

    def _by_size(self, quantity: str) -> list[str]:
        sizes = sorted({m.size for m in self.measured})
        rows: dict[str, dict[int, str]] = {}
        for m in self.measured:
            value = getattr(m, quantity)
            rows.setdefault(m.label, {})[m.size] = "-" if value is None else f"{value:,.1f}"
        body = [[name, *(found.get(s, "-") for s in sizes)] for name, found in rows.items()]
        return markdown_table(["detector", *(f"{s}x{s}" for s in sizes)], body)

    def _growth(self) -> list[str]:
        """Exponents with pixels at N = 5, and with N at the second smallest size."""
        sizes = sorted({m.size for m in self.measured})
        size, depths = sizes[min(1, len(sizes) - 1)], sorted({m.depth for m in self.measured})
        depth = 5 if 5 in depths else depths[-1]
        body = []
        for detector in MEASURED:
            single = detector == "single_pass"  # has no N
            fixed = {} if single else {"depth": depth}
            fits = [self.exponent(detector, q, "pixels", **fixed) for q in QUANTITIES]
            if not single:
                fits += [self.exponent(detector, q, "depth", size=size) for q in QUANTITIES]
            body.append(
                [DETECTOR_NAMES[detector], *("-" if fit is None else f"{fit:.2f}" for fit in fits)]
            )
            body[-1] += ["-"] * (1 + 2 * len(QUANTITIES) - len(body[-1]))
        head = [f"{unit}, pixels" for unit in QUANTITIES.values()]
        head += [f"{unit}, N" for unit in QUANTITIES.values()]
        text = (
            f"Exponents of a fitted power law: with the number of pixels at N = {depth}, and with "
            f"N at {size}x{size}. An exponent of 1 is proportional growth."
        )
        return [text, "", *markdown_table(["detector", *head], body)]

    def csv(self) -> str:
        """Return one line per device, detector, depth and size."""
        lines = [
            {
                "device": m.device,
                "detector": m.detector,
                "depth": m.depth,
                "size": m.size,
                **{f"parameters_{name}": count for name, count in m.parameters.items()},
                **{name: getattr(m, name) for name in QUANTITIES},
            }
            for m in self.measured
        ]
        return pd.DataFrame(lines).convert_dtypes().to_csv(index=False, float_format="%.4f")


def measure(
    config: Config,
    *,
    device: str = "auto",
    sizes: Sequence[int] = SIZES,
    depths: Sequence[int] = DEPTHS,
    command: str = "",
) -> Cost:
    """Measure every detector at every depth and size, each detector in a fresh process.

    Parameters
    ----------
    config : Config
        Widths and options; its depth is that of the single-pass baseline.
    device : str
        See `rcae_lite.base.Detector`; "auto" is the CPU and, where there is one, the GPU.
    sizes, depths : sequence of int
        Pixels on a side, and N.
    command : str
        The command line, for the record.

    Raises
    ------
    KitError
        If a size does not fit a depth, or a process fails (most likely for lack of memory).
    """
    wanted = [("single_pass", config.rcae.depth)]
    wanted += [(kind, depth) for kind in ("rcae", "full") for depth in depths]
    whole = {"crd.crop": 0}
    configs = [
        (kind, [config.updated({"rcae.depth": depth, "size": size} | whole) for size in sizes])
        for kind, depth in wanted
    ]
    devices = [device]
    if device == "auto":
        devices = list(dict.fromkeys(["cpu", resolve_device().type]))
    measured: list[Measured] = []
    todo = [(kind, several, where) for where in devices for kind, several in configs]
    for kind, several, where in tqdm(todo, desc="detectors"):
        measured += _in_a_fresh_process(kind, several, where)
    made_by = command or "rcae_lite.ablate('cost', ...)"
    notes = [
        f"Command: `{made_by}`",
        f"Preset `{config.preset}`, random weights, one image at a time.",
        f"Measured with {torch.get_num_threads()} threads, PyTorch `{torch.__version__}`, code "
        f"`{code_version()}`.",
        "Operations are those of convolutions and matrix products (the smoothing of the map); a "
        "multiplication and an addition count as two.",
    ]
    return Cost(measured, notes)


def _in_a_fresh_process(kind: str, configs: Sequence[Config], device: str) -> list[Measured]:
    order = {
        "kind": kind,
        "device": device,
        "threads": torch.get_num_threads(),
        "configs": [c.to_dict() for c in configs],
    }
    command = [sys.executable, "-m", "rcae_lite.study.cost"]
    done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise KitError(
            f"measuring {DETECTOR_NAMES[kind]} up to {configs[-1].size}x{configs[-1].size} failed: "
            f"{reason}; is the memory enough?"
        )
    return [Measured(**values) for values in json.loads(done.stdout.splitlines()[-1])]


def _measure_here(kind: str, configs: Sequence[Config], device: str) -> list[Measured]:
    """Measure one detector at rising sizes: the peak of a larger size hides that of a smaller."""
    measured = []
    smallest = min(configs, key=lambda config: config.size)
    detector = DETECTORS[kind](smallest, 0, device)
    detector.predict(torch.rand(1, 3, 64, 64))  # what is set up once does not count
    before = _peak_bytes(detector.device)
    for config in sorted(configs, key=lambda config: config.size):
        detector = DETECTORS[kind](config, 0, device)
        image = torch.rand(1, 3, config.size, config.size)
        with FlopCounterMode(display=False) as counter:
            detector.predict(image)
        times: list[float] = []
        while len(times) < 3 or (len(times) < 20 and sum(times) < 2):
            started = time.perf_counter()
            detector.predict(image)
            times.append(time.perf_counter() - started)
        peak = _peak_bytes(detector.device)
        measured.append(
            Measured(
                device_name(detector.device),
                kind,
                config.rcae.depth,
                config.size,
                detector.parameters(),
                counter.get_total_flops() / 1e9,
                1000 * float(np.median(times)),
                None if peak is None or before is None else (peak - before) / 2**20,
            )
        )
    return measured


def _peak_bytes(device: torch.device) -> int | None:
    """Most memory so far: of CUDA's allocator, or of this process; None on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    order = json.load(sys.stdin)
    torch.set_num_threads(order["threads"])
    several = [config_from_dict(values) for values in order["configs"]]
    found = _measure_here(order["kind"], several, order["device"])
    print(json.dumps([dataclasses.asdict(m) for m in found]))
