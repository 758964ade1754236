"""How state and modules reach the browser: arrays as binary buffers, modules as they are on disk.

A state answers a tree of JSON values with NumPy arrays as leaves. An array travels as raw bytes in
what is sent while one waits, as a lossless WebP picture in what a notebook or a page keeps; bytes
are binary buffers in Jupyter and base64 in the page. ``arrays.js`` turns all of them into the same
typed arrays, so a widget never knows where it runs.
"""

from __future__ import annotations

import base64
import io
import json
import re
from importlib import resources
from typing import Any

import numpy as np
from PIL import Image

from rcae_lite.widgets.state.base import Tree

__all__ = ["module", "pack", "pack_for_notebook", "pack_for_page", "source", "style"]

_IMPORT = re.compile(r'from "\./(\w+\.js)"')
_WEBP_SIDE = 16383  # the format's limit


def pack(tree: Any) -> Any:
    """Turn arrays into ``{dtype, shape, bytes}``; ipywidgets sends bytes as binary buffers."""
    return _walk(tree, lambda array: {"bytes": array.tobytes()})


def pack_for_notebook(tree: Any) -> Any:
    """Turn pictures into ``{dtype, shape, webp: [bytes, ...]}``, all else as `pack` does."""
    return _walk(tree, _compress)


def pack_for_page(tree: Any) -> Any:
    """As `pack_for_notebook`, all in JSON: ``webp`` holds base64, ``base64`` stands for bytes."""
    return _walk(tree, _as_text)


def _walk(node: Any, encode: Any) -> Any:
    if isinstance(node, np.ndarray):
        array = np.ascontiguousarray(node)
        return {"dtype": str(array.dtype), "shape": list(array.shape)} | encode(array)
    if isinstance(node, dict):
        return {key: _walk(value, encode) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_walk(value, encode) for value in node]
    return node


def _compress(array: np.ndarray) -> Tree:
    """Stack pictures (..., H, W, 3) or (..., H, W) as tall as can be; leave all else as it is."""
    if array.dtype != np.uint8 or array.ndim < 2 or not array.size:
        return {"bytes": array.tobytes()}
    coloured = array.ndim > 2 and array.shape[-1] == 3
    if not coloured:
        array = np.repeat(array[..., None], 3, axis=-1)  # three alike cost no more
    tall = array.reshape(-1, *array.shape[-2:])  # (rows, W, 3)
    strips = range(0, len(tall), _WEBP_SIDE)
    return {"webp": [_webp(tall[start : start + _WEBP_SIDE]) for start in strips]}


def _webp(picture: np.ndarray) -> bytes:
    """Encode without loss; what more effort saves, 4%, is not worth 13 times as long."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=25, method=2)
    return buffer.getvalue()


def _as_text(array: np.ndarray) -> Tree:
    packed = _compress(array)
    if "bytes" in packed:
        return {"base64": base64.b64encode(packed["bytes"]).decode()}
    return {"webp": [base64.b64encode(part).decode() for part in packed["webp"]]}


def source(name: str) -> str:
    """Read a file of the folder ``static``."""
    return resources.files("rcae_lite.widgets").joinpath(f"static/{name}").read_text("utf-8")


def style() -> str:
    """Read the one style sheet of all widgets and of the page."""
    return source("style.css")


def module(entry: str) -> str:
    """Wrap a module and what it imports into one ES module, for anywidget and for the page.

    Nothing is joined or rewritten: every file becomes a module of its own under a ``blob:`` address
    when ``loader.js`` runs, lowest first, and its imports are pointed to those addresses.

    Parameters
    ----------
    entry : str
        A file in ``static`` that exports ``render({model, el})``.
    """
    sources: dict[str, str] = {}

    def collect(name: str) -> None:
        text = source(name)
        for needed in _IMPORT.findall(text):
            if needed not in sources:
                collect(needed)
        sources.setdefault(name, text)

    collect(entry)
    text = json.dumps(sources).replace("<", "\\u003c")  # no "</script>" inside the page's script
    return f"const sources = {text};\nconst entry = {entry!r};\n{source('loader.js')}"
