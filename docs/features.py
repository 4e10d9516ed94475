"""Draws a run's features before and after training: `python docs/features.py RUN` writes docs/pictures/features.png."""

from __future__ import annotations

import io
import os
import sys

import numpy as np
from PIL import Image

from gsda_tf.reporting import embedding, figures
from gsda_tf.reporting.runs import load_run


def main() -> None:
    drawn = embedding.draw(load_run(sys.argv[1]))
    pictures = [Image.open(io.BytesIO(figures.png(figure, dpi=90))).convert("RGB") for figure in drawn]
    path = os.path.join(os.path.dirname(__file__), "pictures", "features.png")
    Image.fromarray(np.hstack([np.asarray(picture) for picture in pictures])).quantize(96).save(path, optimize=True)


if __name__ == "__main__":
    main()
