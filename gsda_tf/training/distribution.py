"""Strategies: one device, several, or several machines."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from gsda_tf.data.batches import Share
from gsda_tf.errors import UserError
from gsda_tf.settings import DataSettings, DeviceSettings


def configure_devices(settings: DeviceSettings) -> None:
    """What has to be said to TensorFlow before it first computes: virtual devices, determinism.

    Raises:
      UserError: TensorFlow is already running with other devices.
    """
    if settings.virtual_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * settings.virtual_devices
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError as error:
            raise UserError(f"--virtual_devices={settings.virtual_devices}: TensorFlow has already started.") from error
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()


def build_strategy(settings: DeviceSettings) -> tf.distribute.Strategy:
    """The strategy that the settings name.

    Raises:
      UserError: more devices asked for than there are, or a TF_CONFIG that cannot be used.
    """
    if settings.strategy == "default":
        return tf.distribute.get_strategy()
    if settings.strategy == "multi_worker":
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise UserError(
                f"--strategy=multi_worker could not start: {error} Expected TF_CONFIG to hold JSON with "
                '"cluster": {"worker": ["host:port", ...]} and "task": {"type": "worker", "index": i}.'
            ) from error
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
    """Whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    )


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
