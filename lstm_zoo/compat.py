"""Every private or undocumented API of Keras, TensorFlow and Python that lstm_zoo uses.

Each is used only here, with its reason; `tests/test_compat.py` reports the one that a new version
has removed. The programs that check exports (`lstm_zoo/export/*_checks.py`) hold their own, marked,
since they run without lstm_zoo.
"""

import contextlib
import functools
import hashlib
import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state

MONITORS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


class LoopOverride:
    """A mixin of Keras's recurrent layers that can replace Keras's loop.

    Private: `inner_loop`, the method in which Keras chooses between cuDNN and its own loop. The
    code around it (states, masks, shapes of outputs, `stateful`) is worth reusing, and has no
    documented hook for another loop.
    """

    def run_loop(
        self, sequences: tf.Tensor, initial_state: Any, mask: tf.Tensor | None, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Run the layer's loop.

        Args:
            sequences: the inputs, `(batch, time, features)`.
            initial_state: one state `(batch, units)`, or a list of them.
            mask: boolean `(batch, time)`, true at valid steps; None where all are.
            training: whether dropout is applied.

        Returns:
            The last output `(batch, units)`, all outputs `(batch, time, units)` and the list of
            last states.
        """
        raise NotImplementedError

    def keras_loop(self, sequences, initial_state, mask, training):
        """Run Keras's loop or cuDNN, as Keras chooses; arguments and results as in `run_loop`."""
        return super().inner_loop(sequences, initial_state, mask, training)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        return self.run_loop(sequences, initial_state, mask, training)


def input_dropout_mask(cell: keras.Layer, step: tf.Tensor) -> tf.Tensor:
    """Return the dropout mask of a Keras recurrent cell's inputs, the same for all steps.

    Private: `get_dropout_mask`. With it, another loop draws the same mask from the same seed.

    Args:
        cell: the cell of a layer with `dropout`.
        step: the inputs of a step, `(batch, features)`.

    Returns:
        A tensor like `step`, the factor of each input.
    """
    return cell.get_dropout_mask(step)


def zeroes_masked_outputs(layer: keras.layers.RNN) -> bool:
    """Return whether a recurrent layer's outputs at masked steps are zeros.

    Undocumented: `zero_output_for_mask`, which `keras.layers.Bidirectional` sets.

    Example:

    >>> zeroes_masked_outputs(keras.layers.LSTM(2))
    False
    """
    return layer.zero_output_for_mask


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Return the layers inside a layer, in their order.

    Private: `_layers`. The documented `layers` exists for models only.

    Example:

    >>> dense = keras.layers.Dense(2)
    >>> sublayers(keras.layers.TimeDistributed(dense)) == [dense]
    True
    """
    return layer._layers


@contextlib.contextmanager
def deferred_values() -> Iterator[None]:
    """Give the variables that a block creates their values only after it.

    A network's shapes can be checked in the block, before its weights are allocated. If the block
    raises, they never are.

    Private: the list of the variables that wait for their values.

    Example:

    >>> with deferred_values():
    ...     model = keras.Sequential([keras.Input((10**6,)), keras.layers.Dense(10**6)])
    ...     raise MemoryError(f"{model.count_params():,} weights")
    Traceback (most recent call last):
    MemoryError: 1,000,001,000,000 weights
    """
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    except BaseException:
        global_state.set_global_attribute("uninitialized_variables", [])
        raise
    with keras.StatelessScope():
        pass  # at its end, Keras initializes them


def ops_are_watched() -> bool:
    """Return whether TensorFlow calls back for each op, as with `enable_check_numerics`.

    Private: `op_callbacks`. The switches that use it have no documented state.

    Example:

    >>> ops_are_watched()
    False
    """
    from tensorflow.python.framework import op_callbacks

    return bool(op_callbacks.should_invoke_op_callbacks())


def set_directions(
    callbacks: Iterable[keras.callbacks.Callback], directions: Mapping[str, str]
) -> None:
    """Set the direction of the metric that Keras's callbacks with `mode="auto"` monitor.

    Undocumented: their attributes `monitor` and `mode`. Keras finds the direction of the loss and
    of its own metrics only, after the first epoch.

    Args:
        callbacks: callbacks of `fit`.
        directions: "max" or "min" of each metric in `logs`.

    Raises:
        ValueError: if such a callback monitors another metric.

    Example:

    >>> stop = keras.callbacks.EarlyStopping(monitor="val_accuracy")
    >>> set_directions([stop], {"val_accuracy": "max"})
    >>> stop.mode
    'max'
    """
    for callback in callbacks:
        if isinstance(callback, MONITORS) and callback.mode == "auto":
            if callback.monitor not in directions:
                raise ValueError(
                    f"{type(callback).__name__} monitors one of {', '.join(directions)}. "
                    f"Received: {callback.monitor!r}"
                )
            callback.mode = directions[callback.monitor]


class SummedGradients:
    """A mixin of Keras's optimizers that can take gradients already summed over all replicas.

    Private: `_all_reduce_sum_gradients`, in which Keras sums the gradients of the replicas after it
    has clipped those of each. The sum of all must be clipped.

    Attributes:
        gradients_are_summed: whether the gradients of `apply` are sums, equal on all replicas. It
            is not part of the configuration: a loaded optimizer is as Keras's.
    """

    gradients_are_summed = False

    def _all_reduce_sum_gradients(self, grads_and_vars):
        if self.gradients_are_summed:
            return grads_and_vars
        return super()._all_reduce_sum_gradients(grads_and_vars)


def has_started() -> bool:
    """Return whether TensorFlow has run an op, or set up its devices.

    Private: the handle of TensorFlow's context, which nothing public shows.
    """
    from tensorflow.python.eager import context

    return context.context()._context_handle is not None


def set_heartbeat(cluster: tf.distribute.cluster_resolver.ClusterResolver, seconds: int) -> None:
    """Set how soon the end of a worker is noticed, before the strategy of several is made.

    Private: TensorFlow's coordination service, whose limits no public function sets.

    Args:
        cluster: the workers.
        seconds: the time without a sign of life after which a worker counts as ended.
    """
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.distribute import multi_worker_util
    from tensorflow.python.eager import context

    spec = cluster.cluster_spec()
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=multi_worker_util.coordination_leader(spec),
        heartbeat_timeout_in_ms=seconds * 1_000,
        coordinated_jobs=[
            coordination_config_pb2.CoordinatedJob(name=job, num_tasks=spec.num_tasks(job))
            for job in ("chief", "worker")
            if job in spec.jobs
        ],
    )


class ScaledRates:
    """A mixin of Keras's AdamW, in which the learning rate has a factor for each weight.

    Private: `_get_variable_index`, since `update_step` is not given a weight's index; and
    `_use_weight_decay` and `_apply_weight_decay`, which has one rate for all weights: a step decays
    its weight here.
    """

    def rate_factor(self, index: int) -> Any:
        """Return the factor of the learning rate of a weight, for the current step.

        Args:
            index: the weight's index among those that the optimizer was built with.
        """
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate):
        rate = learning_rate * self.rate_factor(self._get_variable_index(variable))
        if self._use_weight_decay(variable):
            decay = tf.cast(self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay * tf.cast(rate, variable.dtype))
        super().update_step(gradient, variable, rate)

    def _apply_weight_decay(self, variables):
        pass


def weights_file(model: keras.Model) -> bytes:
    """Return the content of a file of a model's weights, as `save_weights` writes it.

    Private: `H5IOStore` and `_save_state`. HDF5 crashes the process if the disk is full, so the
    file is made in memory, for which Keras has no documented function.

    Args:
        model: a built model.

    Returns:
        The bytes of a `.weights.h5` file.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> _ = Path("model.weights.h5").write_bytes(weights_file(model))
    >>> model.load_weights("model.weights.h5")
    """
    from keras.src.saving import saving_lib

    file = io.BytesIO()
    store = saving_lib.H5IOStore(file, mode="w")
    saving_lib._save_state(
        model,
        weights_store=store,
        assets_store=None,
        inner_path="",
        visited_saveables=set(),
    )
    store.close()
    return file.getvalue()


def ctc_loss(labels: tf.SparseTensor, logits: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
    """Compute the CTC loss of each row with TensorFlow's sparse kernel.

    TensorFlow 1's: `tf.compat.v1.nn.ctc_loss`. It took a sixth of the time of the dense
    `tf.nn.ctc_loss` on a CPU (32 rows of 150 frames, 30 classes, 20 labels, with the gradient).

    Args:
        labels: int32, the label ids of each row.
        logits: float32 `(batch, frames, classes)`; the last class is the blank.
        num_frames: int32 `(batch,)`, the valid frames of each row.

    Returns:
        float32 `(batch,)`, the negative log-likelihoods.

    Example:

    >>> labels = tf.SparseTensor([[0, 0]], [0], [1, 1])
    >>> round(float(ctc_loss(labels, tf.zeros((1, 2, 2)), tf.constant([2]))[0]), 4)  # -log(3 / 4)
    0.2877
    """
    return tf.compat.v1.nn.ctc_loss(labels, logits, num_frames, time_major=False)


def sentencepiece_tokenizer(model: bytes) -> Any:
    """Make tensorflow-text's SentencePiece tokenizer, with int32 ids.

    Private: the resource that holds the model. tensorflow-text ties the model to the kernel that
    created it, and `tf.random.set_seed` clears the kernels: every later use would fail. A named
    resource survives.

    Args:
        model: the bytes of a SentencePiece model.

    Returns:
        A `tensorflow_text.SentencepieceTokenizer`.
    """
    import tensorflow_text as tf_text

    tokenizer = tf_text.SentencepieceTokenizer(model, out_type=tf.int32)
    tokenizer._model_resource = _named_resource()(model)
    return tokenizer


@functools.cache
def _named_resource() -> type:
    """Make the class of a SentencePiece model's resource, which needs tensorflow-text imported."""
    from tensorflow_text.python.ops import sentencepiece_tokenizer as tf_ops

    class NamedResource(tf_ops._SentencepieceModelResource):
        def __init__(self, model: bytes):
            # Equal models may share a resource; different ones must not.
            self._shared_name = f"lstm_zoo_pieces_{hashlib.sha256(model).hexdigest()}"
            super().__init__(model, name=None)

        def _create_resource(self) -> tf.Tensor:
            create = tf_ops.gen_sentencepiece_tokenizer.sentencepiece_op
            return create(model=self._model, shared_name=self._shared_name)

    return NamedResource


def update_slices_in_place(converter: Any) -> None:
    """Make a LiteRT converter write each step's output in place, rather than copy all outputs.

    Private: `_experimental_enable_dynamic_update_slice`.

    Args:
        converter: a `tf.lite.TFLiteConverter`.
    """
    converter._experimental_enable_dynamic_update_slice = True


@contextlib.contextmanager
def warnings_not_logged() -> Iterator[None]:
    """Disable logging up to warnings, in the whole process, inside the block.

    Undocumented: `logging.root.manager.disable`, the level to restore.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
