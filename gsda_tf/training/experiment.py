"""Everything a run is made of, built from its settings and data; and the same restored from its folder."""

from __future__ import annotations

import functools
import hashlib

import keras
import numpy as np
import tensorflow as tf

from gsda_tf import tasks
from gsda_tf.compat import variable_name
from gsda_tf.data.domain import UNLABELLED, TaskData
from gsda_tf.errors import TrainingError, UserError
from gsda_tf.hierarchy import Hierarchy, build_hierarchy, hierarchy_from_groups, read_groups
from gsda_tf.methods import Method, get_method
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.discriminators import Discriminators
from gsda_tf.models.extractor import build_extractor
from gsda_tf.settings import Settings, completed
from gsda_tf.training import checkpoints
from gsda_tf.training.frozen import embedded
from gsda_tf.training.inference import Inference
from gsda_tf.training.precision import LossScale
from gsda_tf.training.step import Networks, TrainingStep, build_optimizers


class Experiment:
    """Networks, optimizers and state of one run.

    Args:
      settings: resolved, `tasks.resolve`.
      data: of the task.
      strategy: under whose scope variables are made.

    Raises:
      UserError: an unknown extractor or method, or settings that do not fit the data.
    """

    def __init__(self, settings: Settings, data: TaskData, strategy: tf.distribute.Strategy):
        self.settings, self.data, self.strategy = settings, data, strategy
        self.method: Method = get_method(settings.method.method)
        num_classes = len(data.class_names)
        self.hierarchy: Hierarchy | None = None
        if "group" in self.method.levels and settings.method.groups_file:
            groups = read_groups(settings.method.groups_file, data.class_names)
            self.hierarchy = hierarchy_from_groups(num_classes, groups)
        elif self.method.levels:
            self.hierarchy = build_hierarchy(
                num_classes, settings.method.num_groups, self.method.levels, settings.run.seed
            )
        keras.utils.set_random_seed(settings.run.seed)
        with strategy.scope():
            extractor = build_extractor(settings.model, settings.data.image_size, settings.device.precision)
            bank = self.hierarchy and Discriminators(
                self.hierarchy,
                settings.model.discriminator_units,
                settings.model.bottleneck_units,
                settings.run.seed,
            )
            self.networks = Networks(extractor, build_classifier(settings.model.bottleneck_units, num_classes), bank)
            self.optimizers = build_optimizers(self.networks, settings)
            self.loss_scale = LossScale() if settings.device.precision == "mixed_float16" else None
        # The target's trusted labels, and the step at which they were given.
        self.pool = tf.Variable(np.full(len(data.target), UNLABELLED, np.int32), trainable=False, name="pool")
        self.pool_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="pool_step")
        self.step = TrainingStep(self.networks, self.optimizers, self.method, self.hierarchy, settings, self.loss_scale)
        self.inference = Inference(self.networks, settings.data, strategy)

    @functools.cached_property
    def inputs(self) -> TaskData:
        """What training and evaluation read: the images, or with `--freeze_backbone` their features.

        Raises:
          UserError: the features cannot be kept.
        """
        if not self.settings.model.freeze_backbone:
            return self.data
        return embedded(self.data, self.networks.extractor, self.settings, self.strategy)

    @property
    def input_spec(self) -> tf.TensorSpec:
        """Of one input, without the batch."""
        if self.settings.model.freeze_backbone:
            return tf.TensorSpec(self.inputs.source.records.features.shape[-1:], tf.float32)
        size = self.settings.data.image_size
        return tf.TensorSpec([size, size, 3], tf.uint8)

    @property
    def groups(self) -> list[list[str]]:
        """Class names of every group, level after level; empty if the method has no groups."""
        levels = [level for level in self.hierarchy.levels if level.name.startswith("group")] if self.hierarchy else []
        names = np.asarray(self.data.class_names)
        return [names[column > 0].tolist() for level in levels for column in level.membership.T]

    def state(self) -> dict[str, list[tf.Variable]]:
        """All that a checkpoint holds, besides the loop's own variables."""
        networks, optimizers = self.networks, self.optimizers
        state = {
            "extractor": checkpoints.variables(networks.extractor),
            "classifier": checkpoints.variables(networks.classifier),
            "discriminators": checkpoints.variables(networks.discriminators),
            "pool": [self.pool, self.pool_step],
            "loss_scale": [] if self.loss_scale is None else [self.loss_scale.value, self.loss_scale.good_steps],
        }
        for name in ("backbone", "heads", "discriminators"):
            optimizer = getattr(optimizers, name)
            state[f"{name}_velocities"] = [] if optimizer is None else list(optimizer.velocities)
        return {name: group for name, group in state.items() if group}

    def weights_sha256(self) -> str:
        """One number for all weights of E and C, in their fixed order."""
        digest = hashlib.sha256()
        for model in (self.networks.extractor, self.networks.classifier):
            for original, variable in zip(model.variables, checkpoints.variables(model)):
                value = np.ascontiguousarray(variable.numpy())
                digest.update(f"{variable_name(original)} {value.dtype} {value.shape}".encode())
                digest.update(value.tobytes())
        return digest.hexdigest()


def restore(workdir: str, step: int | None = None, **changes) -> tuple[Experiment, int]:
    """The experiment of a run folder, with the weights of a checkpoint.

    Args:
      workdir: that a training run wrote.
      step: of the checkpoint; None is the newest.
      **changes: settings that may differ from the run's, by name (where data lie, precision).

    Returns:
      (experiment, step of its weights).

    Raises:
      UserError: no run there, or no such checkpoint.
    """
    written = checkpoints.read_settings(workdir)
    if written is None:
        raise UserError(f"--workdir={workdir} holds no run: expected settings.json and checkpoints/ there.")
    if written["generation"] != checkpoints.generation():
        raise TrainingError(
            f"{workdir} was written by {written['generation']}, this is {checkpoints.generation()}: use the "
            "environment it was trained in. Its export/ loads in both."
        )
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in completed(written["settings"]).items()}
    settings = Settings().replace({**values, **changes})
    experiment = Experiment(settings, tasks.load(settings.data), tf.distribute.get_strategy())
    stored = checkpoints.Checkpoints(experiment.state(), workdir, settings.run.keep_checkpoints, write=False)
    found = stored.restore(step)[0]
    if not found:
        have = ", ".join(path.rsplit("-", 1)[1] for path in stored.steps()) or "none"
        raise UserError(f"{workdir} has no checkpoint{f' of step {step}' if step else ''}: there are {have}.")
    return experiment, found
