"""Asks a running TensorFlow Serving over gRPC what a local export would be asked."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from gsda_tf.errors import COMMANDS, UserError
from gsda_tf.serving.model import Answers, Model, checked, signature, texts

_MOST_NAMES, _MOST_NUMBERS = 100_000, 2**28


def remote_model(server: str, name: str = "gsda", timeout: float = 60.0) -> Model:
    """Returns a model behind `grpc://HOST:PORT`.

    The version that answers first answers all: a server that rolls to another meanwhile does not mix two models.

    Args:
      server: its address.
      name: of the model, as the server's configuration calls it.
      timeout: seconds for one request.

    Raises:
      UserError: not an address, nobody answers there, or nothing that this package exports does.
    """
    if not re.fullmatch(r"grpc://.+:\d+", server):
        raise UserError(f"--server={server}: expected grpc://HOST:PORT.")
    channel = grpc.insecure_channel(
        server[len("grpc://") :],
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", 2**30)],
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    version = 0

    def outputs(signature_name: str, **inputs: Any) -> dict[str, np.ndarray]:
        nonlocal version
        message = predict_pb2.PredictRequest(inputs=inputs)
        message.model_spec.name, message.model_spec.signature_name = name, signature_name
        if version:
            message.model_spec.version.value = version
        try:
            response = stub.Predict(message, timeout)
        except grpc.RpcError as error:
            raise UserError(
                f"--server={server} did not answer ({error.code().name}: {str(error.details())[:200]}). Is it up, "
                f"and does it serve a model named {name!r} that {COMMANDS}.export wrote? The same command goes "
                "on from here."
            ) from error
        answered = response.model_spec.version.value
        if not answered or (version and answered != version):
            raise ValueError(f"version {answered} of {name}, asked for {version or 'any'}")
        version = answered
        return {key: _array(key, value) for key, value in response.outputs.items()}

    def names() -> tuple[str, ...]:
        index = np.arange(_MOST_NAMES, dtype=np.int64)
        found = outputs("class_names", index=tf.make_tensor_proto(index)).get("class_name")
        if found is None or found.shape != index.shape:
            raise ValueError("no class names")
        known = tuple(filter(None, texts(found)))
        if any(found[len(known) :]) or not 0 < len(set(known)) == len(known) < _MOST_NAMES:
            raise ValueError("class names that are none, too many, or the same twice")
        return known

    def ask(records: Sequence[bytes], features: bool) -> Answers:
        images = tf.make_tensor_proto(list(records), tf.string, shape=[len(records)])
        with _wrong_answers(server):
            return checked(outputs(signature(features), image_bytes=images), len(records), class_names, features)

    with _wrong_answers(server):
        class_names = names()
    return Model(f"version {version} of {name} at {server}", class_names, ask)


@contextlib.contextmanager
def _wrong_answers(server: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UserError(
            f"--server={server} answers with {error}: expected one model, that {COMMANDS}.export wrote. Rows "
            "from before are kept; the same command goes on from there."
        ) from error


def _array(name: str, value: Any) -> np.ndarray:
    """An output, whose size is looked at first: a shape of some bytes may ask for any memory."""
    if value.tensor_shape.unknown_rank or np.prod([float(d.size) for d in value.tensor_shape.dim]) > _MOST_NUMBERS:
        raise ValueError(f"{name} of too large a shape")
    try:
        return tf.make_ndarray(value)
    except Exception as error:  # TensorFlow raises many kinds for what is no tensor.
        raise ValueError(f"{name} that is no tensor") from error
