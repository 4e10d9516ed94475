"""Makes the page about a run.

    python -m launch.report --workdir=runs/digits/Fo_Ha/gsda/seed0

The run may still be going.
"""

from gsda_tf.errors import COMMANDS

from . import flags

flags.define(["workdir"])


def main() -> int:
    """Writes report.html into the run's folder and says where it is."""
    from gsda_tf.reporting.report import write_report

    workdir, _ = flags.run_folder()
    flags.say(f"Drawing {workdir} ...")
    path = write_report(workdir)
    print(path)
    exports = f"{COMMANDS}.export --workdir={workdir} writes the model"
    flags.say(f"Open {path}. Next: {exports}, if the run did not.")  # stdout is the path alone
    return 0


if __name__ == "__main__":
    flags.run(main)
