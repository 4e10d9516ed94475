"""Asks a running TensorFlow Serving over gRPC what a local export would be asked."""

from __future__ import annotations

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from gsda_tf.errors import UserError
from gsda_tf.serving.predict import Answers, Model


def remote_model(server: str, name: str = "gsda", timeout: float = 60.0) -> Model:
    """A model behind `grpc://HOST:PORT`.

    Args:
      server: its address.
      name: of the model, as the server's configuration calls it.
      timeout: seconds for one request.

    Raises:
      UserError: not an address, or nobody answers there.
    """
    if not server.startswith("grpc://"):
        raise UserError(f"--server={server}: expected grpc://HOST:PORT.")
    channel = grpc.insecure_channel(
        server[len("grpc://") :],
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def answer(records: list[bytes]) -> Answers:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = "serving_default"
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(records, tf.string, shape=[len(records)]))
        try:
            out = stub.Predict(request, timeout).outputs
        except grpc.RpcError as error:
            raise UserError(
                f"--server={server} did not answer ({error.code().name}: {error.details()}). Is it up, and does it "
                f"serve a model named {name!r}?"
            ) from error
        values = {key: tf.make_ndarray(value) for key, value in out.items()}
        return Answers([label.decode() for label in values["label"]], values["score"], values["probabilities"])

    return answer
