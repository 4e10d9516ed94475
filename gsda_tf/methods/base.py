"""The contract of a method: its networks, its losses, its options. One file a method, and no edit elsewhere.

    class Mine(Method):
        name, title = "mine", "Mine (Somebody, 2026)"

        class Options:
            mine_weight: float = setting(1.0, "weight of my loss", minimum=0)

        def loss(self, b: Batch) -> tf.Tensor:
            return self.classification(b) + self.options.mine_weight * b.mean(...)

A method knows nothing of replicas, precision, checkpoints or files, and never sees a label of the target. All that its
file needs of the package is here, in `losses` and in `models`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from gsda_tf.losses import source_cross_entropy
from gsda_tf.methods.batch import Batch
from gsda_tf.methods.step import IMAGES, Step
from gsda_tf.models.classifier import build_classifier
from gsda_tf.settings import setting as setting


@dataclasses.dataclass(frozen=True)
class Problem:
    """The problem that a method's networks are built for.

    Attributes:
      class_names: r names.
      feature_units: d.
      embedding_units: e, width of the backbone's pooled output.
      num_source: images of the source.
      num_target: images of the target.
      discriminator_units: hidden widths of discriminators.
      seed: of the run.
      backbone_moves: whether a pretrained backbone is trained, beside which all else is cheap.
      extractor: E, which the method does not own.
      copy_extractor: makes a second E with the same weights; a frozen backbone is shared.
      taught: int32 [num_target], labels of the target that the user handed over for training, -1 elsewhere; None
        without any. Cross-entropy on them is added to every method that trains, `taught.TaughtTerm`; `fit` may use
        them.
    """

    class_names: tuple[str, ...]
    feature_units: int
    embedding_units: int
    num_source: int
    num_target: int
    discriminator_units: tuple[int, ...]
    seed: int
    backbone_moves: bool
    extractor: keras.Model
    copy_extractor: Callable[[], keras.Model]
    taught: np.ndarray | None = None

    @property
    def num_classes(self) -> int:
        """r, the number of classes."""
        return len(self.class_names)


class Part:
    """What methods and terms have in common.

    Class attributes:
      name: as in `--method` or `--add`.
      Options: one flag a field, `settings.setting`; made a frozen dataclass here.
      images: what the step is fed, of `step.IMAGES`: "source", "target" and "target_again", a second random view of
        the target's images. Those of a term have to be in the batch, whatever the method is fed.
      published: option values that belong to a benchmark, by its name.
      regimes: what takes the place of a setting's or an option's default, by its name, where a pretrained backbone is
        "frozen", or "trained", whole or in part, or with "many_classes": not of what the user gives or a benchmark sets
        otherwise, and not with `--recipe=paper`. A term's stand above its method's.
    """

    name: ClassVar[str] = ""
    Options: ClassVar[type] = dataclasses.make_dataclass("Options", (), frozen=True)
    images: ClassVar[tuple[str, ...]] = IMAGES[:2]
    published: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    regimes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "__dataclass_fields__" not in vars(cls.Options):
            dataclasses.dataclass(frozen=True)(cls.Options)


class Method(Part):
    """Base of all methods. It is built under the strategy's scope.

    Class attributes, besides those of `Part`:
      title: as in tables.
      phases: each is traced once; `phase_ends` says when the next begins. Empty: nothing is trained, `fit` is called.
      pseudo_labels: whether the target is drawn by pseudo-labels unless the user says otherwise (section 3.1 of the
        paper of GSDA).
      observes: whether `observe` is called at those steps instead.
      entropy_option: the option that weighs the target's entropy, if there is one: a term that is added in its place
        sets it to 0.
      discriminator_rate: learning rate of `adversaries`, as a multiple of learning_rate, unless the user gives
        `--discriminator_rate`; None: that flag's default.
      classifier_rate: learning rate of C, as a multiple of learning_rate.
      weak: why it stayed below source only, as measured, where the backbone is "frozen", "trained" or "scratch".

    Attributes:
      classifier: C: f -> logits; trained with E.
      adversaries: all other networks that are trained, mostly against E, by name.
      kept: variables that are not trained but checkpointed, or models that hold them, by name; of a memory of the
        target, [num_target, ...], `Step.remember` writes rows.
    """

    title: ClassVar[str] = ""
    phases: ClassVar[tuple[str, ...]] = ("adapt",)
    pseudo_labels: ClassVar[bool] = False
    observes: ClassVar[bool] = False
    entropy_option: ClassVar[str | None] = None
    discriminator_rate: ClassVar[float | None] = None
    classifier_rate: ClassVar[float] = 1.0
    weak: ClassVar[Mapping[str, str]] = {}

    def __init__(self, problem: Problem, options: Any):
        self.problem, self.options = problem, options
        self.classifier = build_classifier(problem.feature_units, problem.num_classes)
        self.adversaries: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}
        self.build()

    def build(self) -> None:
        """Makes what else is trained or kept, of `problem` and `options`; or another C."""

    def classification(self, b: Batch) -> tf.Tensor:
        """Mean cross-entropy of C on the source, this share of it."""
        values = source_cross_entropy(b.source_logits, b.labels)
        return b.log("loss/classification", b.mean(values))

    def loss(self, b: Batch) -> tf.Tensor:
        """Computes what E, C and, where `step` is as below, the adversaries minimise; this replica's share, a
        scalar."""
        return self.classification(b)

    def step(self, s: Step) -> None:
        """One training step; override for another schedule."""
        s.descend(self.loss, s.forward(), "extractor", "classifier", *self.adversaries)

    @property
    def passes(self) -> int:
        """Forward passes through E in a step."""
        return 1

    def adam_rates(self, phase: str) -> Mapping[str, float]:
        """Learning rates of the networks that Adam moves in a phase in place of SGD, at the same rate to its end:
        "extractor", "classifier", or an adversary's name."""
        return {}

    def phase_ends(self, steps: int) -> Sequence[int]:
        """The step at which each phase but the last ends."""
        return ()

    def begin(self, phase: str) -> None:
        """Called before the first step of a phase but the first, outside any graph; twice if the run was killed
        there."""

    def observe(self, logits: np.ndarray) -> None:
        """Called every `--pseudo_label_period` steps with what the deployed networks make of the whole target, float32
        [nt, r], outside any graph."""

    def fit(self, source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> None:
        """For a method without phases: fits `kept` in closed form.

        Args:
          source: float32 [ns, e], what the backbone makes of the source.
          labels: int [ns].
          target: float32 [nt, e].
        """
        raise NotImplementedError

    def deployed(self, extractor: keras.Model) -> tuple[keras.Model, keras.Model]:
        """(E, C) that are evaluated, exported and served: images -> f, f -> logits."""
        return extractor, self.classifier

    @classmethod
    def paper(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns what `--recipe=paper` sets of this method's own options, by name, beside all settings as they are."""
        return {}

    @classmethod
    def remarks(cls, settings: Mapping[str, Any], num_classes: int) -> Sequence[str]:
        """Returns what the user should know before training on so many classes, a line each."""
        return ()

    def facts(self) -> dict[str, Any]:
        """Returns what was drawn or chosen and belongs into settings.json and the summary, by name: numbers, texts, or
        lists of them, or lists of such lists."""
        return {}

    def assets(self) -> dict[str, Any]:
        """Returns what an export carries along beside the names of the classes: JSON by the file's name."""
        return {}


class Term(Part):
    """A loss that only adds to that of E and C, and so combines with any method: `--add=NAME`.

    Class attributes, besides those of `Part`:
      replaces_entropy: whether it takes the place of the method's own entropy.

    Attributes:
      kept: variables that are not trained but checkpointed, by name.
    """

    replaces_entropy: ClassVar[bool] = False

    def __init__(self, options: Any):
        self.options = options
        self.kept: dict[str, tf.Variable] = {}

    def build(self, problem: Problem) -> None:
        """Makes what it keeps. Called once, under the strategy's scope, where it is trained with."""

    def fit(self, features: Callable[[], tuple[np.ndarray, np.ndarray]], labels: np.ndarray) -> None:
        """Called before the first step, outside any graph; twice if the run was killed before its first checkpoint.

        Args:
          features: computes what the backbone makes of source and target as they are now, float32 [ns, e] and [nt, e].
          labels: int [ns], of the source.
        """

    def after(self, s: Step) -> None:
        """Called at the end of each step, whose `adapted` batch it was a loss of: for what it remembers."""

    def loss(self, b: Batch) -> tf.Tensor:
        """Weighted; this replica's share, a scalar."""
        raise NotImplementedError


class TermMethod(Method):
    """A method that is source cross-entropy plus one term.

    Class attributes:
      term: the term.
    """

    term: ClassVar[type[Term]] = Term

    def build(self) -> None:
        self._term = self.term(self.options)
        self._term.build(self.problem)
        self.kept = self._term.kept

    def step(self, s: Step) -> None:
        super().step(s)
        s.update()
        self._term.after(s)

    def loss(self, b: Batch) -> tf.Tensor:
        return self.classification(b) + b.log(f"loss/{self.term.name}", self._term.loss(b))
