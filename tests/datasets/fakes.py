"""Image sets made up for the tests, in the layouts that users have."""

from __future__ import annotations

import dataclasses
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from gsda_tf.datasets.preparing.finding import ImageSet


def small(image_set: ImageSet, images: int = 2, classes: int | None = None) -> ImageSet:
    """The same set, expected to have few images: 1, 2, ..., `images`, 1, ... in its first classes, none elsewhere."""
    r = len(image_set.class_names)
    shown = r if classes is None else classes
    counts = tuple(1 + label % images if label < shown else 0 for label in range(r))
    return dataclasses.replace(image_set, counts={split: counts for split in image_set.domains})


def encoded(number: int, kind: str = "JPEG") -> bytes:
    """An image of 8x8 that no other number has."""
    colours = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).save(file, kind)
    return file.getvalue()


def members(image_set: ImageSet, folders: Mapping[str, str], rename=lambda name: name) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every image that the set expects.

    Args:
      image_set: names and counts.
      folders: for each split, the folder that holds its classes.
      rename: class name -> folder name.
    """
    number = 0
    for split in image_set.domains:
        for name, count in zip(image_set.class_names, image_set.counts[split]):
            for index in range(count):
                number += 1
                yield f"{folders[split]}/{rename(name)}/frame_{index + 1:04d}.jpg", encoded(number)


def write_folder(top, files: Iterator[tuple[str, bytes]]) -> None:
    """Writes files below a folder."""
    for path, data in files:
        full = os.path.join(top, *path.split("/"))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data)


def write_archive(path, files: Iterator[tuple[str, bytes]]) -> None:
    """Writes files into a .zip, .tar or .tar.gz."""
    path = str(path)
    if path.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files:
                archive.writestr(name, data)
        return
    with tarfile.open(path, "w:gz" if path.endswith("gz") else "w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
