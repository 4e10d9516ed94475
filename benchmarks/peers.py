"""Measures a step of DANN on features beside two peers, adapt (Keras) and pytorch-adapt, in one run.

    python -m benchmarks.peers --env=DIR

Made features of 1,664 numbers, 31 classes, 36 + 36 a batch, a layer of 256 after them, a critic of 1024-1024, momentum
SGD: the same networks and sizes for all. The peers are installed into an environment of their own, some gigabytes once,
which nothing else uses; each runs in a process of that environment, in turns with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv

import numpy as np

PACKAGES = ("torch==2.14.1", "pytorch-adapt==0.0.83", "adapt==0.4.5", "setuptools<80")
"""pytorch-adapt's own requirements want the module that newer setuptools have not."""
SAMPLES, FEATURES, UNITS, CLASSES, CRITIC, BATCH = 2000, 1664, 256, 31, 1024, 36


def features() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (source float32 [n, d], target float32 [n, d], labels int32 [n])."""
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, SAMPLES, FEATURES)).astype(np.float32)
    return source, target, np.arange(SAMPLES, dtype=np.int32) % CLASSES


def ours(folder: str):
    """Returns a function that does some steps: steps -> None."""
    import tensorflow as tf

    from gsda_tf import recipes
    from gsda_tf.data.batches import TrainingBatches
    from gsda_tf.datasets.loading import load
    from gsda_tf.training.experiment import Experiment
    from gsda_tf.training.runner import StepRunner

    source, target, labels = features()
    np.savez(f"{folder}/source.npz", features=source, labels=labels)
    np.savez(f"{folder}/target.npz", features=target)
    given = {"source": f"{folder}/source.npz", "target": f"{folder}/target.npz", "method": "dann", "steps": 10**6}
    widths = {"bottleneck_units": UNITS, "discriminator_units": (CRITIC, CRITIC)}
    settings = recipes.resolve({"pipeline": "arrays", **given, **widths})
    strategy = tf.distribute.get_strategy()
    experiment = Experiment(settings, load(settings.data), strategy)
    batches = TrainingBatches(experiment.inputs, settings.data, 0, experiment.training_step.images)
    runner = StepRunner(strategy, experiment.training_step, False, experiment.networks())
    runner.build(batches.spec(experiment.input_spec))
    iterator = iter(batches.dataset(0, 10**5))

    def run(steps: int) -> None:
        runner(iterator, steps)
        runner.read_window()  # waits until all of it is done

    return run


def pytorch_adapt(folder: str):
    """As `ours`."""
    import torch
    from pytorch_adapt.adapters import DANN
    from pytorch_adapt.containers import Models, Optimizers
    from torch import nn

    source, target, labels = features()
    extractor = nn.Sequential(nn.Linear(FEATURES, UNITS), nn.ReLU())
    critic = [nn.Linear(UNITS, CRITIC), nn.ReLU(), nn.Linear(CRITIC, CRITIC), nn.ReLU(), nn.Linear(CRITIC, 1)]
    models = Models({"G": extractor, "C": nn.Linear(UNITS, CLASSES), "D": nn.Sequential(*critic, nn.Flatten(0))})
    options = {"lr": 0.003, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
    adapter = DANN(models=models, optimizers=Optimizers((torch.optim.SGD, options)))
    rng = np.random.default_rng(0)
    source, target, classes = torch.from_numpy(source), torch.from_numpy(target), torch.from_numpy(labels).long()
    ones = torch.ones(BATCH, dtype=torch.long)

    def run(steps: int) -> None:
        for _ in range(steps):
            i, j = (torch.from_numpy(rng.integers(0, SAMPLES, BATCH)) for _ in range(2))
            batch = {"src_imgs": source[i], "src_labels": classes[i], "target_imgs": target[j]}
            adapter.training_step({**batch, "src_domain": 0 * ones, "target_domain": ones})

    return run


def adapt(folder: str):
    """As `ours`; whole epochs, as that is what its `fit` does."""
    import keras
    from adapt.feature_based import DANN

    source, target, labels = features()
    dense = keras.layers.Dense
    model = DANN(
        keras.Sequential([keras.Input((FEATURES,)), dense(UNITS, "relu")]),
        keras.Sequential([keras.Input((UNITS,)), dense(CLASSES, "softmax")]),
        keras.Sequential([keras.Input((UNITS,)), dense(CRITIC, "relu"), dense(CRITIC, "relu"), dense(1, "sigmoid")]),
        Xt=target,
        verbose=0,
        loss="categorical_crossentropy",
        optimizer=keras.optimizers.SGD(0.003, momentum=0.9, nesterov=True, weight_decay=5e-4),
    )
    one_hot, steps_an_epoch = np.eye(CLASSES, dtype=np.float32)[labels], -(-SAMPLES // BATCH)

    def run(steps: int) -> None:
        model.fit(source, one_hot, epochs=max(1, steps // steps_an_epoch), batch_size=BATCH)

    run.steps = steps_an_epoch
    return run


LOADERS = {"ours": ours, "pytorch_adapt": pytorch_adapt, "adapt": adapt}


def serve(name: str) -> None:
    """Does as many steps as each line of the standard input says, and answers with the milliseconds a step."""
    with tempfile.TemporaryDirectory() as folder:
        run = LOADERS[name](folder)
        unit = getattr(run, "steps", 1)
        run(unit)
        for line in sys.stdin:
            steps = max(1, int(line) // unit) * unit
            began = time.perf_counter()
            run(steps)
            print(json.dumps(1e3 * (time.perf_counter() - began) / steps), file=sys.__stdout__, flush=True)


def installed(folder: str) -> str:
    """Returns the Python of the peers' environment, which is made if it is not there."""
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        print(f"Installing {', '.join(PACKAGES)} into {folder} (some minutes, gigabytes) ...", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", help="folder of the peers' environment, made if it is not there")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--steps", type=int, default=224, help="steps in each turn")
    parser.add_argument("--serve", choices=LOADERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        sys.stdout = sys.stderr  # what libraries print must not be taken for an answer
        return serve(args.serve)
    if not args.env:
        parser.error("--env=DIR is missing: a folder for the peers' environment.")
    theirs, here = installed(args.env), os.path.abspath(__file__)
    commands = {name: [theirs, here, f"--serve={name}"] for name in LOADERS}
    commands["ours"] = [sys.executable, "-m", "benchmarks.peers", "--serve=ours"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    workers = {name: subprocess.Popen(command, env=environment, **pipes) for name, command in commands.items()}
    times = {name: [] for name in workers}
    for turn in range(args.rounds + 1):
        for name, worker in workers.items():
            worker.stdin.write(f"{args.steps}\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
            if not answer:
                sys.exit(f"{name} ended with exit code {worker.wait()}: run {' '.join(commands[name])} to see why.")
            if turn:  # the first is for warming up
                times[name].append(json.loads(answer))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    for name, values in times.items():
        ratio = statistics.median(b / a for a, b in zip(times["ours"], values))
        print(
            f"{name:14} {statistics.median(values):7.2f} ms a step ({min(values):.2f}-{max(values):.2f}), {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
