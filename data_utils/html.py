"""Pages of HTML from templates that lie beside the code; whatever is put in is escaped."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2

__all__ = ["render"]


def render(package: str, template: str, **values: Any) -> str:
    """Fill a template in.

    Parameters
    ----------
    package : str
        Where the template lies, for example "rcae_lite".
    template : str
        Its file name.
    **values
        All that it names; one that is missing is an error.
    """
    text = resources.files(package).joinpath(template).read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text).render(**values)
