"""How tf.data runs every pipeline."""

from __future__ import annotations

import os

import tensorflow as tf

CALLS = os.cpu_count() or 1
"""Of a map over images at once; tf.data has no more threads."""
AHEAD = 4
"""Batches that are made before they are asked for."""


def options() -> tf.data.Options:
    """Elements in their order, and the numbers above in place of its own.

    tf.data tunes in a thread that sleeps up to a minute, and whoever drops an iterator waits until it wakes: after
    every labelling and every evaluation, about as long again as half of what came before.
    """
    chosen = tf.data.Options()
    chosen.deterministic = True
    chosen.autotune.enabled = False
    return chosen
