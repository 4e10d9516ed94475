"""No method takes softmax twice: a cross-entropy of probabilities, taken for logits, is never small."""

import math
import types

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import methods
from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")

TRAINED = [name for name in methods.method_names() if methods.get_method(name).phases]
TWICE = -math.log(math.e / (math.e + peers.R - 1))
"""The least that a cross-entropy of probabilities can be."""


def surely_right(name):
    """What a method calls its classification, of logits that leave no doubt."""
    kind = double("methods").get_method(name)
    module = kind.__module__.split(".methods.")[1]
    groups = {"num_groups": (2,)} if hasattr(kind.Options, "num_groups") else {}
    method = peers.method(module, kind.__name__, extractor=lambda: types.SimpleNamespace(variables=[]), **groups)
    labels = peers.LABELS
    sure = tf.constant(50.0 * np.eye(peers.R)[labels])
    features = None
    if name == "mcd":
        method.classifier = types.SimpleNamespace(each=lambda f: [tf.concat([sure, sure], 0)] * 2)
    elif name == "symnets":
        method.classifier = types.SimpleNamespace(both=lambda f: tf.tile(sure, [2, 2]))
    elif name == "tpn":
        features = tf.constant(100.0 * np.eye(peers.D)[labels])
    b = peers.batch(features, features, sure, sure)
    method.loss(b)
    return b.metrics["loss/classification"].numpy()


@pytest.mark.parametrize("name", TRAINED)
def test_a_classifier_that_is_sure_and_right_has_no_loss(name):
    assert 0 <= surely_right(name) < 1e-9 < TWICE


def test_what_twice_would_be():
    sure = tf.nn.softmax(50.0 * tf.eye(peers.R, dtype=tf.float64))
    twice = tf.nn.sparse_softmax_cross_entropy_with_logits(np.arange(peers.R), sure)
    np.testing.assert_allclose(twice, TWICE, rtol=1e-9)
