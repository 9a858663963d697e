"""Length masks, and stacks of recurrent layers with them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lstm_zoo.recurrent import LengthMask, RightPadding, recurrent_stack
from tests.recurrent import oracle
from tests.recurrent.helpers import both_directions, every_cell

FEATURES = 3
UNITS = [4, 2]


def expected_mask(ids):
    """Return `LengthMask` by its definition: valid up to a row's last id, and at step one."""
    mask = np.zeros(ids.shape, bool)
    for row, row_ids in enumerate(ids):
        (positions,) = np.nonzero(row_ids)
        mask[row, : max([1, *(positions + 1)])] = True
    return mask


def stack_model(cell, bidirectional, units=UNITS, dropout=0.25):
    """Build a model of a stack, of inputs and a mask, with random weights and biases."""
    inputs = keras.Input((None, FEATURES))
    mask = keras.Input((None,), dtype="bool")
    outputs, states = recurrent_stack(
        inputs, mask, cell=cell, units=units, bidirectional=bidirectional, dropout=dropout
    )
    model = keras.Model([inputs, mask], [outputs, *states])
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    return model


def run(model, inputs, lengths, **options):
    mask = oracle.valid_steps(lengths, *inputs.shape[:2])
    tensors = [tf.constant(inputs, "float32"), tf.constant(mask)]
    return [result.numpy() for result in model(tensors, **options)]


def batch(lengths, time):
    # The padding is noise rather than zeros, to detect that it is read.
    return np.random.default_rng(3).normal(size=(len(lengths), time, FEATURES))


def test_a_mask_ends_after_the_last_nonzero_id():
    ids = np.array([[5, 6, 7, 0], [5, 0, 0, 0], [5, 0, 7, 0], [0, 0, 0, 9], [1, 2, 3, 4]])
    expected = [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    mask = LengthMask()(tf.constant(ids, "int32"))
    assert mask.dtype == "bool"
    assert np.array_equal(mask, np.array(expected, bool))


def test_a_row_of_padding_keeps_exactly_its_first_step():
    mask = LengthMask()(tf.zeros((2, 4), "int32"))
    assert np.array_equal(mask, [[True, False, False, False]] * 2)


def test_an_empty_batch_has_an_empty_mask():
    mask = LengthMask()(tf.zeros((0, 3), "int32"))
    assert mask.shape == (0, 3)
    assert mask.dtype == "bool"


def test_a_long_row_is_valid_to_its_end():
    # More steps than an int16 can count.
    ids = np.ones((2, 40_000), "int32")
    ids[1, 39_000:] = 0
    assert np.array_equal(LengthMask()(tf.constant(ids)), ids == 1)


id_batches = hnp.arrays(
    st.sampled_from(["int32", "int64"]),
    st.tuples(st.integers(0, 4), st.integers(1, 7)),
    # Zeros are common, and the largest id must not overflow a sum.
    elements=st.sampled_from([0, 0, 1, 2, 2**31 - 1]),
)


@settings(max_examples=100)
@given(id_batches)
def test_a_mask_follows_its_definition_for_any_ids(ids):
    assert np.array_equal(LengthMask()(tf.constant(ids)), expected_mask(ids))


def test_a_saved_mask_loads_in_safe_mode_with_the_same_results(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    keras.Model(ids, LengthMask()(ids)).save(tmp_path / "mask.keras")
    loaded = keras.saving.load_model(tmp_path / "mask.keras", safe_mode=True)
    rng = np.random.default_rng(0)
    for shape in [(5, 6), (1, 1), (3, 2)]:
        batch_of_ids = rng.integers(0, 3, shape).astype("int32")
        assert np.array_equal(loaded(tf.constant(batch_of_ids)), expected_mask(batch_of_ids))
    assert loaded(tf.zeros((0, 3), "int32")).shape == (0, 3)


@both_directions
@every_cell
def test_padding_changes_nothing(cell, bidirectional):
    lengths = [2, 5, 1, 4]
    inputs = batch(lengths, time=7)
    model = stack_model(cell, bidirectional)
    outputs, *states = run(model, inputs, lengths)
    for row, length in enumerate(lengths):
        alone, *alone_states = run(model, inputs[row : row + 1, :length], [length])
        np.testing.assert_allclose(outputs[row, :length], alone[0], rtol=0, atol=1e-5)
        for state, alone_state in zip(states, alone_states, strict=True):
            np.testing.assert_allclose(state[row], alone_state[0], rtol=0, atol=1e-5)


@both_directions
@every_cell
def test_a_stack_feeds_each_layers_outputs_to_the_next(cell, bidirectional):
    lengths = [3, 1, 4]
    inputs = batch(lengths, time=5)
    model = stack_model(cell, bidirectional)
    outputs, *states = run(model, inputs, lengths)
    expected = inputs
    weights = [weight.astype("float64") for weight in model.get_weights()]
    per_layer = len(weights) // len(UNITS)
    layer_of = oracle.bidirectional_forward if bidirectional else oracle.forward
    for number in range(len(UNITS)):
        own = weights[number * per_layer : (number + 1) * per_layer]
        expected, final, _ = layer_of(cell, own, expected, lengths)
    valid = oracle.valid_steps(lengths, 3, 5)
    np.testing.assert_allclose(outputs[valid], expected[valid], rtol=0, atol=1e-5)
    # The hidden state comes first of each direction's states.
    hidden = final[:: oracle.STATES[cell]]
    for state, expected_state in zip(states, hidden, strict=True):
        np.testing.assert_allclose(state, expected_state, rtol=0, atol=1e-5)


@both_directions
@every_cell
def test_last_states_are_the_outputs_where_each_direction_ends(cell, bidirectional):
    lengths = [3, 1, 6]
    outputs, *states = run(stack_model(cell, bidirectional), batch(lengths, time=6), lengths)
    width = UNITS[-1]
    assert outputs.shape == (3, 6, 2 * width if bidirectional else width)
    assert [state.shape for state in states] == [(3, width)] * (2 if bidirectional else 1)
    last = outputs[np.arange(3), np.array(lengths) - 1]
    np.testing.assert_allclose(states[0], last[:, :width], rtol=0, atol=1e-6)
    if bidirectional:
        np.testing.assert_allclose(states[1], outputs[:, 0, width:], rtol=0, atol=1e-6)


@both_directions
def test_dropout_layers_are_between_recurrent_layers_only(bidirectional):
    model = stack_model("gru", bidirectional, units=[4, 3, 2], dropout=0.25)
    names = ["gru_1", "dropout_1", "gru_2", "dropout_2", "gru_3"]
    inner = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert [layer.name for layer in inner] == names
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in dropouts] == [0.25, 0.25]
    for number, dropout in enumerate(dropouts, 1):
        assert dropout.input is model.get_layer(f"gru_{number}").output[0]
        # A recurrent layer's first input is the sequence, its second the mask.
        assert model.get_layer(f"gru_{number + 1}").input[0] is dropout.output


def test_one_layer_has_no_dropout_and_equal_results_in_training():
    model = stack_model("lstm", True, units=[4], dropout=0.9)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)
    lengths = [3, 2]
    for trained, plain in zip(
        run(model, batch(lengths, 3), lengths, training=True),
        run(model, batch(lengths, 3), lengths, training=False),
        strict=True,
    ):
        # Training uses another loop, compiled by XLA.
        np.testing.assert_allclose(trained, plain, atol=1e-6)


def test_dropout_is_active_in_training_only():
    model = stack_model("gru", False, dropout=0.5)
    lengths = [4, 4]
    keras.utils.set_random_seed(0)
    plain = run(model, batch(lengths, 4), lengths)[0]
    assert np.array_equal(plain, run(model, batch(lengths, 4), lengths, training=False)[0])
    trained = run(model, batch(lengths, 4), lengths, training=True)[0]
    assert np.abs(trained - plain).max() > 0.01


@pytest.mark.parametrize("use_cudnn", [False, "auto"])
def test_use_cudnn_reaches_every_layer(use_cudnn):
    inputs = keras.Input((None, FEATURES))
    mask = keras.Input((None,), dtype="bool")
    options = {"cell": "lstm", "units": UNITS, "bidirectional": True, "dropout": 0.0}
    outputs, _ = recurrent_stack(inputs, mask, use_cudnn=use_cudnn, **options)
    model = keras.Model([inputs, mask], outputs)
    for name in ("lstm_1", "lstm_2"):
        layer = model.get_layer(name)
        assert layer.forward_layer.use_cudnn is use_cudnn
        assert layer.backward_layer.use_cudnn is use_cudnn


@given(
    hnp.arrays(
        np.int32, st.tuples(st.integers(0, 3), st.integers(0, 6)), elements=st.integers(0, 2)
    )
)
def test_padding_on_the_left_moves_to_the_right(ids):
    moved = RightPadding()(tf.constant(ids)).numpy()
    for row, found in zip(ids, moved, strict=True):
        kept = np.trim_zeros(row, "f")
        assert found.tolist() == [*kept, *[0] * (len(row) - len(kept))]
