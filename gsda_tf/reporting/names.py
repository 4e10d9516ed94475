"""Names of classes as pictures show them: they come from folders and lists, and may hold anything."""

import functools
from collections.abc import Mapping, Sequence

from matplotlib import font_manager

from gsda_tf.errors import shown

_FAMILIES = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "WenQuanYi Zen Hei",
    "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Arial Unicode MS",
)  # fmt: skip
_LONGEST = 40


@functools.lru_cache(maxsize=1)
def families() -> Mapping[str, frozenset[int]]:
    """The fonts that pictures are drawn with, as far as they are installed, and the characters of each."""
    files = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    return {name: frozenset(font_manager.get_font(files[name]).get_charmap()) for name in _FAMILIES if name in files}


def drawn(names: Sequence[str]) -> list[str]:
    """Names of classes as matplotlib draws them as plain text; "class 3" for one that no font here can draw."""
    found = []
    for number, name in enumerate(names):
        text = shown(name)
        if undrawable(text):
            text = f"class {number}"
        elif len(text) > _LONGEST:
            text = text[: _LONGEST - 1] + "…"
        # A pair of $ would make it mathematics, and a legend leaves out what begins with an underscore.
        found.append((" " * text.startswith("_") + text).replace("$", r"\$"))
    return found


def undrawable(text: str) -> bool:
    """Returns whether a character is in no font here."""
    return not all(any(ord(c) in known for known in families().values()) for c in text)
