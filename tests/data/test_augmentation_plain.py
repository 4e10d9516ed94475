"""The operations of strong augmentation without Addons, against Addons where it can be imported, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.compat import KERAS_3
from gsda_tf.data import augmentation_plain as plain
from tests.data.pictures import picture

IMAGE = tf.constant(picture(3, 48, 48))


@pytest.mark.skipif(KERAS_3, reason="TensorFlow Addons cannot be imported with Keras 3")
@pytest.mark.parametrize(
    "operation, arguments, most",
    [
        ("rotate", (0.4,), 1),
        ("equalize", (), 0),
        ("sharpness", (1.8,), 1),
        ("sharpness", (0.2,), 1),
        ("cutout", (tf.constant([30, 9]), 12), 0),
    ],
)
def test_agrees_with_addons(operation, arguments, most):
    from gsda_tf.data import augmentation_addons as addons

    ours, theirs = (getattr(module, operation)(IMAGE, *arguments).numpy().astype(int) for module in (plain, addons))
    assert (theirs != IMAGE.numpy()).any()
    assert np.abs(ours - theirs).max() <= most


def test_shear_moves_each_row_further():
    line = np.zeros((9, 9, 3), np.uint8)
    line[:, 7] = 200
    sheared = plain.shear(tf.constant(line), 0.5).numpy()[..., 0]
    # Row y is taken from x + y / 2, so the line at 7 shows at 7 - y / 2.
    assert [int(sheared[y].argmax()) for y in (0, 2, 4, 6)] == [7, 6, 5, 4]


def test_cutout_blackens_one_square_and_nothing_else():
    white = tf.fill([20, 20, 3], tf.constant(255, tf.uint8))
    hole = plain.cutout(white, tf.constant([8, 11]), 6).numpy() == 0
    assert hole.all(axis=-1).sum() == 36
    assert (np.argwhere(hole[..., 0]).min(0) == [5, 8]).all()
