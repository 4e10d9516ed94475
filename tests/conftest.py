"""What every test needs: a quiet TensorFlow on two virtual CPU devices."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # each process of the tests has its share of the cores
    _SHARE = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    for _name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(_name, str(_SHARE))

import contextlib
import fcntl
import random
import shutil
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import tensorflow as tf
from absl import logging as absl_logging

from gsda_tf.serving import fresh
from tests import rounding, state
from tests.processes import Process

# Once per process: a process that has computed cannot change its devices any more.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)


# Once per process, too, as nothing undoes it: commands compute so unless they are told otherwise.
tf.config.experimental.enable_op_determinism()
absl_logging.set_verbosity(absl_logging.WARNING)  # as TensorFlow does once it writes to its log
tf.random.set_seed(state.TENSORFLOW_SEED)
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


_LONG = (
    "training/test_distribution.py", "test_install.py", "methods/test_contract.py", "launch/test_train.py",
    "launch/test_sweep.py", "faults/test_interruption.py", "faults/test_cluster.py", "serving/test_predict_on_dask.py",
    "launch/test_own_data.py", "launch/test_own_runs.py", "training/test_train_from.py", "choosing/test_auto.py",
)  # fmt: skip
"""Files with whole commands, or processes, in them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--order-seed", type=int, help="runs the tests in a random order, which follows from this number")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffles the tests one by one; all processes of a run get the same order. Or begins with the files that take
    longest: of what begins last, one process alone is left to the end."""
    if config.option.order_seed is not None:
        random.Random(config.option.order_seed).shuffle(items)
    else:
        files = {item: item.nodeid.split("::")[0].partition("tests/")[2] for item in items}
        items.sort(key=lambda item: _LONG.index(files[item]) if files[item] in _LONG else len(_LONG))


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


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Callable[[str, Callable[[str], None]], str]:
    """What takes long to make is made once for all processes: (name, make) -> folder that `make` filled; to be read."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    root = root / "shared"
    root.mkdir(exist_ok=True)

    def get(name: str, make: Callable[[str], None]) -> str:
        folder, whole = root / name, root / f"{name}.whole"
        with open(root / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(str(folder))
                whole.touch()
        return str(folder)

    return get


class _Quick:
    """A fresh fork that has TensorFlow imported and nothing more."""

    def __init__(self, folder):
        self._folder, self._process = folder, None

    def communicate(self, given, seconds):
        script, arguments = fresh.IMPORTS + fresh.SCRIPT, os.fsdecode(given).split("\0")
        self._process = Process("tests.asked", [self._folder, script, *arguments], fresh.environment())
        said = self._process.communicate(seconds)[1]
        self.returncode = self._process.returncode
        return "", said.encode()

    def end(self):
        if self._process is not None:
            self._process.send_signal(9)


@contextlib.contextmanager
def _quick(folder):
    process = _Quick(folder)
    try:
        yield process
    finally:
        process.end()


@pytest.fixture(scope="package")
def quick_exports():
    """What this process exports is asked in a process that takes no seconds to start. Commands in processes of their
    own ask it in new ones, as it is."""
    real, fresh.started = fresh.started, _quick
    yield
    fresh.started = real


@pytest.fixture
def repository() -> str:
    """The folder that commands are run in."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def in_double():
    """For what is taken from `tests.rounding.double`: layers compute in float64."""
    with rounding.in_double():
        yield
