"""Strategies: one device, several, or several machines."""

import contextlib
import json
import os
import random
import sys
from collections.abc import Callable, Iterator

import tensorflow as tf

from gsda_tf.data.batches import Share
from gsda_tf.errors import UserError, WorkerLostError, explained
from gsda_tf.settings import DataSettings, DeviceSettings

_EXPECTED = (
    'Expected TF_CONFIG to hold JSON with "cluster": {"worker": ["host:port", ...]} and "task": {"type": "worker", '
    '"index": i}, the same cluster on every worker, each address once, and i the place of this worker in it, from 0 on.'
)


def configure_devices(settings: DeviceSettings) -> None:
    """Says to TensorFlow what it has to know before it first computes: virtual devices, determinism.

    Raises:
      UserError: TensorFlow is already running with other devices.
    """
    if settings.virtual_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * settings.virtual_devices
        with explained(f"--virtual_devices={settings.virtual_devices}", "TensorFlow has already started."):
            tf.config.set_logical_device_configuration(cpu, parts)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    # XLA compiles the step in a fixed order anyway, and refuses some operations, pooling's gradient, under this.
    if settings.deterministic and settings.jit_compile != "step":
        tf.config.experimental.enable_op_determinism()
        _let_draw()


def _let_draw() -> None:
    """Gives a caller who set no seed one that nobody knows: under op determinism TensorFlow draws with a seed only."""

    @tf.function
    def draw() -> tf.Tensor:
        return tf.random.uniform([])

    try:
        draw.get_concrete_function()  # traced only, so that no number of the caller's is used up
    except RuntimeError:
        tf.random.set_seed(random.SystemRandom().getrandbits(31))


def check_tf_config(text: str) -> int:
    """Makes sure that TF_CONFIG describes a cluster and this process's place in it.

    Args:
      text: value of the environment variable TF_CONFIG.

    Returns:
      How many processes train.

    Raises:
      UserError: what is wrong with it. TensorFlow itself would wait for ever, or train alone.
    """
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        addresses = [address for job in cluster.values() for address in job]
        ports = [int(address.rpartition(":")[2]) for address in addresses]
        placed = cluster[task["type"]][task["index"]] and task["index"] >= 0
        known = {*cluster} <= {"chief", "worker"} and len({*addresses}) == len(addresses)
        if placed and known and 0 < min(ports) <= max(ports) < 65536:
            return len(addresses)
    found = f"it is {text[:300]}" if text.strip() else "it is not set"
    raise UserError(f"--strategy=multi_worker cannot use TF_CONFIG: {found}. {_EXPECTED}")


def build_strategy(settings: DeviceSettings) -> tf.distribute.Strategy:
    """The strategy that the settings name.

    Raises:
      UserError: more devices asked for than there are, or a TF_CONFIG that cannot be used.
    """
    if settings.strategy == "default":
        return tf.distribute.get_strategy()
    if settings.strategy == "multi_worker":
        workers = check_tf_config(os.environ.get("TF_CONFIG", ""))
        print(f"Waiting for all {workers} workers of TF_CONFIG ...", file=sys.stderr, flush=True)
        with explained("--strategy=multi_worker could not start", _EXPECTED):
            return tf.distribute.MultiWorkerMirroredStrategy()
    # Not before: a multi-worker strategy has to come first of all that touches devices.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if settings.strategy == "one_device":
        return tf.distribute.OneDeviceStrategy(devices[0].name)
    count = settings.num_devices or len(devices)
    if count > len(devices):
        raise UserError(
            f"--num_devices={count}, but there are {len(devices)} ({devices[0].device_type}): ask for at most "
            f"{len(devices)}, or split the CPU with --virtual_devices={count}."
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices[:count]])


@contextlib.contextmanager
def worker_errors(strategy: tf.distribute.Strategy, workdir: str) -> Iterator[None]:
    """Tells in one line that another worker is gone, which TensorFlow notices within seconds.

    Raises:
      WorkerLostError: in place of the errors of collective operations.
    """
    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
    ) as error:
        workers = count_workers(strategy)
        if workers < 2:
            raise
        raise WorkerLostError(
            f"One of the {workers} workers does not answer any more: it died or cannot be reached, its own output says "
            "why. This one stopped, too. Start the same command on every worker again: they go on from the newest "
            f"checkpoint in {workdir}."
        ) from error


def count_workers(strategy: tf.distribute.Strategy) -> int:
    """Returns how many processes train together."""
    resolver = strategy.cluster_resolver
    return sum(len(v) for v in resolver.cluster_spec().as_dict().values()) if resolver else 1


def part(strategy: tf.distribute.Strategy) -> None:
    """Lets the workers go their own ways; to be called by each after the last thing that they compute together.

    A worker that has a sum may end before its share of it has reached the others, which then fail. So there is one more
    sum, whose failure is none: who has it knows that all had come to it, and nothing before it is under way any more.

    Args:
      strategy: of any kind; with one worker nothing is done.
    """
    if count_workers(strategy) > 1:
        with contextlib.suppress(tf.errors.OpError):
            strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.constant(0.0)), axis=None).numpy()


def check_batches(settings: DataSettings, strategy: tf.distribute.Strategy) -> None:
    """Raises UserError if a global batch cannot be split evenly over the replicas."""
    replicas = strategy.num_replicas_in_sync
    for name in ("source_batch", "target_batch"):
        size = getattr(settings, name)
        if size % replicas:
            raise UserError(
                f"--{name}={size} does not divide evenly over {replicas} devices: use a multiple of {replicas}, "
                f"such as {-(-size // replicas) * replicas}."
            )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)


def distribute(strategy: tf.distribute.Strategy, dataset: Callable[[Share], tf.data.Dataset]):
    """Feeds every replica its part of each global batch.

    Args:
      strategy: how many replicas there are, and which are this worker's.
      dataset: the elements for a worker's replicas in turn, for its share of the batches.

    Returns:
      An iterable of per-replica values (plain tensors if there is one replica).
    """
    if strategy.num_replicas_in_sync == 1:
        return dataset(Share())

    def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = context.num_replicas_in_sync // context.num_input_pipelines
        return dataset(Share(context.num_replicas_in_sync, context.input_pipeline_id * count, count))

    return strategy.distribute_datasets_from_function(for_worker)
