"""Every private or undocumented API of Keras, TensorFlow and Python that lstm_zoo uses.

Each stands here with its reason, and nowhere else; `tests/test_compat.py` says which one a new
version has taken away. The programs that check exports (`lstm_zoo/export/*_checks.py`) keep theirs
inside, marked, since they run where there is no lstm_zoo.
"""

import contextlib
import functools
import hashlib
import logging
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf


class LoopOverride:
    """A mixin of Keras's recurrent layers that may run another loop than Keras's.

    Private: `inner_loop`, the method in which Keras chooses between cuDNN and its own loop. What
    stands around it (states, masks, shapes of outputs, `stateful`) is worth keeping, and has no
    documented place for another loop.
    """

    def run_loop(
        self, sequences: tf.Tensor, initial_state: Any, mask: tf.Tensor | None, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]] | None:
        """Return the last output, all outputs and the last states; None for Keras's loop."""
        raise NotImplementedError

    def inner_loop(self, sequences, initial_state, mask, training=False):
        results = self.run_loop(sequences, initial_state, mask, training)
        if results is None:
            return super().inner_loop(sequences, initial_state, mask, training)
        return results


def input_dropout_mask(cell: keras.Layer, step: tf.Tensor) -> tf.Tensor:
    """Return the mask, one for all steps, that Keras's recurrent cell drops its inputs by.

    Private: `get_dropout_mask`. A loop of another kind must drop as Keras's does, by the same seed.

    Args:
        cell: the cell of a layer with `dropout`.
        step: the inputs of a step, `(batch, features)`.
    """
    return cell.get_dropout_mask(step)


def zeroes_masked_outputs(layer: keras.layers.RNN) -> bool:
    """Tell whether a recurrent layer's outputs at masked steps are zeros.

    Undocumented: `zero_output_for_mask`, which `keras.layers.Bidirectional` sets.
    """
    return layer.zero_output_for_mask


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Return the layers that a layer holds, in their order.

    Private: `_layers`. The documented `layers` is of models alone.
    """
    return layer._layers


def ctc_loss(labels: tf.SparseTensor, logits: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
    """Compute CTC's loss of each row by TensorFlow's sparse kernel, the blank the last class.

    Of version 1: `tf.compat.v1.nn.ctc_loss`. The kernel took a sixth of the time of
    the dense `tf.nn.ctc_loss` on a CPU (32 rows of 150 frames, 30 classes, 20 labels, with the
    gradient).

    Args:
        labels: the label ids of each row.
        logits: float32 `(batch, frames, classes)`.
        num_frames: int32 `(batch,)`.
    """
    return tf.compat.v1.nn.ctc_loss(labels, logits, num_frames, time_major=False)


def sentencepiece_tokenizer(model: bytes) -> Any:
    """Make tensorflow-text's SentencePiece tokenizer, with int32 ids.

    Private: the resource that holds the model. tensorflow-text ties the model to the kernel that
    made it, and `tf.random.set_seed` clears the kernels: every use after it would fail. A resource
    with a name of its own stays.

    Args:
        model: the bytes of a SentencePiece model.
    """
    import tensorflow_text as tf_text

    tokenizer = tf_text.SentencepieceTokenizer(model, out_type=tf.int32)
    tokenizer._model_resource = _named_resource()(model)
    return tokenizer


@functools.cache
def _named_resource() -> type:
    """Make the class of a SentencePiece model's resource; tensorflow-text is imported for it."""
    from tensorflow_text.python.ops import sentencepiece_tokenizer as tf_ops

    class NamedResource(tf_ops._SentencepieceModelResource):
        def __init__(self, model: bytes):
            # Equal models may share one resource; others must not.
            self._shared_name = f"lstm_zoo_pieces_{hashlib.sha256(model).hexdigest()}"
            super().__init__(model, name=None)

        def _create_resource(self) -> tf.Tensor:
            create = tf_ops.gen_sentencepiece_tokenizer.sentencepiece_op
            return create(model=self._model, shared_name=self._shared_name)

    return NamedResource


def update_slices_in_place(converter: Any) -> None:
    """Have a LiteRT converter write a step's output in its place, where else all are copied.

    Private: `_experimental_enable_dynamic_update_slice`.
    """
    converter._experimental_enable_dynamic_update_slice = True


@contextlib.contextmanager
def warnings_not_logged() -> Iterator[None]:
    """Keep the process's loggers quiet up to warnings, for the block.

    Undocumented: `logging.root.manager.disable`, the level to restore.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
