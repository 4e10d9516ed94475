"""Many training steps in one call of one traced function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from gsda_tf.errors import NotFiniteError


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
        """Names of the metrics of the present phase."""
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
        """Returns where training stands."""
        return int(self.step.numpy())

    @property
    def traces(self) -> int:
        """Returns how often the loop was traced; after any number of steps once for each phase it was in."""
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
