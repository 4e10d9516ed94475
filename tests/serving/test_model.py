"""What is no export of this package, or answers with what is no number, is told in one line."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.serving.model import local_model

_RIGHT = {
    "label": lambda count: tf.fill([count], "cat"),
    "score": lambda count: tf.fill([count], 0.75),
    "probabilities": lambda count: tf.tile([[0.75, 0.25]], [count, 1]),
    "features": lambda count: tf.ones([count, 5]),
}


def _saved(folder, outputs) -> str:
    module = tf.Module()
    module.names = tf.Variable(["cat", "dog"], trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def answer(image_bytes):
        return {name: make(tf.shape(image_bytes)[0]) for name, make in outputs.items()}

    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": answer, "features": answer})
    return str(folder)


def test_an_export_is_asked(tmp_path):
    model = local_model(_saved(tmp_path, _RIGHT))
    assert model.ask([b"", b""], True)["label"] == ["cat", "cat"]
    assert (model.class_names, model.numbers, model.units) == (("cat", "dog"), ("score",), 5)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("score", None),
        ("features", lambda count: tf.ones([count, 5, 5])),
        ("probabilities", lambda count: tf.ones([count, 3])),
        ("label", lambda count: tf.fill([count, 1], "cat")),
    ],
)
def test_answers_of_another_kind_are_refused_before_anything_is_asked(name, make, tmp_path):
    outputs = {key: value for key, value in {**_RIGHT, name: make}.items() if value}
    with pytest.raises(UserError, match=r"could not be loaded: .* Was it exported by") as error:
        local_model(_saved(tmp_path, outputs))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["score", "probabilities", "features"])
def test_numbers_that_are_not_finite_are_told(name, tmp_path):
    model = local_model(_saved(tmp_path, {**_RIGHT, name: lambda count: _RIGHT[name](count) * np.nan}))
    with pytest.raises(UserError, match=f"answers with {name} that are not finite"):
        model.ask([b""], True)
