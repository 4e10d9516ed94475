"""Looks into a saved Keras model before Keras does: a file from elsewhere must not run code of its own.

Keras's safe mode refuses lambdas in `.keras` files, but calls whatever public function of Keras or TensorFlow the
file names, and it does not look at HDF5 files at all. So a model may be made of what is listed here, and of nothing
else.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import keras

from gsda_tf.errors import explained
from gsda_tf.files import open_archive

_MAX_CONFIG_BYTES = 64 * 2**20
_MAX_BYTES = 2**40
_MAX_RATIO = 20
"""Weights take this many times the room that they have in the archive, at most; numbers of a network do not shrink."""
_MEMBERS = frozenset(("metadata.json", "config.json", "model.weights.h5"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LAYERS = _words("""
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePoolingND
    BatchNormalization CenterCrop Concatenate ConvND ConvNDTranspose CroppingND Dense DepthwiseConvND Dot Dropout ELU
    EinsumDense Embedding Flatten GaussianDropout GaussianNoise GlobalAveragePoolingND GlobalMaxPoolingND
    GroupNormalization GroupQueryAttention Identity InputLayer LayerNormalization LeakyReLU MaxPoolingND Maximum
    Minimum MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RandomBrightness RandomContrast
    RandomCrop RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom ReLU RepeatVector
    Rescaling Reshape Resizing SeparableConvND Softmax SpatialDropoutND SpectralNormalization Subtract
    ThresholdedReLU UnitNormalization UpSamplingND ZeroPaddingND
""")
"""ND stands for 1D, 2D and 3D."""
_OPERATIONS = _words("""
    Abs Absolute Add BatchNormalization Cast Clip Concatenate Divide Elu Exp ExpandDims Gelu GetItem HardSigmoid
    HardSilu LeakyRelu Log LogSoftmax Matmul Max Maximum Mean Min Minimum Mish Moveaxis Multiply Negative Normalize
    Power Relu Relu6 Reshape Resize Rsqrt Selu Sigmoid Silu Softmax Softplus Softsign Split Sqrt Square Squeeze
    Stack Subtract Sum SwapAxes Swapaxes Tanh Transpose TrueDivide Var
""")
_TF_FUNCTIONS = _words("""
    abs add cast clip_by_value concat depth_to_space divide elu exp expand_dims gelu getitem identity image.resize
    l2_normalize leaky_relu linalg.matmul log log_softmax maximum minimum mul multiply neg negative pow reduce_max
    reduce_mean reduce_min reduce_sum reduce_variance relu relu6 reshape rsqrt selu sigmoid silu softmax softplus
    space_to_depth split sqrt square squeeze stack sub subtract swish tanh transpose truediv
""")
"""Of tf, tf.math, tf.nn and the operators of a tensor."""
_KINDS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (_words("keras.layers"), _LAYERS),
    (_words("keras keras.models"), _words("Functional Sequential")),
    (_words("keras.src.engine.functional keras.src.models.functional keras.engine.functional"), _words("Functional")),
    (_words("keras.src.layers.core.tf_op_layer keras.layers.core.tf_op_layer"), _words("SlicingOpLambda TFOpLambda")),
    (_words("keras.src.ops.numpy keras.src.ops.nn keras.src.ops.core keras.src.ops.image"), _OPERATIONS),
    (_words("keras.src.applications.convnext keras.applications.convnext"), _words("LayerScale")),
    (_words("keras.src.applications.inception_resnet_v2"), _words("CustomScaleLayer")),
    (_words("keras keras.dtype_policies keras.mixed_precision"), _words("DTypePolicy Policy")),
)  # fmt: skip
"""(modules, classes in them) of what Keras may make; what it makes is these words' public meaning in Keras."""
_BASES = {
    "keras.initializers": (keras.initializers, keras.initializers.Initializer),
    "keras.regularizers": (keras.regularizers, keras.regularizers.Regularizer),
    "keras.constraints": (keras.constraints, keras.constraints.Constraint),
}
"""Modules of which every class of a kind is arithmetic."""
_VALUES = _words("__keras_tensor__ __slice__ __ellipsis__ __numpy__ __tensor__ __tuple__")
"""Not objects but values of a network's graph, as Keras writes them."""
_KEYS = _words("module class_name config registered_name build_config name inbound_nodes shared_object_id")


def loading(path: str) -> contextlib.AbstractContextManager[None]:
    """Tells what goes wrong where a saved model is loaded; zipfile, zlib, json and Keras raise errors of many kinds."""
    return explained(
        f"--extractor={path} was not loaded",
        "Expected a model of Keras's own layers and arithmetic, without Lambda layers, saved with "
        "model.save('FILE.keras'); those in HDF5 or folders cannot be loaded safely.",
    )


def model_config(path: str) -> dict[str, Any]:
    """Returns the description of a saved model, which holds nothing but layers of Keras and arithmetic.

    Args:
      path: of a `.keras` file.

    Returns:
      As Keras wrote it; its `config` has a list of `layers`, each an object with a `config`.

    Raises:
      UserError: it is not there, another kind of file, is damaged, or names anything else.
    """
    with loading(path):
        if not os.path.isfile(path) or not path.endswith(".keras") or not zipfile.is_zipfile(path):
            raise ValueError("it is no .keras file, or not there; weights alone go to --weights")
        with _opened(path) as archive, archive.open("config.json") as file:
            config = json.loads(b"".join(iter(lambda: file.read(2**16), b"")))
        if not isinstance(config, dict) or config.get("class_name") not in ("Functional", "Sequential"):
            raise ValueError("it describes no model")
        _check(config)
        layers = config["config"].get("layers")
        if not isinstance(layers, list) or not all(isinstance(x, dict) and "class_name" in x for x in layers):
            raise ValueError("it has no layers")
        return config


@contextlib.contextmanager
def unpacked_weights(path: str) -> Iterator[str]:
    """Yields the weights of a `.keras` file as a file of their own, as long as the block lasts; inside `loading`."""
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "model.weights.h5")
        with _opened(path) as archive, archive.open("model.weights.h5") as packed, open(weights, "wb") as file:
            shutil.copyfileobj(packed, file)
        yield weights


@contextlib.contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    """The archive, whose members are known and not larger than they should be; nothing is unpacked yet."""
    with open_archive(path, _MAX_BYTES) as archive:
        expected = set(_MEMBERS)
        for member in archive.infolist():
            name, size = member.filename, member.file_size
            most = _MAX_CONFIG_BYTES if name.endswith(".json") else _MAX_RATIO * member.compress_size
            if name not in expected or size > most:
                raise ValueError(f"it holds {name!r} of {size:,} bytes, and is not what it seems")
            expected.remove(name)
        yield archive


def _check(value: Any, name: str = "") -> None:
    """Raises ValueError if a description names what is not listed. What is compiled or never read is dropped."""
    if isinstance(value, list):
        for item in value:
            _check(item, name)
    elif isinstance(value, str) and name.endswith("activation") and not _is_activation(value):
        raise ValueError(f"it names the activation {value}, which is none of Keras's")
    elif isinstance(value, dict):
        if "class_name" in value and value["class_name"] not in _VALUES:
            _check_object(value)
        for key, item in value.items():
            _check(item, key)


def _is_activation(name: Any) -> bool:
    return name in dir(keras.activations) and name not in ("get", "serialize", "deserialize") and name[0] != "_"


def _check_object(part: dict[str, Any]) -> None:
    part.pop("compile_config", None)  # an optimizer and losses: nothing is compiled
    kind, module, config = part["class_name"], part.get("module"), part.get("config")
    unknown = set(part) - _KEYS
    if kind in ("Lambda", "__lambda__"):
        raise ValueError("it holds a lambda, that is, code")
    if unknown:
        raise ValueError(f"{kind} has {sorted(unknown)[0]!r}, which Keras does not write")
    names = (None, kind)
    if kind == "function":
        known, names = module in ("builtins", "keras.activations") and _is_activation(config), (*names, config)
    elif module in _BASES:
        found = getattr(_BASES[module][0], kind, None)
        known = isinstance(found, type) and issubclass(found, _BASES[module][1])
    else:
        plain = re.sub("[123]D", "ND", kind)
        known = isinstance(config, dict) and any(module in modules and plain in kinds for modules, kinds in _KINDS)
    if not known or part.get("registered_name") not in names:
        what = f"the function {config}" if kind == "function" else kind
        raise ValueError(
            f"it names {what} of {module} ({part.get('registered_name')}), which is no part of a network that is known "
            "to be harmless"
        )
    function = str(config.get("function")) if kind in ("TFOpLambda", "SlicingOpLambda") else "identity"
    if re.sub(r"^(math|nn|__operators__)\.", "", function) not in _TF_FUNCTIONS:
        raise ValueError(f"it calls tf.{function}, which is no arithmetic")
