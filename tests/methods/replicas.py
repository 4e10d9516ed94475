"""One step of every method on two virtual devices and on one, in float64, from equal weights; prints those that agree.

A process of its own: `python -m tests.methods.replicas`. Called by test_contract.py.
"""

import dataclasses
from unittest import mock

import numpy as np
import tensorflow as tf

from gsda_tf import methods
from tests import rounding
from tests.methods.build import NS, SMALL, batch, task
from tests.rounding import double

_FED = {"labels": (0, 1, 2, 3, 1, 0), "target": 4}
assert len(_FED["labels"]) != NS


def _task(kind):
    """The usual one; "taught": half of the target has labels that are trained on; "alone": without a source."""
    data = task(source=0 if kind == "alone" else 12)
    taught = np.where(np.arange(12) < 6, data.target.labels, -1).astype(np.int32)
    return (
        dataclasses.replace(data, target=dataclasses.replace(data.target, taught=taught)) if kind == "taught" else data
    )


def _step(name, add, strategy, kind=""):
    """All variables before and after the last phase's step."""
    recipes, lib = double("recipes"), double("training.experiment")
    options = {"num_groups": (2,)} if name in ("gsda", "domain_group_class") else {}
    settings = recipes.written({**SMALL, "method": name, "add": add, "discriminator_units": (6,), **options})
    built = lib.Experiment(settings, _task(kind), strategy)
    whole = batch(images=built.training_step.images, **_FED)
    if kind == "alone":
        whole = {key: value for key, value in whole.items() if not key.startswith("source")}
    _fill_memory(built)
    before = [v.numpy() for group in built.state().values() for v in group]
    # Eagerly: tracing would take several times as long as the step.
    metrics = strategy.run(
        built.training_step, args=(_fed(strategy, whole), tf.constant(3, tf.int64), built.method.phases[-1])
    )
    logged = {k: float(strategy.reduce("SUM", v, axis=None)) for k, v in metrics.items()}
    return before, [v.numpy() for group in built.state().values() for v in group], logged


def _fed(strategy, whole):
    """Each replica its share of a batch."""
    replicas = strategy.num_replicas_in_sync

    def share(context):
        i = context.replica_id_in_sync_group
        return {k: v[i * len(v) // replicas : (i + 1) * len(v) // replicas] for k, v in whole.items()}

    return strategy.experimental_distribute_values_from_function(share)


def _remembered(strategy):
    """A memory of five images after a batch that has the first of them on both devices, and one twice on a device."""
    built = double("training.experiment").Experiment(double("recipes").written(SMALL), task(), strategy)
    whole = {**batch(**_FED), "target_indices": tf.constant([3, 1, 3, 3], tf.int64)}
    whole["rows"] = tf.reshape(tf.range(8.0), [4, 2])
    with strategy.scope():
        memory = tf.Variable(tf.fill([5, 2], -1.0), trainable=False)

    def run(fed):
        rows = fed.pop("rows")
        double("methods.step").Step(built.training_step, fed, tf.constant(0), "adapt", 0.0, 0.0).remember(memory, rows)

    strategy.run(run, args=(_fed(strategy, whole),))
    return memory.numpy()


def _fill_memory(built):
    """As if every image had been seen, and a teacher had spoken."""
    rng = np.random.default_rng(0)
    for name, group in built.state().items():
        for variable in group:
            if name.endswith(("features", "predictions")):
                variable.assign(rng.dirichlet(np.ones(variable.shape[1]), variable.shape[0]))
            elif name == "teacher_labels":
                variable.assign(rng.integers(-1, 4, variable.shape[0]))


def _absolute_values_summed(context, reduce_op, value, options=None):
    """|S - sum S| of every replica's share of the batch, added up afterwards, in place of an all_reduce of S before it:
    a vector that only this replica has, times the replicas, in a loss that is then divided by them."""
    if tf.is_tensor(value) and value.shape.rank == 1:
        return value * context.num_replicas_in_sync
    return _ALL_REDUCE(context, reduce_op, value, options)


_ALL_REDUCE = tf.distribute.ReplicaContext.all_reduce


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    cases = [(name, ()) for name in methods.method_names() if methods.get_method(name).phases]
    with rounding.in_double():
        for strategy in (tf.distribute.get_strategy(), mirrored):
            np.testing.assert_array_equal(_remembered(strategy), [[-1, -1], [2, 3], [-1, -1], [6, 7], [-1, -1]])
        print("memory", flush=True)
        kinds = [("source_only", (), "taught"), ("mcc", (), "taught"), ("shot", (), "alone"), ("aad", (), "alone")]
        for name, add, *kind in [*cases, ("gsda", methods.term_names()), *kinds]:
            one, two = (_step(name, add, s, *kind) for s in (tf.distribute.get_strategy(), mirrored))
            assert rounding.distance(one[0], two[0]) == 0, name
            assert rounding.distance(one[1], two[1]) < rounding.STEP, (name, rounding.distance(one[1], two[1]))
            assert any(np.abs(a - b).max(initial=0) > 1e-6 for a, b in zip(*one[:2])), name
            for key, value in one[2].items():
                # An accuracy by weights is a mean of the replicas' means.
                if not key.startswith("accuracy/"):
                    assert abs(two[2][key] - value) < 1e-9 * max(1, abs(value)), (name, key, value, two[2][key])
            print("+".join([name, ",".join(add)]) if add else ":".join([name, *kind]), flush=True)
        # The comparison sees what it is there to find, by a thousand times.
        right = _step("gsda", (), mirrored)[1]
        with mock.patch.object(tf.distribute.ReplicaContext, "all_reduce", _absolute_values_summed):
            wrong = _step("gsda", (), mirrored)[1]
        assert rounding.distance(right, wrong) > 1000 * rounding.STEP
        print("mistake", flush=True)


if __name__ == "__main__":
    main()
