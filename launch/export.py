"""Exports a checkpoint of a run: `python -m launch.export --workdir=DIR`."""

from __future__ import annotations

import os

from absl import flags as absl_flags

from . import flags

flags.define(["workdir", "precision", "data_dir", "manual_dir", "method", "trust_extractor", *flags.PLACES])
flags.define_step()


def main() -> int:
    """Writes one more version under <workdir>/export."""
    from gsda_tf.errors import UserError
    from gsda_tf.serving.export import export_experiment
    from gsda_tf.training.experiment import restore
    from gsda_tf.training.workdir import read_summary

    given = flags.given()
    workdir = given.pop("workdir", "")
    if not workdir:
        raise UserError("--workdir is missing: expected the folder of a training run.")
    # Serving wants float32 unless the user says otherwise, whatever precision the run was trained in.
    precision = given.pop("precision", "float32")
    experiment, step = restore(workdir, absl_flags.FLAGS.step, precision=precision, **given)
    summary = {**(read_summary(workdir) or {}), "exported_step": step}
    print(f"Exporting step {step}", flush=True)
    print(export_experiment(experiment, os.path.join(workdir, "export"), summary, precision))
    return 0


if __name__ == "__main__":
    flags.run(main)
