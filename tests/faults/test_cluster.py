"""Sweeps over Dask: scheduler and workers are processes on loopback, of which one is killed, or the client is."""

import contextlib
import gc
import os
import signal
import socket
import threading
import time

import distributed
import pytest

from gsda_tf.errors import UserError
from gsda_tf.workers import DaskPool, Task
from tests.dask_cluster import DaskCluster
from tests.faults import fake_sweep
from tests.launch import commands
from tests.processes import Process

_STEPS = 20


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    with DaskCluster(tmp_path_factory.mktemp("dask"), workers=2) as cluster:
        yield cluster


def _sweep(out, scheduler, *seeds) -> Process:
    return Process("tests.faults.fake_sweep", [str(out), str(_STEPS), scheduler, *map(str, seeds)])


def _at_step_10(*runs) -> bool:
    return all(len(fake_sweep.lines(run)) == 10 for run in runs)


def _every_step_once(runs) -> bool:
    return all([line["step"] for line in fake_sweep.lines(run)] == list(range(1, _STEPS + 1)) for run in runs)


def _processes(run) -> int:
    return len({line["process"] for line in fake_sweep.lines(run)})


def test_runs_of_a_killed_client_stop_and_the_next_one_goes_on(tmp_path, cluster):
    runs = fake_sweep.plan(str(tmp_path), _STEPS, [0, 1], hold=True)
    client = _sweep(tmp_path, cluster.address, 0, 1)
    cluster.wait_for(lambda: _at_step_10(*runs))
    client.send_signal(signal.SIGKILL)
    cluster.wait_for(lambda: not any(run.at_work() for run in runs), seconds=120)
    assert _at_step_10(*runs) and all(worker.poll() is None for worker in cluster.workers)
    fake_sweep.release(runs)
    client = _sweep(tmp_path, cluster.address, 0, 1)
    said = client.communicate()
    assert client.returncode == 0 and _every_step_once(runs) and [_processes(run) for run in runs] == [2, 2], said


def test_a_client_that_is_asked_to_stop_waits_for_its_runs(tmp_path, cluster):
    (run,) = fake_sweep.plan(str(tmp_path), _STEPS, [0], hold=True)
    client = _sweep(tmp_path, cluster.address, 0)
    cluster.wait_for(lambda: _at_step_10(run))
    client.send_signal(signal.SIGTERM)
    _, said = client.communicate()
    assert client.returncode == 75 and "Stopping: 1 runs write their checkpoints" in said, said
    assert not run.at_work() and _at_step_10(run)


def test_failures_are_told(tmp_path, cluster):
    client = _sweep(tmp_path, cluster.address, 9)
    _, said = client.communicate()
    assert client.returncode == 1 and "Failed: digits/Fo_Ha source_only seed 9: seed 9 fails. (exit code 2)" in said


@pytest.fixture
def mortal(tmp_path):
    """A cluster of one test's own, to be killed."""
    with DaskCluster(tmp_path, workers=2) as cluster:
        yield cluster


def test_runs_of_a_killed_worker_go_on_elsewhere_and_a_scheduler_that_dies_is_told(tmp_path, mortal):
    cluster = mortal
    runs = fake_sweep.plan(str(tmp_path), _STEPS, [0, 1, 2], hold=True)
    client = _sweep(tmp_path, cluster.address, 0, 1, 2)
    cluster.wait_for(lambda: sum(_at_step_10(run) for run in runs) == 2)
    cluster.kill(cluster.workers[0])
    cluster.wait_for(lambda: sum(run.at_work() for run in runs) == 1)
    fake_sweep.release(runs)
    said = client.communicate()
    assert client.returncode == 0 and _every_step_once(runs), (said, cluster.said())
    assert sorted(map(_processes, runs)) == [1, 1, 2], "one run went on elsewhere"

    more = fake_sweep.plan(str(tmp_path), _STEPS, [3], hold=True)
    client = _sweep(tmp_path, cluster.address, 3)
    cluster.wait_for(lambda: _at_step_10(*more))
    cluster.scheduler.kill()
    _, told = client.communicate(120)
    assert client.returncode == 75 and "Error: The scheduler is gone" in told and "Traceback" not in told, told
    cluster.wait_for(lambda: not more[0].at_work())


@contextlib.contextmanager
def _listening(answer: bytes):
    """The address of somebody who accepts every connection, says this, and nothing more."""
    held = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                held.append(server.accept()[0])
                held[-1].sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in held:
        connection.close()


def test_no_scheduler(monkeypatch):
    monkeypatch.setattr("gsda_tf.workers._CONNECT_SECONDS", 0.3)
    with contextlib.ExitStack() as stack:
        # The second says that it is going to send 3 exabytes.
        liars = [stack.enter_context(_listening(answer)) for answer in (b"", b"HTTP/1.1 200 OK\r\n\r\n")]
        for address in ("tcp://127.0.0.1:1", "nonsense", "http://x", "tcp://127.0.0.1:99999", *liars):
            with pytest.raises(UserError, match=f"^--scheduler={address}: no Dask scheduler answers there"):
                DaskPool(address)
    clients = [each for each in gc.get_objects() if type(each) is distributed.Client]
    deadline = time.monotonic() + 60  # a busy machine gives up on a client before the client itself does
    while not all(each.status == "closed" for each in clients):
        assert time.monotonic() < deadline, "one that is collected later can wait for ever"
        time.sleep(0.05)


def test_the_own_scheduler_shares_cores_and_gpus(monkeypatch, tmp_path, repository):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    say = ("-n1", "-r1", "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES']); time.sleep(1)")
    with DaskPool("local", jobs=2, gpus=["4", "7"]) as pool:
        seen = [pool.call(os.getenv, name).result(60) for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")]
        tasks = [Task("timeit", say, str(repository), str(tmp_path / name)) for name in "ab"]
        assert [future.result(60).code for future in [pool.submit(task) for task in tasks]] == [0, 0]
    assert seen == ["4", "4"] and {(tmp_path / name).read_text().split()[0] for name in "ab"} == {"4", "7"}


@pytest.mark.slow
def test_a_real_run_on_a_killed_worker_ends_as_on_this_machine(tmp_path):
    flags = (*commands.TINY, "--steps=400", "--checkpoint_steps=10")
    commands.succeed("train", *flags, "--method=gsda", "--noexport", "--noreport", f"--workdir={tmp_path / 'whole'}")
    sweep = ("--benchmark=digits", "--tasks=Fo_Ha", "--methods=gsda", "--seeds=0", f"--out={tmp_path / 'sweep'}")
    workdir = tmp_path / "sweep" / "digits" / "Fo_Ha" / "gsda" / "seed0"
    with DaskCluster(tmp_path, workers=1) as cluster:
        client = commands.start("sweep", *sweep, *flags, f"--scheduler={cluster.address}")
        cluster.wait_for(lambda: list(workdir.glob("checkpoints/ckpt-*.index")))
        cluster.add_worker()
        cluster.kill(cluster.workers[0])
        said = client.communicate(240)
        assert client.returncode == 0, (said, cluster.said())
    assert "Going on from step" in "".join(path.read_text() for path in (tmp_path / "sweep" / "logs").iterdir())
    assert commands.summary(workdir)["weights_sha256"] == commands.summary(tmp_path / "whole")["weights_sha256"]
