"""The main job: train on a task, score it, and leave everything its user needs next."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import sklearn
import tensorflow as tf
from tqdm import tqdm

import gsda_tf
from gsda_tf import defaults, methods, tasks
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.checking import decoding_errors
from gsda_tf.data.domain import TaskData
from gsda_tf.data.fingerprint import fingerprint
from gsda_tf.errors import TrainingError
from gsda_tf.evaluation import selection
from gsda_tf.evaluation.sanity import doubts
from gsda_tf.files import remove_unfinished, write_atomically
from gsda_tf.models import backbones
from gsda_tf.progress import phase, progress
from gsda_tf.runs import checkpoints, initial
from gsda_tf.runs.folder import clear, default_workdir, exported, locked, read_summary, same_data
from gsda_tf.runs.log import MetricsLog, NoLog, read_metrics
from gsda_tf.runs.selected import SelectedWeights
from gsda_tf.settings import Settings
from gsda_tf.training.distribution import build_strategy, check_batches, is_chief, part, worker_errors
from gsda_tf.training.eta import outlook
from gsda_tf.training.evaluator import Evaluation, Evaluator
from gsda_tf.training.experiment import Experiment
from gsda_tf.training.inference import Outputs
from gsda_tf.training.loop import FitRunner, Hooks, Loop, Periods, StepRunner
from gsda_tf.training.pseudo_labels import confident_pool

_TOLD_AFTER = 10.0
"""Seconds of training after which a run says how long it will take."""

Export = Callable[[Experiment, str, dict[str, Any]], str]
"""(experiment with the weights to export, folder of the versions, summary) -> folder of the new version."""


def train(
    settings: Settings,
    export: Export | None = None,
    report: Callable[[str], None] | None = None,
    data: TaskData | None = None,
) -> dict[str, Any]:
    """Trains as the settings describe, or goes on with it. `job.run` is this with export and report.

    Args:
      settings: resolved, `tasks.resolve`.
      export: called at the end if the settings ask for one.
      report: called with the run's folder, likewise.
      data: of the task, where they are at hand; None: what the settings name is loaded.

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
    with phase("reading", chief):
        data = data or tasks.load(settings.data)
    workdir = settings.run.workdir or default_workdir(settings, data)
    initial.refuse_own(settings.run.init_from, workdir)
    if chief:
        print(data.summary(), *data.remarks, *defaults.remarks(settings, data), sep="\n", flush=True)
    with locked(workdir) if chief else contextlib.nullcontext():
        if chief:
            remove_unfinished(workdir)
            if settings.run.overwrite:
                clear(workdir)
        data = same_data(data, checkpoints.check_same_run(workdir, settings.flat()), workdir)
        finished = read_summary(workdir)
        if finished is not None:
            if chief:
                print("Finished before, nothing was done. The result of then:")
            return finished
        with decoding_errors(data), worker_errors(strategy, workdir):
            summary = _Training(settings, data, strategy, workdir, export).run()
        if chief and report and settings.run.report:
            report(workdir)
        return summary


class _Training:
    """One run: what the loop's hooks do."""

    def __init__(
        self,
        settings: Settings,
        data: TaskData,
        strategy: tf.distribute.Strategy,
        workdir: str,
        export: Export | None = None,
    ):
        self._settings, self._data, self._workdir, self._export_with = settings, data, workdir, export
        self._chief = is_chief(strategy)
        with phase("backbone", self._chief):
            start = initial.start(settings.run.init_from, workdir)
            self._experiment = experiment = Experiment(settings, data, strategy, start)
            inputs = experiment.inputs
        method = experiment.method
        self._batches = TrainingBatches(inputs, settings.data, settings.run.seed, experiment.step.images)
        # A method in closed form is fitted, in what counts as its only step.
        self._steps = settings.optimization.steps if method.phases else 1
        self._phase_ends = tuple(method.phase_ends(self._steps))
        self._runner = self._make_runner(strategy)
        state = experiment.state()
        experiment.inference.step = lambda: self._runner.steps_done
        state = {**state, "loop": [self._runner.step, self._runner.window, self._runner.window_count]}
        self._checkpoints = checkpoints.Checkpoints(state, workdir, settings.run.keep_checkpoints, self._chief)
        weights = dict(zip(("extractor", "classifier"), map(checkpoints.variables, experiment.deployed)))
        self._selected = SelectedWeights(weights, workdir, settings.run.select)
        self._evaluator = Evaluator(data, settings.data, experiment.inference, experiment.inputs)
        self._evaluation: Evaluation | None = None
        self._labelling: tuple[int, Outputs] | None = None
        self._reported: dict[str, float] = {}
        self._images_per_second = 0.0

    def run(self) -> dict[str, Any]:
        """Trains to the end and writes what is left behind."""
        settings, experiment = self._settings, self._experiment
        began = time.monotonic()
        start, damaged = self._checkpoints.restore()
        for path in damaged:
            print(f"Damaged checkpoint passed over: {path}", flush=True)
        if start:
            print(f"Going on from step {start} of {self._workdir}", flush=True)
        extra = {"task": self._data.name, "class_names": list(self._data.class_names)}
        extra.update(experiment.facts, data=fingerprint(self._data))
        if self._chief:
            checkpoints.write_settings(self._workdir, settings.flat(), extra)
        self._log = MetricsLog(self._workdir, start) if self._chief else NoLog()
        run = settings.run
        loop = Loop(
            self._runner,
            experiment.strategy,
            Periods(
                report=run.report_steps,
                evaluate=run.evaluate_steps,
                label=settings.method.pseudo_label_period if self._batches.target_batch else 0,
                checkpoint=run.checkpoint_steps,
                checkpoint_seconds=run.checkpoint_seconds,
                phases=self._phase_ends,
            ),
            Hooks(
                self._dataset,
                self._report,
                self._evaluate,
                self._label,
                self._checkpoint,
                self._progress,
                self._segment,
            ),
        )
        bar = progress(total=self._steps, initial=start, unit="step", desc=self._data.name, disable=not self._chief)
        with phase("training", self._chief), bar:
            if not start:
                self._before()
            self._bar, self._began, self._told = bar, time.monotonic(), False
            try:
                loop.run(self._steps)
            except TrainingError as error:
                error.args = (f"{error} {self._checkpoints.kept()}",)
                raise
        images = settings.data.source_batch + self._batches.target_batch
        steps_timed = max(self._steps - start - 1, 0)
        rate = steps_timed * images / loop.training_seconds if loop.training_seconds else 0.0
        summary = self._finish(rate, time.monotonic() - began)
        self._log.close()
        return summary

    def _before(self) -> None:
        """Scores what training starts from."""
        evaluation = self._evaluator()
        if self._chief:
            self._evaluator.keep_before(self._workdir, evaluation)
            if not read_metrics(self._workdir):  # or the run was stopped before its first checkpoint
                self._log.write(0, {k: v for k, v in evaluation.scores.items() if v is not None})

    def _make_runner(self, strategy: tf.distribute.Strategy) -> StepRunner:
        experiment, method = self._experiment, self._experiment.method
        if not method.phases:
            return FitRunner(strategy, experiment.fit)
        steps = {phase: functools.partial(experiment.step, phase=phase) for phase in method.phases}
        jit = self._settings.device.jit_compile == "step"
        runner = StepRunner(strategy, steps, jit, experiment.networks())
        runner.build(self._batches.spec(experiment.input_spec, strategy.num_replicas_in_sync))
        return runner

    def _segment(self, step: int) -> None:
        method = self._experiment.method
        if method.phases:
            self._runner.phase = method.phases[sum(end <= step for end in self._phase_ends)]
        if step in self._phase_ends:
            method.begin(self._runner.phase)

    def _dataset(self, first: int, last: int):
        experiment = self._experiment
        pool, since = experiment.pool.numpy(), int(experiment.pool_step)
        return lambda share: self._batches.dataset(first, last, pool, since, share)

    def _label(self, step: int) -> None:
        experiment = self._experiment
        outputs = experiment.inference(experiment.inputs.target, again=True)
        self._labelling = (step, outputs)
        method = experiment.method
        if method.observes:
            method.observe(outputs.logits)
            if not method.pseudo_labels:
                return
        pool = confident_pool(outputs.probabilities, self._settings.method.confidence_threshold)
        experiment.pool.assign(pool)
        experiment.pool_step.assign(step)
        self._log.write(
            step, {"pool_share": float((pool >= 0).mean()), "pool_classes": float(len(np.unique(pool[pool >= 0])))}
        )

    def _report(self, step: int, means: dict[str, float]) -> None:
        self._reported = means
        self._log.write(step, means)

    def _evaluate(self, step: int) -> None:
        # A labelling at the same step has asked the same weights about the same images.
        labelling, self._labelling = self._labelling, None
        self._evaluation = self._evaluator(labelling[1] if labelling and labelling[0] == step else None)
        self._log.write(step, {k: v for k, v in self._evaluation.scores.items() if v is not None})
        if self._chief:
            self._selected.consider(read_metrics(self._workdir), step)
            self._show(refresh=True)

    def _checkpoint(self, step: int) -> None:
        self._checkpoints.save(step)
        if self._chief:
            self._selected.prune(read_metrics(self._workdir))

    def _progress(self, step: int, rate: float) -> None:
        if rate and not self._told and self._chief and time.monotonic() - self._began > _TOLD_AFTER:
            self._told = True
            gpu = bool(tf.config.list_physical_devices("GPU"))
            tqdm.write(outlook(self._settings, self._steps - step, rate, gpu))
        self._images_per_second = rate * (self._settings.data.source_batch + self._batches.target_batch)
        self._show()
        self._bar.update(step - self._bar.n)

    def _show(self, refresh: bool = False) -> None:
        shown = {"images/s": f"{self._images_per_second:.0f}"}
        if self._evaluation:
            scores = {name: self._evaluation.scores[name] for name in ("accuracy/target", "accuracy/source")}
            shown.update({name: f"{100 * value:.1f}%" for name, value in scores.items() if value is not None})
        shown.update({n: f"{v:.3f}" for n, v in self._reported.items() if n.startswith(("loss/", "alignment/"))})
        if isinstance(self._bar, tqdm):  # a terminal has room for the first few
            shown = dict(list(shown.items())[:4])
        self._bar.set_postfix(shown, refresh=refresh)

    def _finish(self, rate: float, seconds: float) -> dict[str, Any]:
        settings, data, experiment = self._settings, self._data, self._experiment
        # The loop's last act was an evaluation of the last step, unless the run was resumed after it.
        evaluation = self._evaluation or self._evaluator()
        part(experiment.strategy)
        summary = {
            "task": data.name,
            "method": methods.label(settings.method.method, settings.method.add),
            "seed": settings.run.seed,
            "step": self._steps,
            "steps": self._steps,
            **evaluation.scores,
            "score": data.score,
            "doubts": doubts(
                evaluation.scores["accuracy/source"],
                self._reported.get("loss/classification"),
                float(np.bincount(data.source.labels).max()) / len(data.source),
            ),
            "target_per_class_accuracy": evaluation.per_class,
            "partial": data.partial,
            "images_per_second": rate,
            "wall_seconds": seconds,
            "workdir": self._workdir,
            "export_dir": None,
            "weights_sha256": experiment.weights_sha256(),
            **experiment.facts,
            "versions": versions(),
            "settings": settings.flat(),
        }
        if self._chief:
            lines = read_metrics(self._workdir)
            with self._selected.loaded(lines, summary["step"]) as step:
                summary["selection"] = selection.compare(lines, settings.run.select, step, selection.SCORES[data.score])
                if settings.run.export and self._export_with:
                    summary["export_dir"] = self._export(summary)
            self._evaluator.keep(self._workdir, evaluation, summary["step"])
            write_atomically(os.path.join(self._workdir, "summary.json"), json.dumps(summary, indent=2) + "\n")
        return summary

    def _export(self, summary: dict[str, Any]) -> str:
        """Exports the weights that are loaded now, those of the selected step."""
        root = os.path.join(self._workdir, "export")
        written = exported(root, summary)
        if written is not None:  # this run was killed between its export and its summary
            return written
        return self._export_with(self._experiment, root, summary)


def versions() -> dict[str, str]:
    """Of what a result depends on."""
    return {
        "gsda_tf": gsda_tf.__version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
