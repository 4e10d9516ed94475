"""HTML pages from the templates beside: self-contained files, no script, nothing fetched."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from gsda_tf.errors import COMMANDS
from gsda_tf.files import printable
from gsda_tf.progress import seconds
from gsda_tf.reporting import figures
from gsda_tf.tables import MISSING, markdown_text


def panels(drawn: Sequence[Figure]) -> list[tuple[str, int]]:
    """Returns figures as a page shows them: the address that is the picture itself, and its width in pixels."""
    return [(png_uri(figures.png(figure)), round(125 * figure.get_figwidth())) for figure in drawn]


def png_uri(png: bytes) -> str:
    """Returns an address that is the picture itself."""
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
        finalize=lambda value: printable(value) if type(value) is str and not value.isprintable() else value,
    )
    shown = {"number": "{:,}".format, "decimals": "{:.2f}".format, "percent": percent, "seconds": seconds}
    environment.filters.update(**shown, breakable=_breakable, markdown=_markdown)
    return environment.get_template(template).render(values, commands=COMMANDS)


def percent(value: float | None) -> str:
    """Shows a share 0..1 as percent."""
    return MISSING if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def _breakable(text: str) -> Markup:
    """Lets a browser break a name behind _ and /."""
    return Markup(str(escape(printable(text))).replace("_", "_<wbr>").replace("/", "/<wbr>"))


def _markdown(text: str) -> str:
    """Text of a template as one line of Markdown."""
    return markdown_text(" ".join(text.split()))
