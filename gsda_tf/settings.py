"""Every setting of a run, once: its name, its default, and in its metadata all that the rest of the package asks of it.

`launch/flags.py` makes one flag of each field, so the help text here is the help text there. What holds where nothing
is given is told by `gsda_tf/recipes/`.
"""

from __future__ import annotations

import dataclasses
import os
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gsda_tf.errors import UserError, choose

_MOST = 10**9
"""No number is larger: what counts steps stays far below what TensorFlow counts with."""
MOST_PIXELS = 4096
_MOST_IN_BATCH = 2**17
_MOST_UNITS = 2**17
_OWN = pkgutil.iter_modules([os.path.join(os.path.dirname(__file__), "datasets", "own")])
REJECT = "reject"
PIPELINES = ("benchmark", *(info.name for info in _OWN))
"""The ways of bringing images: a benchmark's, and a file each."""
MODEL_FILES = (".keras", ".h5", ".hdf5")
"""How the file of a whole model ends, where a network could be named as well."""


MARKS = ("everyday", "swept", "restoring", "network", "compared", "images", "several")
"""What a setting may be, in words of its second text. everyday: the short help has it; swept: a sweep gives it to each
run itself; restoring: it may be given where a run is restored from its folder; network: weights and inputs of the
networks depend on it, so that --init_from takes it over; compared: runs that are compared agree in it; images: it says
nothing where features stand in place of images; several: it may be a list with commas between."""


def setting(
    default: Any,
    help: str,
    marks: str = "",
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float = _MOST,
    path: bool | Callable[[str], bool] = False,
    needs: Mapping[str, tuple] | None = None,
    excludes: tuple[str, ...] = (),
    may_change: bool | Callable[[str], bool] = False,
    foreign: bool = True,
) -> Any:
    """Makes a field of a dataclass with all that is known of the setting.

    Args:
      default: what holds where nothing else is said.
      help: of the flag of the same name.
      marks: of `MARKS`, with spaces between.
      choices: the values there are; () if that is open.
      minimum: of a number.
      maximum: of a number, or of each in a tuple.
      path: whether it names a place, here or in object storage; or which of its values do.
      needs: another setting and the values of it with which this one means something, () being any but none. One of
        several is enough.
      excludes: settings that are not given together with this one.
      may_change: whether a run may go on with another value, as nothing that is computed depends on it; or with which.
      foreign: whether the folder of a run, which may be anybody's, may bring it: what computes. Where this machine
        keeps and finds things, its devices, and whom its user trusts are never taken from there.
    """
    metadata = {name: value for name, value in locals().items() if name not in ("default", "marks")}
    assert set(marks.split()) <= set(MARKS), marks
    known = {mark: mark in marks.split() for mark in MARKS}
    return dataclasses.field(default=default, metadata={**metadata, "needs": needs or {}, **known})


def _machine(default: Any, help: str, marks: str = "", **more: Any) -> Any:
    """A setting of this machine and its user alone."""
    return setting(default, help, marks, may_change=True, foreign=False, **more)


def _pixels(default: int, help: str, marks: str) -> Any:
    """The side of a square."""
    return setting(default, f"{help}, pixels", marks, minimum=1, maximum=MOST_PIXELS)


def _batch(default: int, help: str, **more: Any) -> Any:
    return setting(default, help, minimum=1, maximum=_MOST_IN_BATCH, **more)


def _place(help: str, marks: str = "", **more: Any) -> Any:
    """Names a place where data lie; what they are is told by their fingerprint. Reading them is harmless, whoever
    names the place."""
    return setting("", help, f"restoring {marks}", path=True, may_change=True, **more)


def _but(*words: str) -> Callable[[str], bool]:
    """Every value but these words is a path."""
    return lambda value: value not in words


def several(value: str) -> tuple[str, ...]:
    """The places that a setting names, with commas between; one that is there is one, whatever it is called."""
    return (value,) if "," not in value or os.path.exists(value) else tuple(value.split(","))


def is_array_file(value: str) -> bool:
    """Returns whether `source` or `target` is a file of arrays and not the name of a data set."""
    return value.lower().endswith(".npz")


def _is_model_path(extractor: str) -> bool:
    return not extractor.startswith("keras_hub:") and (os.sep in extractor or extractor.endswith(MODEL_FILES))


_FOLDERS = {"pipeline": ("folders",)}
_LISTS = {"pipeline": ("lists",)}
_NAMED = {"pipeline": tuple(name for name in PIPELINES if name not in ("benchmark", "folders", "lists"))}
_FROZEN = {"freeze_backbone": (True,), "train_from": ()}
_MIRRORED = {"strategy": ("mirrored",)}
_ONE_DEVICE = {"strategy": ("default", "one_device")}


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The images, and what is done to them before the network sees them."""

    pipeline: str = setting("benchmark", "where the images come from", "everyday", choices=PIPELINES)
    task: str = setting(
        "digits/Fo_Ha", "BENCHMARK/SOURCE_TARGET, for --pipeline=benchmark", "everyday swept",
        needs={"pipeline": ("benchmark",)},
    )  # fmt: skip
    data_dir: str = _machine("", "where prepared data sets are (default: TFDS's own folder)", "restoring", path=True)
    manual_dir: str = _machine("", "where archives or folders that you downloaded are", "everyday restoring", path=True)
    download: bool = _machine(
        True, "fetch and prepare a data set that is not there yet; of a restored run only if you say so", "restoring"
    )
    source_dir: str = _place(
        "labelled images, one folder a class, for --pipeline=folders; several folders with commas between",
        "everyday several", needs=_FOLDERS,
    )  # fmt: skip
    target_dir: str = _place("target images, likewise, or one flat folder without classes", "everyday", needs=_FOLDERS)
    source_list: str = _place(
        "file with 'path label' a line, several with commas between, for --pipeline=lists", "several", needs=_LISTS
    )
    target_list: str = _place("file with 'path label' or 'path' a line, for --pipeline=lists", needs=_LISTS)
    image_root: str = _place(
        "what the paths of the lists are relative to (default: the list's folder); / if they are absolute", needs=_LISTS
    )
    source_root: str = _place("the same of --source_list alone", needs=_LISTS)
    target_root: str = _place("the same of --target_list alone", needs=_LISTS)
    holdout: float = setting(
        0.0, "share of each source class, rounded down, that is not trained on: accuracy/source is of these images, "
        "which the model has not seen; 0: of those that it was trained on", "compared", minimum=0, maximum=0.9,
    )  # fmt: skip
    unlabelled_folder: str = setting(
        "unlabelled", "folder of --target_dir that is no class but holds its images without a label", needs=_FOLDERS
    )
    target_labels: str = _place(
        "labels of some target images, to be trained on: 'path label' a line, as launch.pick writes it"
    )
    target_holdout: float = setting(
        0.5, "share of the target's labels that only score, where it is labelled in part; with --target_labels, where "
        "no other of its images has a label", minimum=0, maximum=1,
    )  # fmt: skip
    target_label_share: float = setting(
        0.25, "share of a target batch that labelled images take, where there are any to be trained on", minimum=0,
        maximum=1,
    )  # fmt: skip
    target_label_weight: float = setting(1.0, "weight of their cross-entropy, beside the source's", minimum=0)
    unknown: str = setting(
        "none", "reject: say 'unknown' to target images of no class of the source", "everyday", choices=("none", REJECT)
    )
    unknown_similarity: float = setting(
        0.35, "least cosine to the classes of what is of one", minimum=-1, maximum=1, needs={"unknown": (REJECT,)}
    )
    list_labels: str = setting(
        "auto", "what tells the target's classes where lists number the same folders differently (auto: the folders)",
        choices=("auto", "numbers"), needs=_LISTS,
    )  # fmt: skip
    # Arrays may lie elsewhere, but a set of TFDS is what its name says.
    source: str = setting(
        "", "file of --pipeline=arrays, several with commas between; or NAME[/CONFIG][:SPLIT], or the FOLDER[:SPLIT] "
        "where TFDS stored a set, of --pipeline=tfds", "restoring several", path=is_array_file,
        may_change=is_array_file, needs=_NAMED,
    )  # fmt: skip
    target: str = setting(
        "", "the same, of the target", "restoring", path=is_array_file, may_change=is_array_file, needs=_NAMED
    )
    image_size: int = _pixels(224, "height and width of the network's input", "everyday network compared images")
    resize_size: int = _pixels(256, "images are resized to this square before they are cropped", "network images")
    augmentation: str = setting(
        "standard", "random changes to training images", "images", choices=("standard", "strong", "digits", "none")
    )
    on_bad_image: str = setting("error", "what to do with a file that is no image", "images", choices=("error", "skip"))
    source_batch: int = _batch(36, "source images in one step, over all devices")
    target_batch: int = _batch(36, "target images in one step, over all devices")
    evaluation_batch: int = _batch(
        128, "images in one evaluation batch, over all devices", marks="restoring", may_change=True, foreign=False
    )

    @property
    def without_source(self) -> bool:
        """Returns whether there are only target images: a run is adapted to them, `--init_from`."""
        return self.pipeline in ("folders", "arrays") and not (self.source_dir or self.source)


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The extractor E, the classifier C and the discriminators D."""

    extractor: str = setting(
        "resnet50", "small_cnn, an image model of keras.applications by name, FILE.keras or keras_hub:PRESET; several, "
        "with commas between, where they are frozen",
        "everyday network compared images several", path=_is_model_path,
    )  # fmt: skip
    trust_extractor: bool = _machine(False, "run the extractor though it is a program: a preset", "restoring")
    weights: str = setting(
        "imagenet", "the extractor's: imagenet, none, or a file; of several one each", "compared images several",
        path=_but("imagenet", "none"),
    )  # fmt: skip
    preprocessing: str = setting(
        "auto", "what a backbone is fed; auto: as it was published; FILE.keras shows it, or you are asked; of several "
        "one each", "network images several",
        choices=("auto", "minus_one_to_one", "zero_to_one", "torch", "caffe", "none"),
    )  # fmt: skip
    freeze_backbone: bool = setting(
        False, "train on the backbone's features, kept on disk", "everyday network compared images",
        excludes=("train_from",),
    )  # fmt: skip
    train_from: str = setting(
        "", "freeze the backbone before a place, keep what it makes of the images on disk, and train the rest: stage2 "
        "to stage5, from the first weights whose map is 4 to 32 times smaller than the image; last, the stage of the "
        "smallest map; or the layer that is trained first, by its name in Keras", "everyday network compared images",
    )  # fmt: skip
    feature_cache_dir: str = _machine(
        "", "where features are kept (default: <data_dir>/features)", "restoring images", path=True, needs=_FROZEN
    )
    bottleneck_units: int = setting(
        256, "width d of the feature f; where nothing sets it, 1024 for a pretrained backbone that is trained, and "
        "with MCC on a frozen one", "network", minimum=1, maximum=_MOST_UNITS,
    )  # fmt: skip
    bottleneck_norm: str = setting(
        "layer", "normalization before the bottleneck's ReLU: layer, of each sample; batch, over the source's samples "
        "and the target's apart", "network", choices=("none", "layer", "batch"),
    )  # fmt: skip
    sync_batch_norm: bool = setting(
        False, "the backbone's batch norm takes its statistics over all devices, as one device would", "images"
    )
    discriminator_units: tuple[int, ...] = setting(
        (1024, 1024), "widths of each discriminator's hidden layers", maximum=_MOST_UNITS
    )

    @property
    def keeps_features(self) -> bool:
        """Returns whether a part of the backbone is frozen, so that training starts from what it makes of the
        images."""
        return bool(self.freeze_backbone or self.train_from)


@dataclasses.dataclass(frozen=True)
class MethodSettings:
    """The method, and on which samples of the target. Options of a method stand in its file."""

    method: str = setting(
        "gsda", "a method by name (for your own images on a frozen backbone it is spl, if neither a method nor how it "
        "trains, such as --steps, is given); auto: a pool of them, of which one is chosen without target labels; or "
        "FILE.py:Name for one of your own: that file is run", "everyday swept restoring", path=lambda name: ":" in name,
    )  # fmt: skip
    add: tuple[str, ...] = setting((), "terms added to the loss of extractor and classifier, such as mcc,bnm", "swept")
    recipe: str = setting(
        "default", "whose values hold where they are not given; paper: those of GSDA's, however the backbone is "
        "trained (the run tells them)", "everyday", choices=("default", "paper"),
    )  # fmt: skip
    target_prior: str = setting(
        "uniform", "class shares of the target, by which answers are corrected: uniform, as the batches', changes "
        "nothing; source: those of its images; estimate: found without labels; or FILE with 'class,share' a line",
        path=_but("uniform", "source", "estimate"), needs={"unknown": ("none",)},
    )  # fmt: skip
    confidence_threshold: float = setting(
        0.0, "least probability at which a target label is trusted", minimum=0, maximum=1
    )
    pseudo_label_period: int = setting(
        500, "steps between two labellings of the target, by which it is drawn in balance; 0: never. Methods that do "
        "not prescribe it do so only if it is given", minimum=0,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class OptimizationSettings:
    """Stochastic gradient descent with Nesterov momentum, and its schedule."""

    steps: int = setting(20_000, "training steps", "everyday compared", minimum=1)
    learning_rate: float = setting(0.01, "initial learning rate of new layers", "compared", minimum=0)
    backbone_rate: float = setting(0.1, "that of the backbone, as a share of it", minimum=0)
    discriminator_rate: float = setting(
        3.0, "that of networks that only a method has, as a multiple; a method may bring its own default", minimum=0
    )
    rate_decay: float = setting(10.0, "a in the schedule learning_rate * (1 + a p)^-0.75", minimum=0)
    momentum: float = setting(0.9, "Nesterov momentum", minimum=0, maximum=1)
    weight_decay: float = setting(1e-3, "added to the gradient of kernels as weight_decay * kernel", minimum=0)


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """On what the run computes, and how precisely."""

    strategy: str = _machine(
        "default",
        "how work is spread; multi_worker: over those that the variable TF_CONFIG names",
        choices=("default", "one_device", "mirrored", "multi_worker"),
    )
    num_devices: int = _machine(0, "devices for --strategy=mirrored; 0: all", minimum=0, maximum=4096, needs=_MIRRORED)
    virtual_devices: int = _machine(
        0, "split the CPU into this many devices, to try a strategy; 0: no", minimum=0, maximum=256, needs=_MIRRORED
    )
    precision: str = setting(
        "float32", "precision of the backbone", "images", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    jit_compile: str = setting(
        "none", "what XLA compiles, on one device: what follows the features, or all",
        choices=("none", "heads", "step"), needs=_ONE_DEVICE,
    )  # fmt: skip
    deterministic: bool = setting(True, "the same run gives the same weights")


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Places where the run writes, and how often."""

    workdir: str = _machine(
        "", "folder of the run (default: runs/<benchmark>/<Source_Target>/<method>/seed<k>)", "everyday swept"
    )
    seed: int = setting(0, "everything random follows from it", "everyday swept compared", minimum=0, maximum=2**32 - 1)
    init_from: str = setting(
        "", "folder of a run, or of an export, whose extractor and classifier this one starts from", path=True,
        foreign=False,
    )  # fmt: skip
    overwrite: bool = _machine(False, "start anew in a workdir that holds another run")
    report_steps: int = setting(50, "steps between two lines in the logs", minimum=1)
    evaluate_steps: int = setting(500, "steps between two evaluations", minimum=1)
    checkpoint_steps: int = _machine(1000, "steps between two checkpoints", minimum=1)
    checkpoint_seconds: float = _machine(600.0, "at most this long between two checkpoints", minimum=0)
    keep_checkpoints: int = _machine(3, "checkpoints that are kept", minimum=1)
    export: bool = _machine(True, "write a SavedModel at the end")
    report: bool = _machine(True, "write report.html, the page of pictures, at the end")


@dataclasses.dataclass(frozen=True)
class PoolSettings:
    """The candidates of `--method=auto`, and how long they are trained; no part of the settings of one run."""

    candidates: tuple[str, ...] = setting((), "of --method=auto: methods, each with its added terms, such as gsda+mcc")
    candidate_seeds: int = setting(2, "of --method=auto: runs of each candidate (default: 2)", minimum=1)
    budget_minutes: float = setting(
        0.0, "of --method=auto: what would probably take longer is left out; 0: nothing is", minimum=0
    )


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

    def fields(self) -> tuple[dataclasses.Field, ...]:
        """The fields of every section, each with what `setting` was given in its metadata."""
        return tuple(field for section in self._sections() for field in dataclasses.fields(section))

    def flat(self) -> dict[str, Any]:
        """Every setting by its name, in the order of this file."""
        return {f.name: getattr(section, f.name) for section in self._sections() for f in dataclasses.fields(section)}

    def replace(self, values: Mapping[str, Any]) -> Settings:
        """A copy with the settings in `values`, by name, changed.

        Raises:
          UserError: a name that does not exist, a value of another kind or out of range, or values that contradict one
            another.
        """
        values = converted(values, self.fields())
        sections = {}
        for field in dataclasses.fields(self):
            section = getattr(self, field.name)
            mine = {f.name: values[f.name] for f in dataclasses.fields(section) if f.name in values}
            sections[field.name] = dataclasses.replace(section, **mine)
        changed = Settings(**sections)
        changed.validate()
        return changed

    def validate(self) -> None:
        """Raises UserError for values that contradict one another, whoever set them."""
        data = self.data
        if data.resize_size < data.image_size:
            raise UserError(
                f"--resize_size={data.resize_size} is smaller than --image_size={data.image_size}: "
                "images are resized first and cropped then, so it must be at least as large."
            )

    def validate_given(self, given: Mapping[str, Any]) -> None:
        """Checks that each value that was given has a meaning beside the other settings.

        Args:
          given: values by setting name, only those that the user gave.

        Raises:
          UserError: naming both sides and what to do.
        """
        holds = self.flat()
        for field in self.fields():
            value, needs = given.get(field.name), field.metadata["needs"]
            if not value or value == "none":
                continue
            said = flag(field.name, value)
            for other in field.metadata["excludes"]:
                if given.get(other):
                    raise UserError(f"{said} and {flag(other, given[other])} contradict each other: leave one out.")
            if needs and not any(holds[name] in allowed if allowed else holds[name] for name, allowed in needs.items()):
                wanted = " or ".join(flag(n, v) for n, allowed in needs.items() for v in allowed or (None,))
                first = next(iter(needs))
                raise UserError(
                    f"{said} is for {wanted}, but {flag(first, holds[first])}: say {wanted}, or leave --{field.name} "
                    "out."
                )

    def _sections(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def fields() -> tuple[dataclasses.Field, ...]:
    """The fields of all settings but the options of methods."""
    return Settings().fields()


def names(mark: str) -> tuple[str, ...]:
    """The settings that have something in their metadata, such as "restoring"."""
    return tuple(field.name for field in fields() if field.metadata[mark])


def may_change(name: str, *values: Any) -> bool:
    """Returns whether a run may go on with one of these values of a setting where it had the other."""
    allowed = next((field.metadata["may_change"] for field in fields() if field.name == name), False)
    return all(allowed(str(value)) for value in values) if callable(allowed) else allowed


def flag(name: str, value: Any) -> str:
    """A setting as it is written in a command; without its value if that is None."""
    if value is None or isinstance(value, bool):
        return f"--no{name}" if value is False else f"--{name}"
    return f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"


def converted(values: Mapping[str, Any], known: Iterable[dataclasses.Field]) -> dict[str, Any]:
    """Converts what is given, by setting name, to what is meant; None is not given.

    Raises:
      UserError: see `convert`; or a name that does not exist.
    """
    by_name = {field.name: field for field in known}
    given = {name: value for name, value in values.items() if value is not None}
    return {choose("setting", name, by_name): convert(by_name[name], value) for name, value in given.items()}


def convert(field: dataclasses.Field, value: Any) -> Any:
    """The value of a setting, from a command, from Python or from JSON, as it is meant.

    Numbers may be NumPy's or text, whole numbers 10.0, paths pathlib's, truth "no", a tuple a list, text with commas
    or one value alone. A path becomes absolute, so that one place is written in one way wherever the process goes.

    Raises:
      UserError: it is of another kind, or out of range; the message names the setting.
    """
    declared = str(field.type)
    kind = next((kind for kind in _EXPECTED if re.search(rf"\b{kind.__name__}\b", declared)), None)
    if kind is None:  # of a user's own method, declared otherwise
        return value
    many = isinstance(field.default, tuple)
    plain = value.tolist() if hasattr(value, "tolist") else value
    try:
        if many:
            parts = plain.split(",") if isinstance(plain, str) else plain
            made = tuple(
                _single(kind, part) for part in (parts if isinstance(parts, (list, tuple)) else [parts]) if part != ""
            )
        else:
            listed = field.metadata["several"] and isinstance(plain, (list, tuple))
            made = _single(kind, ",".join(map(os.fspath, plain)) if listed else plain)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise UserError(f"--{field.name}={value!s:.{_SHOWN}}: expected {_EXPECTED[kind][many]}.") from error
    if kind is str and not many:
        made = _absolute(field, made)
    check_value(field, made)
    return made


_SHOWN = 100
"""Characters of a value that a message quotes."""
_EXPECTED = {
    bool: ("yes or no", "yes or no with commas between"),
    int: ("a whole number", "whole numbers with commas between, such as 20,5"),
    float: ("a number", "numbers with commas between"),
    str: ("text", "names with commas between"),
}
_TRUTH = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


def _single(kind: type, value: Any) -> Any:
    """Raises ValueError, TypeError or LookupError if a value is not of a kind, nor can be meant so."""
    if kind is bool:
        return _TRUTH[str(value).lower()]
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
        raise TypeError
    made = kind(value)
    if not isinstance(value, str) and made != value and made == made:  # 10.0 is whole, 10.5 is not; NaN is told later
        raise ValueError
    return made


def _absolute(field: dataclasses.Field, value: str) -> str:
    if field.metadata["several"] and len(parts := several(value)) > 1:
        return ",".join(_absolute(field, part) for part in parts)
    path = field.metadata["path"]
    if value and "://" not in value and (path(value) if callable(path) else path):
        return os.path.abspath(os.path.expanduser(value))
    return os.path.expanduser(value) if value.startswith("~") else value


def check_value(field: dataclasses.Field, value: Any) -> None:
    """Raises UserError if `value` is not one of the field's choices or is out of its range."""
    choices, minimum, maximum = (field.metadata[key] for key in ("choices", "minimum", "maximum"))
    for each in (several(value) if field.metadata["several"] else [value]) if choices else ():
        choose(f"--{field.name}", each, choices)
    many = isinstance(value, tuple)
    least = 1 if many else minimum
    for number in value if many else (value,):
        if not isinstance(number, (int, float)):
            continue
        if least is not None and not number >= least:  # also catches NaN
            raise UserError(f"{flag(field.name, value)} is out of range: expected at least {least:g}.")
        if number > maximum:
            raise UserError(f"{flag(field.name, value)} is out of range: expected at most {maximum:,}.")
