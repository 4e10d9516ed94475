"""Exports a checkpoint of a run.

    python -m launch.export --workdir=runs/digits/Fo_Ha/gsda/seed0 --step=1000

A SavedModel is what is served. A .keras or .tflite file beside it takes float32 images [N, S, S, 3] in 0..255, of the
network's own size (or features, where the run was trained on features), and gives probabilities [N, r].
"""

import os

from absl import flags as absl_flags

from gsda_tf.settings import names

from . import flags

flags.define(["workdir", "precision", *names("restoring")])
flags.define_step()
absl_flags.DEFINE_list("format", ["saved_model"], "what is written: saved_model, keras, tflite, or several of them")


def main() -> int:
    """Writes one more version under <workdir>/export."""
    from gsda_tf.choosing.committee import committee
    from gsda_tf.errors import COMMANDS, choose
    from gsda_tf.runs.contents import read_summary
    from gsda_tf.serving.export import export_experiment
    from gsda_tf.serving.other_formats import FORMATS
    from gsda_tf.training.experiment import restore

    workdir, given = flags.run_folder()
    formats = [choose("format", name, FORMATS) for name in absl_flags.FLAGS.format]
    # Serving wants float32 unless the user says otherwise, whatever precision the run was trained in.
    precision = given.pop("precision", "float32")
    experiment, step = restore(workdir, absl_flags.FLAGS.step, precision=precision, **given)
    summary = {**(read_summary(workdir) or {}), "exported_step": step}
    print(f"Exporting step {step}")
    others = committee(workdir, experiment)
    path = export_experiment(experiment, os.path.join(workdir, "export"), summary, precision, formats, others)
    print(path)
    after = f"{COMMANDS}.predict --model={path} --images=DIR labels new images."
    flags.say(f"Next: {after if 'saved_model' in formats else 'its labels stand in the .labels.txt beside it.'}")
    return 0


if __name__ == "__main__":
    flags.run(main)
