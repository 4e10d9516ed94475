"""Warm-up requests: TensorFlow Serving plays them when it loads a model, so that the first real request is fast."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2


def write_warmup(model_dir: str, samples: Sequence[bytes]) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests`: one image, then all of them, for each signature.

    Args:
      model_dir: of a SavedModel.
      samples: encoded images.
    """
    folder = os.path.join(model_dir, "assets.extra")
    os.makedirs(folder, exist_ok=True)
    with tf.io.TFRecordWriter(os.path.join(folder, "tf_serving_warmup_requests")) as writer:
        for signature in ("serving_default", "features"):
            for batch in (list(samples[:1]), list(samples)):
                request = predict_pb2.PredictRequest(
                    model_spec=model_pb2.ModelSpec(name="gsda", signature_name=signature),
                    inputs={"image_bytes": tf.make_tensor_proto(batch, tf.string)},
                )
                log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
                writer.write(log.SerializeToString())
