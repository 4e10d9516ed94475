"""A worker of a Slurm job: `python -m tests.training.job_run`."""

import tensorflow as tf

from gsda_tf.settings import DeviceSettings
from gsda_tf.training.distribution import build_strategy, part

if __name__ == "__main__":
    strategy = build_strategy(DeviceSettings(strategy="multi_worker", cluster="slurm"))

    @tf.function
    def total():
        def one():
            return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group + 1, tf.float32)

        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(one), axis=None)

    print(f"{strategy.num_replicas_in_sync} workers, sum {total().numpy()}")
    part(strategy)
