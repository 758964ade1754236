"""A page that carries the detector itself: paint on an image, and it answers without Python.

RcAE, DPN and CRD are one ONNX model (`rcae_lite.commands.export`); onnxruntime-web runs it in a
worker. The runtime is Microsoft's package from npm, of one version with one sha256. It is fetched
once, at the first page, into the user's cache folder.
"""

from __future__ import annotations

import base64
import gzip
import re
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pooch
from torch import Tensor

from data_utils import KitError
from rcae_lite.base import Detector
from rcae_lite.commands.export import export_onnx, require_extra
from rcae_lite.training.pseudo_anomalies import VISIBLE
from rcae_lite.widgets.packing import source
from rcae_lite.widgets.page import open_images, write_parts
from rcae_lite.widgets.state.base import Tree
from rcae_lite.widgets.state.painter import PainterState

__all__ = ["RUNTIME", "engine", "open_one", "paint_run", "write_paint_page"]

RUNTIME = "onnxruntime-web-1.30.0"
_ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/{RUNTIME}.tgz"
_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
_SCRIPT = "package/dist/ort.wasm.bundle.min.mjs"
_WASM = "package/dist/ort-wasm-simd-threaded.wasm"


def write_paint_page(detector: Detector, image: Tensor, path: str | Path, title: str) -> Path:
    """Write a page with a painter and the detector behind it, whole or not at all.

    Parameters
    ----------
    detector : Detector
        Trained, on the CPU.
    image : Tensor
        (3, H, W) in [0, 1].
    path : path
        The file, about 7 MB.
    title : str
        Of the page.

    Raises
    ------
    KitError
        If the runtime cannot be fetched, or as `rcae_lite.commands.export.export_onnx`.
    """
    inside = engine({"detector": detector}, (image.shape[1], image.shape[2]))
    state = PainterState(detector, image)
    data = state.data() | {"can": ["save"]}  # random defects need Python
    values = state.values | {"result": state.result()}
    part = {"kind": "painter", "data": data, "values": values, "engine": inside}
    return write_parts(path, [part], title, entry="paint.js")


def engine(detectors: Mapping[str, Detector], sides: tuple[int, int]) -> Tree:
    """Pack the runtime and some detectors, by name, for ``engine.js``.

    Parameters
    ----------
    detectors : mapping of str to Detector
        On the CPU.
    sides : tuple of int
        Height and width of the images that they will be asked about.

    Raises
    ------
    KitError
        If the runtime cannot be fetched, or as `rcae_lite.commands.export.export_onnx`.
    """
    require_extra()  # before anything is fetched
    script, wasm = _runtime()
    models = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, detector in detectors.items():
            file = Path(folder) / f"{name}.onnx"
            export_onnx(detector, file, sides)
            models[name] = _packed(file.read_bytes())
    return {
        "worker": f"{_as_classic_script(script)}\n{source('worker.js')}",
        "wasm": _packed(wasm),
        "models": models,
        "visible": VISIBLE * 255,
    }


def paint_run(run: str | Path, images: list[Path], out: str | Path) -> Path:
    """Write a paint page for the detector of a run and one image.

    Parameters
    ----------
    run : path
        Folder that `rcae train` or `Detector.save` wrote.
    images : list of path
        One image.
    out : path
        The page.

    Raises
    ------
    KitError
        If there is not exactly one image, or as `write_paint_page`.
    """
    detector, picture, name = open_one(run, images, "--paint")
    title = f"{detector.data.get('category', 'detector')}: paint on {name}"
    return write_paint_page(detector, picture, out, title)


def open_one(run: str | Path, images: list[Path], option: str) -> tuple[Detector, Tensor, str]:
    """Open a run's detector on the CPU and the one image to paint on: (3, H, W), and its name.

    Raises
    ------
    KitError
        If the extra `export` is not installed, or there is not exactly one image for the option.
    """
    require_extra()  # before anything is loaded
    _, detector, pictures, names = open_images(run, images, "cpu")
    if len(pictures) != 1:
        raise KitError(f"{len(pictures)} images; {option} takes one to paint on")
    return detector, pictures[0], names[0]


def _runtime() -> tuple[str, bytes]:
    """Return the script and the WebAssembly of onnxruntime-web, fetched at the first call."""
    folder = pooch.os_cache("rcae-lite")
    name = f"{RUNTIME}.tgz"
    if not (folder / name).exists():
        print(f"fetching {_ADDRESS} (33 MB, once) into {folder}", file=sys.stderr)
    by_hand = f"npm pack {RUNTIME.replace('web-', 'web@')} --pack-destination {folder}"
    try:
        archive = pooch.retrieve(_ADDRESS, f"sha256:{_SHA256}", fname=name, path=folder)
    except (OSError, ValueError) as error:  # no network, or another hash
        raise KitError(
            f"{_ADDRESS} cannot be fetched ({error}); get it by hand: {by_hand}"
        ) from None
    with tarfile.open(archive) as package:
        script, wasm = (package.extractfile(name) for name in (_SCRIPT, _WASM))
        assert script is not None and wasm is not None  # the sha256 says so
        return script.read().decode(), wasm.read()


def _as_classic_script(module: str) -> str:
    """Turn the runtime's module into a script: from ``file://`` a worker cannot be a module."""
    found = re.findall(r"export\{([^}]*)\}", module)
    assert len(found) == 1, RUNTIME
    pairs = [pair.split(" as ") for pair in found[0].split(",")]
    names = ",".join(f"{public}:{local}" for local, public in pairs)
    text = module.replace("import.meta.url", "self.location.href")
    text = re.sub(r"export\{[^}]*\}", lambda _: f"self.ort={{{names}}}", text)
    return re.sub(r"^//# sourceMappingURL.*$", "", text, flags=re.M)


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9)).decode()
