"""A server that answers wrongly is told in one line, and the rows from before are kept."""

import json
import os
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from gsda_tf.errors import UserError
from gsda_tf.serving import client, predict
from tests.serving.server import serving

NAMES = ["cat", "dog", "hen"]
_RIGHT = 1
"""Requests that are answered rightly before others are not: the class names."""


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers without a model; from the request `wrong_from` on what `change` makes of it."""

    def __init__(self, change=None, wrong_from=0):
        self.change, self.wrong_from, self.asked = change, wrong_from, 0

    def Predict(self, request, context):  # noqa: N802 - the name in the proto
        signature = request.model_spec.signature_name
        if signature == "class_names":
            asked = request.inputs["index"].tensor_shape.dim[0].size
            out = {"class_name": [*NAMES, *[""] * (asked - len(NAMES))]}
        else:
            count = request.inputs["image_bytes"].tensor_shape.dim[0].size
            row = [0.5, 0.25, 0.25]
            out = {
                "label": ["cat"] * count,
                "score": np.full(count, 0.5, np.float32),
                "probabilities": np.tile(np.asarray(row, np.float32), (count, 1)),
                "features": np.ones((count, 5), np.float32),
            }
        response = predict_pb2.PredictResponse()
        response.model_spec.version.value = 1
        self.asked += 1
        if self.change and self.asked > self.wrong_from:
            self.change(out, response)
        for name, value in out.items():
            proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
            response.outputs[name].CopyFrom(proto)
        return response


def _sets(**values):
    """Outputs that are replaced by a function of what they were, where the signature has them."""

    def change(out, response):
        for name, value in values.items():
            if name in out:
                out[name] = value(out[name])

    return change


def _without(name):
    return lambda out, response: out.pop(name, None)


def _version(out, response):
    response.model_spec.version.value = 2


def _spoilt(value):
    def spoil(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return spoil


def _of_shape(*sizes):
    def proto(array):
        made = tf.make_tensor_proto(1.0)
        for size in sizes:
            made.tensor_shape.dim.add(size=size)
        return made

    return proto


def _not_utf8(labels):
    made = tf.make_tensor_proto(labels)
    made.string_val[0] = b"\xff"
    return made


_WRONG = {
    "more rows": (_sets(label=lambda x: [*x, "cat"]), "no label of shape"),
    "fewer rows": (_sets(score=lambda x: x[:-1]), "no score of shape"),
    "a scalar": (_sets(score=lambda x: x[0]), "no score of shape"),
    "more probabilities": (_sets(probabilities=lambda x: np.tile(x, 2) / 2), "no probabilities of shape"),
    "fewer probabilities": (_sets(probabilities=lambda x: x[:, :2]), "no probabilities of shape"),
    "features in a cube": (_sets(features=lambda x: x[..., None]), "no features of shape"),
    "not a number": (_sets(score=_spoilt(np.nan)), "values of score that are no finite numbers"),
    "infinity": (_sets(probabilities=_spoilt(np.inf)), "values of probabilities that are no finite numbers"),
    "features that are none": (_sets(features=_spoilt(np.nan)), "values of features that are no finite numbers"),
    "a score of two": (_sets(score=_spoilt(2.0)), "values of score that are no probabilities"),
    "less than nothing": (_sets(probabilities=_spoilt(-0.5)), "values of probabilities that are no probabilities"),
    "whole numbers": (_sets(score=lambda x: x.astype(int)), "values of score that are no finite numbers"),
    "texts for numbers": (_sets(score=lambda x: ["1"] * len(x)), "values of score that are no finite numbers"),
    "numbers for labels": (_sets(label=lambda x: [1] * len(x)), "names that are no UTF-8"),
    "an unknown label": (_sets(label=lambda x: ["wolf", *x[1:]]), "labels that are no classes"),
    "no UTF-8": (_sets(label=_not_utf8), "names that are no UTF-8"),
    "no label": (_without("label"), "no label"),
    "no probabilities": (_without("probabilities"), "no probabilities"),
    "a shape without numbers": (_sets(probabilities=_of_shape(10**6, 10**6)), "probabilities of too large a shape"),
    "a tensor that is none": (
        _sets(score=lambda x: tensor_pb2.TensorProto(dtype=tf.resource.as_datatype_enum)), "score that is no tensor"
    ),
    "another version": (_version, "version 2 of gsda, asked for 1"),
}  # fmt: skip


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(6):
        (folder / f"{i}.png").write_bytes(tf.io.encode_png(np.full([4, 4, 3], i, np.uint8)).numpy())
    return [str(folder / f"{i}.png") for i in range(6)]


def _one_line(error) -> str:
    assert error.value.exit_code == 2 and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("case", _WRONG)
def test_rows_from_before_are_kept_and_gone_on_with(case, paths, tmp_path):
    change, expected = _WRONG[case]
    output = str(tmp_path / "rows.jsonl")
    service = _Service(change, _RIGHT + 1)
    with serving(service) as address:
        model = client.remote_model(address)
        with pytest.raises(UserError, match=f"answers with {expected}") as error:
            predict.predict(model, paths, output, batch=2, probabilities=True, features=True)
        assert "Rows from before are kept" in _one_line(error) and not os.path.exists(output)
        service.change = None
        result = predict.predict(client.remote_model(address), paths, output, 2, probabilities=True, features=True)
    assert (result.images, result.reasons) == (6, ())
    with open(output, encoding="utf-8") as file:
        rows = [json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in file]
    assert [row["path"] for row in rows] == paths


_NAMES = {
    "none": (lambda x: [""] * len(x), "class names that are none, too many"),
    "a gap": (lambda x: ["cat", "", "dog", *[""] * (len(x) - 3)], "class names that are none, too many"),
    "twice": (lambda x: ["cat", "cat", *[""] * (len(x) - 2)], "class names that are none, too many"),
    "without end": (
        lambda x: [f"{i} {time.monotonic_ns()}" for i in range(len(x))],
        "class names that are none, too many",
    ),
    "fewer than asked for": (lambda x: x[:2], "no class names"),
    "a scalar": (lambda x: "cat", "no class names"),
    "numbers": (lambda x: np.arange(len(x)), "names that are no UTF-8"),
    "no UTF-8": (lambda x: [b"\xff"] * len(x), "names that are no UTF-8"),
}


@pytest.mark.parametrize("case", _NAMES)
def test_class_names_that_are_none(case, monkeypatch):
    monkeypatch.setattr(client, "_MOST_NAMES", 1000)
    make, expected = _NAMES[case]
    with serving(_Service(_sets(class_name=make))) as address:
        with pytest.raises(UserError, match=f"answers with {expected}") as error:
            client.remote_model(address)
        _one_line(error)


def test_rows_of_two_models_do_not_mix(paths, tmp_path):
    """A server that has another version, between two runs."""
    output = str(tmp_path / "rows.csv")
    with serving(_Service(_without("label"), _RIGHT + 1)) as address:
        port = address.rsplit(":", 1)[1]
        with pytest.raises(UserError, match="no label"):
            predict.predict(client.remote_model(address), paths, output, batch=2)
    with (
        serving(_Service(_version), port) as address,
        pytest.raises(UserError, match="differs in model:"),
    ):
        predict.predict(client.remote_model(address), paths, output, batch=2)
    with serving(_Service(), port) as address:
        assert predict.predict(client.remote_model(address), paths, output, batch=2).images == 6
