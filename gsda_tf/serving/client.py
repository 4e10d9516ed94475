"""Asks a running TensorFlow Serving over gRPC what a local export would be asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from gsda_tf.errors import COMMANDS, UserError
from gsda_tf.serving.answers import Answers, checked, texts
from gsda_tf.serving.model import Model, signature
from gsda_tf.serving.rows import alike

_NAMES_AT_ONCE = 256
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

    def request(signature_name: str, version: int, **inputs: tf.TensorProto) -> predict_pb2.PredictResponse:
        message = predict_pb2.PredictRequest(inputs=inputs)
        message.model_spec.name, message.model_spec.signature_name = name, signature_name
        if version:
            message.model_spec.version.value = version
        try:
            return stub.Predict(message, timeout)
        except grpc.RpcError as error:
            raise UserError(
                f"--server={server} did not answer ({error.code().name}: {str(error.details())[:200]}). Is it up, "
                f"and does it serve a model named {name!r} that {COMMANDS}.export wrote? The same command goes "
                "on from here."
            ) from error

    def wrong(what: object) -> UserError:
        return UserError(
            f"--server={server} answers with {what}: expected one model, that {COMMANDS}.export wrote. Rows "
            "from before are kept; the same command goes on from there."
        )

    def outputs(signature_name: str, version: int, **inputs: tf.TensorProto) -> tuple[dict[str, np.ndarray], int]:
        response = request(signature_name, version, **inputs)
        answered = response.model_spec.version.value
        if not answered or (version and answered != version):
            raise wrong(f"version {answered} of {name}, asked for {version or 'any'}")
        return {key: _array(key, value) for key, value in response.outputs.items()}, answered

    def names_from(start: int, version: int) -> tuple[list[str], int]:
        index = tf.make_tensor_proto(np.arange(start, start + _NAMES_AT_ONCE, dtype=np.int64))
        out, version = outputs("class_names", version, index=index)
        if "class_name" not in out or out["class_name"].shape != (_NAMES_AT_ONCE,):
            raise ValueError("no class names")
        return texts(out["class_name"]), version

    def ask_once(records: Sequence[bytes], features: bool) -> Answers:
        images = tf.make_tensor_proto(list(records), tf.string, shape=[len(records)])
        try:
            out, _ = outputs(signature(features), version, image_bytes=images)
            return checked(out, len(records), class_names, features)
        except ValueError as error:
            raise wrong(error) from error

    def ask(records: Sequence[bytes], features: bool) -> Answers:
        found = ask_once(records, features)
        # Afterwards, so that a server that was given other weights before these answers is found out.
        if not alike(probe, ask_once([_PROBE], False).probabilities[0]):
            raise wrong("other weights than before, under the same version")
        if found.features is not None and units.setdefault("d", found.features.shape[1]) != found.features.shape[1]:
            raise wrong(f"{found.features.shape[1]} features, and {units['d']} before")
        return found

    units: dict[str, int] = {}
    try:
        names, version = names_from(0, 0)
        while names[-1] and len(names) < _MOST_NAMES:
            names += names_from(len(names), version)[0]
        class_names = tuple(filter(None, names))
        if tuple(names[: len(class_names)]) != class_names or len(set(class_names)) < len(class_names):
            raise ValueError("class names with gaps, or the same twice")
        if not class_names or names[-1]:
            raise ValueError(f"{len(class_names):,} class names")
    except ValueError as error:
        raise wrong(error) from error
    probe = tuple(ask_once([_PROBE], False).probabilities[0].tolist())
    return Model(f"version {version} of {name} at {server}", class_names, ask, probe)


def _array(name: str, value: tf.TensorProto) -> np.ndarray:
    """An output, whose size is looked at first: a shape of some bytes may ask for any memory."""
    if value.tensor_shape.unknown_rank or np.prod([float(d.size) for d in value.tensor_shape.dim]) > _MOST_NUMBERS:
        raise ValueError(f"{name} of too large a shape")
    try:
        return tf.make_ndarray(value)
    except Exception as error:  # TensorFlow raises many kinds for what is no tensor.
        raise ValueError(f"{name} that is no tensor") from error


def _probe() -> bytes:
    y, x = np.mgrid[:64, :64]
    return tf.io.encode_png(np.stack([4 * x, 4 * y, 255 - 2 * (x + y)], axis=-1).astype(np.uint8)).numpy()


_PROBE = _probe()
