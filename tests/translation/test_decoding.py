"""Source ids, and translations of networks whose scores are known."""

import math

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo import build_translation
from lstm_zoo.text.tokenizers import END, PieceTokenizer
from lstm_zoo.translation.decoding import source_ids, translator
from tests.translation.phrases import phrases

A, B = "▁Hunde", "▁Katzen"  # pieces of the target


@pytest.fixture(scope="module")
def tokenizers():
    return [PieceTokenizer.learn(side, 320, fold_case=False) for side in phrases(100, seed=0)]


def network(tokenizers, probabilities=None):
    """Build a network, untrained, or whose next token always has the given probabilities."""
    source, target = tokenizers
    model = build_translation(
        source.vocabulary_size,
        target.vocabulary_size,
        embedding_size=4,
        encoder_units=(3,),
        decoder_units=(5,),
        cell="simple_rnn",
        bidirectional=False,
    )
    generator = np.random.default_rng(0)
    if probabilities is None:
        model.set_weights([generator.normal(size=w.shape) for w in model.get_weights()])
    else:
        model.set_weights([np.zeros(w.shape) for w in model.get_weights()])
        logits = np.full(target.vocabulary_size, -np.inf)
        for token, probability in probabilities.items():
            logits[target.vocabulary.index(token)] = np.log(probability)
        model.get_layer("decoder").bias.assign(logits)
    return model


def test_source_ids_end_and_are_padded(tokenizers):
    source, _ = tokenizers
    texts = ["two old dogs", "", "two"]
    pieces = source.tokenize(texts).to_list()
    ids = source_ids(source, tf.constant(texts), 100)
    assert ids.dtype == tf.int32
    assert len(pieces[0]) > len(pieces[2]) == 3
    width = len(pieces[0]) + 1
    rows = ([*pieces[0], END], [END], [*pieces[2], END])
    assert ids.numpy().tolist() == [row + [0] * (width - len(row)) for row in rows]
    cut = source_ids(source, tf.constant(texts), 4).numpy().tolist()
    assert cut == [[*pieces[0][:4], END], [END, 0, 0, 0, 0], [*pieces[2], END, 0]]
    assert source_ids(source, tf.constant([], tf.string), 100).shape[0] == 0


@pytest.mark.parametrize(
    "length_penalty, expected",
    [
        (
            0,
            [("", 0.5), ("Hunde", 0.3 * 0.5), ("Katzen", 0.2 * 0.5), ("Hunde Hunde", 0.3**2 * 0.5)],
        ),
        (
            1,
            [("", 0.5), ("Hunde", 0.3 * 0.5), ("Hunde Hunde", 0.3**2 * 0.5), ("Katzen", 0.2 * 0.5)],
        ),
    ],
)
def test_n_best_translations_have_their_log_probabilities(tokenizers, length_penalty, expected):
    model = network(tokenizers, {"</s>": 0.5, A: 0.3, B: 0.2})
    translate = translator(model, tokenizers[1], 4, 4, length_penalty=length_penalty)
    texts, scores = translate(source_ids(tokenizers[0], tf.constant(["two", "two cats"]), 100))
    for row in range(2):
        assert [text.decode() for text in texts[row].numpy()] == [text for text, _ in expected]
        np.testing.assert_allclose(
            scores[row],
            [math.log(p) / (len(text.split()) + 1) ** length_penalty for text, p in expected],
            rtol=1e-5,
        )


def test_greedy_decoding_ends_at_the_limit_of_the_source(tokenizers):
    model = network(tokenizers, {"</s>": 0.1, A: 0.9})
    ids = source_ids(tokenizers[0], tf.constant(["two old dogs", "two"]), 100)
    texts, scores = translator(model, tokenizers[1], 1)(ids)
    for row in range(2):
        limit = 2 * np.count_nonzero(ids[row]) + 10
        assert texts[row, 0].numpy().decode() == " ".join(["Hunde"] * limit)
        expected = limit * math.log(0.9) + math.log(0.1)
        assert float(scores[row, 0]) == pytest.approx(expected, rel=1e-5)


def test_empty_rows_padding_and_other_rows(tokenizers):
    translate = translator(network(tokenizers), tokenizers[1], 3, 3)
    ids = source_ids(tokenizers[0], tf.constant(["", "two old dogs", "six red cows"]), 100)
    batch = tf.concat([ids, tf.zeros_like(ids[:1])], 0)  # the last row is padding alone
    texts, scores = translate(batch)
    for row in (0, 3):
        assert texts[row].numpy().tolist() == [b"", b"", b""]
        assert scores[row].numpy().tolist() == [0, -np.inf, -np.inf]
    assert np.all(np.isfinite(scores[1])) and scores[1, 0] < 0
    # A translation depends on its source, not on padding.
    assert abs(float(scores[1, 0] - scores[2, 0])) > 1e-3
    padded_texts, padded_scores = translate(tf.pad(batch, [[0, 0], [0, 3]]))
    assert padded_texts.numpy().tolist() == texts.numpy().tolist()
    np.testing.assert_allclose(padded_scores, scores, atol=1e-5)
    texts, scores = translate(ids[:0])
    assert texts.shape == scores.shape == (0, 3)
