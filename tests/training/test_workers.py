"""Several workers and devices: they train as one does, start together and end together."""

import json
import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.errors import CallError, TrainingError
from lstm_zoo.training import rendezvous, workers
from tests import preloaded
from tests.kills import files_of
from tests.workers import cluster, finish, start

FAMILIES = ["sentiment", "speech", "translation"]


def steps_of(run):
    return [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]


def scores_of(run):
    metrics = json.loads((run / "metrics.json").read_text())
    return {k: v for k, v in metrics["validation"].items() if isinstance(v, float)}


def compare(run, whole, optimizer):
    """Check that a run is that of one worker."""
    steps, expected = steps_of(run), steps_of(whole)
    assert len(steps) == len(expected) >= 50
    assert [row["examples"] for row in steps] == [row["examples"] for row in expected]
    losses, found = ([row["loss"] for row in rows] for rows in (expected, steps))
    # A CTC loss is of some hundreds.
    np.testing.assert_allclose(found, losses, rtol=1e-5, atol=1e-3 if optimizer == "adamw" else 0)
    if optimizer == "sgd":
        first, second = (lstm_zoo.load(path).model.get_weights() for path in (run, whole))
        for array, other in zip(first, second, strict=True):
            np.testing.assert_allclose(array, other, atol=1e-5)
    assert scores_of(run) == pytest.approx(scores_of(whole), abs=1e-3)


# Parts of unequal size; and batches by tokens, some of one example, which leave a replica empty.
JOBS = {
    "sgd": {"batch_size": 5, "batch_tokens": None, "sgd": True},
    "adamw": {"batch_tokens": 40},
}
TOKENS = {"sentiment": 40, "speech": 150, "translation": 25}


def job_of(family, run, optimizer):
    job = {"family": family, "run": run, "log_steps": True, **JOBS[optimizer]}
    steps = {"sentiment": 22, "speech": 5, "translation": 15}[family]  # of an epoch
    if optimizer == "adamw":
        job["batch_tokens"] = TOKENS[family]
        steps = {"sentiment": 52, "speech": 21, "translation": 72}[family]
    return {**job, "epochs": -(-50 // steps), "patience": 99}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("family", FAMILIES)
def test_two_workers_train_as_one(family, optimizer, tmp_path):
    processes = [start(job_of(family, tmp_path / "two", optimizer), e) for e in cluster()]
    for number, (status, output) in enumerate(finish(*processes)):
        assert status == 0, output
        assert f"2 replicas on 2 workers; this is worker {number}" in output
    ((status, output),) = finish(start(job_of(family, tmp_path / "one", optimizer)))
    assert status == 0, output
    compare(tmp_path / "two", tmp_path / "one", optimizer)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "one",
        "two",
    ]
    if optimizer == "adamw":
        assert 1 in [row["examples"] for row in steps_of(tmp_path / "two")]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "translation"])
def test_mirrored_devices_train_as_one(family, tmp_path):
    # The steps of all families on two devices: tests/training/test_distribution.py.
    job = job_of(family, tmp_path / "two", "sgd")
    two = start({**job, "devices": 2, "strategy": "mirrored"})
    one = start({**job, "run": tmp_path / "one"})
    for status, output in finish(two, one):
        assert status == 0, output
    compare(tmp_path / "two", tmp_path / "one", "sgd")


def wait_for_epoch(run, processes, epoch):
    """Wait until the files of an epoch are there."""
    while not (run / "checkpoint" / f"state-{epoch}.npz").exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_worker_ends_the_others_and_the_training_can_be_resumed(killed, tmp_path):
    job = {"family": "sentiment", "run": tmp_path / "whole/run", "dropout": 0.3, "epochs": 6}
    job |= {"checkpoint_minutes": 0}
    if killed == 1:
        for status, output in finish(*(start(job, environment) for environment in cluster())):
            assert status == 0, output

    job["run"] = tmp_path / "killed/run"
    processes = [start(job, environment) for environment in cluster()]
    wait_for_epoch(job["run"], processes, 2)
    processes[killed].send_signal(signal.SIGKILL)
    began = time.monotonic()
    ((status, output),) = finish(processes[1 - killed], limit=120)
    assert time.monotonic() - began < 60
    assert status == 1
    assert f"TrainingError: Worker {1 - killed} of 2 can't go on: another one has ended" in output
    assert "--resume goes on, with any number of workers" in output

    again = {"family": "sentiment", "run": job["run"], "resume": True}
    if killed == 0:  # on one worker: of other sums, whose last bits differ
        ((status, output),) = finish(start(again))
        assert status == 0, output
        assert {"accuracy", "macro_f1"} <= scores_of(job["run"]).keys()
        return
    for status, output in finish(*(start(again, environment) for environment in cluster())):
        assert status == 0, output
    found, expected = files_of(job["run"]), files_of(tmp_path / "whole/run")
    assert [name for name in {**found, **expected} if found.get(name) != expected.get(name)] == []


@pytest.mark.slow
def test_workers_with_other_settings_are_refused_before_the_first_step(tmp_path):
    environments = cluster()
    processes = [
        start({"family": "sentiment", "run": tmp_path / "run", "seed": seed}, environment)
        for seed, environment in enumerate(environments)
    ]
    for status, output in finish(*processes):
        assert status == 1
        assert (
            "CallError: Workers must have the same data, settings and versions: settings.seed is "
            "0 at worker 0 and 1 at worker 1." in output
        )
    assert not (tmp_path / "run").exists()


EXCHANGE = """
from lstm_zoo.training import workers
found = workers.choose("auto")
print(found.exchange({"number": found.number, "text": "é" * 10 ** 5 * found.number}) == [
    {"number": 0, "text": ""}, {"number": 1, "text": "é" * 10 ** 5}
], found.own_replicas, workers.is_first())
try:
    workers.choose("auto")
except workers.CallError as error:
    print(error)
"""


@pytest.mark.slow
def test_slurm_starts_workers_too(tmp_path):
    """Two tasks on this host, with the environment that SLURM gives them."""
    port = json.loads(cluster(1)[0]["TF_CONFIG"])["cluster"]["worker"][0].rpartition(":")[2]
    program = "import tensorflow as tf\n"
    program += "resolver = tf.distribute.cluster_resolver.SlurmClusterResolver\n"
    program += "tf.distribute.cluster_resolver.SlurmClusterResolver = "
    program += f"lambda **options: resolver(port_base={port}, **options)\n" + EXCHANGE
    tasks = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
    }
    processes = [
        subprocess.Popen(
            [preloaded.python(), "-c", program],
            env={**os.environ, **tasks, "SLURM_PROCID": str(number)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for number, (status, output) in enumerate(finish(*processes)):
        assert status == 0
        lines = output.splitlines()
        assert lines[0] == f"True slice({number}, {number + 1}, None) {number == 0}"
        assert "must be set up before TensorFlow's first op" in lines[1]


def test_a_worker_that_does_not_start_is_named():
    addresses = [json.loads(e["TF_CONFIG"])["cluster"]["worker"][0] for e in cluster(3)]
    with pytest.raises(TrainingError) as error:
        rendezvous.wait_for_all(addresses, 0, 0.3)
    assert str(error.value) == (
        "Not all of the 3 workers have started within 0 seconds. Missing: worker 1 "
        f"({addresses[1]}), worker 2 ({addresses[2]})"
    )
    with pytest.raises(TrainingError, match=r"Missing: worker 0 \(localhost"):
        rendezvous.wait_for_all(addresses, 2, 0.3)


def test_late_workers_are_waited_for():
    addresses = json.loads(cluster(3)[0]["TF_CONFIG"])["cluster"]["worker"]
    ended = []

    def wait(number, delay):
        time.sleep(delay)
        rendezvous.wait_for_all(addresses, number, 30)
        ended.append((time.monotonic(), number))

    threads = [threading.Thread(target=wait, args=pair) for pair in ((2, 0.0), (0, 0.6), (1, 1.2))]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(number for _, number in ended) == [0, 1, 2]
    assert min(when for when, _ in ended) - began >= 1.2


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "TF_CONFIG is not what TensorFlow's guide describes"),
        ("[1]", "TF_CONFIG is not what TensorFlow's guide describes"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
            "task is a chief or a worker of its cluster",
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "task is a chief or a worker of its cluster",
        ),
        ('{"cluster": {"worker": ["a:1"]}}', "multi-worker needs TF_CONFIG with several workers"),
        ("", "multi-worker needs TF_CONFIG with several workers"),
    ],
)
def test_a_cluster_that_is_none_is_refused(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(CallError, match=message):
        workers.choose("multi-worker")


def test_without_a_cluster_one_device_trains(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert workers.choose("auto") is workers.choose("none") is workers.ALONE
    assert workers.is_first()
    assert str(workers.ALONE) == "none, 1 replica"
    assert workers.ALONE.exchange({"a": 1}) == [{"a": 1}]
    with pytest.raises(CallError, match="strategy is one of auto, none, mirrored, multi-worker"):
        workers.choose("two")
