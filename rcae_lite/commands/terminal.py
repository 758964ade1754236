"""Any terminal: one that lacks characters, a pipe whose reader has left, none at all."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from data_utils.errors import printable

__all__ = ["any_terminal"]


class _Tolerant:
    """A stream that takes every text; in all else it is the stream that it was made of.

    Parameters
    ----------
    stream : text stream or None
        None, as of a process without a terminal, takes what is written and forgets it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: Any = stream or open(os.devnull, "w", encoding="utf-8")
        if hasattr(self._stream, "reconfigure"):
            # 零 becomes \u96f6 where there is no such character
            self._stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, if there is still a reader."""
        self._until_closed(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Flush, if there is still a reader."""
        self._until_closed(self._stream.flush)

    def _until_closed(self, act: Callable[..., Any], *arguments: str) -> None:
        try:
            act(*arguments)
        except BrokenPipeError:  # what follows, at the interpreter's end too, goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def _show(message: Warning | str, *_: Any) -> None:
    print(f"rcae: warning: {printable(str(message))}", file=sys.stderr)


@contextmanager
def any_terminal() -> Iterator[None]:
    """Let nothing that the terminal cannot take stop a command, or change its exit code.

    Characters that the terminal lacks are written as escapes. Once the reader of a pipe has left
    (``rcae doctor DATA | head -1``), the command goes on in silence. A warning is one line.
    """
    out, err = cast(TextIO, _Tolerant(sys.stdout)), cast(TextIO, _Tolerant(sys.stderr))
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.showwarning = _show  # type: ignore[assignment]
        try:
            yield
        finally:
            out.flush()
            err.flush()
