"""Differences between Keras 2 and Keras 3, each with its reason. Everything else is one code for both."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from gsda_tf.threads import in_thread

T = TypeVar("T")
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
    before = get()
    # Where none is set, Keras 2 makes one of `floatx` anew whenever it is asked, and none has to be put back: a policy
    # would no longer follow `floatx`. Keras 3 sets one itself as soon as it is asked.
    follows = get() is not before
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(None if follows else before)


def seeded(seed: int, build: Callable[[], T]) -> T:
    """Builds networks from a seed and leaves all generators of the caller as they were.

    Args:
      seed: of initial weights and of what draws while training.
      build: called without arguments, in a thread of its own: there Keras draws its seeds from Python's generator,
        which can be put back. What `keras.utils.set_random_seed` sets in the caller's thread and in TensorFlow can not.

    Returns:
      what `build` returned.
    """

    def built() -> T:
        random.seed(seed)
        np.random.seed(seed)  # networks of somebody else's may draw from it
        return build()

    states = random.getstate(), np.random.get_state()
    try:
        return in_thread(built).result()
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def without_values(build: Callable[[], keras.Model]) -> keras.Model:
    """The model that `build` makes, whose variables have shapes but no values, and take no memory.

    Nothing of the caller's is touched: neither its strategy, nor its random numbers.
    """

    def built() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False) if KERAS_3 else tf.Graph().as_default():
            if not KERAS_3:
                tf.random.set_seed(0)  # of this graph: under op determinism a random layer wants one
            return build()

    state = random.getstate()
    try:
        with errors_only():  # how Keras makes graphs is deprecated: nothing to tell of
            # In a thread of its own no graph, strategy, policy or generator of the caller is seen.
            return in_thread(built).result()
    finally:
        random.setstate(state)


@contextmanager
def errors_only() -> Iterator[None]:
    """Meanwhile TensorFlow's log in Python, which a notebook shows, tells of errors alone."""
    log = tf.get_logger()
    level = log.level
    log.setLevel("ERROR")
    try:
        yield
    finally:
        log.setLevel(level)
