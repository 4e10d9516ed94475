"""A look at the data before anything is trained on them: counts, sizes, damaged files, and one batch as a picture."""

import collections
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.checking import remark_on_images
from gsda_tf.data.domain import DomainData, TaskData, evenly
from gsda_tf.data.image_files import stored_size
from gsda_tf.errors import shown
from gsda_tf.files import replacing
from gsda_tf.progress import progress
from gsda_tf.settings import Settings
from gsda_tf.tables import Table

_SIZES_FROM = 1000
"""Sizes are those of at most this many images, evenly spread over the domain."""
_GAP, _MOST_COLUMNS = 6, 12


def describe(data: TaskData, *bad: Sequence[tuple[int, str]]) -> str:
    """The table of images by domain and class, and below it sizes and files that cannot be read.

    Args:
      data: the task.
      bad: (index, reason) of each image of the source, and of the target, that cannot be read.
    """
    rows = [
        (name, *(int((each.labels == label).sum()) or "-" if each.labelled else "?" for _, each in data.roles))
        for label, name in enumerate(data.class_names)
    ]
    heads = ("class", *(f"{shown(domain.name)} ({role})" for role, domain in data.roles))
    lines = [data.summary(), "", Table(heads, [*rows, ("all", len(data.source), len(data.target))]).markdown(), ""]
    lines += [*data.remarks, *remark_on_images(data)]
    for (role, domain), found in zip(data.roles, bad):
        readable = np.setdiff1d(np.arange(len(domain)), [index for index, _ in found])
        lines.append(f"{shown(domain.name)}: {_sizes(domain, readable)}")
        lines += [f"Cannot be read ({role}): {shown(domain.records.name(i))}: {reason}" for i, reason in found]
    return "\n".join(lines)


def _sizes(domain: DomainData, readable: np.ndarray) -> str:
    """Says how large images are; `readable`, indices of those that can be read."""
    if not len(readable):
        return "no image can be read"
    records, some = domain.records, readable[evenly(len(readable), _SIZES_FROM)]
    if records.stored(int(some[0])) is None:  # all alike
        height, *width = records.load(tf.constant(some[0])).shape[:2]
        return f"all images are {width[0]}x{height} pixels" if width else f"{height} features of each"
    seen = progress(some, desc=f"sizes of {shown(domain.name)}", unit=" images", leave=False, delay=1)
    sizes = collections.Counter(stored_size(records.stored(int(index))) for index in seen)
    ((most, count),) = sizes.most_common(1)
    looked = "" if len(some) == len(readable) else f", by {len(some)} of {len(domain)} images"
    if len(sizes) == 1:
        return f"all images are {most[0]}x{most[1]} pixels{looked}"
    widths, heights = zip(*sizes)
    return (
        f"width {min(widths)} to {max(widths)}, height {min(heights)} to {max(heights)} pixels; "
        f"{100 * count / len(some):.0f} % are {most[0]}x{most[1]}{looked}"
    )


def describe_batch(data: TaskData, settings: Settings) -> str:
    """Returns what a batch is made of, and how often the run comes back to an image; one line."""
    steps, parts = settings.optimization.steps, []
    plans = TrainingBatches(data, settings.data, settings.run.seed).plan(0, 1)
    for (role, domain), drawn in zip(data.roles, (plan.reshape(-1) for plan in plans)):
        if not len(drawn):
            continue  # a run is adapted without its source
        counts = np.bincount(domain.labels[drawn], minlength=len(data.class_names)) if role == "source" else ()
        each = f" ({min(counts)} to {max(counts)} of each of {len(counts)} classes)" if len(counts) else ""
        parts.append(
            f"{len(drawn)} {role} images{each}, so that {steps:,} steps see each of the {len(domain):,} "
            f"{len(drawn) * steps / len(domain):,.1f} times"
        )
    return f"A batch: {'; '.join(parts)}."


def write_sheet(data: TaskData, settings: Settings, path: str) -> None:
    """Writes a picture of the first training batch as the network sees it, source above, target below.

    Args:
      data: the task, without images that cannot be read.
      settings: of the run that would be.
      path: of the PNG file.

    Raises:
      UserError: the folder cannot be written, or the disk is full.
    """
    batch = next(iter(TrainingBatches(data, settings.data, settings.run.seed).dataset(0, 1)))
    halves = [batch[key].numpy() for key in ("source_images", "target_images")]
    columns, side = min(max(map(len, halves)), _MOST_COLUMNS), settings.data.image_size + _GAP
    heights = [-(-len(images) // columns) * side + _GAP for images in halves]
    sheet = Image.new("RGB", (columns * side + _GAP, sum(heights) + _GAP))
    for images, top, height in zip(halves, (0, heights[0] + _GAP), heights):
        sheet.paste("white", (0, top, sheet.width, top + height))
        for place, image in enumerate(images):
            row, column = divmod(place, columns)
            sheet.paste(Image.fromarray(image), (column * side + _GAP, top + row * side + _GAP))
    with replacing(path) as file:
        sheet.save(file, "PNG")
