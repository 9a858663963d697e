"""Word dropout: the share replaced, padding, inference, the configuration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.text.tokenizers import PADDING, UNKNOWN
from lstm_zoo.text.word_dropout import WordDropout


def test_word_dropout_makes_tokens_unknown_in_training_only():
    layer = WordDropout(0.3, seed=1)
    ids = np.tile(np.arange(8, dtype=np.int32), (1_000, 1))  # 0 is padding, 1 is unknown
    assert np.array_equal(layer(ids), ids)
    dropped = np.asarray(layer(ids, training=True))
    changed = dropped != ids
    assert (dropped[changed] == UNKNOWN).all()
    assert not changed[:, PADDING].any()
    assert changed[:, 2:].mean() == pytest.approx(0.3, abs=0.02)
    assert len(np.unique(changed[:, 2:], axis=0)) > 40  # each token independently


@given(
    rows=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=4),
    rate=st.floats(0, 0.99),
)
@settings(max_examples=25)
def test_an_id_is_kept_or_unknown_and_padding_is_kept(rows, rate):
    ids = np.array(rows, dtype=np.int32)
    dropped = np.asarray(WordDropout(rate, seed=1)(ids, training=True))
    assert dropped.dtype == np.int32
    assert ((dropped == ids) | (dropped == UNKNOWN)).all()
    assert np.array_equal(dropped == PADDING, ids == PADDING)


def test_a_rate_of_0_changes_nothing():
    ids = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert np.array_equal(WordDropout(0.0)(ids, training=True), ids)


def test_a_layer_rebuilt_from_its_configuration_drops_the_same_tokens():
    layer = WordDropout(0.5, seed=3, name="noise")
    rebuilt = WordDropout.from_config(layer.get_config())
    assert (rebuilt.rate, rebuilt.seed, rebuilt.name) == (0.5, 3, "noise")
    ids = np.full((20, 10), 5, dtype=np.int32)
    assert np.array_equal(rebuilt(ids, training=True), layer(ids, training=True))
