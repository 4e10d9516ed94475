"""ADDA: its critic's loss, its inverted labels, and what stays as it is."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.compat import tf_variable
from tests.methods import peers

pytestmark = pytest.mark.usefixtures("in_double")


def extractor():
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(peers.D), keras.layers.BatchNormalization()])
    return model


def adda(**options):
    method = peers.method("adda", "ADDA", extractor=extractor, **options)
    peers.set_critic(method.critic, "W1", "b1", "W2", "b2")
    return method


def test_the_critics_loss_against_peers():
    """It is DANN's."""
    method = adda()
    loss = lambda f_s, f_t: method.adversary_loss(peers.batch(f_s, f_t))  # noqa: E731
    peers.compare("dann/tllib", loss)


def test_the_labels_are_inverted():
    """-log D: its slope is (1 - D) / D times that of log(1 - D), which vanishes where the critic is sure."""
    method, (f_s, f_t) = adda(), peers.given("f_s", "f_t")
    d = peers.NUMBERS["dann/critic_probability"][8:]
    value, (of_s, of_t) = peers.gradients(lambda s, t: method.extractor_loss(peers.batch(s, t)), f_s, f_t)
    np.testing.assert_allclose(value, -np.log(d).mean(), rtol=1e-9)
    assert not of_s.any()
    # The peers' loss has half of -log(1 - D) of the target.
    saturating = -2 * peers.NUMBERS["dann/tllib/grad_f_t"]
    peers.agree(of_t, (1 - d) / d * saturating)


def test_the_second_phase_begins_with_one_extractor_for_both():
    method = adda()
    mine = method.problem.extractor
    for i, variable in enumerate(mine.variables):
        tf_variable(variable).assign(tf_variable(variable) + 0.1 * (i + 1))
    images = tf.random.stateless_normal([3, 4], [0, 0], dtype=tf.float64)
    assert np.abs(mine(images) - method.source_extractor(images)).max() > 1e-3
    for _ in range(2):  # twice if the run was killed there
        method.begin("adapt")
        np.testing.assert_array_equal(mine(images), method.source_extractor(images))


def test_what_a_step_moves():
    """Source features come from the kept extractor, in inference: neither it nor the classifier is moved."""
    method = adda()
    method.begin("adapt")
    before = [np.asarray(v) for v in method.source_extractor.variables]
    moved, asked = [], []
    images = {"source": tf.ones([2, 4], tf.float64), "target": tf.ones([3, 4], tf.float64)}

    def forward(*names, fixed=None):
        asked.append((names, fixed))
        return "b"

    def descend(loss, b, *names):
        moved.append((loss.__name__, names))

    step = types.SimpleNamespace(phase="adapt", images=images, forward=forward, descend=descend)
    method.step(step)
    assert moved == [("extractor_loss", ("extractor",)), ("adversary_loss", ("discriminators",))]
    ((names, fixed),) = asked
    assert names == ("source", "target") and list(fixed) == ["source"]
    np.testing.assert_array_equal(fixed["source"], method.source_extractor(images["source"], training=False))
    for variable, value in zip(method.source_extractor.variables, before):
        np.testing.assert_array_equal(variable, value)
    moved.clear(), asked.clear()
    step.phase = "source"
    method.step(step)
    assert moved == [("loss", ("extractor", "classifier"))] and asked == [(("source",), None)]


@pytest.mark.parametrize("steps, share, end", [(10, 0.5, 5), (10, 0.0, 1), (10, 1.0, 10), (1, 0.5, 1)])
def test_when_the_second_phase_begins(steps, share, end):
    assert tuple(adda(source_share=share).phase_ends(steps)) == (end,)
