"""A trained detector as one ONNX model, to run without PyTorch: on a device or in a browser.

The model takes ``images``, (B, 3, H, W) float32 in [0, 1], of any batch and of any size whose
sides are multiples of ``side_multiple``, or one image of one size. Its outputs are
``reconstructions`` and ``enhanced``, (B, 3, N, H, W), ``anomaly_map``, (B, H, W), raw and smoothed,
and ``score``, (B,): what `Detector.trajectory` and `Detector.predict` answer. An image is defective
when its score is above ``threshold``; that and the model's origin stand in its metadata.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from data_utils.errors import KitError
from rcae_lite.base import Detector
from rcae_lite.storage.atomic import write_bytes
from rcae_lite.version import __version__

__all__ = ["OPSET", "TOLERANCE", "export_onnx", "largest_difference", "require_extra"]
OPSET = 20  # the first with GELU as one operator
TOLERANCE = 1e-4
_NEEDED = ("onnx", "onnxruntime", "onnxscript")
_PROVIDERS = ["CPUExecutionProvider"]


class _Network(nn.Module):
    """What a detector computes, as one module; it calls the detector's own methods."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.parts = nn.ModuleDict(detector.modules)  # for their weights to be found

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Answer the outputs by name; images (B, 3, H, W) in [0, 1]."""
        trajectory = self.detector._trajectory(images)
        detection = self.detector.detect(trajectory)
        outputs = {"reconstructions": trajectory.reconstructions}  # (B, 3, N, H, W)
        if trajectory.enhanced is not None:
            outputs["enhanced"] = trajectory.enhanced  # (B, 3, N, H, W)
        return outputs | {"anomaly_map": detection.anomaly_map, "score": detection.score}


def export_onnx(
    detector: Detector, path: str | Path, sides: tuple[int, int] | None = None
) -> float:
    """Write a detector as one ONNX model, and check it against PyTorch through onnxruntime.

    Parameters
    ----------
    detector : Detector
        Trained, on the CPU.
    path : path
        The file, e.g. ``detector.onnx``.
    sides : tuple of int, optional
        Height and width, multiples of the detector's, for a model that takes one image of this
        size; without symbols it is traced much sooner. By default it takes any batch and size.

    Returns
    -------
    float
        Largest difference from PyTorch, see `largest_difference`.

    Raises
    ------
    KitError
        If a package of the extra ``export`` is missing, the detector is untrained or not on the
        CPU, or the model differs from PyTorch by more than `TOLERANCE`; then nothing is written.
    """
    require_extra()
    detector.require_threshold()
    if detector.device.type != "cpu":
        raise KitError(f"the detector is on {detector.device}; load it with device='cpu'")
    model = _traced(detector, sides)
    difference = largest_difference(detector, model, sides)
    if not difference <= TOLERANCE:
        raise KitError(
            f"the ONNX model differs from PyTorch by {difference:.2g}, more than {TOLERANCE}; "
            "report it with the versions of torch, onnxscript and onnxruntime"
        )
    write_bytes(Path(path), model)
    return difference


def require_extra() -> None:
    """Refuse to start without the packages of the extra ``export``."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise KitError(f"no {', '.join(missing)} here; pip install 'rcae-lite[export]'")


def _traced(detector: Detector, sides: tuple[int, int] | None) -> bytes:
    """Trace the detector for one image of some sides, or for any batch and size."""
    if sides is not None:
        free, example = None, torch.rand(1, 3, *sides)
    else:
        multiple = detector.config.side_multiple(detector.kind)
        rows, columns = (multiple * torch.export.Dim(name) for name in ("rows", "columns"))
        free = {"images": {0: torch.export.Dim("batch"), 2: rows, 3: columns}}
        # No two of the example's sizes are alike, lest the tracer takes them for one.
        example = torch.rand(2, 3, 3 * multiple, 5 * multiple)
    network = _Network(detector).eval()
    with torch.no_grad():
        names = list(network(example))
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["images"],
            output_names=names,
            dynamic_shapes=free,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces, which name paths of this machine
    for key, value in _metadata(detector).items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _metadata(detector: Detector) -> dict[str, str]:
    threshold = detector.require_threshold()
    return {
        "kind": f"rcae-lite-onnx/{detector.kind}",
        "version": __version__,
        "threshold": repr(threshold.value),
        "false_alarm_rate": repr(threshold.false_alarm_rate),
        "score_rule": detector.score_rule,
        "size": str(detector.config.size),
        "side_multiple": str(detector.config.side_multiple(detector.kind)),
        "category": str(detector.trained.get("category", "")),
        "seed": str(detector.seed),
        "config": json.dumps(detector.config.to_dict()),
    }


def largest_difference(
    detector: Detector, model: bytes, sides: tuple[int, int] | None = None
) -> float:
    """Compare an exported model with the detector, through onnxruntime on the CPU.

    Parameters
    ----------
    detector : Detector
        On the CPU.
    model : bytes
        What `export_onnx` wrote of it.
    sides : tuple of int, optional
        The one size that the model takes.

    Returns
    -------
    float
        Largest difference of any output at any pixel, over random images: one of ``sides``; by
        default one of the working size, two of a small size, three of another shape. Relative where
        an output is above 1.
    """
    session = import_module("onnxruntime").InferenceSession(model, providers=_PROVIDERS)
    multiple, size = detector.config.side_multiple(detector.kind), detector.config.size
    generator = torch.Generator().manual_seed(0)
    any_size = [(1, size, size), (2, multiple, multiple), (3, 3 * multiple, 2 * multiple)]
    shapes = any_size if sides is None else [(1, *sides)]
    largest = 0.0
    for batch, height, width in shapes:
        images = torch.rand(batch, 3, height, width, generator=generator)
        with torch.inference_mode():
            expected = _Network(detector)(images)
        for found, tensor in zip(
            session.run(list(expected), {"images": images.numpy()}), expected.values(), strict=True
        ):
            wanted = tensor.numpy()
            off = np.abs(found - wanted) / np.maximum(1, np.abs(wanted))
            largest = max(largest, float(off.max()))
    return largest
