"""What a step makes of a method's losses, against tapes that go through everything at once, in float64."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tests import rounding
from tests.methods.build import batch, experiment
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")
_RATE = 0.1  # of the small settings: no momentum, no decay, so that a step is the gradient


def _built(step, **changes):
    """An experiment whose method takes this step."""
    built = experiment("domain", package=double, **changes)
    built.method.step = types.MethodType(step, built.method)
    return built


def _values(built) -> dict[str, list[np.ndarray]]:
    return {name: [v.numpy() for v in group] for name, group in built.networks().items()}


def _moved(built, fed, step=0) -> dict[str, list[np.ndarray]]:
    """What a step adds to the weights, by the name of the network."""
    before = _values(built)
    built.training_step(fed, tf.constant(step, tf.int64))
    return {name: [a - b for a, b in zip(group, before[name])] for name, group in _values(built).items()}


def _features(built, fed, names=("source", "target")):
    return built.extractor(tf.concat([fed[f"{name}_images"] for name in names], axis=0), training=True)


def _downhill(built, fed, losses, seen=("source", "target")) -> dict[str, list[np.ndarray]]:
    """The same by one tape: for each loss, minus the rate times its gradient in the networks that it names."""
    variables = {name: list(group) for name, group in built.networks().items()}
    moved = {name: [np.zeros(v.shape) for v in group] for name, group in variables.items()}
    rates = {"extractor": 1.0, "classifier": 1.0, "discriminators": built.settings.optimization.discriminator_rate}
    for loss, names in losses:
        with tf.GradientTape() as tape:
            value = loss(_seen(built, _features(built, fed, seen), fed))
        for name, found in tape.gradient(value, {name: variables[name] for name in names}).items():
            for into, gradient in zip(moved[name], found):
                into -= _RATE * rates[name] * (0 if gradient is None else gradient.numpy())
    return moved


def _seen(built, features, fed):
    seed = tf.zeros([2], tf.int32)
    progress = tf.zeros([], tf.float32)
    return double("methods.batch").Batch(features, fed["source_labels"], built.method.classifier, progress, seed)


def _assert_same(one, other):
    for name in one:
        assert rounding.distance(one[name], other[name]) < rounding.STEP, name


def _apart(b):
    """Something of the features of both domains."""
    return tf.reduce_sum(tf.square(tf.reduce_mean(b.source, 0) - tf.reduce_mean(b.target, 0)))


def _certain(b):
    return tf.reduce_mean(tf.square(b.target_logits))


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_batch_norm_of_the_bottleneck_sees_source_and_target_apart(norm):
    seen = {}

    def step(self, s):
        seen.update(features=s.forward().features)

    built, fed = _built(step, bottleneck_norm=norm), batch()
    built.training_step(fed, tf.constant(0, tf.int64))
    apart = tf.concat([_features(built, fed, [name]) for name in ("source", "target")], axis=0)
    together = _features(built, fed)
    assert rounding.distance(seen["features"], apart) < rounding.FORWARD
    assert (rounding.distance(together, apart) > 1e-3) == (norm == "batch")


def test_losses_that_meet_at_the_features_move_e_by_their_sum():
    def step(self, s):
        seen = s.forward()
        s.descend(_apart, seen, "extractor")
        s.descend(_certain, seen, "extractor", "classifier")

    built, fed = _built(step), batch()
    expected = _downhill(built, fed, [(_apart, ["extractor"]), (_certain, ["extractor", "classifier"])])
    moved = _moved(built, fed)
    _assert_same(moved, expected)
    assert max(np.abs(m).max() for m in moved["extractor"]) > 1e-6
    assert all((m == 0).all() for m in moved["discriminators"])


def test_a_loss_that_does_not_name_e_moves_what_it_names_at_once():
    """So the next loss of the same step sees it moved; E stands still until the end."""
    seen_by = []

    def step(self, s):
        seen = s.forward()
        s.descend(_certain, seen, "classifier")
        s.descend(lambda b: seen_by.append(b.logits) or _certain(b), seen, "extractor")

    built, fed = _built(step), batch()
    first = _downhill(built, fed, [(_certain, ["classifier"])])
    kernel, bias = (v + change for v, change in zip(_values(built)["classifier"], first["classifier"]))
    logits = _features(built, fed) @ kernel + bias
    moved = _moved(built, fed)
    _assert_same({"classifier": moved["classifier"]}, first)
    assert rounding.distance(seen_by[0], logits) < rounding.STEP
    assert max(np.abs(m).max() for m in moved["extractor"]) > 1e-9


def test_a_second_forward_applies_what_was_pending():
    def step(self, s):
        s.descend(_apart, s.forward(), "extractor")
        s.descend(_certain, s.forward(), "extractor", "classifier")

    built, fed = _built(step), batch()
    one = _downhill(built, fed, [(_apart, ["extractor"])])
    before = _values(built)
    for name, group in built.networks().items():
        for variable, change in zip(group, one[name]):
            variable.assign_add(change)
    two = _downhill(built, fed, [(_certain, ["extractor", "classifier"])])
    for name, group in built.networks().items():
        for variable, value in zip(group, before[name]):
            variable.assign(value)
    _assert_same(_moved(built, fed), {name: [a + b for a, b in zip(one[name], two[name])] for name in one})


def test_features_that_are_fixed_carry_no_gradient():
    def step(self, s):
        held = tf.ones([6, 8], tf.float64)
        s.descend(lambda b: tf.reduce_sum(b.target * tf.reduce_sum(b.source)), s.forward(fixed={"target": held}),
                  "extractor")  # fmt: skip

    def whole(b):
        return tf.reduce_sum(tf.ones([6, 8], tf.float64) * tf.reduce_sum(b.source))

    built, fed = _built(step), batch()
    expected = _downhill(built, fed, [(whole, ["extractor"])], seen=["source"])
    _assert_same(_moved(built, fed), expected)


def test_added_terms_count_once_with_the_first_loss_that_moves_e():
    def step(self, s):
        seen = s.forward()
        s.descend(_certain, seen, "classifier")
        s.descend(_apart, seen, "extractor")
        s.descend(_apart, seen, "extractor")

    built, fed = _built(step, add=("bnm",)), batch()
    built.training_step(fed, tf.constant(0, tf.int64))
    counted = []
    (term,) = built.training_step.terms
    original = term.loss
    term.loss = lambda b: counted.append(1) or original(b)
    metrics = built.training_step(fed, tf.constant(1, tf.int64))
    assert counted == [1] and "loss/bnm" in metrics


def test_the_learning_rate_falls_with_the_step_and_is_logged():
    built = _built(lambda self, s: s.descend(_apart, s.forward(), "extractor"), rate_decay=10.0)
    found = [float(built.training_step(batch(), tf.constant(i, tf.int64))["learning_rate"]) for i in (0, 5)]
    np.testing.assert_allclose(found, [_RATE, _RATE * (1 + 10 * 0.5) ** -0.75], rtol=1e-6)
