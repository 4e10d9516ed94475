"""Asks a running TensorFlow Serving over gRPC what a local export would be asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from gsda_tf.errors import COMMANDS, UserError
from gsda_tf.serving.model import Answers, Model, answers, signature

_NAMES_AT_ONCE = 256


def remote_model(server: str, name: str = "gsda", timeout: float = 60.0) -> Model:
    """A model behind `grpc://HOST:PORT`.

    The version that answers first answers all: a server that rolls to another meanwhile does not mix two models.

    Args:
      server: its address.
      name: of the model, as the server's configuration calls it.
      timeout: seconds for one request.

    Raises:
      UserError: not an address, or nobody answers there.
    """
    if not re.fullmatch(r"grpc://.+:\d+", server):
        raise UserError(f"--server={server}: expected grpc://HOST:PORT.")
    channel = grpc.insecure_channel(
        server[len("grpc://") :],
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def request(signature_name: str, version: int, **inputs: tf.TensorProto) -> predict_pb2.PredictResponse:
        message = predict_pb2.PredictRequest(inputs=inputs)
        message.model_spec.name, message.model_spec.signature_name = name, signature_name
        if version:
            message.model_spec.version.value = version
        try:
            return stub.Predict(message, timeout)
        except grpc.RpcError as error:
            raise UserError(
                f"--server={server} did not answer ({error.code().name}: {error.details()[:300]}). Is it up, and does "
                f"it serve a model named {name!r} that {COMMANDS}.export wrote? The same command goes on from here."
            ) from error

    def names_from(start: int, version: int) -> tuple[list[str], int]:
        index = tf.make_tensor_proto(np.arange(start, start + _NAMES_AT_ONCE, dtype=np.int64))
        response = request("class_names", version, index=index)
        names = [name.decode() for name in tf.make_ndarray(response.outputs["class_name"])]
        return names, response.model_spec.version.value

    names, version = names_from(0, 0)
    while names[-1]:
        names += names_from(len(names), version)[0]

    def ask(records: Sequence[bytes], features: bool) -> Answers:
        images = tf.make_tensor_proto(list(records), tf.string, shape=[len(records)])
        out = request(signature(features), version, image_bytes=images).outputs
        return answers({key: tf.make_ndarray(value) for key, value in out.items()})

    return Model(f"version {version} of {name} at {server}", tuple(filter(None, names)), ask)
