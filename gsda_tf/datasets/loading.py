"""From settings to the images of a task, whoever brings them."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence

from gsda_tf.data.checking import check_images, kept_in
from gsda_tf.data.classes import few_images
from gsda_tf.data.domain import TaskData, hold_out
from gsda_tf.data.fingerprint import with_classes, with_unknown
from gsda_tf.data.image_files import LEAST_SIDE
from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.datasets.target_labels import hand_over
from gsda_tf.errors import UserError, choose
from gsda_tf.settings import PIPELINES, REJECT, DataSettings


def index(settings: DataSettings, class_names: Sequence[str] | None = None) -> TaskData:
    """Loads the images' index and labels; no image is looked at.

    Args:
      settings: where the data are.
      class_names: of the run that is adapted, where there is no source.

    Raises:
      UserError: the data are not there or not as expected.
    """
    rejects = settings.unknown == REJECT
    if rejects and settings.without_source:
        raise UserError("--unknown=reject needs a source: what is unknown is told from it.")
    known = (tuple(class_names),) if class_names and settings.without_source else ()
    if choose("pipeline", settings.pipeline, PIPELINES) == "benchmark":
        benchmark, name = split_task(settings.task)
        data = get_benchmark(benchmark).task(name, settings)
    else:
        data = importlib.import_module(f"gsda_tf.datasets.own.{settings.pipeline}").load(settings, *known)
    data = with_unknown(data) if rejects else data
    said = few_images(data) if len(data.source) else []
    if settings.resize_size > LEAST_SIDE:
        said.append(
            f"--resize_size={settings.resize_size}: files other than JPEG and PNG, or turned by EXIF orientation, are "
            f"halved while both sides keep {LEAST_SIDE:,} pixels."
        )
    return dataclasses.replace(data, remarks=(*data.remarks, *said))


def load(settings: DataSettings, class_names: Sequence[str] | None = None) -> TaskData:
    """`index`, a look at the head and end of every image file, `hand_over` and `hold_out`; pixels are read during
    training.

    Args:
      settings: where the data are.
      class_names: of a run, whose names belong to its weights; None: those of the data.

    Raises:
      UserError: the data are not there or not as expected; with `on_bad_image` "error", a file is no image; a class
        is none of `class_names`.
    """
    data = index(settings, class_names)
    if class_names is not None:
        data = with_classes(data, class_names)
    data = check_images(data, settings.on_bad_image, kept_in(settings))
    return hold_out(hand_over(data, settings), settings.holdout)
