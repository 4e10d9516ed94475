"""Every setting of a run: its name, default and meaning, in one place.

`launch/flags.py` makes one flag of each field, so the help text here is the help text there. A benchmark
overrides defaults with the paper's values (`gsda_tf/datasets/`), a flag overrides both.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from gsda_tf.errors import UserError

_MOST = 10**9
"""No number is larger: what counts steps stays far below what TensorFlow counts with."""
MOST_PIXELS = 4096
_MOST_IN_BATCH = 2**17
_MOST_UNITS = 2**17
PIPELINES = ("benchmark", "folders", "lists", "arrays", "tfds")


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float = _MOST,
) -> Any:
    """A dataclass field that carries what a flag of the same name needs to know.

    `minimum` and `maximum` are of numbers, the latter of each number in a tuple, too.
    """
    metadata = {"help": help, "choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which images, and what is done to them before the network sees them."""

    pipeline: str = setting("benchmark", "where the images come from", choices=PIPELINES)
    task: str = setting("digits/Fo_Ha", "BENCHMARK/SOURCE_TARGET, for --pipeline=benchmark")
    data_dir: str = setting("", "where prepared data sets are kept (default: TFDS's own folder)")
    manual_dir: str = setting("", "where archives or folders that you downloaded yourself lie")
    source_dir: str = setting("", "labelled images, one folder a class, for --pipeline=folders")
    target_dir: str = setting("", "target images, one folder a class or one flat folder, for --pipeline=folders")
    source_list: str = setting("", "file with 'path label' a line, for --pipeline=lists")
    target_list: str = setting("", "file with 'path label' or 'path' a line, for --pipeline=lists")
    image_root: str = setting(
        "", "what the paths of the lists are relative to (default: the list's folder); / if they are absolute"
    )
    source_root: str = setting("", "the same of --source_list alone")
    target_root: str = setting("", "the same of --target_list alone")
    list_labels: str = setting(
        "auto",
        "what tells the target's classes where lists number the same folders differently (auto: the folders)",
        choices=("auto", "numbers", "folders"),
    )
    source: str = setting("", "file of --pipeline=arrays, or NAME[/CONFIG][:SPLIT] of --pipeline=tfds")
    target: str = setting("", "the same, of the target")
    image_size: int = setting(224, "height and width of the network's input, pixels", minimum=1, maximum=MOST_PIXELS)
    resize_size: int = setting(
        256, "images are resized to this square before they are cropped, pixels", minimum=1, maximum=MOST_PIXELS
    )
    augmentation: str = setting(
        "standard", "random changes to training images", choices=("standard", "strong", "digits", "none")
    )
    cache: str = setting("", "keep decoded images: 'memory', or a folder, where other runs find them too")
    on_bad_image: str = setting("error", "what to do with a file that is no image", choices=("error", "skip"))
    source_batch: int = setting(36, "source images in one step, over all devices", minimum=1, maximum=_MOST_IN_BATCH)
    target_batch: int = setting(36, "target images in one step, over all devices", minimum=1, maximum=_MOST_IN_BATCH)
    evaluation_batch: int = setting(
        128, "images in one evaluation batch, over all devices", minimum=1, maximum=_MOST_IN_BATCH
    )


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The extractor E, the classifier C and the discriminators D."""

    extractor: str = setting(
        "resnet50",
        "small_cnn, an image model of keras.applications by name, FILE.keras, the path of a SavedModel folder in the "
        "form of TF-Hub, or keras_hub:PRESET",
    )
    trust_extractor: bool = setting(False, "run the extractor even if it is a program: a SavedModel, or a preset")
    weights: str = setting("imagenet", "weights of the extractor: imagenet, none, or a file")
    preprocessing: str = setting(
        "auto",
        "what a backbone is fed; auto: as it was published; FILE.keras shows it, or you are asked",
        choices=("auto", "minus_one_to_one", "zero_to_one", "torch", "caffe", "none"),
    )
    freeze_backbone: bool = setting(False, "train on the backbone's features, computed once and kept on disk")
    train_from: str = setting(
        "",
        "freeze the backbone before a place, keep what it makes of the images on disk, and train the rest: stage2 to "
        "stage5, from the first weights whose map is 4 to 32 times smaller than the image; last, the stage of the "
        "smallest map; or the layer that is trained first, by its name in Keras",
    )
    feature_cache_dir: str = setting("", "where what is frozen keeps features (default: <data_dir>/features)")
    feature_crops: int = setting(
        0, "random crops of each image that are kept to train on; 0: the centre crop", minimum=0, maximum=1000
    )
    feature_dtype: str = setting(
        "float32", "how features are kept; float16 takes half the room", choices=("float32", "float16")
    )
    bottleneck_units: int = setting(
        256,
        "width d of the feature f; 1024 where a pretrained backbone is trained, whole or by --train_from, and with MCC "
        "on a frozen one, if neither you nor the benchmark nor --recipe=paper sets it",
        minimum=1,
        maximum=_MOST_UNITS,
    )
    bottleneck_norm: str = setting(
        "layer", "normalization of each sample's bottleneck, before its ReLU", choices=("none", "layer")
    )
    sync_batch_norm: bool = setting(
        False, "the backbone's batch norm takes its statistics over all devices, as one device would"
    )
    discriminator_units: tuple[int, ...] = setting(
        (1024, 1024), "widths of each discriminator's hidden layers", maximum=_MOST_UNITS
    )

    @property
    def keeps_features(self) -> bool:
        """Whether a part of the backbone is frozen, so that training starts from what it makes of the images."""
        return bool(self.freeze_backbone or self.train_from)


@dataclasses.dataclass(frozen=True)
class MethodSettings:
    """What is trained, and on which samples of the target. Options of a method stand in its file."""

    method: str = setting("gsda", "a method by name, or FILE.py:Name for one of your own; that file is run")
    add: tuple[str, ...] = setting((), "terms added to the method's loss of extractor and classifier, such as mcc,bnm")
    recipe: str = setting(
        "default",
        "whose values hold where they are not given; paper: of GSDA's, which are equation (16) at full strength, "
        "--bottleneck_norm=none, --confidence_threshold=0.9 and --discriminator_rate=1, and the same "
        "--bottleneck_units and --alpha whether the backbone is frozen or trained",
        choices=("default", "paper"),
    )
    confidence_threshold: float = setting(
        0.0, "smallest probability at which a target label is trusted", minimum=0, maximum=1
    )
    pseudo_label_period: int = setting(
        500,
        "steps between two labellings of the target, by which it is drawn in balance; 0: never. Methods that do not "
        "prescribe it do so only if it is given",
        minimum=0,
    )


@dataclasses.dataclass(frozen=True)
class OptimizationSettings:
    """Stochastic gradient descent with Nesterov momentum, and its schedule."""

    steps: int = setting(20_000, "training steps", minimum=1)
    learning_rate: float = setting(0.01, "initial learning rate of new layers", minimum=0)
    backbone_rate: float = setting(0.1, "learning rate of the backbone, as a share of learning_rate", minimum=0)
    discriminator_rate: float = setting(
        3.0,
        "learning rate of the discriminators and of other networks that only a method has, as a multiple of "
        "learning_rate; a method may bring its own default",
        minimum=0,
    )
    rate_decay: float = setting(10.0, "a in the schedule learning_rate * (1 + a p)^-0.75", minimum=0)
    momentum: float = setting(0.9, "Nesterov momentum", minimum=0, maximum=1)
    weight_decay: float = setting(1e-3, "added to the gradient of kernels as weight_decay * kernel", minimum=0)


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """On what the run computes, and how precisely."""

    strategy: str = setting(
        "default", "how work is spread", choices=("default", "one_device", "mirrored", "multi_worker")
    )
    cluster: str = setting(
        "tf_config",
        "who tells --strategy=multi_worker of its workers: the variable TF_CONFIG, Slurm's srun, an indexed Job",
        choices=("tf_config", "slurm", "kubernetes"),
    )
    num_devices: int = setting(0, "devices for --strategy=mirrored; 0: all", minimum=0, maximum=4096)
    virtual_devices: int = setting(
        0, "split the CPU into this many devices, to try a strategy; 0: no", minimum=0, maximum=256
    )
    precision: str = setting(
        "float32", "precision of the backbone", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    jit_compile: str = setting(
        "none",
        "what XLA compiles: nothing, all that follows the features, or the whole step; one device only",
        choices=("none", "heads", "step"),
    )
    deterministic: bool = setting(True, "the same run gives the same weights")


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where the run writes, and how often."""

    workdir: str = setting("", "folder of the run (default: runs/<benchmark>/<Source_Target>/<method>/seed<k>)")
    seed: int = setting(0, "everything random follows from it", minimum=0, maximum=2**32 - 1)
    init_from: str = setting(
        "", "folder of a run whose extractor and, if the classes are among its own, classifier this one starts from"
    )
    overwrite: bool = setting(False, "start anew in a workdir that holds another run")
    report_steps: int = setting(50, "steps between two lines in the logs", minimum=1)
    evaluate_steps: int = setting(500, "steps between two evaluations", minimum=1)
    checkpoint_steps: int = setting(1000, "steps between two checkpoints", minimum=1)
    checkpoint_seconds: float = setting(600.0, "at most this long between two checkpoints", minimum=0)
    keep_checkpoints: int = setting(3, "checkpoints that are kept", minimum=1)
    select: str = setting("last", "which checkpoint is exported", choices=("last", "entropy", "im", "snd"))
    export: bool = setting(True, "write a SavedModel of the selected checkpoint at the end")
    report: bool = setting(True, "write report.html, the page of pictures, at the end")


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a method that has none."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of one run."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    method: MethodSettings = MethodSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    device: DeviceSettings = DeviceSettings()
    run: RunSettings = RunSettings()
    options: Any = NoOptions()
    """The options of the method and of the terms that are added to it, `methods.options_of`."""

    def flat(self) -> dict[str, Any]:
        """Every setting by its name, in the order of this file."""
        return {f.name: getattr(section, f.name) for section in self._sections() for f in dataclasses.fields(section)}

    def replace(self, values: Mapping[str, Any]) -> Settings:
        """A copy with the settings in `values`, by name, changed.

        Raises:
          UserError: a name that does not exist, or a value out of range.
        """
        unknown = set(values) - set(self.flat())
        if unknown:
            raise UserError(f"Unknown settings: {', '.join(sorted(unknown))}.")
        sections = {}
        for field in dataclasses.fields(self):
            section = getattr(self, field.name)
            mine = {f.name: values[f.name] for f in dataclasses.fields(section) if f.name in values}
            sections[field.name] = dataclasses.replace(section, **mine)
        changed = Settings(**sections)
        changed.validate()
        return changed

    def validate(self) -> None:
        """Raises UserError for a value out of its range."""
        for section in self._sections():
            for field in dataclasses.fields(section):
                check_value(field, getattr(section, field.name))
        if self.data.resize_size < self.data.image_size:
            raise UserError(
                f"--resize_size={self.data.resize_size} is smaller than --image_size={self.data.image_size}: "
                "images are resized first and cropped then, so it must be at least as large."
            )
        if self.device.jit_compile != "none" and self.device.strategy in ("mirrored", "multi_worker"):
            raise UserError(
                f"--jit_compile={self.device.jit_compile} works on one device, but --strategy={self.device.strategy} "
                "spreads the step: leave one of them out."
            )

    def _sections(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


_PLACES = (
    "data_dir", "manual_dir", "source_dir", "target_dir", "source_list", "target_list", "image_root", "cache",
    "source_root", "target_root",
    "weights", "extractor", "feature_cache_dir", "method", "groups_file", "init_from", "source", "target",
)  # fmt: skip


def absolute(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values with every path absolute and `~` expanded, so that one place is written in one way."""
    made = dict(values)
    for name in _PLACES:
        value = values.get(name)
        if value and not _is_word(name, value):
            made[name] = os.path.abspath(os.path.expanduser(value))
    return made


def is_array_file(value: str) -> bool:
    """Whether `source` or `target` is a file of arrays and not the name of a data set."""
    return value.lower().endswith((".npz", ".parquet"))


def _is_word(name: str, value: str) -> bool:
    """Whether the value of a setting that may be a path is something else."""
    words = {"cache": ("memory",), "weights": ("imagenet", "none")}
    if "://" in value:  # object storage
        return True
    if name == "method":
        return ":" not in value
    if name == "extractor":
        return value.startswith("keras_hub:") or (os.sep not in value and not value.endswith(MODEL_FILES))
    if name in ("source", "target"):
        return not is_array_file(value)
    return value in words.get(name, ())


MODEL_FILES = (".keras", ".h5", ".hdf5")
"""How the file of a whole model ends, where a network could be named as well."""


def fields() -> tuple[dataclasses.Field, ...]:
    """The fields of every section, each with `help`, `choices`, `minimum` and `maximum` in its metadata."""
    return tuple(f for section in Settings()._sections() for f in dataclasses.fields(section))


def check_value(field: dataclasses.Field, value: Any) -> None:
    """Raises UserError if `value` is not one of the field's choices or is out of its range."""
    choices, minimum, maximum = (field.metadata[key] for key in ("choices", "minimum", "maximum"))
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    if choices and value not in choices:
        raise UserError(f"--{field.name}={value} is unknown: expected one of {', '.join(choices)}.")
    if minimum is not None and not value >= minimum:  # also catches NaN
        raise UserError(f"--{field.name}={value} is out of range: expected at least {minimum:g}.")
    numbers = [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, (int, float))]
    if isinstance(value, tuple) and any(v < 1 for v in numbers):
        raise UserError(f"--{field.name}={shown} is out of range: expected numbers from 1 up.")
    if any(v > maximum for v in numbers):
        raise UserError(f"--{field.name}={shown} is out of range: expected at most {maximum:,}.")
