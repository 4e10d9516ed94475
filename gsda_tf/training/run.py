"""Trains a run from its settings to its summary, in order; export and report are handed in by `job`."""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import sklearn
import tensorflow as tf

from gsda_tf import methods, recipes
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.checking import decoding_errors
from gsda_tf.data.domain import TaskData
from gsda_tf.data.fingerprint import fingerprint
from gsda_tf.datasets.loading import load
from gsda_tf.evaluation.sanity import doubts
from gsda_tf.evaluation.shares import told
from gsda_tf.models import backbones
from gsda_tf.progress import timed
from gsda_tf.runs import code, initial
from gsda_tf.runs.contents import read_summary, write_summary
from gsda_tf.runs.folder import RunFolder, default_workdir
from gsda_tf.settings import Settings
from gsda_tf.training import callbacks
from gsda_tf.training.distribution import build_strategy, check_batches, distribute, is_chief, part, worker_errors
from gsda_tf.training.evaluator import Evaluation, Evaluator
from gsda_tf.training.experiment import Experiment
from gsda_tf.training.inference import Outputs
from gsda_tf.training.loop import Loop
from gsda_tf.training.runner import FitRunner, StepRunner
from gsda_tf.version import __version__

Export = Callable[[Experiment, str, dict[str, Any]], str]
"""(experiment, folder of the versions, summary) -> folder of the new version."""


def train(
    settings: Settings,
    export: Export | None = None,
    report: Callable[[str], None] | None = None,
    data: TaskData | None = None,
    beside: Experiment | None = None,
) -> dict[str, Any]:
    """Trains as the settings describe, or goes on with it. `job.run` is this with export and report.

    Args:
      settings: resolved, `recipes.resolve`.
      export: called at the end if the settings ask for one.
      report: called with the run's folder, likewise.
      data: of the task, where they are at hand; None: what the settings name is loaded.
      beside: another run over the same frozen backbone, see `Experiment`.

    Returns:
      What summary.json holds.

    Raises:
      UserError: for anything the user can mend.
      Interrupted: a signal stopped the run; it was checkpointed.
    """
    strategy = build_strategy(settings.device)
    check_batches(settings.data, strategy)
    backbones.check(settings.model)  # data may take an hour to prepare
    chief = is_chief(strategy)
    with timed("reading", chief):
        data = data or load(settings.data, initial.classes_without_source(settings))
    workdir = settings.run.workdir or default_workdir(settings, data)
    initial.refuse_own(settings.run.init_from, workdir)
    if read_summary(workdir) is None:
        told(settings.method.target_prior, data.source.labels, data.class_names)  # refused before anything is written
    if chief:
        print(data.summary(), *data.remarks, *recipes.remarks(settings, data), sep="\n", flush=True)
    folder = RunFolder(workdir, writes=chief)
    with folder.held(settings.run.overwrite):
        data = folder.same(settings, data)
        finished = summary = read_summary(workdir)
        if summary is None:
            with decoding_errors(data), worker_errors(strategy, workdir):
                summary = Training(settings, data, strategy, folder, beside).run(export)
        elif chief:
            print("Finished before, nothing was trained. The result of then:")
        if chief and report and settings.run.report and not (finished and folder.has_page()):
            report(workdir)
        return summary


def make_runner(experiment: Experiment, batches: TrainingBatches) -> StepRunner:
    """Makes the runner of an experiment's steps on its batches; of a method in closed form, the one that fits it."""
    strategy, method = experiment.strategy, experiment.method
    if not method.phases:
        return FitRunner(strategy, experiment.fit)
    steps = {phase: functools.partial(experiment.training_step, phase=phase) for phase in method.phases}
    jit = experiment.settings.device.jit_compile == "step"
    runner = StepRunner(strategy, steps, jit, experiment.networks())
    runner.build(batches.spec(experiment.input_spec, strategy.num_replicas_in_sync))
    return runner


class Training:
    """A run at work: what its callbacks see and change.

    Attributes:
      settings: of the run.
      data: of the task.
      folder: of the run.
      chief: whether this process is the one that writes.
      experiment: networks and state.
      runner: runs steps.
      steps: how many there are.
      phase_ends: the steps at which another phase of the method begins.
      label_period: steps between two labellings; 0: none.
      images_a_step: of both domains.
      evaluator: scores the weights as they are.
      labelled: the newest labelling's step, and what was made of the target; None once it was used.
      evaluation: the newest.
      means: of the losses, as they were last logged.
    """

    def __init__(
        self,
        settings: Settings,
        data: TaskData,
        strategy: tf.distribute.Strategy,
        folder: RunFolder,
        beside: Experiment | None = None,
    ):
        self.settings, self.data, self.folder, self.chief = settings, data, folder, folder.writes
        with timed("backbone", self.chief):
            start = initial.start(settings.run.init_from, folder.path)
            self.experiment = experiment = Experiment(settings, data, strategy, start, beside=beside)
            inputs = experiment.inputs
        method = experiment.method
        self._batches = TrainingBatches(inputs, settings.data, settings.run.seed, experiment.training_step.images)
        self.images_a_step = self._batches.source_batch + self._batches.target_batch
        self.label_period = settings.method.pseudo_label_period if self._batches.target_batch else 0
        # A method in closed form is fitted, in what counts as its only step.
        self.steps = settings.optimization.steps if method.phases else 1
        self.phase_ends = tuple(method.phase_ends(self.steps))
        self.runner = make_runner(experiment, self._batches)
        experiment.inference.steps_done = lambda: self.runner.steps_done
        self.evaluator = Evaluator(data, settings.data, experiment.inference, inputs)
        self.labelled: tuple[int, Outputs] | None = None
        self.evaluation: Evaluation | None = None
        self.means: dict[str, float] = {}

    def run(self, export: Export | None) -> dict[str, Any]:
        """Trains to the end and writes what is left behind."""
        experiment, runner, began = self.experiment, self.runner, time.monotonic()
        state = {**experiment.state(), "loop": [runner.step, runner.window, runner.window_count]}
        extra = {"task": self.data.name, "class_names": list(self.data.class_names)}
        extra.update(experiment.facts, data=fingerprint(self.data), code=code.digests(self.settings))
        with self.folder.opened(state, self.settings, extra) as start:
            loop = Loop(runner, self._feed, callbacks.build(self))
            with timed("training", self.chief):
                loop.run(self.steps)
            counted = max(self.steps - start - 1, 0)
            rate = counted * self.images_a_step / loop.training_seconds if loop.training_seconds else 0.0
            return self._finish(rate, time.monotonic() - began, export)

    def _feed(self, step: int) -> tuple[Iterator, int]:
        """Batches from `step` on, and where the next labelling or another phase ends them."""
        experiment, method = self.experiment, self.experiment.method
        if method.phases:
            self.runner.phase = method.phases[sum(end <= step for end in self.phase_ends)]
        if step == 0:
            experiment.fit_terms()
        if step in self.phase_ends:
            method.begin(self.runner.phase)
        labelling = (step // self.label_period + 1) * self.label_period if self.label_period else self.steps
        end = min(labelling, self.steps, *(end for end in self.phase_ends if end > step))
        pool, since = experiment.pool.numpy(), int(experiment.pool_step)
        batches = distribute(experiment.strategy, lambda share: self._batches.dataset(step, end, pool, since, share))
        return iter(batches), end

    def _finish(self, rate: float, seconds: float, export: Export | None) -> dict[str, Any]:
        settings, data, experiment, folder = self.settings, self.data, self.experiment, self.folder
        # The loop's last act was an evaluation of the last step, unless the run was resumed after it.
        evaluation = self.evaluation or self.evaluator()
        part(experiment.strategy)
        summary = {
            "task": data.name,
            "method": methods.label(settings.method.method, settings.method.add),
            "seed": settings.run.seed,
            "step": self.steps,
            "steps": self.steps,
            **evaluation.scores,
            "score": data.score,
            "source_scored": data.source_scored,
            **({"target_sample": evaluation.sample} if evaluation.sample else {}),
            "doubts": doubts(
                evaluation.scores["accuracy/source"], self.means.get("loss/classification"), data.source.labels
            ),
            "target_per_class_accuracy": evaluation.per_class,
            **({"accuracy_by_source": evaluation.by_place} if evaluation.by_place else {}),
            "partial": data.partial,
            "target_shares": dict(zip(data.class_names, experiment.target_shares(evaluation.target.logits).tolist())),
            "images_per_second": rate,
            "wall_seconds": seconds,
            "workdir": self.folder.path,
            "export_dir": None,
            "weights_sha256": experiment.weights_sha256(),
            **experiment.facts,
            "versions": versions(),
            "settings": settings.flat(),
        }
        if self.chief:
            if settings.run.export and export:
                summary["export_dir"] = export(experiment, folder.export_root, summary)
            self.evaluator.keep(folder.path, evaluation, summary["step"])
            write_summary(folder.path, summary)
        return summary


def versions() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    libraries = {"tensorflow": tf, "keras": keras, "numpy": np, "scikit-learn": sklearn}
    known = {"gsda_tf": __version__, "python": platform.python_version()}
    return {**known, **{name: library.__version__ for name, library in libraries.items()}}
