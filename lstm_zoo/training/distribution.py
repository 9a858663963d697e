"""The training loop: one step of all replicas under a `tf.distribute` strategy.

Keras's `fit` does not support several workers, clips the gradients of each replica before they are
summed, and takes a mean of the replicas' means. Here each replica computes on its part of every
batch, padded like the whole; the losses are weighted by the terms that they are means of, so that
the gradient is that of the whole batch; and the gradients are summed before they are clipped.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo.errors import TrainingError
from lstm_zoo.training.checkpoints import START, Position
from lstm_zoo.training.optimizer import build_optimizer, skips_infinite
from lstm_zoo.training.workers import ALONE, Workers

SKIPPED = 40  # steps in a row, after which a loss scale of 2**15 can overflow no more
SEED_DISTANCE = 1_000_003  # between the dropout seeds of two replicas


class Step(NamedTuple):
    """What a training step returns: of the whole batch, float32 scalars.

    Attributes:
        loss: the loss, before the step.
        examples: the number of examples.
        gradient_norm: the global norm of the gradients, before they are clipped.
    """

    loss: Any
    examples: Any
    gradient_norm: Any


def split(
    make_batch: Callable[[np.ndarray, np.random.Generator, np.ndarray], tuple],
    indices: np.ndarray,
    generator: np.random.Generator,
    replicas: int,
    chosen: slice = slice(None),
) -> tuple:
    """Make the parts of a batch of some replicas: each of every so many rows.

    Args:
        make_batch: makes rows of a batch, as `lstm_zoo.families.Task.batch` does, from the indices
            of the whole batch, the generator, and the numbers of the rows.
        indices: the indices of the batch's examples, `(batch,)`.
        generator: the source of random augmentation.
        replicas: the number of all replicas.
        chosen: the replicas whose parts are made.

    Returns:
        (part, number of rows) of each chosen replica; the numbers are int32 scalars. A part of no
        rows holds one, of another replica, since not every op takes an empty batch.

    Example:

    >>> ids = np.array([[4, 5], [6, 0], [7, 0]])
    >>> parts = split(lambda indices, _, rows: (ids[indices][rows],), np.arange(3), None, 2)
    >>> [(ids.tolist(), int(rows)) for (ids,), rows in parts]
    [([[4, 5], [7, 0]], 2), ([[6, 0]], 1)]
    """
    places = [np.arange(number, len(indices), replicas) for number in range(replicas)[chosen]]
    held = [rows if len(rows) else np.zeros(1, int) for rows in places]
    wanted = np.unique(np.concatenate(held))
    batch = make_batch(indices, generator, wanted)  # once, for its random draws

    def part(rows: np.ndarray) -> tuple:
        found = np.searchsorted(wanted, rows)
        return tf.nest.map_structure(lambda array: array[found], batch)

    return tuple((part(rows), np.int32(len(own))) for rows, own in zip(held, places, strict=True))


def make_step(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    loss_terms: Callable[[tf.Tensor], tf.Tensor],
    accumulate: int = 1,
    first_replica: int = 0,
) -> Callable[[Any], Step]:
    """Make the function of a training step, which is traced once.

    Args:
        model: the compiled network, made in the strategy's scope; its loss is a mean.
        strategy: how the replicas are distributed.
        loss_terms: from targets to the number of terms of which the loss is the mean.
        accumulate: the number of chunks of a replica's part, computed one after another.
        first_replica: the number of this worker's first replica among all.

    Returns:
        A function of an iterator, which yields what `split` returns.
    """
    optimizer, weights = model.optimizer, model.trainable_variables
    with strategy.scope():
        build_optimizer(model)

    seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]

    def shift_seeds(replicas: int) -> None:
        """Let a replica draw other dropout masks than the first; saved seeds are the first's."""
        for seed in seeds if replicas else ():
            seed.assign(seed + tf.cast([replicas * SEED_DISTANCE, 0], seed.dtype))

    def gradients_of(chunk: Any, factor: tf.Tensor) -> tuple[tf.Tensor, list]:
        inputs, targets, example_weights = keras.utils.unpack_x_y_sample_weight(chunk)
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = model.compute_loss(inputs, targets, logits, example_weights) * factor
            scaled = optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled, weights)

    def replica_step(parts: Sequence[Any]) -> Step:
        context = tf.distribute.get_replica_context()
        number = int(tf.get_static_value(context.replica_id_in_sync_group))
        batch, rows = parts[number - first_replica]
        is_used = tf.cast(rows > 0, tf.float32)

        def terms(chunk: Any) -> tf.Tensor:
            return tf.cast(loss_terms(chunk[1]), tf.float32) * is_used

        total, examples = context.all_reduce("SUM", [terms(batch), tf.cast(rows, tf.float32)])
        # Keras's losses are divided by the number of replicas.
        scale = strategy.num_replicas_in_sync / total
        shift_seeds(number)
        if accumulate == 1:
            loss, gradients = gradients_of(batch, terms(batch) * scale)
        else:
            loss, gradients = tf.constant(0.0), None
            for chunk, is_filled in _chunks(batch, accumulate):
                with tf.control_dependencies([loss, *_tensors(gradients or [])]):
                    part, more = gradients_of(chunk, terms(chunk) * is_filled * scale)
                gradients = more if gradients is None else [*map(_add, gradients, more)]
                loss += part
        shift_seeds(-number)
        known = [(g, weight) for g, weight in zip(gradients, weights, strict=True) if g is not None]
        gradients, updated = zip(*known, strict=True)
        summed = context.all_reduce("SUM", [*gradients])
        norm = tf.linalg.global_norm(summed) / optimizer.scale_loss(1.0)
        optimizer.apply(summed, [*updated])
        return Step(context.all_reduce("SUM", loss), examples, norm)

    @tf.function
    @tf.autograph.experimental.do_not_convert
    def step(iterator: Any) -> Step:
        results = strategy.run(replica_step, args=(next(iterator),))
        return Step(*(strategy.experimental_local_results(result)[0] for result in results))

    return step


def fit(
    model: keras.Model,
    step: Callable[[Any], Step],
    dataset: tf.data.Dataset,
    *,
    steps: int,
    first_epoch: int,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    describe: Callable[[int], str],
    record: Callable[[int, Step], None] = lambda number, result: None,
    position: Position = START,
    keep: Callable[[Position], None] = lambda position: None,
    workers: Workers = ALONE,
) -> None:
    """Train a compiled model, with Keras's callbacks as in `keras.Model.fit`.

    `loss` in the callbacks' `logs` is the mean over the examples of the epoch so far.

    Args:
        model: the network, which the callbacks see.
        step: what `make_step` returned for it.
        dataset: yields the batches of an epoch each time it is iterated.
        steps: the number of training steps of an epoch.
        first_epoch: the number of the first epoch, from 0.
        epochs: the number of the epoch after the last one.
        callbacks: the callbacks, in the order in which they are called.
        describe: from the number of a step in its epoch, from 0, to what its batch holds, for an
            error.
        record: called with the number of a step in its epoch, from 0, and what it returned, after
            `on_train_batch_begin` and before `on_train_batch_end`.
        position: where in the first epoch to go on; the dataset's first iteration begins there.
        keep: called with the position after each step but an epoch's last, for checkpoints.
        workers: the workers. Several workers' callbacks must do the same;
            if one stops the training, all stop after the epoch.

    Raises:
        TrainingError: if the loss is NaN or infinite, or the gradients are, and the optimizer does
            not skip such a step.
    """
    events = keras.callbacks.CallbackList(
        [*callbacks], add_history=True, model=model, verbose=0, epochs=epochs, steps=steps
    )
    model.stop_training = False
    events.on_train_begin()
    logs, skipped = {}, 0
    for epoch in range(first_epoch, epochs):
        events.on_epoch_begin(epoch)
        total, count = np.float32(position.loss), np.float32(position.examples)
        iterator = iter(dataset)
        for number in range(position.step, steps):
            events.on_train_batch_begin(number)
            result = Step(*(value.numpy() for value in step(iterator)))
            for name, value in (("loss", result.loss), ("gradient norm", result.gradient_norm)):
                is_norm = value is result.gradient_norm
                if is_norm:
                    skipped = 0 if math.isfinite(value) else skipped + 1
                is_skipped = is_norm and skips_infinite(model.optimizer) and skipped <= SKIPPED
                if not math.isfinite(value) and not is_skipped:
                    raise TrainingError(
                        f"The {name} is {value} in epoch {epoch + 1}/{epochs}, step {number + 1}, "
                        f"{describe(number)}."
                    )
            record(number, result)
            total, count = total + result.loss * result.examples, count + result.examples
            logs = {"loss": float(total / count)}
            events.on_train_batch_end(number, logs)
            if model.stop_training and workers.count == 1:
                break
            if number + 1 < steps:
                keep(Position(number + 1, float(total), float(count)))
        logs, position = dict(logs), START
        events.on_epoch_end(epoch, logs)
        model.stop_training = any(workers.exchange(bool(model.stop_training)))
        if model.stop_training:
            break
    events.on_train_end(logs)


def _chunks(batch: Any, count: int) -> list[tuple[Any, tf.Tensor]]:
    """Split a batch into chunks of rows; return (chunk, 1.0), or (a row, 0.0) for an empty one."""
    rows = tf.shape(tf.nest.flatten(batch)[0])[0]
    chunks = []
    for number in range(count):
        start, end = rows * number // count, rows * (number + 1) // count
        is_filled = tf.cast(end > start, tf.float32)
        start = tf.minimum(start, rows - 1)
        end = tf.maximum(end, start + 1)
        chunk = tf.nest.map_structure(lambda tensor, a=start, b=end: tensor[a:b], batch)
        chunks.append((chunk, is_filled))
    return chunks


def _add(first: Any, second: Any) -> Any:
    """Add two gradients of a weight; rows of a table stay apart, as in those of a whole batch."""
    if first is None or second is None:
        return first if second is None else second
    if isinstance(first, tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.concat([first.values, second.values], 0),
            tf.concat([first.indices, second.indices], 0),
            first.dense_shape,
        )
    return first + second


def _tensors(gradients: Sequence[Any]) -> list[tf.Tensor]:
    """Return the tensors of gradients, on which other ops can wait."""
    tensors = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    return [tensor for tensor in tensors if tensor is not None]
