"""The main job: train on a task, score it, and leave everything its user needs next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsda_tf import recipes
from gsda_tf.choosing import auto
from gsda_tf.data.domain import TaskData
from gsda_tf.errors import COMMANDS
from gsda_tf.progress import timed
from gsda_tf.serving.export import export_experiment
from gsda_tf.settings import Settings
from gsda_tf.training.distribution import configure_devices
from gsda_tf.training.run import train


def run(settings: Settings, data: TaskData | None = None) -> dict[str, Any]:
    """Trains, exports and reports, as far as the settings ask for it; or goes on with it.

    Args:
      settings: resolved, `recipes.resolve`.
      data: of the task, where they are at hand.

    Returns:
      What summary.json holds.

    Raises:
      UserError: for anything the user can mend.
      Interrupted: a signal stopped the run; it was checkpointed.
    """
    return train(settings, export_experiment, _report, data)


def adapt(given: Mapping[str, Any]) -> dict[str, Any]:
    """Trains with what the user gave, and tells what was chosen besides; with `--method=auto` a pool of methods, of
    which one is chosen without target labels.

    Args:
      given: values by setting name, only what the user gave; of a pool those of `PoolSettings`, too.

    Returns, raises:
      As `run`.
    """
    if given.get("method") == auto.NAME:
        pool, rest = auto.split(given)
        return auto.run(rest, pool, export_experiment, _report)
    settings, chosen = recipes.reasoned(given)
    if chosen:
        print(f"Chosen: {chosen}")
    configure_devices(settings.device)
    return run(settings)


def _report(workdir: str) -> None:
    # Here, because drawing takes a second to import and most workers and sweeps never draw.
    from gsda_tf.reporting.report import write_report

    try:
        with timed("report"):
            write_report(workdir)
    except Exception as error:  # the result stands whatever becomes of its pictures
        print(f"The report could not be made ({type(error).__name__}: {error}): {COMMANDS}.report makes it again.")
