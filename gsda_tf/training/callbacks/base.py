"""The base of callbacks: something that happens between steps of training.

    class Remind(Callback):
        name, every = "remind", "report_steps"

        def act(self, step: int) -> None:
            print(f"step {step} of {self.training.steps}")

A file with such a class in this folder is all that it takes.
"""

import dataclasses
import sys
from typing import Any, ClassVar

NEVER = sys.maxsize


@dataclasses.dataclass(frozen=True)
class Moment:
    """The state of training when callbacks are called.

    Attributes:
      step: steps done.
      rate: steps a second; 0 where it is not known yet.
      last: whether no step follows.
      stopping: whether the run was asked to stop, and will once the callbacks were called.
    """

    step: int
    rate: float = 0.0
    last: bool = False
    stopping: bool = False


class Callback:
    """Acts every `period` steps and after the last.

    What it changes must follow from what a checkpoint holds, so that a run that is stopped goes on as if it never was.

    Class attributes:
      name: by which `callbacks.ORDER` knows it.
      every: the setting of `RunSettings` that says its period.

    Args:
      training: the run at work, `run.Training`.
    """

    name: ClassVar[str] = ""
    every: ClassVar[str] = ""

    def __init__(self, training: Any):
        self.training = training

    @property
    def period(self) -> int:
        """Steps between two calls of `act`; 0: none but after the last."""
        return getattr(self.training.settings.run, self.every) if self.every else 0

    def next(self, step: int) -> int:
        """Returns the next step after `step` before which training has to halt; `NEVER` where it need not."""
        return (step // self.period + 1) * self.period if self.period else NEVER

    def due(self, moment: Moment) -> bool:
        """Returns whether `act` is called now."""
        return moment.last or (self.period > 0 and moment.step % self.period == 0)

    def begin(self, step: int) -> None:
        """Called before the first step of this process; `step` steps were done before."""

    def __call__(self, moment: Moment) -> None:
        """Called whenever the loop hears from the device, and at every step that `next` names."""
        if self.due(moment):
            self.act(moment.step)

    def act(self, step: int) -> None:
        """Does what there is to do after `step` steps."""

    def end(self) -> None:
        """Called once training is over, however it ended."""
