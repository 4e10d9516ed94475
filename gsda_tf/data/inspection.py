"""A look at the data before anything is trained on them: counts, sizes, damaged files, and one batch as a picture."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.checking import find_bad, remark_on_images, twins
from gsda_tf.data.domain import DomainData, TaskData, evenly
from gsda_tf.data.image_files import stored_size, turned
from gsda_tf.errors import shown
from gsda_tf.files import replacing
from gsda_tf.progress import progress
from gsda_tf.settings import Settings
from gsda_tf.tables import Table

_SIZES_FROM = 1000
"""Sizes are those of at most this many images, evenly spread over the domain."""
_GAP, _MOST_COLUMNS = 6, 12


@dataclasses.dataclass(frozen=True)
class DomainFacts:
    """Facts about one domain.

    Attributes:
      sizes: how many of the images that were looked at are (width, height) as stored; (e,) of features.
      bad: (index, reason) of each image that cannot be read.
      turned: of the images that were looked at, those stored turned, which EXIF orientation sets right.
    """

    sizes: collections.Counter[tuple[int, ...]]
    bad: Sequence[tuple[int, str]]
    turned: int = 0


def examine(domain: DomainData) -> DomainFacts:
    """Decodes every image of a domain once."""
    bad = find_bad(domain)
    readable = np.setdiff1d(np.arange(len(domain)), [index for index, _ in bad])
    if len(readable) and domain.records.stored(int(readable[0])) is None:  # all alike
        size = domain.records.load(tf.constant(readable[0])).shape[:2][::-1]
        return DomainFacts(collections.Counter({tuple(size): len(readable)}), bad)
    sizes, lying = collections.Counter(), 0
    some = readable[evenly(len(readable), _SIZES_FROM)]
    for index in progress(some, desc=f"sizes of {shown(domain.name)}", unit=" images", leave=False, delay=1):
        record = domain.records.stored(int(index))
        sizes[stored_size(record)] += 1
        lying += turned(record)
    return DomainFacts(sizes, bad, lying)


def describe(data: TaskData, source: DomainFacts, target: DomainFacts) -> str:
    """The table of images by domain and class, and below it sizes and files that cannot be read."""
    both = [(role, domain, facts) for (role, domain), facts in zip(data.roles, (source, target))]
    rows = [
        (name, *(int((each.labels == label).sum()) or "-" if each.labelled else "?" for _, each, _ in both))
        for label, name in enumerate(data.class_names)
    ]
    heads = ("class", *(f"{shown(domain.name)} ({role})" for role, domain, _ in both))
    lines = [data.name, "", Table(heads, [*rows, ("all", len(data.source), len(data.target))]).markdown(), ""]
    lines += [*data.remarks, *remark_on_images(data)]
    for role, domain, _ in both:
        pairs, more = twins(domain, domain)
        if pairs:
            names = " is ".join(shown(domain.records.name(index)) for index in pairs[0])
            lines.append(f"Copies of others: {len(pairs):,}{more} of the {len(domain):,} {role} images ({names}).")
    if not data.target.labelled:
        lines.append("The target has no labels: no accuracy will be claimed.")
    elif (data.target.labels < 0).any():
        lines.append(f"{(data.target.labels >= 0).sum():,} of the {len(data.target):,} target images are labelled.")
    elif data.partial:
        lines.append(
            f"Partial adaptation: the target has {len(data.target_classes)} of {len(data.class_names)} classes."
        )
    for _, domain, facts in both:
        lines.append(f"{shown(domain.name)}: {_describe_sizes(facts, len(domain))}")
        if facts.turned:
            seen = sum(facts.sizes.values())
            lines.append(f"{shown(domain.name)}: {facts.turned} of {seen} images are turned upright by their EXIF data")
    for role, domain, facts in both:
        for index, reason in facts.bad:
            lines.append(f"Cannot be read ({role}): {shown(domain.records.name(index))}: {reason}")
    return "\n".join(lines)


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


def _describe_sizes(facts: DomainFacts, size: int) -> str:
    if not facts.sizes:
        return "no image can be read"
    ((most, count),), seen = facts.sizes.most_common(1), sum(facts.sizes.values())
    if len(most) == 1:
        return f"{most[0]} features of each"
    looked = "" if seen == size - len(facts.bad) else f", by {seen} of {size} images"
    if count == seen:
        return f"all images are {most[0]}x{most[1]} pixels{looked}"
    widths, heights = zip(*facts.sizes)
    return (
        f"width {min(widths)} to {max(widths)}, height {min(heights)} to {max(heights)} pixels; "
        f"{100 * count / seen:.0f} % are {most[0]}x{most[1]}{looked}"
    )


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
