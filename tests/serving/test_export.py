import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import TrainingError
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.extractor import build_extractor
from gsda_tf.serving import export
from gsda_tf.settings import ModelSettings

NAMES = ["cat", "dog", "hen"]


def _networks(seed=0):
    keras.utils.set_random_seed(seed)
    settings = ModelSettings(extractor="small_cnn", weights="none", bottleneck_units=8)
    return build_extractor(settings, 16), build_classifier(8, 3)


def _images(count=4, size=(20, 30)):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, *size, 3), np.uint8)


def _png(images):
    return [tf.io.encode_png(image).numpy() for image in images]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A version on disk, and the networks it was made from."""
    root = str(tmp_path_factory.mktemp("export"))
    networks = _networks()
    path = export.export_model(
        *networks, NAMES, ImageGeometry(16, 18), root, {"class_names": NAMES, "groups": [["cat"]]}, _png(_images())
    )
    return path, networks


def test_answers_as_the_model_in_memory(exported):
    from gsda_tf.data.images import evaluation_image

    path, (extractor, classifier) = exported
    records = _png(_images())
    seen = tf.stack([evaluation_image(tf.constant(r), True, ImageGeometry(16, 18)) for r in records])
    f = extractor(seen)
    expected = tf.nn.softmax(classifier(f)).numpy()
    model = tf.saved_model.load(path)
    answer = model.signatures["serving_default"](image_bytes=tf.constant(records))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert [x.decode() for x in answer["label"].numpy()] == [NAMES[k] for k in expected.argmax(1)]
    np.testing.assert_allclose(answer["score"], expected.max(1), atol=1e-5)
    np.testing.assert_allclose(model.signatures["features"](image_bytes=tf.constant(records))["features"], f, atol=1e-5)
    pixels = model.signatures["images"](images=tf.constant(_images()))
    np.testing.assert_allclose(pixels["probabilities"], expected, atol=1e-5)


def test_one_bad_image_takes_no_other_down(exported):
    good = _png(_images())
    bomb = bytearray(good[0])
    bomb[16:24] = (60000).to_bytes(4, "big") * 2  # a PNG header that promises 60,000 x 60,000 pixels
    jpeg = tf.io.encode_jpeg(_images()[0]).numpy()
    batch = [good[0], b"", b"no image at all", jpeg[: len(jpeg) // 3], bytes(bomb), good[1]]
    signatures = tf.saved_model.load(exported[0]).signatures
    answer = signatures["serving_default"](image_bytes=tf.constant(batch))
    alone = signatures["serving_default"](image_bytes=tf.constant([good[0], good[1]]))
    np.testing.assert_allclose(answer["probabilities"].numpy()[[0, 5]], alone["probabilities"], atol=1e-6)
    assert list(answer["label"].numpy()[1:5]) == [b""] * 4
    np.testing.assert_array_equal(answer["score"].numpy()[1:5], 0)
    assert (answer["score"].numpy()[[0, 5]] > 0).all()


def test_holds_the_two_networks_and_nothing_else(exported):
    path, (extractor, classifier) = exported
    names = tf.train.list_variables(os.path.join(path, "variables", "variables"))
    floats = sum(int(np.prod(shape)) for name, shape in names if name.startswith("weights/"))
    assert floats == extractor.count_params() + classifier.count_params()
    assert not any("velocit" in name or "discriminator" in name for name, _ in names)


def test_carries_its_assets_and_warm_up_requests(exported):
    from tensorflow_serving.apis import prediction_log_pb2

    path, _ = exported
    with open(os.path.join(path, "assets", "class_names.json"), encoding="utf-8") as file:
        assert json.load(file) == NAMES
    warmup = os.path.join(path, "assets.extra", "tf_serving_warmup_requests")
    logs = [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(warmup)]
    signatures = tf.saved_model.load(path).signatures
    for log in logs:
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        signatures[request.model_spec.signature_name](**inputs)  # every request can be answered
    assert len(logs) >= 2


def test_versions_count_up_and_the_previous_one_stays(exported):
    path, networks = exported
    root = os.path.dirname(path)
    again = export.export_model(*networks, NAMES, ImageGeometry(16, 18), root, {}, _png(_images()))
    assert [os.path.basename(path), os.path.basename(again)] == ["1", "2"]
    assert export.versions(root) == [1, 2]
    assert sorted(os.listdir(root)) == ["1", "2"]  # nothing is left of the writing


def test_an_export_that_answers_otherwise_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(TrainingError, match="answers otherwise"):
        export.export_model(*_networks(), NAMES, ImageGeometry(16, 18), str(tmp_path), {}, _png(_images()))
    assert os.listdir(tmp_path) == []


def test_saved_model_cli_shows_it(exported):
    cli = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
    shown = subprocess.run([cli, "show", "--dir", exported[0], "--all"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr[-2000:]
    for name in ("serving_default", "images", "features", "image_bytes", "probabilities", "label", "score"):
        assert name in shown.stdout


def test_a_relative_folder_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = export.export_model(*_networks(), NAMES, ImageGeometry(16, 18), "run/export", {}, _png(_images()))
    assert path == os.path.join("run/export", "1") and os.path.exists(os.path.join(path, "saved_model.pb"))
