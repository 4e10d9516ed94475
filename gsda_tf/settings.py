"""Every setting of a run: its name, default and meaning, in one place.

`launch/flags.py` makes one flag of each field, so the help text here is the help text there. A benchmark
overrides defaults with the paper's values (`gsda_tf/datasets/`), a flag overrides both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gsda_tf.errors import UserError

_MOST = 10**9
"""No number is larger: what counts steps stays far below what TensorFlow counts with."""
_MOST_PIXELS = 4096
_MOST_IN_BATCH = 2**17
_MOST_UNITS = 2**17


def _setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float = _MOST,
    absent: Any = None,
) -> Any:
    """A dataclass field that carries what a flag of the same name needs to know.

    `minimum` and `maximum` are of numbers, the latter of each number in a tuple, too. `absent` is what a run did that
    was written before there was this setting, if that is not the default.
    """
    absent = default if absent is None else absent
    metadata = {"help": help, "choices": choices, "minimum": minimum, "maximum": maximum, "absent": absent}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which images, and what is done to them before the network sees them."""

    pipeline: str = _setting("benchmark", "where the images come from", choices=("benchmark", "folders", "lists"))
    task: str = _setting("digits/Fo_Ha", "BENCHMARK/SOURCE_TARGET, for --pipeline=benchmark")
    data_dir: str = _setting("", "where prepared data sets are kept (default: TFDS's own folder)")
    manual_dir: str = _setting("", "where archives or folders that you downloaded yourself lie")
    source_dir: str = _setting("", "labelled images, one folder a class, for --pipeline=folders")
    target_dir: str = _setting("", "target images, one folder a class or one flat folder, for --pipeline=folders")
    source_list: str = _setting("", "file with 'path label' a line, for --pipeline=lists")
    target_list: str = _setting("", "file with 'path label' or 'path' a line, for --pipeline=lists")
    image_root: str = _setting("", "what the paths of the lists are relative to (default: the list's folder)")
    image_size: int = _setting(224, "height and width of the network's input, pixels", minimum=1, maximum=_MOST_PIXELS)
    resize_size: int = _setting(
        256, "images are resized to this square before they are cropped, pixels", minimum=1, maximum=_MOST_PIXELS
    )
    augmentation: str = _setting(
        "standard", "random changes to training images", choices=("standard", "strong", "digits", "none")
    )
    cache: str = _setting("", "keep decoded images: 'memory', or a folder, where other runs find them too")
    on_bad_image: str = _setting("error", "what to do with a file that is no image", choices=("error", "skip"))
    source_batch: int = _setting(36, "source images in one step, over all devices", minimum=1, maximum=_MOST_IN_BATCH)
    target_batch: int = _setting(36, "target images in one step, over all devices", minimum=1, maximum=_MOST_IN_BATCH)
    evaluation_batch: int = _setting(
        128, "images in one evaluation batch, over all devices", minimum=1, maximum=_MOST_IN_BATCH
    )


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The extractor E, the classifier C and the discriminators D."""

    extractor: str = _setting("resnet50", "small_cnn, an image model of keras.applications by name, or FILE.keras")
    weights: str = _setting("imagenet", "weights of the extractor: imagenet, none, or a file")
    preprocessing: str = _setting(
        "auto",
        "what a backbone is fed; auto: as it was published, -1..1 for FILE.keras",
        choices=("auto", "minus_one_to_one", "zero_to_one", "torch", "caffe", "none"),
    )
    freeze_backbone: bool = _setting(False, "train on the backbone's features, computed once and kept on disk")
    feature_cache_dir: str = _setting("", "where --freeze_backbone keeps features (default: <data_dir>/features)")
    feature_crops: int = _setting(
        0,
        "random crops of each image that --freeze_backbone keeps to train on; 0: the centre crop",
        minimum=0,
        maximum=1000,
    )
    bottleneck_units: int = _setting(256, "width d of the feature f", minimum=1, maximum=_MOST_UNITS)
    bottleneck_norm: str = _setting(
        "layer", "normalization of each sample's bottleneck, before its ReLU", choices=("none", "layer"), absent="none"
    )
    sync_batch_norm: bool = _setting(
        False, "the backbone's batch norm takes its statistics over all devices, as one device would"
    )
    discriminator_units: tuple[int, ...] = _setting(
        (1024, 1024), "widths of each discriminator's hidden layers", maximum=_MOST_UNITS
    )


@dataclasses.dataclass(frozen=True)
class MethodSettings:
    """What is aligned, how strongly, and on which samples."""

    method: str = _setting("gsda", "source_only, domain, domain_class, domain_group_class or gsda")
    alpha: float = _setting(0.02, "weight of the target's conditional entropy, equation (5)", minimum=0)
    alpha_ramp: float = _setting(
        0.0, "rate g of the ramp alpha (2/(1 + exp(-g p)) - 1) over the progress p; 0: alpha from the start", minimum=0
    )
    beta: float = _setting(1.0, "weight of the gradient synchronization, equations (13) and (16)", minimum=0)
    num_groups: tuple[int, ...] = _setting((6,), "groups of classes, one number for each level of groups")
    groups_file: str = _setting("", "JSON file with lists of class names to use as groups; they may overlap")
    adversarial_weight: float = _setting(
        1.0, "total strength of what the discriminators send into the extractor, shared by the levels", minimum=0
    )
    adversarial_ramp: float = _setting(10.0, "rate g of the ramp 2/(1 + exp(-g p)) - 1 of that strength", minimum=0)
    confidence_threshold: float = _setting(
        0.0, "smallest probability at which a target label is trusted", minimum=0, maximum=1
    )
    pseudo_label_period: int = _setting(500, "steps between two labellings of the target; 0: never", minimum=0)


@dataclasses.dataclass(frozen=True)
class OptimizationSettings:
    """Stochastic gradient descent with Nesterov momentum, and its schedule."""

    steps: int = _setting(20_000, "training steps", minimum=1)
    learning_rate: float = _setting(0.01, "initial learning rate of new layers", minimum=0)
    backbone_rate: float = _setting(0.1, "learning rate of the backbone, as a share of learning_rate", minimum=0)
    discriminator_rate: float = _setting(
        3.0, "learning rate of the discriminators, as a multiple of learning_rate", minimum=0
    )
    rate_decay: float = _setting(10.0, "a in the schedule learning_rate * (1 + a p)^-0.75", minimum=0)
    momentum: float = _setting(0.9, "Nesterov momentum", minimum=0, maximum=1)
    weight_decay: float = _setting(1e-3, "added to the gradient of kernels as weight_decay * kernel", minimum=0)


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """On what the run computes, and how precisely."""

    strategy: str = _setting(
        "default", "how work is spread", choices=("default", "one_device", "mirrored", "multi_worker")
    )
    num_devices: int = _setting(0, "devices for --strategy=mirrored; 0: all", minimum=0, maximum=4096)
    virtual_devices: int = _setting(
        0, "split the CPU into this many devices, to try a strategy; 0: no", minimum=0, maximum=256
    )
    precision: str = _setting(
        "float32", "precision of the backbone", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    slopes: str = _setting(
        "closed_form",
        "how the feature gradients are found: the same numbers by a nested tape, or with half of the arithmetic",
        choices=("closed_form", "tapes"),
    )
    jit_compile: str = _setting(
        "none",
        "what XLA compiles: nothing, all that follows the features, or the whole step; one device only",
        choices=("none", "heads", "step"),
    )
    deterministic: bool = _setting(True, "the same run gives the same weights")


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where the run writes, and how often."""

    workdir: str = _setting("", "folder of the run (default: runs/<benchmark>/<Source_Target>/<method>/seed<k>)")
    seed: int = _setting(0, "everything random follows from it", minimum=0, maximum=2**32 - 1)
    overwrite: bool = _setting(False, "start anew in a workdir that holds another run")
    report_steps: int = _setting(50, "steps between two lines in the logs", minimum=1)
    evaluate_steps: int = _setting(500, "steps between two evaluations", minimum=1)
    checkpoint_steps: int = _setting(1000, "steps between two checkpoints", minimum=1)
    checkpoint_seconds: float = _setting(600.0, "at most this long between two checkpoints", minimum=0)
    keep_checkpoints: int = _setting(3, "checkpoints that are kept", minimum=1)
    select: str = _setting("last", "which checkpoint is exported", choices=("last", "entropy", "im", "snd"))
    export: bool = _setting(True, "write a SavedModel of the selected checkpoint at the end")
    report: bool = _setting(True, "write report.html, the page of pictures, at the end")


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of one run."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    method: MethodSettings = MethodSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    device: DeviceSettings = DeviceSettings()
    run: RunSettings = RunSettings()

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


def fields() -> tuple[dataclasses.Field, ...]:
    """The fields of every section, each with `help`, `choices`, `minimum` and `maximum` in its metadata."""
    return tuple(f for section in Settings()._sections() for f in dataclasses.fields(section))


def completed(written: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that an earlier version may have written, which did not know them all.

    Args:
      written: values by name, as JSON gives them.

    Returns:
      The same and, for every setting that is missing, what such a run did.
    """
    return {**{f.name: f.metadata["absent"] for f in fields()}, **written}


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
