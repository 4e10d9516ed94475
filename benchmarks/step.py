"""Measures how long a training step takes beside its floor, the backbone on as many images with nothing aligned.

All rows are measured in one run, turn by turn, so that what else the machine does falls on all of them alike.
"""

from __future__ import annotations

import dataclasses
import gc
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from json import dumps
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from benchmarks.plain_step import PlainStep
from gsda_tf import methods, recipes
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.datasets import get_benchmark, split_task
from gsda_tf.datasets.loading import load
from gsda_tf.errors import choose
from gsda_tf.files import write_atomically
from gsda_tf.settings import Settings
from gsda_tf.tables import Table
from gsda_tf.training.distribution import build_strategy, check_batches, configure_devices, distribute
from gsda_tf.training.experiment import Experiment
from gsda_tf.training.runner import StepRunner

FLOOR = "floor"
_REAL, _PLAIN = "gsda_real_input", "gsda_plain"

_TRAINED = [name for name in methods.method_names() if methods.get_method(name).phases]  # the others have no step

# Rows by name: what they are called in the table.
ROWS: dict[str, str] = {
    FLOOR: "floor: source only, as many images",
    **{name: methods.title(name) for name in _TRAINED},
    "gsda_tapes": "GSDA, slopes by nested tape",
    "gsda_closed_form": "GSDA, slopes in closed form",
    _PLAIN: "GSDA, plain: two passes, a tape a discriminator",
    _REAL: "GSDA on the task's own files",
}
DEFAULT_ROWS = (FLOOR, *_TRAINED, _PLAIN)


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured variant.

    Attributes:
      name: key in `ROWS`.
      seconds: of one step, one value a turn.
      images: a step.
      first_call_seconds: tracing, and the first step.
      peak_memory: bytes, of the process by the time the row had run once; rows before it are in it.
    """

    name: str
    seconds: tuple[float, ...]
    images: int
    first_call_seconds: float
    peak_memory: int

    @property
    def median(self) -> float:
        """Seconds a step."""
        return statistics.median(self.seconds)


@dataclasses.dataclass(frozen=True)
class Result:
    """The measured rows.

    Attributes:
      rows: in the order asked for.
      classes: r.
      discriminators: K of the last row that has any.
      backbone_flops: of the backbone's forward pass on one image; None where it is not computed.
      machine_flops: a second, of a large float32 matrix product on this machine.
      extractor: its name.
    """

    rows: tuple[Row, ...]
    classes: int
    discriminators: int
    backbone_flops: float | None
    machine_flops: float
    extractor: str

    def ratio(self, name: str) -> float | None:
        """Median over turns of a row's time by the floor's in the same turn; None if the floor was not measured."""
        rows = {row.name: row for row in self.rows}
        if FLOOR not in rows:
            return None
        return statistics.median(a / b for a, b in zip(rows[name].seconds, rows[FLOOR].seconds))

    def as_json(self) -> dict[str, Any]:
        """Numbers for a file."""
        return {
            "tensorflow": tf.__version__,
            "extractor": self.extractor,
            "classes": self.classes,
            "discriminators": self.discriminators,
            "backbone_flops_an_image": self.backbone_flops,
            "machine_flops": self.machine_flops,
            "rows": [
                {**dataclasses.asdict(row), "median_seconds": row.median, "ratio_to_floor": self.ratio(row.name)}
                for row in self.rows
            ],
        }


def run(settings: Settings, rows: Sequence[str], rounds: int, steps: int, classes: int | None = None) -> Result:
    """Measures.

    Args:
      settings: resolved; the task is looked at for its number of classes, its files only by `gsda_real_input`.
      rows: names in `ROWS`.
      rounds: turns of each row.
      steps: in each turn.
      classes: r, in place of the task's.

    Raises:
      UserError: an unknown row, or settings that do not fit.
    """
    for name in rows:
        choose("row", name, ROWS)
    strategy = build_strategy(settings.device)
    check_batches(settings.data, strategy)
    real = load(settings.data) if _REAL in rows else None
    if classes is None:
        classes = len(real.class_names) if real else _task_classes(settings)
    with tempfile.TemporaryDirectory() as cache:
        if not settings.model.feature_cache_dir:
            settings = settings.replace({"feature_cache_dir": cache})
        measured = []
        for name in tqdm(rows, desc="building", unit="row", file=sys.stderr):
            measured.append(_Measured(name, _settings(settings, name), real, classes, strategy))
        for _ in tqdm(range(rounds), desc="measuring", unit="turn", file=sys.stderr):
            for row in measured:
                row.turn(steps)
    discriminators = max((row.discriminators for row in measured), default=0)
    return Result(
        tuple(row.result() for row in measured),
        classes,
        discriminators,
        _backbone_flops(measured[0].experiment),
        _machine_flops(),
        settings.model.extractor,
    )


def describe(result: Result) -> str:
    """The table that the command prints."""
    rows = []
    for row in result.rows:
        ratio, spread = result.ratio(row.name), f"{min(row.seconds):.4f}-{max(row.seconds):.4f}"
        speed, first = f"{row.images / row.median:.1f}", f"{row.first_call_seconds:.1f}"
        told = (f"{row.median:.4f}", spread, "" if ratio is None else f"{ratio:.3f}", speed, first)
        rows.append((ROWS[row.name], *told, f"{row.peak_memory / 2**30:.2f}"))
    lines = [
        f"{result.extractor}, {result.classes} classes, {result.discriminators} discriminators, TensorFlow "
        f"{tf.__version__}",
        Table(("", "s/step", "spread", "ratio", "images/s", "first s", "peak GiB"), rows).markdown() + "\n",
    ]
    if result.backbone_flops:
        images = result.rows[0].images
        seconds = 3 * result.backbone_flops * images / result.machine_flops
        lines.append(
            f"By arithmetic: forward {result.backbone_flops / 1e9:.2f} GFLOP an image, three times that with the "
            f"backward pass; at the {result.machine_flops / 1e9:.0f} GFLOP/s of a large matrix product here, a step "
            f"of {images} images takes at least {seconds:.3f} s."
        )
    lines.append("Ratio: median over turns of the row's time by the floor's. Peak: of the process, earlier rows in it.")
    return "\n".join(lines)


def main(
    given: Mapping[str, Any],
    rounds: int,
    json: str | None,
    rows: Sequence[str] | None,
    turn_steps: int,
    classes: int | None,
    **_: Any,
) -> None:
    """Measures as `benchmarks.measure` asks for it, and prints a table.

    Args:
      given: values by setting name, only what the user gave.
      rounds: see `run`.
      json: file for the numbers, or None.
      rows: see `run`; None: `DEFAULT_ROWS`.
      turn_steps: `steps` of `run`.
      classes: see `run`.
    """
    settings = recipes.resolve(given)
    configure_devices(settings.device)
    result = run(settings, rows or DEFAULT_ROWS, rounds, turn_steps, classes)
    print(describe(result))
    if json:
        write_atomically(json, dumps(result.as_json(), indent=2) + "\n")
        print(json)
    else:
        print("Next: --json=FILE keeps the numbers.", file=sys.stderr)


class _Measured:
    """A row at work: as in training, many steps in one call of one traced function."""

    def __init__(self, name: str, settings: Settings, real: TaskData | None, classes: int, strategy):
        self.name, self._settings = name, settings
        data = real if name == _REAL else _synthetic(settings, classes)
        self.experiment = experiment = Experiment(settings, data, strategy)
        hierarchy = getattr(experiment.method, "hierarchy", None)
        self.discriminators = hierarchy.size if hierarchy else 0
        step = PlainStep(experiment) if name == _PLAIN else experiment.training_step
        self._runner = StepRunner(strategy, step, settings.device.jit_compile == "step", experiment.networks())
        batches = TrainingBatches(experiment.inputs, settings.data, settings.run.seed, experiment.training_step.images)
        spec = batches.spec(experiment.input_spec, strategy.num_replicas_in_sync)
        self._images = settings.data.source_batch + batches.target_batch
        began = time.perf_counter()
        self._runner.build(spec)
        last = settings.optimization.steps
        self._iterator = iter(distribute(strategy, lambda share: batches.dataset(0, last, share=share)))
        self._call(1)
        self._first = time.perf_counter() - began
        gc.collect()
        self._peak = peak_memory()
        self._seconds: list[float] = []

    def turn(self, steps: int) -> None:
        """Measures `steps` steps."""
        began = time.perf_counter()
        self._call(steps)
        self._seconds.append((time.perf_counter() - began) / steps)

    def result(self) -> Row:
        """Returns what the turns gave."""
        return Row(self.name, tuple(self._seconds), self._images, self._first, self._peak)

    def _call(self, steps: int) -> None:
        self._runner(self._iterator, steps)
        self._runner.read_window()  # waits until the device is done


def peak_memory() -> int:
    """Largest resident size of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _settings(settings: Settings, name: str) -> Settings:
    # The benchmark's own values for GSDA hold for every row that has such an option.
    changes: dict[str, Any] = {"augmentation": "none"}
    method = "gsda"
    if name == FLOOR:
        data = settings.data
        method = "source_only"
        changes["source_batch"] = data.source_batch + data.target_batch
    elif name in methods.method_names():
        method = name
    elif name == "gsda_tapes":
        changes["slopes"] = "tapes"
    elif name == "gsda_closed_form":
        changes["slopes"] = "closed_form"
    elif name == _REAL:
        del changes["augmentation"]
    # Options that both methods have keep their values.
    before, options = settings.flat(), methods.options_of(method)
    shared = {field.name: before[field.name] for field in dataclasses.fields(options) if field.name in before}
    return dataclasses.replace(settings, options=options).replace({"method": method, "add": (), **shared, **changes})


def _task_classes(settings: Settings) -> int:
    benchmark, _ = split_task(settings.data.task)
    return len(get_benchmark(benchmark).class_names)


def _synthetic(settings: Settings, classes: int) -> TaskData:
    """Noise of the network's input size, already in memory."""
    size, rng = settings.data.image_size, np.random.default_rng(0)

    def domain(name: str) -> DomainData:
        images = rng.integers(0, 256, (2 * classes, size, size, 3), np.uint8)
        return DomainData(name, ArrayRecords(images, name), np.arange(2 * classes, dtype=np.int32) % classes)

    names = tuple(f"class {k}" for k in range(classes))
    return TaskData("synthetic", domain("noise A"), domain("noise B"), names)


def _backbone_flops(experiment: Experiment) -> float | None:
    """Of what a step computes of one image with the backbone, by TensorFlow's own count."""
    spec = experiment.input_spec
    forward: Callable = tf.function(lambda x: experiment.extractor.embed(x))
    graph = forward.get_concrete_function(tf.TensorSpec([1, *spec.shape], spec.dtype)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    counted = tf.compat.v1.profiler.profile(graph=graph, cmd="op", options={**options, "output": "none"})
    return float(counted.total_float_ops) if counted else None


def _machine_flops(size: int = 2048, times: int = 5) -> float:
    """Of a float32 matrix product, the best of some."""
    x = tf.random.stateless_normal([size, size], [1, 2])
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        tf.reduce_sum(tf.matmul(x, x)).numpy()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)
