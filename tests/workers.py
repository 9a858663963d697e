"""A training as one of several workers: `python -m tests.workers JOB`, with JOB as JSON.

The job has `family`, `run` and the settings; `sgd` trains with it in place of AdamW, and `devices`
makes that many virtual processors.
"""

import json
import os
import socket
import subprocess
import sys

from tests import preloaded

# Settings with which nothing in a training is random.
WITHOUT_DRAWS = {
    "sentiment": {"dropout": 0, "word_dropout": 0, "embedding_dropout": 0},
    "speech": {"dropout": 0, "time_masks": 0, "frequency_masks": 0},
    "translation": {"dropout": 0, "token_dropout": 0},
}


def clipped_sgd(*_):
    """SGD, which does not magnify rounding as AdamW does; its gradients are clipped."""
    import keras

    from lstm_zoo.compat import SummedGradients

    class SGD(SummedGradients, keras.optimizers.SGD):
        gradients_are_summed = True

    return SGD(0.1, global_clipnorm=0.5)


def cluster(count=2):
    """Return the environment of each of some workers on free ports of this machine."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{listener.getsockname()[1]}" for listener in sockets]
    for listener in sockets:
        listener.close()
    return [
        {
            "TF_CONFIG": json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            )
        }
        for index in range(count)
    ]


def start(job, environment=None):
    """Start a training in a process of its own."""
    return subprocess.Popen(
        [preloaded.python(), "-m", "tests.workers", json.dumps(job, default=str)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def finish(*processes, limit=300):
    """Wait for processes; return the exit status and the output of each."""
    outputs = [process.communicate(timeout=limit)[0] for process in processes]
    return [
        (process.returncode, output) for process, output in zip(processes, outputs, strict=True)
    ]


def main(text):
    job = json.loads(text)
    import tensorflow as tf

    if count := job.pop("devices", 0):
        cpu = tf.config.list_physical_devices("CPU")[0]
        devices = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(cpu, devices)
    import lstm_zoo
    from lstm_zoo.errors import CallError, TrainingError
    from lstm_zoo.training import train
    from tests.kills import SMALL, data_of

    family, run = job.pop("family"), job.pop("run")
    data, settings = data_of(family)
    if job.pop("sgd", False):
        train.make_optimizer = clipped_sgd
    settings = {} if job.get("resume") else {**SMALL, **settings, **WITHOUT_DRAWS[family]}
    try:
        lstm_zoo.train(family, data, run=run, **{**settings, **job})
    except (CallError, TrainingError) as error:
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
