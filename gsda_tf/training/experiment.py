"""Everything a run is made of, built from its settings and data; and the same restored from its folder."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.special
import tensorflow as tf
from threadpoolctl import threadpool_limits

from gsda_tf import compat, recipes
from gsda_tf.compat import tf_variable, variable_name
from gsda_tf.data.domain import UNLABELLED, DomainData, TaskData, evenly
from gsda_tf.data.features import FeatureRecords
from gsda_tf.data.fingerprint import changes as changes_of_data
from gsda_tf.data.fingerprint import fingerprint, sizes
from gsda_tf.data.records import ArrayRecords, Records
from gsda_tf.datasets.loading import load
from gsda_tf.errors import DataError, UserError
from gsda_tf.evaluation.shares import UNIFORM, correction, estimate, told
from gsda_tf.files import refuse_pattern
from gsda_tf.methods import Method, get_method, get_terms, unknown
from gsda_tf.methods.base import Problem
from gsda_tf.methods.taught import TaughtTerm
from gsda_tf.methods.training_step import TrainingStep
from gsda_tf.models import backbones
from gsda_tf.models.backbones import feature_units
from gsda_tf.models.classifier import MovedHead
from gsda_tf.models.extractor import build_extractor, copy_extractor, extractor_beside
from gsda_tf.runs import checkpoints, code
from gsda_tf.runs.contents import settings_of
from gsda_tf.runs.initial import Initial
from gsda_tf.settings import REJECT, Settings
from gsda_tf.training.frozen import embedded
from gsda_tf.training.inference import Inference


class Experiment:
    """Networks, optimizers and state of one run.

    Args:
      settings: resolved, `recipes.resolve`.
      data: of the task.
      strategy: under whose scope variables are made.
      initial: weights that E and C start from, `initial.start`.
      built_for: images of source and target that a method's networks are built for, where it depends on them; None:
        those of `data`.
      trains: False where E and C are only asked: no optimizers are made, and of what is trained against them as little
        as can be.
      beside: another run of this process with the same data and, but for the bottleneck, the same model: a frozen
        backbone, and what it makes of the images, are there once.

    Attributes:
      extractor: E.
      method: with C, adversaries and what it keeps.
      deployed: (E, C) that are evaluated, exported and served.
      training_step: does one.
      facts: what was drawn or chosen, for the summary.

    Raises:
      UserError: an unknown extractor or method, or settings that do not fit the data.
    """

    def __init__(
        self,
        settings: Settings,
        data: TaskData,
        strategy: tf.distribute.Strategy,
        initial: Initial | None = None,
        built_for: tuple[int, int] | None = None,
        trains: bool = True,
        beside: Experiment | None = None,
    ):
        self.settings, self.data, self.strategy = settings, data, strategy
        self._built_for = built_for or (len(data.source), len(data.target))
        self._trains = trains
        self._beside = beside if settings.model.freeze_backbone else None
        self._corrections: list[tf.Variable] = []
        compat.seeded(settings.run.seed, lambda: self._build(initial))
        # The target's trusted labels, and the step at which they were given.
        self.pool = tf.Variable(np.full(len(data.target), UNLABELLED, np.int32), trainable=False, name="pool")
        self.unknown = tf.Variable(tf.zeros([len(data.target)], tf.bool), trainable=False, name="unknown")
        self.pool_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="pool_step")
        self.inference = Inference(*self.deployed, settings.data, strategy)
        self.facts = self.method.facts()

    def _build(self, initial: Initial | None) -> None:
        """Makes the networks and, where it trains, the step with its optimizers."""
        settings = self.settings
        with self.strategy.scope():
            self.extractor = (
                extractor_beside(self._beside.extractor, settings.model)
                if self._beside
                else build_extractor(settings.model, settings.data.image_size, settings.device.precision)
            )
            if initial:
                initial.into_extractor(self.extractor, settings.flat())
            self.method: Method = get_method(settings.method.method)(self._problem(), settings.options)
            if initial:
                taken = initial.into_classifier(self.method.classifier, self.data.known)
                if not (taken or self._built_for[0]):
                    raise UserError(
                        f"--init_from={settings.run.init_from} has a classifier of another form, and without a source "
                        "none is learnt: choose a run of a method that trains."
                    )
            self.deployed = self.method.deployed(self.extractor)
            trained, head = self.deployed
            if self.data.unknown:
                units = trained(tf.zeros([1, *trained.border])).shape[-1]
                head, self._corrections = unknown.with_logit(head, units)
            elif settings.method.target_prior != UNIFORM:
                head = MovedHead(head, len(self.data.class_names))
                self._corrections = [tf_variable(head.moved)]
            self.deployed, self.corrects = (trained, head), bool(self._corrections)
            terms = [term(settings.options) for term in get_terms(settings.method.add)]
            if self.data.taught is not None:
                terms.append(TaughtTerm(settings.data.target_label_weight))
            self._terms = terms if self._trains else []
            for term in self._terms:
                term.build(self._problem())
            self.training_step = TrainingStep(self.extractor, self.method, terms, settings) if self._trains else None

    def _problem(self) -> Problem:
        settings, extractor = self.settings, self.extractor
        return Problem(
            class_names=tuple(self.data.known),
            feature_units=settings.model.bottleneck_units,
            embedding_units=extractor.embedding_units,
            num_source=self._built_for[0],
            num_target=self._built_for[1],
            taught=self.data.taught,
            discriminator_units=settings.model.discriminator_units if self._trains else (),
            seed=settings.run.seed,
            backbone_moves=not settings.model.freeze_backbone and not backbones.is_small(settings.model.extractor),
            extractor=extractor,
            copy_extractor=lambda: copy_extractor(
                extractor, settings.model, settings.data.image_size, settings.device.precision
            ),
        )

    @functools.cached_property
    def inputs(self) -> TaskData:
        """Returns what training and evaluation read: the images, or what the frozen part of the backbone makes of them.

        Raises:
          UserError: the features cannot be kept.
        """
        if not self.settings.model.keeps_features or not self.data.source.records.visible:
            return self.data
        if self._beside:
            return self._beside.inputs
        return embedded(self.data, self.extractor, self.settings, self.strategy)

    @property
    def input_spec(self) -> tf.TensorSpec:
        """Shape and type of one input, without the batch."""
        return self.inputs.source.records.spec(self.settings.data)

    def fit(self) -> None:
        """Fits a method in closed form to what the backbone makes of both domains."""
        self.find_unknown()
        source, target = self.embeddings()
        # Those that are known, again where others stood: what is fitted was made for so many.
        rows = np.resize(np.flatnonzero(~self.unknown.numpy()), len(target))
        if self.data.taught is not None:
            self.method.problem = dataclasses.replace(self.method.problem, taught=self.data.taught[rows])
        with threadpool_limits(1):  # threads that wait for each other on a busy machine took ten times the processor
            self.method.fit(source, self.data.source.labels, target[rows])
        self.facts.update(self.method.facts())

    def target_shares(self, logits: np.ndarray) -> np.ndarray:
        """Estimates the target's class shares, float64 [r], from the logits of the deployed C, [nt, r]."""
        moved = self._corrections[0].numpy() if self.corrects and not self.data.unknown else 0.0
        return estimate(scipy.special.softmax(logits - moved, axis=1))

    def find_unknown(self) -> None:
        """Finds which target images are of no class of the source, if there may be some: they are not drawn.

        Raises:
          UserError: all are.
        """
        if not self.data.unknown:
            return
        (source, target), taught, known = self.embeddings(), self.data.target.taught, len(self.data.known)
        least = self.settings.data.unknown_similarity
        found = unknown.find(source, self.data.source.labels, target, known, least)
        found = found if taught is None else np.where(taught >= 0, taught == known, found)
        print(f"Unknown: {found.sum():,} of {len(found):,} target images are found to be of no class.", flush=True)
        if found.all():
            said = f"--unknown_similarity={least:g}: say less, or look whether the source is the right one"
            raise UserError(f"No target image is like a class of the source by {said}.")
        self.unknown.assign(found)
        self.pool.assign(np.where(found, UNLABELLED, 0))

    def correct(self) -> None:
        """Fits the logit of what is unknown, or moves those of the deployed C to the class shares of `target_prior`.

        Raises:
          DataError: see `shares.told`.
        """
        if self.data.unknown:
            some = self.inputs.source.chosen(evenly(len(self.data.source), _MOST_SOURCE))
            source, target = (self.inference(d).features for d in (some, self.inputs.target))
            values = unknown.fitted(source, target, self.unknown.numpy())
        else:
            shares = told(self.settings.method.target_prior, self.data.source.labels, self.data.class_names)
            if shares is None:
                shares = self.target_shares(self.inference(self.inputs.target, again=True).logits)
            values = [correction(shares)]
        for variable, value in zip(self._corrections, values):
            variable.assign(value)

    def fit_terms(self) -> None:
        """Finds what is unknown and lets added terms prepare what they keep, before the first step."""
        self.find_unknown()
        for term in self._terms:
            term.fit(self.embeddings, self.data.source.labels)

    def embeddings(self) -> tuple[np.ndarray, np.ndarray]:
        """Computes what the backbone makes of source and target as it is now, float32 [ns, e] and [nt, e]."""
        embed = Inference(self.extractor.embed, tf.identity, self.settings.data, self.strategy)
        source, target = (embed(domain).features for domain in (self.inputs.source, self.inputs.target))
        return source, target

    def state(self) -> dict[str, list[tf.Variable]]:
        """All that a checkpoint holds, besides the loop's own variables."""
        method = self.method
        models = {"extractor": self.extractor, "classifier": method.classifier, **method.adversaries, **method.kept}
        state = {name: checkpoints.variables(model) for name, model in models.items()}
        state["pool"] = [self.pool, self.pool_step]
        state["corrections"] = self._corrections
        if self.data.unknown:
            state["unknown"] = [self.unknown]
        if self.training_step is not None:
            state.update(self.training_step.state())
        return {name: group for name, group in state.items() if group}

    def deployed_state(self) -> dict[str, list[tf.Variable]]:
        """Returns what of a checkpoint evaluation and exports need: neither pseudo-labels nor what only trains."""
        needed = {id(variable) for variable in checkpoints.variables(*self.deployed)}
        return {name: group for name, group in self.state().items() if any(id(v) in needed for v in group)}

    def networks(self) -> dict[str, list[tf.Variable]]:
        """Returns what training moves, by the name of the network."""
        names = ("extractor", "classifier", *self.method.adversaries)
        held = checkpoints.variables(self.extractor.frozen) if self.settings.model.keeps_features else []
        still = {id(variable) for variable in held}
        return {name: [v for v in group if id(v) not in still] for name, group in self.state().items() if name in names}

    def weights_sha256(self) -> str:
        """Computes one digest of all weights of the E and C that are deployed, in their fixed order."""
        digest = hashlib.sha256()
        for model in self.deployed:
            for original, variable in zip(model.variables, checkpoints.variables(model)):
                value = np.ascontiguousarray(variable.numpy())
                digest.update(f"{variable_name(original)} {value.dtype} {value.shape}".encode())
                digest.update(value.tobytes())
        return digest.hexdigest()


_MANY, _ASKED, _SIDE, _MOST_SOURCE = 2**16, 8, 256, 1000


def restore(
    workdir: str, step: int | None = None, data: bool = True, beside: Experiment | None = None, **changes
) -> tuple[Experiment, int]:
    """The experiment of a run folder, with the weights of a checkpoint.

    Args:
      workdir: that a training run wrote.
      step: of the checkpoint; None is the newest.
      data: whether the data are read, too; else some noise stands in their place, to ask an export about.
      beside: see `Experiment`; its data are taken.
      **changes: settings that may differ from the run's, by name (where data lie, precision). Those that are this
        machine's and user's alone are never the folder's: see `settings.setting`. Data that are not those of the run
        are taken and told; classes have the run's names in any case.

    Returns:
      (experiment, step of its weights).

    Raises:
      UserError: no run there, or no such checkpoint; data of classes that the run does not know.
    """
    refuse_pattern(workdir, "workdir")
    written = settings_of(workdir)
    settings, passed_over = recipes.restored(written["settings"], changes)
    if passed_over and not beside:
        print(f"{workdir} names {', '.join(passed_over)}: not taken from a run's folder, give it if it is so here.")
    task = beside.data if beside else _load(settings, written) if data else _stand_in(written, settings)
    other = changes_of_data(written["data"], fingerprint(task)) if data and not beside else ""
    if other:
        print(f"The data are not those that the run was trained on ({other}): what follows is about those of now.")
    path, reader = checkpoints.newest(workdir, step)
    if not path:
        have = ", ".join(path.rsplit("-", 1)[1] for path in checkpoints.paths(workdir)) or "none"
        raise UserError(f"{workdir} has no checkpoint{f' of step {step}' if step else ''}: there are {have}.")
    shapes = reader.get_variable_to_shape_map()
    checkpoints.check_widths(workdir, settings.flat(), shapes)
    widths = {width for shape in shapes.values() for width in shape}
    # A method that keeps something of every image has variables of that width; else a number is only compared with.
    built_for = tuple(count if count in widths else min(count, _MANY) for count in sizes(written["data"]))
    experiment = Experiment(
        settings, task, tf.distribute.get_strategy(), built_for=built_for, trains=False, beside=beside
    )
    # Not before: a folder of anybody's may name whatever file, and only networks are read there.
    if changed := code.changes(written.get("code", {}), settings):
        print(f"{changed} since {workdir} was trained: what follows is of the code of now.")
    checkpoints.read_into(experiment.deployed_state(), path)
    return experiment, int(path.rsplit("-", 1)[1])


def _load(settings: Settings, written: Mapping[str, Any]) -> TaskData:
    """The data of a restored run, where labels that were trained on do not score. Of another target all do."""
    undivided = dataclasses.replace(settings.data, target_labels="", target_holdout=1.0)
    try:
        data = load(settings.data, written["class_names"])
    except DataError:
        if not settings.data.target_labels:
            raise
        return load(undivided, written["class_names"])  # where the listed images are not
    trained = written["data"].get("trained target", {})
    same = data.target.taught is None or fingerprint(data)["trained target"] == trained
    return data if same else load(undivided, written["class_names"])


def _stand_in(written: Mapping[str, Any], settings: Settings) -> TaskData:
    """Noise where the data of a run are not at hand."""
    rng, units = np.random.default_rng(0), feature_units(settings.model.extractor)
    size = min(settings.data.resize_size, _SIDE)
    if units:
        records: Records = FeatureRecords(rng.normal(size=(_ASKED, units)).astype(np.float32), "noise")
    else:
        records = ArrayRecords(rng.integers(0, 256, (_ASKED, size, size, 3), np.uint8), "noise")
    domain = DomainData("noise", records, np.zeros(_ASKED, np.int32))
    unknown = settings.data.unknown == REJECT
    return TaskData(written["task"], domain, domain, tuple(written["class_names"]), unknown=unknown)
