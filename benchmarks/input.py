"""Measures how fast images get from files to the network: our training pipeline beside a Pillow loader."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from gsda_tf.data import pipeline
from gsda_tf.data.augmentation import random_box
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.image_files import SUFFIXES, is_image, walk
from gsda_tf.data.images import ImageGeometry, crop_pixels
from gsda_tf.data.records import FileRecords
from gsda_tf.errors import DataError, UserError
from gsda_tf.settings import DataSettings
from gsda_tf.tables import Table

_BATCH = 32


@dataclasses.dataclass
class Rate:
    """Time spent on some images.

    Attributes:
      images: how many.
      cpu: seconds of processor time, over all threads of the process.
      wall: seconds by the clock.
    """

    images: int = 0
    cpu: float = 0.0
    wall: float = 0.0

    @property
    def per_core(self) -> float:
        """Images a second and core: what the clock shows on an idle machine, and other work hardly changes it."""
        return self.images / self.cpu

    def add(self, work: Callable[[], int]) -> None:
        """Times `work`, which returns the number of its images; what it was prepared with is not counted."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.images += work()
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall


def run(folders: Sequence[str], images: int = 480, rounds: int = 5, seed: int = 0) -> dict:
    """Measures both loaders in turns, so that whatever else the machine does meets both.

    Args:
      folders: each is measured on its own; all images anywhere below it are used.
      images: of each folder, in each turn.
      rounds: turns of each loader on each folder.
      seed: of the crops and of the order.

    Returns:
      {"sets": [one a folder: name, images, and images a second of ours and Pillow's, by core and by the clock,
      "speedup" by core, "stages": share of our processor time], "speedup": both summed over all folders,
      "limit": what takes most of our time}.

    Raises:
      DataError: a folder holds no images.
    """
    steps = max(1, images // _BATCH)
    loaders = [_Loaders(folder, steps, seed) for folder in folders]
    times = [{name: Rate() for name in each.work} for each in loaders]
    for each in loaders:
        for work in each.work.values():
            work(0)()  # Brings the files into memory.
    with tqdm(total=rounds * sum(len(each.work) for each in loaders), unit="turn", desc="input") as bar:
        for turn in range(rounds):
            for each, rates in zip(loaders, times):
                for name, work in each.work.items():
                    rates[name].add(work(turn))
                    bar.update()
    sets = [_summary(each, rates) for each, rates in zip(loaders, times)]
    ours, pillow = (sum(r[name].cpu / r[name].images for r in times) for name in ("ours", "pillow"))
    shares = {stage: float(np.mean([each["stages"][stage] for each in sets])) for stage in sets[0]["stages"]}
    return {"sets": sets, "speedup": pillow / ours, "limit": max(shares, key=shares.get), "cores": os.cpu_count()}


def describe(result: dict) -> str:
    """Returns what `run` measured, as a table."""
    rows = []
    for each in result["sets"]:
        for how in ("core", "clock"):
            ours, pillow = (each[f"{who}_{'per' if how == 'core' else 'by'}_{how}"] for who in ("ours", "pillow"))
            said = "by core" if how == "core" else "by the clock"
            rows.append((f"{each['name']}, {said}", f"{ours:.0f}", f"{pillow:.0f}", f"{ours / pillow:.2f}x"))
    rows.append(("all, by core", "", "", f"{result['speedup']:.2f}x"))
    lines = [Table(("images/s", "ours", "Pillow", "ours/Pillow"), rows).markdown() + "\n"]
    for each in result["sets"]:
        stages = ", ".join(f"{name} {100 * share:.0f} %" for name, share in each["stages"].items())
        lines.append(f"  our time on {each['name']}: {stages}")
    lines.append(f"  what limits it: {result['limit']}")
    return "\n".join(lines)


def main(given: Mapping[str, Any], rounds: int, folders: Sequence[str] | None, images: int, **_: Any) -> None:
    """Measures as `benchmarks.measure` asks for it, and prints a table; see `run`.

    Raises:
      UserError: no folders.
    """
    if not folders:
        raise UserError("--what=input needs --folders=DIR[,DIR]: folders of images to read.")
    print(describe(run(folders, images, rounds, given.get("seed", 0))))


class _Loaders:
    """Both loaders, and ours cut short after each stage, on the images below one folder."""

    def __init__(self, folder: str, steps: int, seed: int):
        self.name = os.path.basename(os.path.abspath(folder))
        files = [os.path.join(below, name) for below, _, names in walk(folder, "--folders") for name in names]
        self.paths = list(filter(is_image, files))
        if not self.paths:
            raise DataError(f"{folder} holds no images: expected files named {', '.join(SUFFIXES)} in it or below.")
        self._steps = steps
        self._settings = DataSettings(source_batch=_BATCH, augmentation="standard")
        self._geometry = ImageGeometry(self._settings.image_size, self._settings.resize_size)
        self._records = FileRecords(self.paths)
        domain = DomainData(self.name, self._records, np.zeros(len(self.paths), np.int32))
        task = TaskData(self.name, domain, domain, ("any",))
        self._batches = TrainingBatches(task, self._settings, seed, images=("source",))
        self._rng = np.random.default_rng(seed)
        self.work: dict[str, Callable[[int], Callable[[], int]]] = {
            "ours": self._ours,
            "pillow": self._pillow,
            "read": lambda turn: self._until(turn, lambda record, seed: tf.strings.length(record)),
            "decode": lambda turn: self._until(turn, self._decoded),
        }

    def _ours(self, turn: int) -> Callable[[], int]:
        first = turn * self._steps
        # A run builds its graph once for thousands of steps, so building it is not counted here either.
        batches = self._batches.dataset(first, first + self._steps)
        return lambda: sum(len(batch["source_images"]) for batch in batches)

    def _plan(self, turn: int) -> np.ndarray:
        return self._batches.plan(turn * self._steps, (turn + 1) * self._steps)[0].reshape(-1)

    def _pillow(self, turn: int) -> Callable[[], int]:
        indices = self._plan(turn)
        return lambda: self._load(indices)

    def _load(self, indices: np.ndarray) -> int:
        size, resized = self._geometry.image_size, self._geometry.resize_size
        for index in indices:
            with Image.open(self.paths[index]) as file:
                image = file.convert("RGB").resize((resized, resized), Image.Resampling.BILINEAR)
            top, left, height, width = self._box(resized)
            image = image.crop((left, top, left + width, top + height))
            image = image.resize((size, size), Image.Resampling.BILINEAR)
            if self._rng.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            np.asarray(image)
        return len(indices)

    def _box(self, side: int) -> tuple[int, int, int, int]:
        """A random resized crop as TLlib and torchvision draw it."""
        for _ in range(10):
            area = side * side * self._rng.uniform(0.08, 1.0)
            aspect = np.exp(self._rng.uniform(np.log(3 / 4), np.log(4 / 3)))
            width, height = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if 0 < width <= side and 0 < height <= side:
                return self._rng.integers(side - height + 1), self._rng.integers(side - width + 1), height, width
        return 0, 0, side, side

    def _decoded(self, record: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.shape(crop_pixels(record, random_box(seed)[0], self._geometry))

    def _until(self, turn: int, stage: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Callable:
        indices = self._plan(turn)
        seeds = np.stack([np.zeros_like(indices), np.arange(len(indices))], axis=-1)
        dataset = tf.data.Dataset.from_tensor_slices((indices, seeds)).map(
            lambda index, seed: stage(self._records.load(index), seed), num_parallel_calls=pipeline.CALLS
        )
        batches = dataset.batch(_BATCH).prefetch(pipeline.AHEAD).with_options(pipeline.options())
        return lambda: sum(len(batch) for batch in batches)


def _summary(loaders: _Loaders, rates: dict[str, Rate]) -> dict:
    ours, pillow = rates["ours"], rates["pillow"]
    cost = {name: rate.cpu / rate.images for name, rate in rates.items()}
    read, decoded = min(1.0, cost["read"] / cost["ours"]), min(1.0, cost["decode"] / cost["ours"])
    return {
        "name": loaders.name,
        "images": ours.images,
        "ours_per_core": ours.per_core,
        "pillow_per_core": pillow.per_core,
        "ours_by_clock": ours.images / ours.wall,
        "pillow_by_clock": pillow.images / pillow.wall,
        "speedup": ours.per_core / pillow.per_core,
        "stages": {
            "read": read,
            "decode and crop": max(0.0, decoded - read),
            "resize, flip and batch": 1.0 - max(decoded, read),
        },
    }
