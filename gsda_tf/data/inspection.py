"""A look at the data before anything is trained on them: counts, sizes, damaged files, and one batch as a picture."""

from __future__ import annotations

import collections
import dataclasses
import math

import numpy as np
import tensorflow as tf
from PIL import Image

from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.checking import find_bad, remark_on_odd, remark_on_shared
from gsda_tf.data.domain import Domain, TaskData, evenly
from gsda_tf.data.image_files import stored_size, turned
from gsda_tf.errors import shown
from gsda_tf.files import replacing
from gsda_tf.progress import progress
from gsda_tf.settings import Settings

_SIZES_FROM = 1000
"""Sizes are those of at most this many images, evenly spread over the domain."""
_GAP, _MOST_COLUMNS = 6, 12


@dataclasses.dataclass(frozen=True)
class DomainFacts:
    """Facts about one domain.

    Attributes:
      sizes: (width, height) as stored and how often, the most frequent first, of the images that were looked at;
        (e,) of features.
      bad: (index, reason) of each image that cannot be read.
      turned: of the images that were looked at, those stored turned, which EXIF orientation sets right.
    """

    sizes: tuple[tuple[tuple[int, ...], int], ...]
    bad: tuple[tuple[int, str], ...]
    turned: int = 0


def examine(domain: Domain) -> DomainFacts:
    """Decodes every image of a domain once."""
    bad = find_bad(domain)
    unreadable = {index for index, _ in bad}
    readable = np.asarray([i for i in range(len(domain)) if i not in unreadable], np.int64)
    sizes: collections.Counter = collections.Counter()
    lying = 0
    some = readable[evenly(len(readable), _SIZES_FROM)]
    for index in progress(some, desc=f"sizes of {shown(domain.name)}", unit=" images", leave=False, delay=1):
        record = domain.records.stored(int(index))
        if record is None:  # all alike
            sizes[tuple(domain.records.load(tf.constant(index)).shape[:2])[::-1]] = len(readable)
            break
        height, width = stored_size(record)
        sizes[width, height] += 1
        lying += turned(record)
    return DomainFacts(tuple(sizes.most_common()), tuple(bad), lying)


def describe(data: TaskData, source: DomainFacts, target: DomainFacts) -> str:
    """The table of images by domain and class, and below it sizes and files that cannot be read."""
    both = (("source", data.source, source), ("target", data.target, target))
    rows = [("class", *(shown(domain.name) for _, domain, _ in both)), ("", "source", "target")]
    for label, name in enumerate(data.class_names):
        counts = [int((domain.labels == label).sum()) or "-" if domain.labelled else "?" for _, domain, _ in both]
        rows.append((shown(name), *map(str, counts)))
    rows.append(("all", str(len(data.source)), str(len(data.target))))
    width, *columns = (max(len(row[i]) for row in rows) for i in range(3))
    columns = [max(7, column) for column in columns]
    lines = [f"  {row[0]:<{width}}  {row[1]:>{columns[0]}}  {row[2]:>{columns[1]}}" for row in rows]
    rule = "  " + "-" * (width + sum(columns) + 4)
    lines = [data.name, "", *lines[:2], rule, *lines[2:-1], rule, lines[-1], "", *_remarks(data)]
    for _, domain, facts in both:
        lines.append(f"{shown(domain.name)}: {_describe_sizes(facts, len(domain))}")
        if facts.turned:
            seen = sum(count for _, count in facts.sizes)
            lines.append(
                f"{shown(domain.name)}: {facts.turned} of {seen} images are turned upright by their EXIF orientation"
            )
    for role, domain, facts in both:
        for index, reason in facts.bad:
            lines.append(f"Cannot be read ({role}): {shown(domain.records.name(index))}: {reason}")
    return "\n".join(lines)


def _remarks(data: TaskData) -> list[str]:
    said = [*data.remarks, *remark_on_odd("source", data.source), *remark_on_odd("target", data.target)]
    said += remark_on_shared(data.source, data.target)
    if not data.target.labelled:
        said.append("The target has no labels: no accuracy will be claimed.")
    elif (data.target.labels < 0).any():
        said.append(f"{(data.target.labels >= 0).sum():,} of the {len(data.target):,} target images are labelled.")
    elif data.partial:
        said.append(
            f"Partial adaptation: the target has {len(data.target_classes)} of {len(data.class_names)} classes."
        )
    return said


def _describe_sizes(facts: DomainFacts, size: int) -> str:
    if not facts.sizes:
        return "no image can be read"
    if len(facts.sizes[0][0]) == 1:
        return f"{facts.sizes[0][0][0]} features of each"
    widths, heights = zip(*(size for size, _ in facts.sizes))
    most, count = facts.sizes[0]
    seen = sum(count for _, count in facts.sizes)
    looked = "" if seen == size - len(facts.bad) else f", by {seen} of {size} images"
    if len(facts.sizes) == 1:
        return f"all images are {most[0]}x{most[1]} pixels{looked}"
    return (
        f"width {min(widths)} to {max(widths)}, height {min(heights)} to {max(heights)} pixels; "
        f"{100 * count / seen:.0f} % are {most[0]}x{most[1]}{looked}"
    )


def contact_sheet(data: TaskData, settings: Settings) -> np.ndarray:
    """The first training batch as the network sees it, source above, target below.

    Args:
      data: the task, without images that cannot be read.
      settings: of the run that would be.

    Returns:
      uint8 [height, width, 3].
    """
    batch = next(iter(TrainingBatches(data, settings.data, settings.run.seed).dataset(0, 1)))
    source, target = (_grid(batch[key].numpy()) for key in ("source_images", "target_images"))
    width = max(source.shape[1], target.shape[1])
    sheet = np.full((source.shape[0] + _GAP + target.shape[0], width, 3), 255, np.uint8)
    sheet[: source.shape[0], : source.shape[1]] = source
    sheet[source.shape[0] : source.shape[0] + _GAP] = 0
    sheet[-target.shape[0] :, : target.shape[1]] = target
    return sheet


def write_png(picture: np.ndarray, path: str) -> None:
    """Writes a picture beside `path` and moves it into place.

    Raises:
      UserError: the folder cannot be written, or the disk is full.
    """
    with replacing(path) as file:
        Image.fromarray(picture).save(file, "PNG")


def _grid(images: np.ndarray) -> np.ndarray:
    """Images side by side on white, up to twelve in a row."""
    columns = min(len(images), _MOST_COLUMNS)
    rows = math.ceil(len(images) / columns)
    size = images.shape[1]
    sheet = np.full((rows * (size + _GAP) + _GAP, columns * (size + _GAP) + _GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = (_GAP + (size + _GAP) * place for place in divmod(i, columns))
        sheet[top : top + size, left : left + size] = image
    return sheet
