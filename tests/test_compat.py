"""Private and undocumented APIs: if a new version removes one, a test here fails and names it.

Their uses are tested elsewhere.
"""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo import compat


def removed(what):
    versions = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
    return f"{versions}: {what} was removed or changed; fix lstm_zoo/compat.py"


@pytest.mark.parametrize("layer", [keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN])
def test_keras_runs_our_loop_which_may_run_its_own(layer):
    class Ours(compat.LoopOverride, layer):
        replaces = True

        def run_loop(self, sequences, initial_state, mask, training):
            if not self.replaces:
                return self.keras_loop(sequences, initial_state, mask, training)
            states = initial_state if isinstance(initial_state, list) else [*initial_state]
            outputs = tf.fill([2, 3, 4], 7.0)
            return outputs[:, -1], outputs, states

    inputs = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    ours, stock = Ours(4, return_sequences=True), layer(4, return_sequences=True)
    assert np.all(ours(inputs) == 7), removed(f"{layer.__name__}.inner_loop")
    stock.build(inputs.shape)
    stock.set_weights(ours.get_weights())
    ours.replaces = False
    np.testing.assert_allclose(ours(inputs), stock(inputs), rtol=1e-5, atol=1e-6)


def test_a_cell_has_one_dropout_mask_for_all_steps():
    cell = keras.layers.LSTMCell(3, dropout=0.5, seed=1)
    mask = np.asarray(compat.input_dropout_mask(cell, tf.ones((4, 50))))
    assert set(np.unique(mask)) == {0.0, 2.0}, removed("get_dropout_mask")
    again = compat.input_dropout_mask(cell, tf.ones((4, 50)))
    np.testing.assert_array_equal(mask, again)


def test_bidirectional_zeroes_masked_outputs():
    layer = keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True))
    layer.build((1, 3, 2))
    assert compat.zeroes_masked_outputs(layer.forward_layer), removed("zero_output_for_mask")
    assert not compat.zeroes_masked_outputs(keras.layers.LSTM(2)), removed("zero_output_for_mask")


def test_a_layer_lists_its_sublayers():
    inner = [keras.layers.Dense(1), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *inner])
    assert [x for x in compat.sublayers(model) if x in inner] == inner, removed("_layers")


def test_keras_callbacks_take_the_direction_of_a_metric():
    directions = {"val_accuracy": "max", "val_wer_greedy": "min"}
    for callback in compat.MONITORS:
        for monitor in directions:
            path = ["best.keras"] if callback is keras.callbacks.ModelCheckpoint else []
            stop = callback(*path, monitor=monitor)
            compat.set_directions([stop, keras.callbacks.TerminateOnNaN()], directions)
            assert stop.mode == directions[monitor], removed("mode")
    chosen = keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="min")
    compat.set_directions([chosen], directions)
    assert chosen.mode == "min"
    with pytest.raises(ValueError, match="EarlyStopping monitors one of val_accuracy, .*'val_wer'"):
        compat.set_directions([keras.callbacks.EarlyStopping(monitor="val_wer")], directions)


def test_the_sparse_kernel_computes_the_ctc_loss():
    labels = tf.SparseTensor([[0, 0]], [0], [1, 1])
    # Label a in two frames of two equally likely classes: paths aa, a_ and _a of four, _ the blank.
    loss = compat.ctc_loss(labels, tf.zeros((1, 2, 2)), tf.constant([2]))
    assert float(loss[0]) == pytest.approx(-np.log(3 / 4)), removed("tf.compat.v1.nn.ctc_loss")


def test_a_sentencepiece_model_survives_cleared_kernels():
    from lstm_zoo.text.tokenizers import PieceTokenizer

    texts = [f"word {number} and its {number * 7} others" for number in range(300)]
    tokenizer = PieceTokenizer.learn(texts, 320)
    pieces = tokenizer.tokenize(tf.constant(texts[:2])).to_list()
    tf.random.set_seed(3)
    assert tokenizer.tokenize(tf.constant(texts[:2])).to_list() == pieces, removed(
        "_model_resource"
    )


def test_a_litert_converter_can_update_slices_in_place():
    converter = tf.lite.TFLiteConverter([])
    assert not converter._experimental_enable_dynamic_update_slice, removed(
        "_experimental_enable_dynamic_update_slice"
    )
    compat.update_slices_in_place(converter)
    assert converter._experimental_enable_dynamic_update_slice


def test_warnings_are_disabled_inside_the_block_only(caplog):
    for level in (logging.NOTSET, logging.ERROR):
        logging.disable(level)
        try:
            with compat.warnings_not_logged():
                logging.getLogger("elsewhere").warning("not logged")
            assert logging.root.manager.disable == level
        finally:
            logging.disable(logging.NOTSET)
    assert not caplog.records


def test_values_are_deferred_to_the_end_of_a_block_and_never_set_if_it_raises():
    with pytest.raises(MemoryError), compat.deferred_values():
        keras.layers.Dense(10**7).build((None, 10**7))
        raise MemoryError
    with compat.deferred_values():
        layer = keras.layers.Dense(2, kernel_initializer="ones")
        layer.build((None, 3))
        assert [tuple(weight.shape) for weight in layer.weights] == [(3, 2), (2,)]
    # A variable of the first block would need 400 TB here.
    assert np.all(layer.kernel.numpy() == 1), removed("uninitialized_variables")
