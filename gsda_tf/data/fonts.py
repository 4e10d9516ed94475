"""Digits rendered from the fonts that matplotlib ships, made like the handwritten digits of scikit-learn.

The target of `digits/Fo_Ha` (UCI's optical recognition of handwritten digits) was made by scaling a digit into
a 32x32 bitmap and counting the set pixels of its 4x4 blocks: 8x8 numbers from 0 to 16. The rendering here
does the same to printed digits.
"""

import functools
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Fonts of mathematical symbols and sizes, display variants and the placeholder font: they have no plain digits.
_NO_DIGITS = ("cmex", "cmmi", "cmsy", "Display", "LastResort", "NonUni", "Siz")
_GLYPH, _BITMAP, _GRID = 128, 32, 8
VARIANTS = 16
"""How often each digit of each font is rendered, each time rotated and sheared anew."""


def font_files() -> list[str]:
    """Paths of the fonts with plain digits, sorted by name."""
    import matplotlib  # here: every command knows of every benchmark

    folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".ttf"))
    return [os.path.join(folder, name) for name in names if not any(part in name for part in _NO_DIGITS)]


@functools.lru_cache(maxsize=2)
def render_digits(variants: int = VARIANTS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Renders every digit of every font.

    Args:
      variants: renderings of each digit of each font; the first is upright.
      seed: of the rotations (up to 10 degrees either way) and shears (up to 0.2).

    Returns:
      counts uint8 [n, 8, 8], 0..16, and labels int32 [n].
    """
    rng = np.random.default_rng(seed)
    counts, labels = [], []
    for path in font_files():
        font = ImageFont.truetype(path, _GLYPH // 2)
        for digit in range(10):
            for variant in range(variants):
                angle, shear = (0.0, 0.0) if variant == 0 else (rng.uniform(-10, 10), rng.uniform(-0.2, 0.2))
                counts.append(block_counts(_bitmap(font, str(digit), angle, shear)))
                labels.append(digit)
    return np.stack(counts), np.asarray(labels, np.int32)


def block_counts(bitmap: np.ndarray) -> np.ndarray:
    """Set pixels in each 4x4 block: bool [32, 32] -> uint8 [8, 8], 0..16."""
    block = _BITMAP // _GRID
    return bitmap.reshape(_GRID, block, _GRID, block).sum(axis=(1, 3)).astype(np.uint8)


def _bitmap(font: ImageFont.FreeTypeFont, text: str, angle: float, shear: float) -> np.ndarray:
    """The glyph, sheared and rotated, scaled to fill a 32x32 bitmap with its shape kept; bool."""
    canvas = Image.new("L", (_GLYPH, _GLYPH), 0)
    ImageDraw.Draw(canvas).text((_GLYPH // 2, _GLYPH // 2), text, fill=255, font=font, anchor="mm")
    # x' = x + shear (y - centre): the inverse map that Image.transform wants.
    canvas = canvas.transform(
        canvas.size, Image.Transform.AFFINE, (1, shear, -shear * _GLYPH / 2, 0, 1, 0), Image.Resampling.BILINEAR
    )
    canvas = canvas.rotate(angle, Image.Resampling.BILINEAR)
    glyph = canvas.crop(canvas.point(lambda value: 255 * (value > 127)).getbbox())
    scale = _BITMAP / max(glyph.size)
    size = tuple(max(1, round(side * scale)) for side in glyph.size)
    bitmap = np.zeros((_BITMAP, _BITMAP), bool)
    top, left = (_BITMAP - size[1]) // 2, (_BITMAP - size[0]) // 2
    pixels = np.asarray(glyph.resize(size, Image.Resampling.BOX))
    bitmap[top : top + size[1], left : left + size[0]] = pixels > 127
    return bitmap
