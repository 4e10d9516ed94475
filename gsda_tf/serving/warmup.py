"""Warm-up requests: TensorFlow Serving plays them when it loads a model, so that the first real request is fast."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2


def write_warmup(model_dir: str, samples: Sequence[bytes] | np.ndarray, image_size: int) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests`: one image, then all of them, for each signature.

    Args:
      model_dir: of a SavedModel.
      samples: encoded images, or features float32 [n, e].
      image_size: S, for the signature that takes pixels.
    """
    folder = os.path.join(model_dir, "assets.extra")
    os.makedirs(folder, exist_ok=True)
    with tf.io.TFRecordWriter(os.path.join(folder, "tf_serving_warmup_requests")) as writer:
        for signature, name, value in _requests(samples, image_size):
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name="gsda", signature_name=signature),
                inputs={name: tf.make_tensor_proto(value)},
            )
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def _requests(samples: Sequence[bytes] | np.ndarray, image_size: int) -> Iterator[tuple[str, str, tf.Tensor]]:
    if isinstance(samples, np.ndarray):
        yield "serving_default", "features", tf.constant(samples[:1])
        yield "serving_default", "features", tf.constant(samples)
        return
    for signature in ("serving_default", "features"):
        yield signature, "image_bytes", tf.constant(samples[:1])
        yield signature, "image_bytes", tf.constant(samples)
    yield "images", "images", tf.zeros([1, image_size, image_size, 3], tf.uint8)
