"""Runs a benchmark's tasks with several methods and seeds, and makes the table.

    python -m launch.sweep --benchmark=digits --methods=source_only,gsda --seeds=0,1,2 --jobs=2

Every flag of train is accepted too and holds for all runs, so images of your own (`--source_dir=DIR --target_dir=DIR`)
can stand in place of a benchmark. `--grid=beta:0,1,10` makes a row of each value. Runs that are finished are not run
again.
"""

import os

from absl import flags as absl_flags

from gsda_tf.errors import COMMANDS, UserError, explained
from gsda_tf.settings import fields

from . import flags

flags.define([field.name for field in fields() if not field.metadata["swept"]])
absl_flags.DEFINE_string("benchmark", None, "name of the benchmark, such as office31")
absl_flags.DEFINE_list("tasks", [], "its tasks, such as A_W,A_D (default: all)")
absl_flags.DEFINE_list(
    "methods", ["source_only", "domain", "domain_class", "domain_group_class", "gsda"], "methods, the table's rows"
)
absl_flags.DEFINE_multi_string("grid", [], "a setting and its values, each a row, such as beta:0,1,10")
absl_flags.DEFINE_list("seeds", ["0", "1", "2"], "seeds of the runs of each task and method")
flags.define_workers()
absl_flags.DEFINE_list("gpus", [], "GPUs of this machine, such as 0,1,2,3, for runs by turns (default: all see all)")
absl_flags.DEFINE_string("out", None, "folder of the sweep (default: sweeps/BENCHMARK, or sweeps/TASK)")


def main() -> int:
    """Runs what is missing, writes the tables, lists what failed."""
    values = absl_flags.FLAGS
    with explained(f"--seeds={','.join(values.seeds)}", "Expected whole numbers with commas between.", ValueError):
        seeds = [int(seed) for seed in values.seeds]
    if not (seeds and values.methods):
        raise UserError("--seeds and --methods need at least one entry each.")
    if values.tasks and not values.benchmark:
        raise UserError(f"--tasks={','.join(values.tasks)} are those of a benchmark: give it with --benchmark.")
    named = f"methods {', '.join(values.methods)}; seeds {', '.join(values.seeds)}"
    print(f"Sweep of {values.benchmark or 'your own data'}: {named}. Reading settings and data ...")
    from gsda_tf.reporting.results import write_results
    from gsda_tf.sweeps import sweep, trials
    from gsda_tf.workers import DaskPool, LocalPool

    # A table of many short runs should not wait for a page and a model of each; launch.report and launch.export make
    # those of any run later.
    given = {"report": False, "export": False, **flags.given()}
    own = None if values.benchmark else trials.own_data(given)
    tasks = [own.name] if own else values.tasks
    out = values.out or os.path.join("sweeps", values.benchmark or own.name)
    runs = trials.plan(values.benchmark, tasks, values.methods, seeds, given, out, trials.parse_grid(values.grid))
    trials.check_data(runs)
    print(*trials.outlook(runs, values.jobs, out, own is None or own.target.labelled), sep="\n")
    name_of = own.target.records.name if own else "image {}".format
    width, failures = (values.jobs, values.threads, values.gpus), []
    try:
        with DaskPool(values.scheduler, *width) if values.scheduler else LocalPool(*width) as pool:
            failures = sweep.execute(runs, pool, out, lambda: write_results(values.benchmark, runs, [], out, name_of))
    finally:  # of a sweep that was stopped, too
        paths = write_results(values.benchmark, runs, failures, out, name_of)
    with open(paths[1], encoding="utf-8") as file:
        print("", file.read(), *(f"  {path}" for path in paths), sep="\n")
    flags.say(
        f"Open {paths[2]}. Next: the page of a run by {COMMANDS}.report --workdir=RUN, its model by {COMMANDS}.export "
        "--workdir=RUN."
    )
    return 1 if failures else 0


if __name__ == "__main__":
    flags.run(main)
