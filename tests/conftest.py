"""What every test needs: a quiet TensorFlow on two virtual CPU devices."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # each process of the tests has its share of the cores
    _SHARE = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    for _name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(_name, str(_SHARE))

import random
from collections.abc import Iterator

import pytest
import tensorflow as tf

from tests import rounding, state

# Once per process: a process that has computed cannot change its devices any more.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)


# Once per process, too, as nothing undoes it: commands compute so unless they are told otherwise.
tf.config.experimental.enable_op_determinism()
tf.random.set_seed(state.TENSORFLOW_SEED)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--order-seed", type=int, help="runs the tests in a random order, which follows from this number")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffles the tests one by one; all processes of a run get the same order."""
    if config.option.order_seed is not None:
        random.Random(config.option.order_seed).shuffle(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes of the tests: one more than cores, as tests wait for each other's commands; each holds a TensorFlow."""
    return min(4, (os.cpu_count() or 1) + 1)


def _watched(request: pytest.FixtureRequest) -> Iterator[None]:
    before, numbers = state.read(), random.getstate()
    random.seed(request.node.nodeid)  # Keras draws from it: not what the tests before have left
    yield
    random.setstate(numbers)
    found = state.left_behind(before)
    if found:
        pytest.fail(f"{request.node.nodeid} leaves behind:\n" + "\n".join(found), pytrace=False)


# First to be set up and last to be torn down in each scope.
leaves_nothing = pytest.fixture(autouse=True)(_watched)
modules_leave_nothing = pytest.fixture(autouse=True, scope="module")(_watched)


@pytest.fixture
def repository() -> str:
    """The folder that commands are run in."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def in_double():
    """For what is taken from `tests.rounding.double`: layers compute in float64."""
    with rounding.in_double():
        yield
