"""Backbones by name and by file: what they are fed, and whose weights they take."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gsda_tf.errors import UserError
from gsda_tf.models import backbones
from gsda_tf.models.scaling import expected_preprocessing
from gsda_tf.models.weights import load_weights
from tests import rounding


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def mobilenet():
    return backbones.build("mobilenet_0.25", "none", 32)


def test_every_application_is_known_by_its_name():
    names = backbones.application_names()
    assert {"resnet50", "densenet169", "mobilenet", "efficientnetb0", "vgg16", "mobilenetv3small"} <= set(names)


def test_a_network_that_no_module_of_its_own_has(images):
    backbone = backbones.build("mobilenetv3small", "none", 32)
    features = backbone.model(backbone.preprocess(images))
    assert features.shape[-1] == 576 and np.isfinite(features).all()


@pytest.mark.parametrize(
    "name,published",
    [
        ("resnet50", keras.applications.resnet50),
        ("densenet169", keras.applications.densenet),
        ("mobilenet", keras.applications.mobilenet),
    ],
)
def test_preprocessing_is_the_published_one(name, published, images):
    preprocess = backbones.application_names()[name][1]
    np.testing.assert_array_equal(preprocess(images.copy()), published.preprocess_input(images.copy()))


def test_preprocessing_leaves_its_input_alone(mobilenet, images):
    before = images.copy()
    mobilenet.preprocess(images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("mode,low,high", [("minus_one_to_one", -1, 1), ("zero_to_one", 0, 1), ("none", 0, 255)])
def test_preprocessing_by_name(mode, low, high):
    ends = backbones.PREPROCESSING[mode](np.float32([[[[0, 0, 0], [255, 255, 255]]]]))
    np.testing.assert_allclose([np.min(ends), np.max(ends)], [low, high])


def test_width_is_part_of_the_name(mobilenet):
    assert mobilenet.model.output_shape[-1] == 256  # 1024 at full width
    with pytest.raises(UserError, match=r"--extractor=resnet50_0\.5 .*alpha"):
        backbones.build("resnet50_0.5", "none", 32)


def test_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(
        UserError, match=r"^Unknown extractor 'resnet5O': .*\(\d+ are known\). Did you mean 'resnet50'\?$"
    ) as e:
        backbones.build("resnet5O", "none", 32)
    assert len(str(e.value)) < 200


def test_weights_of_its_own_are_loaded_and_of_another_refused(mobilenet, tmp_path):
    path = str(tmp_path / "own.weights.h5")
    mobilenet.model.save_weights(path)
    other = backbones.build("mobilenet_0.25", path, 32).model
    for mine, loaded in zip(mobilenet.model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(mine, loaded)
    with pytest.raises(UserError, match=r"are not the weights of"):
        load_weights(backbones.OWN["small_cnn"](32).model, path)


def test_missing_and_foreign_files_are_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        backbones.build("mobilenet_0.25", str(tmp_path / "none.h5"), 32)
    text = tmp_path / "text.h5"
    text.write_text("no weights")
    with pytest.raises(UserError, match=r"are not the weights of .* no HDF5 file"):
        backbones.build("mobilenet_0.25", str(text), 32)
    with pytest.raises(UserError, match=r"is no \.keras file"):
        backbones.build(str(tmp_path / "none.keras"), "none", 32)


def test_a_saved_model_comes_as_it_was_saved(tmp_path, images):
    path = str(tmp_path / "own.keras")
    model = keras.Sequential([keras.Input([32, 32, 3]), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    model.save(path)
    loaded = backbones.build(path, "none", 32, "none")
    assert rounding.distance(loaded.model(images), model(images)) < rounding.FORWARD
    with pytest.raises(UserError, match=r"32, 32, 3.*expected one image input"):
        backbones.build(path, "none", 64)


def test_a_saved_model_that_takes_no_images_is_refused(tmp_path):
    path = str(tmp_path / "flat.keras")
    keras.Sequential([keras.Input([7]), keras.layers.Dense(2)]).save(path)
    with pytest.raises(UserError, match="expected one image input"):
        backbones.build(path, "none", 32)


def _published(name, values):
    """What keras.applications makes of images before a network."""
    return getattr(keras.applications, name).preprocess_input(values)


_MEAN, _VARIANCE = [0.485, 0.456, 0.406], [0.0524, 0.0502, 0.0506]
_L = keras.layers
_HEADS = {
    "0..255 by Rescaling": (lambda x: _L.Rescaling(1 / 127.5, offset=-1)(x), "none"),
    "0..255 by two": (lambda x: _L.Normalization(mean=_MEAN, variance=_VARIANCE)(_L.Rescaling(1 / 255)(x)), "none"),
    "0..1 by Rescaling": (lambda x: _L.Rescaling(2.0, offset=-1)(x), "zero_to_one"),
    "0..1 by Normalization": (lambda x: _L.Normalization(mean=_MEAN, variance=_VARIANCE)(x), "zero_to_one"),
    "-1..1 to 0..1": (lambda x: _L.Rescaling(0.5, offset=0.5)(x), "minus_one_to_one"),
    "arithmetic": (lambda x: _published("mobilenet_v2", x), "none"),
    "the mean alone": (lambda x: _L.Normalization(mean=[104, 117, 123], variance=[1, 1, 1])(x), "none"),
    "in a sequential model": (lambda x: keras.Sequential([_L.Resizing(16, 16), _L.Rescaling(1 / 255)])(x), "none"),
    "nothing": (lambda x: x, None),
    "only padding": (lambda x: _L.ZeroPadding2D()(x), None),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("case", _HEADS)
def test_a_saved_model_that_scales_its_images_is_given_what_it_wants(case, nested, tmp_path, capsys):
    head, expected = _HEADS[case]
    inputs = keras.Input([16, 16, 3])
    inner = keras.Input([16, 16, 3])
    body = keras.Model(inner, keras.layers.Conv2D(4, 3)(head(inner) if nested else inner))
    x = body(inputs if nested else head(inputs)) if case != "only padding" or nested else head(body(inputs))
    keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)).save(tmp_path / "mine.keras")
    path = str(tmp_path / "mine.keras")
    if expected is None:
        with pytest.raises(UserError, match=r"mine\.keras does not show how its images are scaled .*: say --prep"):
            backbones.build(path, "none", 16)
        return
    images = tf.constant([[[[0.0, 127.5, 255.0]]]])
    np.testing.assert_array_equal(
        backbones.build(path, "none", 16).preprocess(images), backbones.PREPROCESSING[expected](images)
    )
    assert capsys.readouterr().out.splitlines()[-1] == f"{path} scales its images itself: --preprocessing={expected}."


def test_what_the_networks_of_keras_have_inside_is_seen():
    """MobileNetV3 is published with its scaling inside; others are not."""
    for name, expected in (("MobileNetV3Small", "none"), ("MobileNet", None)):
        model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(32, 32, 3))
        assert expected_preprocessing(model, 32) == expected, name
