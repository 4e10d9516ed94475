"""Options of tf.data, the same for every pipeline."""

import os

import tensorflow as tf

CALLS = os.cpu_count() or 1
"""Images that a map works on at once."""
AHEAD = 4
"""Batches that are made before they are asked for."""


def options() -> tf.data.Options:
    """Elements in their order, and numbers as above: nothing is tuned, nor shared out by TensorFlow.

    With AUTOTUNE tf.data tunes in a thread that sleeps up to a minute, and whoever drops an iterator, as after every
    evaluation and every labelling, waits until it wakes: 8 s for one that had lived 12.
    """
    chosen = tf.data.Options()
    chosen.deterministic = True
    chosen.autotune.enabled = False
    chosen.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return chosen
