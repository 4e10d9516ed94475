"""Draws a run's features before and after training: `python docs/features.py RUN` writes docs/pictures/features.png."""

from __future__ import annotations

import io
import os
import sys

import numpy as np
from PIL import Image

from gsda_tf.data.domain import evenly
from gsda_tf.reporting import figures
from gsda_tf.reporting.embedding import MOST_POINTS, tsne
from gsda_tf.reporting.runs import load_run


def main() -> None:
    run = load_run(sys.argv[1])
    kept = {"Before training": run.features(before=True), "After training": run.features()}
    after = kept["After training"]
    source, target = evenly(len(after.source), MOST_POINTS), evenly(len(after.target), MOST_POINTS)
    panels = [(title, *tsne(each.source[source], each.target[target])) for title, each in kept.items()]
    drawn = figures.embedding(panels, after.source_labels[source], after.target_labels[target], run.class_names)
    pictures = [Image.open(io.BytesIO(figures.png(figure, dpi=90))).convert("RGB") for figure in drawn]
    path = os.path.join(os.path.dirname(__file__), "pictures", "features.png")
    Image.fromarray(np.hstack([np.asarray(picture) for picture in pictures])).quantize(96).save(path, optimize=True)


if __name__ == "__main__":
    main()
