"""Trains a small run on several replicas and prints its weights: a process of its own for each case, because a
process can have one MirroredStrategy only. Called by test_distribution.py."""

import json
import sys

from gsda_tf import tasks
from gsda_tf.training import distribution
from gsda_tf.training.run import train


def main() -> None:
    given = json.loads(sys.argv[1])
    settings = tasks.resolve({k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    distribution.configure_devices(settings.device)
    train(settings)


if __name__ == "__main__":
    main()
