"""What TensorFlow Serving does with a PredictRequest, on loopback: `python -m tests.serving.server EXPORT PORT`."""

import contextlib
import os
import sys
from concurrent import futures

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Serves one version; `requests` keeps what it was asked."""

    def __init__(self, path, name="gsda"):
        self._model, self._name, self.version = tf.saved_model.load(path), name, int(os.path.basename(path))
        self.requests = []

    def Predict(self, request, context):  # noqa: N802 - the name in the proto
        self.requests.append(request)
        spec = request.model_spec
        if spec.name != self._name or (spec.HasField("version") and spec.version.value != self.version):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.version.value = spec.name, self.version
        for name, value in self._model.signatures[spec.signature_name](**inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response


@contextlib.contextmanager
def serving(service, port=0):
    """The service as long as the block lasts; yields its address."""
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"localhost:{port}")
    server.start()
    try:
        yield f"grpc://localhost:{port}"
    finally:
        server.stop(None)


if __name__ == "__main__":
    with serving(Service(sys.argv[1]), int(sys.argv[2])) as address:
        print(address, flush=True)
        sys.stdin.read()
