"""Dropout whose masks are repeated: the same distribution, and the same weights around it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.compat import KERAS_3
from gsda_tf.errors import UserError
from gsda_tf.models.repeatable import RepeatableDropout, repeatable
from tests import rounding


@pytest.mark.skipif(KERAS_3, reason="Keras 3 keeps the states of its random layers itself")
def test_dropout_is_replaced_by_one_that_does_the_same():
    layers = keras.layers
    parts = [keras.Input((6, 6, 4)), layers.Conv2D(4, 1), layers.Dropout(0.4, (None, 1, 1, None))]
    inner = keras.Sequential(parts, name="inner")
    inputs = keras.Input((6, 6, 4))
    x = layers.Dropout(0.25, noise_shape=(None, 1, 1, 1))(inner(inputs))
    model = keras.Model(inputs, layers.BatchNormalization()(x))
    model.set_weights([np.random.default_rng(0).random(w.shape) for w in model.get_weights()])
    changed = repeatable(model)
    images = tf.random.stateless_uniform([200, 6, 6, 4], [1, 2])
    assert rounding.distance(changed(images), model(images)) < rounding.FORWARD
    assert sum(isinstance(layer, RepeatableDropout) for layer in changed.submodules) == 2
    assert [v.dtype for v in changed.variables].count(tf.int64) == 2

    ones = tf.ones([2000, 3, 3, 5])
    spatial = RepeatableDropout(0.4, (None, 1, 1, None), seed=1)(ones, training=True).numpy()
    assert (spatial == spatial[:, :1, :1]).all(), "a channel is dropped as a whole"
    np.testing.assert_allclose(np.unique(spatial), [0, 1 / 0.6], rtol=1e-6)
    assert abs((spatial == 0).mean() - 0.4) < 0.02
    layer = RepeatableDropout(0.5, seed=3)
    first, second = layer(ones, training=True).numpy(), layer(ones, training=True).numpy()
    assert (first != second).any() and layer.drawn.numpy() == 2
    layer.drawn.assign(0)
    np.testing.assert_array_equal(layer(ones, training=True), first)
    assert repeatable(keras.Sequential([keras.Input((2,)), layers.Dropout(0.0)])).layers[-1].rate == 0
    with pytest.raises(UserError, match="has a random layer that cannot be repeated"):
        repeatable(keras.Sequential([keras.Input((6, 6, 4)), layers.SpatialDropout2D(0.4)]))
