"""Looks into a saved Keras model before Keras does: a file from elsewhere must not run code of its own.

Keras's safe mode refuses lambdas in `.keras` files, but calls whatever public function of Keras or TensorFlow the
file names, and it does not look at HDF5 files at all. So a model may be made of what is listed here, and of nothing
else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from gsda_tf.errors import UserError
from gsda_tf.files import open_archive

_MAX_CONFIG_BYTES = 64 * 2**20
_MAX_BYTES = 2**40
_MAX_RATIO = 20
"""Weights take this many times the room that they have in the archive, at most; numbers of a network do not shrink."""
_MEMBERS = frozenset(("metadata.json", "config.json", "model.weights.h5"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LAYERS = _words("""
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D BatchNormalization CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D
    Conv2DTranspose Conv3D Conv3DTranspose Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D
    Dot Dropout ELU EinsumDense Embedding Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GroupNormalization GroupQueryAttention Identity InputLayer LayerNormalization LeakyReLU MaxPooling1D
    MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute
    RMSNormalization RandomBrightness RandomContrast RandomCrop RandomFlip RandomHeight RandomRotation
    RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D
    SeparableConv2D Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization Subtract
    ThresholdedReLU UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D
""")
_OPERATIONS = _words("""
    Abs Absolute Add BatchNormalization Cast Clip Concatenate Divide Elu Exp ExpandDims Gelu GetItem HardSigmoid
    HardSilu LeakyRelu Log LogSoftmax Matmul Max Maximum Mean Min Minimum Mish Moveaxis Multiply Negative Normalize
    Power Relu Relu6 Reshape Resize Rsqrt Selu Sigmoid Silu Softmax Softplus Softsign Split Sqrt Square Squeeze
    Stack Subtract Sum SwapAxes Swapaxes Tanh Transpose TrueDivide Var
""")
_TF_FUNCTIONS = _words("""
    __operators__.add __operators__.getitem __operators__.mul __operators__.neg __operators__.sub
    __operators__.truediv abs cast clip_by_value concat exp expand_dims identity image.resize linalg.matmul math.abs
    math.add math.divide math.exp math.l2_normalize math.log math.maximum math.minimum math.multiply math.negative
    math.pow math.reduce_max math.reduce_mean math.reduce_min math.reduce_sum math.reduce_variance math.rsqrt
    math.sigmoid math.softplus math.sqrt math.square math.subtract math.tanh math.truediv maximum minimum multiply
    nn.depth_to_space nn.elu nn.gelu nn.l2_normalize nn.leaky_relu nn.log_softmax nn.relu nn.relu6 nn.selu
    nn.sigmoid nn.silu nn.softmax nn.softplus nn.space_to_depth nn.swish nn.tanh reduce_max reduce_mean reduce_min
    reduce_sum reshape sigmoid split sqrt square squeeze stack subtract tanh transpose
""")
_ACTIVATIONS = _words("""
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus
    sparsemax squareplus swish tanh tanh_shrink threshold
""")
_INITIALIZERS = _words("""
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform
    Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
""")
_KINDS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (_words("keras.layers"), _LAYERS),
    (_words("keras keras.models"), _words("Functional Sequential")),
    (_words("keras.src.engine.functional keras.src.models.functional keras.engine.functional"), _words("Functional")),
    (_words("keras.src.layers.core.tf_op_layer keras.layers.core.tf_op_layer"), _words("SlicingOpLambda TFOpLambda")),
    (_words("keras.src.ops.numpy keras.src.ops.nn keras.src.ops.core keras.src.ops.image"), _OPERATIONS),
    (_words("keras.src.applications.convnext keras.applications.convnext"), _words("LayerScale")),
    (_words("keras.src.applications.inception_resnet_v2"), _words("CustomScaleLayer")),
    (_words("keras.initializers"), _INITIALIZERS),
    (_words("keras.regularizers"), _words("L1 L1L2 L2 OrthogonalRegularizer")),
    (_words("keras.constraints"), _words("MaxNorm MinMaxNorm NonNeg UnitNorm")),
    (_words("keras keras.dtype_policies keras.mixed_precision"), _words("DTypePolicy Policy")),
    (_words("builtins keras.activations"), _words("function")),
)  # fmt: skip
"""(modules, classes in them) of what Keras may make; what it makes is these words' public meaning in Keras."""
_VALUES = _words("__keras_tensor__ __slice__ __ellipsis__ __numpy__ __tensor__ __tuple__")
"""Not objects but values of a network's graph, as Keras writes them."""
_KEYS = _words("module class_name config registered_name build_config name inbound_nodes shared_object_id")


def model_config(path: str) -> dict[str, Any]:
    """Returns the description of a saved model, which holds nothing but layers of Keras and arithmetic.

    Args:
      path: of a `.keras` file.

    Returns:
      As Keras wrote it; its `config` has a list of `layers`, each an object with a `config`.

    Raises:
      UserError: it is another kind of file, is damaged, or names anything else.
    """
    if not path.endswith(".keras") or not os.path.isfile(path) or not zipfile.is_zipfile(path):
        raise UserError(
            f"--extractor={path} is no .keras file: expected a model saved with model.save('FILE.keras'). Models in "
            "HDF5 or as folders are not loaded, for Keras cannot load them safely; weights alone go to --weights."
        )
    with _opened(path) as archive:
        with archive.open("config.json") as file:
            config = json.loads(b"".join(iter(lambda: file.read(2**16), b"")))
        problem = _model_problem(config)
    if problem:
        raise UserError(
            f"--extractor={path} was not loaded: {problem}. Expected a model of Keras's own layers and arithmetic, "
            "without Lambda layers."
        )
    return config


@contextlib.contextmanager
def unpacked_weights(path: str) -> Iterator[str]:
    """Yields the weights of a `.keras` file as a file of their own, as long as the block lasts.

    Raises:
      UserError: the file is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "model.weights.h5")
        with _opened(path) as archive, archive.open("model.weights.h5") as packed, open(weights, "wb") as file:
            shutil.copyfileobj(packed, file)
        yield weights


@contextlib.contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    """The archive, whose members are known and not larger than they should be; nothing is unpacked yet."""
    try:
        with open_archive(path, _MAX_BYTES) as archive:
            members = archive.infolist()
            unknown = sorted({member.filename for member in members} - _MEMBERS)
            if unknown or len(members) > len({member.filename for member in members}):
                what = repr(unknown[0]) if unknown else "a member twice"
                raise UserError(f"--extractor={path} holds {what}: it is not what it seems.")
            for member in members:
                most = _MAX_CONFIG_BYTES if member.filename.endswith(".json") else _MAX_RATIO * member.compress_size
                if member.file_size > most:
                    size = f"{member.file_size:,} bytes"
                    raise UserError(f"--extractor={path} has {size} of {member.filename}: it is not what it seems.")
            yield archive
    except (
        KeyError, TypeError, ValueError, OSError, EOFError, RuntimeError, NotImplementedError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise UserError(f"--extractor={path} is damaged ({error}): get or save it anew.") from error


def _model_problem(config: Any) -> str | None:
    if not isinstance(config, dict) or config.get("class_name") not in ("Functional", "Sequential"):
        return "it describes no model"
    problem = _problem(config)
    layers = None if problem else config["config"].get("layers")
    if problem or (isinstance(layers, list) and all(isinstance(x, dict) and "class_name" in x for x in layers)):
        return problem
    return "it has no layers"


def _problem(value: Any, name: str = "") -> str | None:
    """Finds what in a description is none of the listed things, or None. What is compiled or never read is dropped."""
    if isinstance(value, list):
        return next(filter(None, (_problem(item, name) for item in value)), None)
    if isinstance(value, str):
        # What a layer looks up by name; other text is no more than text.
        known = not name.endswith("activation") or value in _ACTIVATIONS
        return None if known else f"it names the activation {value}, which is none of Keras's"
    if not isinstance(value, dict):
        return None
    if "class_name" in value and value["class_name"] not in _VALUES:
        problem = _object_problem(value)
        if problem:
            return problem
    elif "class_name" not in value and ("module" in value or "registered_name" in value):
        return f"it names something of {value.get('module')} without a class"
    return next(filter(None, (_problem(item, key) for key, item in value.items())), None)


def _object_problem(part: dict) -> str | None:
    part.pop("compile_config", None)  # an optimizer and losses: nothing is compiled
    kind, module, config = part["class_name"], part.get("module"), part.get("config")
    registered = part.get("registered_name")
    if kind in ("Lambda", "__lambda__"):
        return "it holds a lambda, that is, code"
    unknown = set(part) - _KEYS
    if unknown:
        return f"{kind} has {sorted(unknown)[0]!r}, which Keras does not write"
    if not any(module in modules and kind in kinds for modules, kinds in _KINDS):
        return f"it names {kind} of {module}, which is no part of a network that is known to be harmless"
    if kind == "function":
        if config not in _ACTIVATIONS or registered not in (None, "function", config):
            return f"it names the function {config}, which is no activation"
    elif registered not in (None, kind):
        return f"it names {kind} as {registered}"
    elif not isinstance(config, dict):
        return f"{kind} has no settings"
    elif kind in ("TFOpLambda", "SlicingOpLambda") and config.get("function") not in _TF_FUNCTIONS:
        return f"it calls tf.{config.get('function')}, which is no arithmetic"
    return None
