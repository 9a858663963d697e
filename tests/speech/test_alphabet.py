"""The character tokenizer: round trips, the blank at 0, saving, and use in a graph."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.errors import DataError
from lstm_zoo.speech import corpus
from lstm_zoo.speech.alphabet import CharacterTokenizer
from lstm_zoo.text.encoding import encode
from lstm_zoo.text.tokenizers import PieceTokenizer


def test_the_alphabet_is_the_sorted_characters_of_the_training_data():
    tokenizer = CharacterTokenizer.learn(["two one", "één"])
    assert tokenizer.vocabulary == ["<blank>", " ", "e", "n", "o", "t", "w", "é"]
    assert tokenizer.vocabulary_size == 8
    ids = tokenizer.tokenize(tf.constant(["one", "", "é w"]))
    assert ids.dtype == tf.int32 and ids.to_list() == [[4, 3, 2], [], [7, 1, 6]]


def test_out_of_vocabulary_characters_are_dropped():
    tokenizer = CharacterTokenizer("abc")
    assert tokenizer.tokenize(tf.constant(["büx b", b"\xffc"])).to_list() == [[2, 2], [3]]


def test_blanks_and_padding_are_dropped_in_any_shape():
    tokenizer = CharacterTokenizer("ab ")
    dense = tf.constant([[[1, 0, 2], [2, 3, 1]], [[0, 0, 0], [1, 1, 0]]])
    assert tokenizer.detokenize(dense).numpy().tolist() == [[b"ab", b"b a"], [b"", b"aa"]]
    assert tokenizer.detokenize(tf.ragged.constant([[1], []], tf.int32)).numpy().tolist() == [
        b"a",
        b"",
    ]
    assert tokenizer.detokenize(tf.zeros([0, 2, 5], tf.int32)).shape == (0, 2)
    assert tokenizer.detokenize(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]
    assert tokenizer.tokenize(tf.constant([], tf.string)).shape[0] == 0


@settings(max_examples=25)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_normalized_texts_and_alphabets_make_a_round_trip(tmp_path_factory, texts):
    texts = [
        corpus.normalize_transcript(text, lower_case=False, punctuation="keep") for text in texts
    ]
    if not any(texts):
        return
    tokenizer = CharacterTokenizer.learn(texts)
    ids = tokenizer.tokenize(tf.constant(texts))
    assert [text.decode() for text in tokenizer.detokenize(ids).numpy()] == texts
    assert [text.decode() for text in tokenizer.detokenize(ids.to_tensor()).numpy()] == texts
    run = tmp_path_factory.mktemp("run")
    tokenizer.save(run)
    assert CharacterTokenizer.load(run).characters == tokenizer.characters


def test_real_transcripts_make_a_round_trip(shared_data):
    for data in ("mboshi/train.tsv", "ljspeech_sample"):
        texts = [
            corpus.normalize_transcript(text, lower_case=False, punctuation="keep")
            for text in corpus.read(shared_data / data).texts
        ]
        tokenizer = CharacterTokenizer.learn(texts)
        ids = tokenizer.tokenize(tf.constant(texts))
        assert [text.decode() for text in tokenizer.detokenize(ids).numpy()] == texts
        arrays = encode(tokenizer, texts, max_length=10_000)
        assert [len(array) for array in arrays] == [len(text) for text in texts]


def test_invalid_alphabets():
    for characters in ("", "aba"):
        with pytest.raises(DataError, match="needs characters, without duplicates"):
            CharacterTokenizer(characters)
    with pytest.raises(DataError, match="can't have a line feed"):
        CharacterTokenizer("a\nb")
    with pytest.raises(DataError, match="needs characters, without duplicates"):
        CharacterTokenizer.learn(["", ""])


def test_it_is_saved_in_a_graph(tmp_path):
    tokenizer = CharacterTokenizer("ab")
    module = tf.Module()
    module.tokenizer = tokenizer
    module.detokenize = tf.function(
        tokenizer.detokenize, input_signature=[tf.TensorSpec([None, None], tf.int32)]
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.detokenize(tf.constant([[2, 1, 0]])).numpy().tolist() == [b"ba"]


def test_pieces_can_be_labels_since_no_text_has_the_id_0():
    texts = ["one two", "three"] * 9
    tokenizer = PieceTokenizer.learn(texts, vocabulary_size=300)
    ids = tokenizer.tokenize(tf.constant([*texts, "ünknown ☃", ""]))
    assert ids.flat_values.numpy().min() > 0
    assert tokenizer.detokenize(ids)[0].numpy() == b"one two"
