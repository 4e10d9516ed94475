import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.compat import KERAS_3
from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import TrainingError
from gsda_tf.methods.mcd import TwoHeads
from gsda_tf.models.extractor import build_extractor
from gsda_tf.models.repeatable import RepeatableDropout
from gsda_tf.serving import fresh, other_formats
from gsda_tf.serving.export import export_model
from gsda_tf.settings import ModelSettings
from tests import rounding
from tests.serving.test_export import NAMES, _images, _networks, _png

GEOMETRY = ImageGeometry(16, 18)
_PIXELS = _images(6, (16, 16))


def _expected(extractor, classifier):
    return tf.nn.softmax(classifier(extractor(_PIXELS))).numpy()


def test_all_formats_are_one_version_that_answers_alike(tmp_path):
    networks = _networks()
    formats = ["tflite", "saved_model", "keras"]
    path = export_model(*networks, NAMES, GEOMETRY, str(tmp_path), {}, _png(_images()), formats=formats)
    assert path == str(tmp_path / "1") and sorted(os.listdir(tmp_path)) == ["1", "1.keras", "1.labels.txt", "1.tflite"]
    expected = _expected(*networks)
    served = tf.saved_model.load(path).signatures["images"](images=tf.constant(_images()))["probabilities"]
    ask = tf.lite.Interpreter(path + ".tflite").get_signature_runner()
    assert np.ptp(expected, axis=0).max() > 1e-3  # it does not say one thing of everything
    whole = keras.models.load_model(path + ".keras")
    assert rounding.distance(whole.predict(_PIXELS.astype(np.float32), verbose=0), expected) < rounding.FORWARD
    np.testing.assert_allclose(ask(inputs=_PIXELS.astype(np.float32))["probabilities"], expected, atol=1e-3)
    assert served.shape == [4, 3]
    assert (tmp_path / "1.labels.txt").read_text() == "".join(f"{name}\n" for name in NAMES)


@pytest.mark.parametrize("preprocessing", ["caffe", "torch", "none", "zero_to_one"])
def test_the_preprocessing_is_part_of_the_keras_model(preprocessing):
    settings = ModelSettings(
        extractor="small_cnn", weights="none", bottleneck_units=8, preprocessing=preprocessing, bottleneck_norm="none"
    )
    networks = build_extractor(settings, 16), _networks()[1]
    whole = other_formats.one_model(*networks, [16, 16, 3])
    assert rounding.distance(whole.predict(_PIXELS.astype(np.float32), verbose=0), _expected(*networks)) < 1e-5
    channels = np.asarray(networks[0].preprocess(tf.constant(_PIXELS, tf.float32)))
    np.testing.assert_allclose(whole.get_layer("preprocessing")(_PIXELS.astype(np.float32)), channels, atol=2e-4)


@pytest.mark.skipif(KERAS_3, reason="Keras 3's own dropout can be repeated")
def test_dropout_that_can_be_repeated_becomes_that_of_keras(tmp_path):
    inputs = keras.Input([16, 16, 3])
    x = keras.layers.Conv2D(4, 3, strides=4)(inputs)
    x = keras.Sequential([keras.layers.Dropout(0.5, (None, 1, 1, None)), keras.layers.Conv2D(4, 1)])(x)
    keras.Model(inputs, keras.layers.Dropout(0.5)(x)).save(tmp_path / "mine.keras")
    settings = ModelSettings(extractor=str(tmp_path / "mine.keras"), preprocessing="none", bottleneck_units=8)
    networks = build_extractor(settings, 16), _networks()[1]
    assert any(isinstance(layer, RepeatableDropout) for layer in networks[0].submodules)
    whole = other_formats.one_model(*networks, [16, 16, 3])
    assert not any(isinstance(layer, RepeatableDropout) for layer in whole.submodules)
    assert rounding.distance(whole.predict(_PIXELS.astype(np.float32), verbose=0), _expected(*networks)) < 1e-5


def test_a_classifier_that_is_code_of_this_package_has_no_keras_file(tmp_path):
    extractor, _ = _networks()
    heads = TwoHeads(8, 3, ())
    with pytest.raises(
        TrainingError, match=r"^Nothing was written, .* no right form as --format=keras: .* more than layers of Keras"
    ):
        export_model(extractor, heads, NAMES, GEOMETRY, str(tmp_path), {}, _png(_images()), formats=["keras"])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change, reason",
    [
        ("sys.exit('Some ops are not supported: FlexFFT')", "Some ops are not supported: FlexFFT"),
        ("os.abort()", "the process ended with -6"),
        ("np.savez(answer, probabilities=seen[:, 0, 0] + np.nan); sys.exit()", "probabilities differ by nan"),
    ],
)
def test_what_does_not_convert_is_told_in_one_line_and_leaves_nothing(change, reason, tmp_path, monkeypatch):
    monkeypatch.setattr(fresh, "SCRIPT", fresh.SCRIPT.replace("try:", f"{change}\ntry:"))
    with pytest.raises(TrainingError, match=f"--format=tflite: .*{reason}"):
        export_model(*_networks(), NAMES, GEOMETRY, str(tmp_path), {}, _png(_images()), formats=["tflite"])
    assert os.listdir(tmp_path) == []


def test_preprocessing_that_is_a_program_is_refused():
    extractor, classifier = _networks()
    extractor.preprocess = lambda images: images**2
    with pytest.raises(ValueError, match="its preprocessing is a program"):
        other_formats.one_model(extractor, classifier, [16, 16, 3])
