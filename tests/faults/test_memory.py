"""Memory does not grow with the number of steps, nor with the number of runs of a process."""

import gc
import subprocess
import sys
import time
import weakref

import pytest
import tensorflow as tf

from gsda_tf.losses import reverse_gradient
from gsda_tf.methods.gsda.gradient_norms import in_closed_form
from gsda_tf.models.discriminators import DiscriminatorBank
from gsda_tf.runs.contents import read_metrics


@pytest.mark.parametrize("name", ["reversed", "slopes"])
def test_a_step_with_gradients_of_our_own_is_let_go_of(name):
    """Each run of GSDA in one process kept 8 MB, and of the methods that reverse a gradient."""
    bank = DiscriminatorBank(2, (5,), 4)
    ours = {
        "reversed": lambda x: reverse_gradient(x, tf.constant(2.0)),
        "slopes": lambda x: in_closed_form(bank, x, tf.ones([3]))[1],
    }[name]

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(ours(x))
        return tape.gradient(loss, x)

    graph = weakref.ref(step.get_concrete_function(tf.TensorSpec([2, 3, 4])).graph)
    step(tf.ones([2, 3, 4]))
    del step
    gc.collect()
    assert graph() is None


def _resident(pid: int) -> int:
    """Resident memory, KiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


@pytest.mark.slow
def test_three_thousand_steps_of_the_digits_run(tmp_path, repository):
    flags = ["--steps=3000", f"--workdir={tmp_path / 'run'}", "--report=false", "--noexport"]
    by_step: dict[int, int] = {}
    with open(tmp_path / "said", "w") as said:
        command = [sys.executable, "-m", "launch.train", *flags]
        process = subprocess.Popen(command, cwd=repository, stdout=said, stderr=said)
    while process.poll() is None:
        lines = read_metrics(str(tmp_path / "run"))
        if lines and lines[-1]["step"] not in by_step:
            by_step[lines[-1]["step"]] = _resident(process.pid)
        time.sleep(0.1)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    early = max(memory for step, memory in by_step.items() if step <= 300)
    late = max(memory for step, memory in by_step.items() if step > 300)
    assert max(by_step) >= 2900 and late < 1.03 * early, by_step
