"""An export that answers wrongly is told in one line."""

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.serving.model import local_model

_WRONG = {
    "more rows": ("label", lambda x: tf.concat([x, x], 0)),
    "a scalar": ("score", lambda x: x[0]),
    "fewer probabilities": ("probabilities", lambda x: x[:, :1]),
    "features in a cube": ("features", lambda x: x[..., None]),
    "not a number": ("score", lambda x: x * np.nan),
    "infinity": ("probabilities", lambda x: x * np.inf),
    "features that are none": ("features", lambda x: x * np.nan),
    "a score of two": ("score", lambda x: x + 1.5),
    "less than nothing": ("probabilities", lambda x: x - 1),
    "whole numbers": ("score", lambda x: tf.cast(x, tf.int64)),
    "texts for numbers": ("score", tf.strings.as_string),
    "numbers for labels": ("label", lambda x: tf.zeros(tf.shape(x))),
    "an unknown label": ("label", lambda x: tf.strings.join([x, x])),
    "no UTF-8": ("label", lambda x: tf.fill(tf.shape(x), b"\xff")),
}


@pytest.mark.parametrize("case", _WRONG)
def test_what_is_no_answer_is_told(case, tmp_path):
    name, change = _WRONG[case]
    module = tf.Module()
    module.names = tf.Variable(["cat", "dog"], trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def answer(image_bytes):
        count = tf.shape(image_bytes)[0]
        return {
            "label": tf.fill([count], "cat"),
            "score": tf.fill([count], 0.75),
            "probabilities": tf.tile([[0.75, 0.25]], [count, 1]),
            "features": tf.ones([count, 5]),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def wrong(image_bytes):
        right = answer(image_bytes)
        return {**right, name: change(right[name])}

    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": answer, "features": wrong})
    model = local_model(str(tmp_path))
    assert model.ask([b"", b""], False)["label"] == ["cat", "cat"]
    with pytest.raises(UserError, match="answers with what is no answer: was it exported by"):
        model.ask([b"", b""], True)
