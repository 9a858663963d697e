"""The workers of a training: one process on one or several devices, or several processes."""

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from lstm_zoo import compat
from lstm_zoo.errors import CallError, TrainingError
from lstm_zoo.printing import log
from lstm_zoo.settings import check_strategy
from lstm_zoo.training.rendezvous import wait_for_all

WAIT = 600  # seconds for which a worker waits for the others to start
HEARTBEAT = 20  # seconds without a sign of life after which a worker counts as ended
LOSSES = (  # the errors of ops that wait for another worker
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
WORD = 8  # bytes; NCCL gathers int64, and no bytes


class Workers:
    """A worker among all that train together, and what they share.

    Args:
        strategy: the strategy, made before TensorFlow's first op if there are several workers.
        cluster: the cluster's resolver; None for one worker.

    Attributes:
        strategy: likewise.
        number: the number of this worker, from 0.
        count: the number of workers.
        replicas: the number of replicas of the network, on all workers.
        own_replicas: the numbers of this worker's replicas, a slice.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        cluster: tf.distribute.cluster_resolver.ClusterResolver | None = None,
    ):
        self.strategy = strategy
        self.number, self.count = 0, 1
        if cluster is not None:
            tasks = _tasks(cluster)
            self.number, self.count = tasks.index((cluster.task_type, cluster.task_id)), len(tasks)
        self.replicas = strategy.num_replicas_in_sync
        local = self.replicas // self.count
        self.own_replicas = slice(self.number * local, (self.number + 1) * local)

    @functools.cached_property
    def _gather(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Make the function that joins the workers' int64 vectors, of any lengths."""

        def gather(own: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            number = int(tf.get_static_value(context.replica_id_in_sync_group))
            part = own if number == self.own_replicas.start else own[:0]
            return context.all_gather(tf.identity(part), axis=0)  # on the replica's device

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
        def gather_all(own: tf.Tensor) -> tf.Tensor:
            joined = self.strategy.run(gather, args=(own,))
            return self.strategy.experimental_local_results(joined)[0]

        return gather_all

    def __str__(self) -> str:
        name = type(self.strategy).__name__
        replicas = f"{self.replicas} replica{'s' * (self.replicas > 1)}"
        if self.count > 1:
            return f"{name}, {replicas} on {self.count} workers; this is worker {self.number}"
        return f"none, {replicas}" if self is ALONE else f"{name}, {replicas}"

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run."""
        return self.number == 0

    def exchange(self, value: Any) -> list[Any]:
        """Return the values of all workers, in order; each waits until all have given theirs.

        Args:
            value: a JSON value.
        """
        if self.count == 1:
            return [value]
        line = json.dumps(value).encode() + b"\n"
        line += b" " * (-len(line) % WORD)  # before the next line, where JSON takes no notice
        gathered = self._gather(tf.constant(memoryview(line).cast("q").tolist(), tf.int64))
        return [
            json.loads(line) for line in gathered.numpy().tobytes().splitlines() if line.strip()
        ]

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """Run the block in the chief, then in the other workers, such as to fill a cache once."""
        if not self.is_chief:
            self.exchange(None)
        yield
        if self.is_chief:
            self.exchange(None)

    def check_equal(self, values: dict[str, Any]) -> None:
        """Check that all workers have equal values.

        Args:
            values: JSON values by what they are, such as "settings.seed".

        Raises:
            CallError: if they differ, with the first difference. All workers raise it.
        """
        first, *others = self.exchange(values)
        for number, other in enumerate(others, 1):
            for name in {**first, **other}:
                if first.get(name) != other.get(name):
                    raise CallError(
                        f"Workers must have the same data, settings and versions: {name} is "
                        f"{first.get(name)!r} at worker 0 and {other.get(name)!r} at worker "
                        f"{number}."
                    )

    @contextlib.contextmanager
    def losses_reported(self) -> Iterator[None]:
        """Turn the errors that TensorFlow raises when another worker ends into one of ours.

        Raises:
            TrainingError: if another worker has ended.
        """
        try:
            yield
        except tf.errors.OpError as error:
            is_loss = isinstance(error, LOSSES) or "aborted by" in str(error)
            if self.count == 1 or not is_loss:
                raise
            reason = next(
                (line for line in str(error).splitlines() if "aborted by" in line), str(error)
            )
            raise TrainingError(
                f"Worker {self.number} of {self.count} can't go on: another one has ended "
                f"({reason.strip()[:300]}), and its own output says why. The last checkpoint "
                "stands: the same command with --resume goes on, with any number of workers."
            ) from error


ALONE = Workers(tf.distribute.get_strategy())


def choose(strategy: str | tf.distribute.Strategy) -> Workers:
    """Make the strategy of a training, and wait until all workers have started.

    Args:
        strategy: one of `lstm_zoo.settings.STRATEGIES`, or a strategy of one worker. "auto" is
            multi-worker if `TF_CONFIG` names several workers or SLURM has started several tasks,
            mirrored if there are several GPUs, else none.

    Returns:
        This worker.

    Raises:
        CallError: if the strategy is unknown, or there are no several workers, or TensorFlow has
            run an op before.
        TrainingError: if the other workers do not start.
    """
    if isinstance(strategy, tf.distribute.Strategy):
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise CallError(
                'For several workers give strategy="multi-worker", before TensorFlow\'s first op.'
            )
        return Workers(strategy)
    check_strategy(strategy)
    if strategy in ("auto", "multi-worker"):
        cluster = _cluster()
        if cluster is not None:
            return _start(cluster)
        if strategy == "multi-worker":
            raise CallError(
                "multi-worker needs TF_CONFIG with several workers, or several tasks of SLURM: see "
                "docs/scale.md."
            )
    devices = tf.config.list_logical_devices("GPU")
    if strategy == "mirrored":
        devices = devices or tf.config.list_logical_devices("CPU")
    if strategy == "mirrored" or (strategy == "auto" and len(devices) > 1):
        return Workers(tf.distribute.MirroredStrategy([device.name for device in devices]))
    return ALONE


def is_first() -> bool:
    """Return whether this process is the first worker that the environment names, or the only."""
    cluster = _cluster()
    return cluster is None or _tasks(cluster)[0] == (cluster.task_type, cluster.task_id)


def _cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """Return the cluster of several workers that the environment describes; None if it has none.

    Raises:
        CallError: if TF_CONFIG is malformed, or names tasks that have no part in a training.
    """
    if text := os.environ.get("TF_CONFIG"):
        try:
            config = json.loads(text)
            cluster, task = config.get("cluster", {}), config.get("task", {})
            addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
            index = int(task.get("index", 0))
        except (ValueError, TypeError, AttributeError) as error:
            raise CallError(
                f"TF_CONFIG is not what TensorFlow's guide describes: {error}"
            ) from error
        if len(addresses) < 2:
            return None
        kind = task.get("type")
        if kind not in ("chief", "worker") or not 0 <= index < len(cluster.get(kind, [])):
            raise CallError(
                "TF_CONFIG's task is a chief or a worker of its cluster. Received: "
                f"{json.dumps(task)} of {json.dumps(cluster)}"
            )
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if (count := int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))) > 1:
        options: dict[str, Any] = {}
        if not shutil.which("nvidia-smi"):  # the resolver fails where there are no GPUs to share
            options = {"gpus_per_node": count, "gpus_per_task": 1, "auto_set_gpu": False}
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(**options)
        resolver.cluster_spec()  # finds out which task this is
        return resolver
    return None


def _tasks(cluster: tf.distribute.cluster_resolver.ClusterResolver) -> list[tuple[str, int]]:
    """Return the job and the index of each worker; TensorFlow numbers them in this order."""
    spec = cluster.cluster_spec()
    jobs = [job for job in ("chief", "worker") if job in spec.jobs]
    return [(job, index) for job in jobs for index in spec.task_indices(job)]


def _start(cluster: tf.distribute.cluster_resolver.ClusterResolver) -> Workers:
    """Start this worker's server, and wait for the others."""
    if compat.has_started():
        raise CallError(
            "Several workers must be set up before TensorFlow's first op: call train in a fresh "
            'process, or give strategy="none".'
        )
    spec = cluster.cluster_spec()
    addresses = [spec.task_address(*task) for task in _tasks(cluster)]
    names = ", ".join(addresses)
    log(f"Waiting for {len(addresses)} workers, {WAIT // 60} minutes at most: {names}")
    wait_for_all(addresses, _tasks(cluster).index((cluster.task_type, cluster.task_id)), WAIT)
    compat.set_heartbeat(cluster, HEARTBEAT)
    return Workers(tf.distribute.MultiWorkerMirroredStrategy(cluster), cluster)
