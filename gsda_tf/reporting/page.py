"""HTML pages from the templates beside: self-contained files, no script, nothing fetched."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Sequence
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from PIL import Image

from gsda_tf.errors import COMMANDS, shown
from gsda_tf.progress import seconds
from gsda_tf.reporting import figures
from gsda_tf.tables import MISSING, markdown_text

_PHOTOGRAPH = 48
"""Pixels of the longer side from which an image is enlarged smoothly; a smaller one shows its pixels."""


def panels(drawn: Sequence[Figure]) -> list[tuple[str, int]]:
    """Returns figures as a page shows them: the address that is the picture itself, and its width in pixels."""
    return [(_png_uri(figures.png(figure)), round(125 * figure.get_figwidth())) for figure in drawn]


def thumbnail(image: np.ndarray, file: str, predicted: str, sure: str, true: str | None = None) -> dict[str, Any]:
    """Returns an image as a page shows it.

    Args:
      image: uint8 [h, w, 3].
      file: that it is from.
      predicted: class.
      sure: how sure the model is.
      true: class; None where it is unknown.
    """
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    kind = "pixels" if max(image.shape[:2]) < _PHOTOGRAPH else "photograph"
    uri = _png_uri(out.getvalue())
    return {"uri": uri, "kind": kind, "file": file, "predicted": predicted, "sure": sure, "true": true}


def _png_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def render(template: str, **values: Any) -> str:
    """Renders a template.

    Args:
      template: name of a file in `templates`.
      **values: that it shows, whatever text they hold: it is escaped, control characters too.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.join(os.path.dirname(__file__), "templates")),
        autoescape=lambda name: not name.endswith(".md"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    filters = {"number": "{:,}".format, "decimals": "{:.2f}".format, "percent": percent, "seconds": seconds}
    environment.filters.update(**filters, breakable=_breakable, markdown=_markdown)
    return environment.get_template(template).render(values, commands=COMMANDS)


def percent(value: float | None) -> str:
    """Shows a share 0..1 as percent."""
    return MISSING if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def _breakable(text: str) -> Markup:
    """Lets a browser break a name behind _ and /."""
    return Markup(str(escape(shown(text))).replace("_", "_<wbr>").replace("/", "/<wbr>"))


def _markdown(text: str) -> str:
    """Text of a template as one line of Markdown."""
    return markdown_text(" ".join(text.split()))
