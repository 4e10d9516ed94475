"""The loop: when to train, label, evaluate, checkpoint and report. What a step does it does not know."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from gsda_tf.errors import NotFiniteError
from gsda_tf.training.distribution import distribute

_SECONDS_A_CALL = 0.5
"""The host hears from the device this often: the progress bar moves, a signal is noticed."""


class Interrupted(Exception):  # noqa: N818 - it is not an error
    """A signal asked the run to stop; it has been checkpointed."""


@dataclasses.dataclass(frozen=True)
class Periods:
    """Steps between two of each; 0 means never."""

    report: int
    evaluate: int
    label: int
    checkpoint: int
    checkpoint_seconds: float
    phases: tuple[int, ...] = ()
    """Not a period: the steps at which another phase begins."""


class StepRunner:
    """Many steps in one call of one traced function.

    Args:
      strategy: whose replicas run the step.
      step_fn: (batch, step) -> metrics by name, in a replica context; several of them by the name of the phase.
      jit_compile: whether XLA compiles the step.
      weights: what the step updates, by the name of the network; looked at after every step.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        step_fn: Callable | Mapping[str, Callable],
        jit_compile: bool = False,
        weights: Mapping[str, Sequence[tf.Variable]] | None = None,
    ):
        self._strategy, self._jit = strategy, jit_compile
        self._step_fns = dict(step_fn) if isinstance(step_fn, Mapping) else {"": step_fn}
        self.phase = next(iter(self._step_fns), "")
        self._weights = {name: [v for v in group if v.dtype.is_floating] for name, group in dict(weights or {}).items()}
        self._names: dict[str, list[str]] = {}
        self._run: dict[str, Callable] = {}
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            self.window_count = tf.Variable(0, dtype=tf.int64, trainable=False, name="window_count")

    def build(self, batch_spec: dict[str, tf.TensorSpec]) -> None:
        """Finds the metrics' names, so that the window's variables can be made before anything is restored.

        Args:
          batch_spec: of one replica's share of a batch.
        """
        ones = {phase: self._trace(phase, step_fn, batch_spec) for phase, step_fn in self._step_fns.items()}
        width = max(map(len, self._names.values()))
        with self._strategy.scope():
            self.window = tf.Variable(tf.zeros([width]), trainable=False, name="window")
        self._last = tf.Variable(tf.zeros([width]), trainable=False, name="last")
        self._run = {phase: self._many(one, width - len(self._names[phase])) for phase, one in ones.items()}

    def _trace(self, phase: str, step_fn: Callable, batch_spec: dict[str, tf.TensorSpec]) -> Callable:
        """One step on all replicas: batch -> metrics [n], whose names are then known."""
        strategy = self._strategy

        def replica(batch):
            # A multi-worker iterator forgets the size of its batches.
            batch = {name: tf.ensure_shape(value, batch_spec[name].shape) for name, value in batch.items()}
            metrics = step_fn(batch, self.step)
            self._names[phase] = sorted(metrics)
            return tf.stack([tf.cast(metrics[name], tf.float32) for name in self._names[phase]])

        if self._jit:
            replica = tf.function(replica, jit_compile=True, autograph=False)

        # Nothing in a step branches in Python on a tensor: looking for it would double the time to start.
        @tf.function(autograph=False)
        def one(batch):
            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica, args=(batch,)), axis=None)

        one.get_concrete_function(batch_spec)
        return one

    def _many(self, one: Callable, spare: int) -> Callable:
        """Steps until there are enough of them, or something is not finite: (iterator, steps) -> whether all is."""
        watched, last = [v for group in self._weights.values() for v in group], self._last

        @tf.function(autograph=False)
        def run(iterator, steps):
            def step(done, finite):
                values = one(next(iterator))
                # A gradient that is not finite shows in the weights at once, in the losses a step too late.
                # A sum is finite only if all it adds up is, and costs one reading.
                sums = tf.stack([tf.reduce_sum(values), *(tf.cast(tf.reduce_sum(v), tf.float32) for v in watched)])
                values = tf.pad(values, [[0, spare]])
                last.assign(values)
                self.window.assign_add(values)
                self.window_count.assign_add(1)
                self.step.assign_add(1)
                return done + 1, tf.reduce_all(tf.math.is_finite(sums))

            start = (tf.constant(0, tf.int64), tf.constant(True))
            return tf.while_loop(lambda done, finite: (done < steps) & finite, step, start)[1]

        return run

    @property
    def names(self) -> list[str]:
        """Of the metrics of the present phase."""
        return self._names[self.phase]

    def __call__(self, iterator: Iterator, steps: int) -> None:
        """Runs up to `steps` steps.

        Raises:
          NotFiniteError: a term or a gradient is not finite, naming it and the step.
        """
        if not self._run[self.phase](iterator, tf.constant(steps, tf.int64)):
            values = self._last.numpy()
            bad = [name for name, value in zip(self.names, values) if not np.isfinite(value)]
            raise NotFiniteError(", ".join(bad or self._bad_gradients()), self.steps_done)

    def _bad_gradients(self) -> list[str]:
        """The networks whose update was not finite, each with a variable of it."""
        bad = []
        for name, group in self._weights.items():
            hit = [v.name.split(":")[0] for v in group if not np.isfinite(v.numpy()).all()]
            if hit:
                bad.append(f"the gradient of the {name} ({len(hit)} of {len(group)} variables, such as {hit[0]})")
        return bad

    def read_window(self) -> dict[str, float]:
        """Means since the last reading, by name; empties the window."""
        count = int(self.window_count.numpy())
        means = self.window.numpy() / max(count, 1)
        self.window.assign(tf.zeros_like(self.window))
        self.window_count.assign(0)
        return dict(zip(self.names, means.tolist())) if count else {}

    @property
    def steps_done(self) -> int:
        """Where training stands."""
        return int(self.step.numpy())

    @property
    def traces(self) -> int:
        """How often the loop was traced; after any number of steps once for each phase it was in."""
        return sum(run.experimental_get_tracing_count() for run in self._run.values())


class FitRunner(StepRunner):
    """One step that is no step: a method in closed form is fitted.

    Args:
      strategy: of the run.
      fit: called once.
    """

    def __init__(self, strategy: tf.distribute.Strategy, fit: Callable[[], None]):
        super().__init__(strategy, {})
        self._fit = fit
        self.window = tf.Variable(tf.zeros([0]), trainable=False, name="window")

    def __call__(self, iterator: Iterator, steps: int) -> None:
        self._fit()
        self.step.assign_add(1)


@dataclasses.dataclass
class Hooks:
    """What the loop calls at the step boundaries that `Periods` names.

    Attributes:
      batches: (first, last) -> a function from a worker's share to its data set.
      report: (step, means by name).
      evaluate: (step).
      label: (step).
      checkpoint: (step).
      progress: (step, steps a second).
      segment: (step), before each run of steps on one iterator; tells the runner its phase.
    """

    batches: Callable
    report: Callable[[int, dict[str, float]], None]
    evaluate: Callable[[int], None]
    label: Callable[[int], None]
    checkpoint: Callable[[int], None]
    progress: Callable[[int, float], None]
    segment: Callable[[int], None] = lambda step: None


class Loop:
    """Trains from the step the runner stands at to the last.

    Args:
      runner: runs steps.
      strategy: to feed its replicas.
      periods: of everything.
      hooks: what to call.
    """

    def __init__(self, runner: StepRunner, strategy: tf.distribute.Strategy, periods: Periods, hooks: Hooks):
        self._runner, self._strategy = runner, strategy
        self._periods, self._hooks = periods, hooks
        self.training_seconds = 0.0
        self._stop = False

    def run(self, steps: int) -> None:
        """Trains until step `steps`.

        Raises:
          Interrupted: SIGTERM or SIGINT came; a checkpoint was written.
          NotFiniteError: a term is not finite.
        """
        step, saved, saved_at = self._runner.steps_done, self._runner.steps_done, time.monotonic()
        rate = _Rate()
        with self._signals():
            while step < steps:
                segment_end = min(
                    self._next(step, steps, self._periods.label), *(p for p in self._periods.phases if p > step), steps
                )
                self._hooks.segment(step)
                iterator = iter(distribute(self._strategy, self._hooks.batches(step, segment_end)))
                while step < segment_end:
                    stop = min(
                        segment_end,
                        *(self._next(step, steps, p) for p in (self._periods.report, self._periods.evaluate)),
                    )
                    began = time.perf_counter()
                    count = min(stop - step, rate.steps_a_call)
                    self._runner(iterator, count)
                    self.training_seconds += rate.add(count, time.perf_counter() - began)
                    step += count
                    self._hooks.progress(step, rate.value)
                    if step % self._periods.report == 0 or step == steps or step in self._periods.phases:
                        self._hooks.report(step, self._runner.read_window())
                    if self._due(step, self._periods.label) and step < steps:
                        self._hooks.label(step)
                    if self._due(step, self._periods.evaluate) or step == steps:
                        self._hooks.evaluate(step)
                    late = time.monotonic() - saved_at > self._periods.checkpoint_seconds
                    crossed = step // self._periods.checkpoint > saved // self._periods.checkpoint
                    if late or crossed or step == steps or self._stop:
                        self._hooks.checkpoint(step)
                        saved, saved_at = step, time.monotonic()
                    if self._stop:
                        raise Interrupted(step)

    @staticmethod
    def _next(step: int, steps: int, period: int) -> int:
        return min(steps, (step // period + 1) * period) if period else steps

    @staticmethod
    def _due(step: int, period: int) -> bool:
        return bool(period) and step % period == 0

    @contextlib.contextmanager
    def _signals(self):
        """Lets the current call finish on the first SIGTERM or SIGINT; a second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number, frame):
            self._stop = True
            signal.signal(number, before[number])

        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Rate:
    """Steps a second over the last calls; the first call, which traces, does not count."""

    def __init__(self):
        self.value, self._calls = 0.0, 0

    @property
    def steps_a_call(self) -> int:
        """How many steps to ask for at once."""
        return max(1, round(self.value * _SECONDS_A_CALL))

    def add(self, steps: int, seconds: float) -> float:
        """Takes in a call; returns the seconds that count as training."""
        self._calls += 1
        if self._calls == 1:
            return 0.0
        new = steps / max(seconds, 1e-9)
        self.value = new if self._calls == 2 else 0.7 * self.value + 0.3 * new
        return seconds
