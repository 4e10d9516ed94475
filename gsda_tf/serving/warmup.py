"""Warm-up requests: TensorFlow Serving plays them when it loads a model, so that the first real request is fast."""

from __future__ import annotations

import os
from collections.abc import Sequence

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
    both = samples[:1], samples
    if isinstance(samples, np.ndarray):
        requests = [("serving_default", "features", values) for values in both]
    else:
        requests = [(way, "image_bytes", values) for way in ("serving_default", "features") for values in both]
        requests.append(("images", "images", np.zeros([1, image_size, image_size, 3], np.uint8)))
    folder = os.path.join(model_dir, "assets.extra")
    os.makedirs(folder, exist_ok=True)
    with tf.io.TFRecordWriter(os.path.join(folder, "tf_serving_warmup_requests")) as writer:
        for signature, name, values in requests:
            spec = model_pb2.ModelSpec(name="gsda", signature_name=signature)
            request = predict_pb2.PredictRequest(model_spec=spec, inputs={name: tf.make_tensor_proto(values)})
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
