"""Answers by the class shares of the target: `--target_prior`."""

from gsda_tf.training.callbacks.base import Callback, Moment


class Shares(Callback):
    """Corrects the deployed classifier before each evaluation, which sees it so."""

    name = "shares"
    every = "evaluate_steps"

    def due(self, moment: Moment) -> bool:
        return self.training.experiment.corrects and super().due(moment)

    def act(self, step: int) -> None:
        self.training.experiment.correct()
