"""What every test needs: a quiet TensorFlow on two virtual CPU devices."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # each process of the tests has its share of the cores
    _SHARE = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    for _name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(_name, str(_SHARE))

import pytest
import tensorflow as tf

from tests import rounding

# Once per process: a process that has computed cannot change its devices any more.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes of the tests: one more than cores, as tests wait for each other's commands; each holds a TensorFlow."""
    return min(4, (os.cpu_count() or 1) + 1)


@pytest.fixture
def repository() -> str:
    """The folder that commands are run in."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def in_double():
    """For what is taken from `tests.rounding.double`: layers compute in float64."""
    with rounding.in_double():
        yield
