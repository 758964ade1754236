"""How state and modules reach the browser: arrays as binary buffers, modules as they are on disk.

A state answers a tree of JSON values with NumPy arrays as leaves. In Jupyter an array travels as a
binary buffer; in the page as a lossless WebP picture or as base64. ``arrays.js`` turns both into
the same typed arrays, so a widget never knows where it runs.
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

__all__ = ["module", "pack", "pack_for_page", "source", "style"]

_IMPORT = re.compile(r'from "\./(\w+\.js)"')
_WEBP_SIDE = 16383  # the format's limit


def pack(tree: Any) -> Any:
    """Turn arrays into ``{dtype, shape, bytes}``; ipywidgets sends bytes as binary buffers."""
    return _walk(tree, lambda array: {"bytes": array.tobytes()})


def pack_for_page(tree: Any) -> Any:
    """Turn arrays into JSON: ``{dtype, shape, webp: [...]}`` for frames, else ``{..., base64}``."""
    return _walk(tree, _encode)


def _walk(node: Any, encode: Any) -> Any:
    if isinstance(node, np.ndarray):
        array = np.ascontiguousarray(node)
        return {"dtype": str(array.dtype), "shape": list(array.shape)} | encode(array)
    if isinstance(node, dict):
        return {key: _walk(value, encode) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_walk(value, encode) for value in node]
    return node


def _encode(array: np.ndarray) -> dict[str, str | list[str]]:
    """Stack frames (..., H, W, 3) to pictures as tall as can be; leave everything else as it is."""
    if array.dtype == np.uint8 and array.ndim >= 3 and array.shape[-1] == 3:
        tall = array.reshape(-1, *array.shape[-2:])  # (rows, W, 3)
        strips = range(0, len(tall), _WEBP_SIDE)
        return {"webp": [_webp(tall[start : start + _WEBP_SIDE]) for start in strips]}
    return {"base64": base64.b64encode(array.tobytes()).decode()}


def _webp(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=100, method=4)
    return base64.b64encode(buffer.getvalue()).decode()


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
