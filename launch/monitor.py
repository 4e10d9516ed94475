"""Tells how far new images are from those that a model was adapted to, and whether to adapt it again.

    python -m launch.monitor --model=RUN/export --images=photos/new

Of a run, its export is asked.
"""

from absl import flags as absl_flags

from gsda_tf.errors import COMMANDS

from . import flags

FLAGS = absl_flags.FLAGS
flags.define_asked()


def main() -> int:
    """Prints what was found, and the command that would adapt the model."""
    from gsda_tf.serving.seen import look

    flags.need_asked()
    flags.say(f"Asking {FLAGS.model} about {FLAGS.images} ...")
    moved, class_names, count = look(FLAGS.model, FLAGS.images)
    flags.show([("images", count), *moved.rows(class_names)])
    after = f"{COMMANDS}.predict --model={FLAGS.model} --images={FLAGS.images} labels them."
    if moved.again:
        after = (
            f"{COMMANDS}.train --init_from={FLAGS.model} --target_dir={FLAGS.images} --method=shot adapts it to "
            "these images, without its source; a model that was fitted, as spl's, is trained anew, with its source."
        )
    flags.say(f"Next: {after}")
    return 0


if __name__ == "__main__":
    flags.run(main)
