"""What differs between Keras 2 and Keras 3, each with its reason. Everything else is one code for both."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import keras
import tensorflow as tf

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3


def tf_variable(variable) -> tf.Variable:
    """The TensorFlow variable behind a model's variable: Keras 3 wraps it, Keras 2 does not."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def variable_name(variable) -> str:
    """The variable's own name ("kernel", "gamma"): a `path` exists in Keras 3 only, and ":0" in Keras 2 only."""
    name = variable.name.split(":")[0] if isinstance(variable, tf.Variable) else variable.path
    return name.rsplit("/", 1)[-1]


@contextmanager
def precision_policy(name: str) -> Iterator[None]:
    """Layers built inside compute in `name` ("mixed_float16"). The getter moved in Keras 3."""
    get = keras.config.dtype_policy if KERAS_3 else keras.mixed_precision.global_policy
    before = get().name
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def without_values(build: Callable[[], keras.Model]) -> keras.Model:
    """The model that `build` makes, whose variables have shapes but no values, and take no memory.

    Nothing of the caller's is touched: neither its strategy, nor its random numbers.
    """

    def built() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False) if KERAS_3 else tf.Graph().as_default():
            if not KERAS_3:
                tf.random.set_seed(0)  # of this graph: under op determinism a random layer wants one
            return build()

    state, log = random.getstate(), tf.get_logger()
    level = log.level
    log.setLevel("ERROR")  # how Keras makes graphs is deprecated: nothing to tell of
    try:
        # A thread of its own: graph, strategy and seeds belong to threads.
        with futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(built).result()
    finally:
        log.setLevel(level)
        random.setstate(state)
