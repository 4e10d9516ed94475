"""The callbacks of every run."""

import time

import numpy as np
from tqdm import tqdm

from gsda_tf.data.domain import UNLABELLED
from gsda_tf.progress import duration, progress
from gsda_tf.runs.contents import read_metrics
from gsda_tf.training.callbacks.base import Callback, Moment
from gsda_tf.training.pseudo_labels import confident_pool

TOLD_AFTER = 10.0
"""Seconds of training after which a run says how long it will take."""


class Log(Callback):
    """Writes the means of the losses since the last time."""

    name, every = "log", "report_steps"

    def due(self, moment: Moment) -> bool:
        return super().due(moment) or moment.step in self.training.phase_ends

    def act(self, step: int) -> None:
        training = self.training
        training.means = training.runner.read_window()
        training.folder.write(step, training.means)


class Label(Callback):
    """Labels the target anew: what training draws from, section 3.1, and what the method observes."""

    name = "label"

    @property
    def period(self) -> int:
        return self.training.label_period

    def due(self, moment: Moment) -> bool:
        return super().due(moment) and not moment.last  # nothing is drawn after the last step

    def act(self, step: int) -> None:
        training, experiment = self.training, self.training.experiment
        outputs = experiment.inference(experiment.inputs.target, again=True)
        training.labelled = (step, outputs)
        known = len(training.data.known)
        if experiment.method.observes:
            experiment.method.observe(outputs.logits[:, :known])
            if not experiment.method.pseudo_labels:
                return
        pool = confident_pool(outputs.probabilities[:, :known], training.settings.method.confidence_threshold)
        pool[experiment.unknown.numpy()] = UNLABELLED
        taught = training.data.taught
        if taught is not None:
            pool = np.where(taught >= 0, taught, pool)
        experiment.pool.assign(pool)
        experiment.pool_step.assign(step)
        classes = len(np.unique(pool[pool >= 0]))
        training.folder.write(step, {"pool_share": float((pool >= 0).mean()), "pool_classes": float(classes)})


class Evaluate(Callback):
    """Scores both domains; before the first step, too."""

    name, every = "evaluate", "evaluate_steps"

    def begin(self, step: int) -> None:
        training = self.training
        if step:
            return
        evaluation = training.evaluator()
        if training.chief:
            training.evaluator.keep(training.folder.path, evaluation, step)
        if not read_metrics(training.folder.path):  # or the run was stopped before its first checkpoint
            training.folder.write(0, evaluation.known)

    def act(self, step: int) -> None:
        training = self.training
        # A labelling at the same step has asked the same weights about the same images.
        labelled, training.labelled = training.labelled, None
        training.evaluation = training.evaluator(labelled[1] if labelled and labelled[0] == step else None)
        training.folder.write(step, training.evaluation.known)


class Checkpoint(Callback):
    """Writes checkpoints: by steps, by the clock, at the end, and before the run is stopped."""

    name, every = "checkpoint", "checkpoint_steps"

    def begin(self, step: int) -> None:
        self._saved_at = time.monotonic()

    def due(self, moment: Moment) -> bool:
        late = time.monotonic() - self._saved_at > self.training.settings.run.checkpoint_seconds
        return super().due(moment) or moment.stopping or late

    def act(self, step: int) -> None:
        self.training.folder.save(step)
        self._saved_at = time.monotonic()


class Bar(Callback):
    """Shows how far training is, what it has come to, and once how long it will take."""

    name = "bar"

    def begin(self, step: int) -> None:
        training = self.training
        self._bar = progress(
            total=training.steps, initial=step, unit="step", desc=training.data.name, disable=not training.chief
        )
        self._began, self._told, self._shown = time.monotonic(), not training.chief, training.evaluation

    def __call__(self, moment: Moment) -> None:
        training = self.training
        if not moment.rate:
            self._bar.unpause()  # the first call traces, which tells nothing of those that follow
        elif not self._told and not moment.last and time.monotonic() - self._began > TOLD_AFTER:
            self._told = True
            tqdm.write(duration(training.steps - moment.step, moment.rate))
        shown = {"images/s": f"{moment.rate * training.images_a_step:.0f}"}
        if training.evaluation:
            scores = {name: training.evaluation.scores[name] for name in ("accuracy/target", "accuracy/source")}
            shown.update({name: f"{100 * value:.1f}%" for name, value in scores.items() if value is not None})
        shown.update({n: f"{v:.3f}" for n, v in training.means.items() if n.startswith(("loss/", "alignment/"))})
        if isinstance(self._bar, tqdm):  # a terminal has room for the first few
            shown = dict(list(shown.items())[:4])
        self._bar.set_postfix(shown, refresh=training.evaluation is not self._shown)
        self._shown = training.evaluation
        self._bar.update(moment.step - self._bar.n)

    def end(self) -> None:
        self._bar.close()


class Shares(Callback):
    """Corrects the deployed classifier before each evaluation, which sees it so."""

    name = "shares"
    every = "evaluate_steps"

    def due(self, moment: Moment) -> bool:
        return self.training.experiment.corrects and super().due(moment)

    def act(self, step: int) -> None:
        self.training.experiment.correct()
