"""Tokenizers: splitting rules, arbitrary bytes, round trips, saving."""

import re
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.errors import DataError
from lstm_zoo.text import tokenizers
from lstm_zoo.text.encoding import encode
from lstm_zoo.text.tokenizers import (
    UNKNOWN,
    PieceTokenizer,
    WordTokenizer,
    as_bytes,
    normalize,
    pad,
    split_words,
)
from tests.conftest import HOSTILE

TEXTS = [
    "The film isn't bad; it's GOOD!",
    "A good film, a bad ending.",
    "good<br /><br/>bad naïve 東京 film",
] * 3


@pytest.fixture(scope="module")
def words():
    return WordTokenizer.learn(TEXTS, vocabulary_size=100)


@pytest.fixture(scope="module")
def pieces():
    return PieceTokenizer.learn(TEXTS, vocabulary_size=320)


@pytest.fixture(params=["words", "pieces"])
def tokenizer(request):
    return request.getfixturevalue(request.param)


def split(text):
    return [word.decode() for word in split_words(normalize(tf.constant([text]), False))[0].numpy()]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Don't stop", ["Don't", "stop"]),
        ("it’s 'quoted'", ["it's", "'", "quoted", "'"]),
        ("rock'n'roll", ["rock'n'roll"]),
        ("a,b...c", ["a", ",", "b", ".", ".", ".", "c"]),
        ("one<br />two<BR>three", ["one", "two", "three"]),
        ("1990s £5 x_y", ["1990s", "£", "5", "x_y"]),
        ("e\u0301t\u00e9 \ufb01lm", ["été", "film"]),
        ("a\tb\nno-break\u00a0c\u2028d", ["a", "b", "no", "-", "break", "c", "d"]),
        ("<unk>", ["<", "unk", ">"]),
        ("\x00\x01\x7f", []),
        ("", []),
    ],
)  # fmt: skip
def test_words_are_split_by_the_rules(text, expected):
    assert split(text) == expected


def test_an_extended_vocabulary_keeps_its_ids_and_adds_what_texts_can_have(monkeypatch):
    monkeypatch.setattr("lstm_zoo.text.tokenizers.BATCH", 2)
    own = WordTokenizer(["b", "a"])
    words = ["a", "New York", "é", "É", "don't", "!", "half-way", "", "ﬁ", "last", "never"]
    more = own.extended(words, vocabulary_size=10)
    assert more.words == ("b", "a", "é", "don't", "!", "last")
    assert more.tokenize(["a É don't ! last never"]).to_list() == [[5, 6, 7, 8, 9, 1]]
    assert own.extended(words, vocabulary_size=3).words == own.words
    cased = WordTokenizer(["b"], fold_case=False).extended(iter(["B", "b"]), 100)
    assert cased.words == ("b", "B") and not cased.fold_case


def test_the_vocabulary_is_sorted_by_frequency():
    tokenizer = WordTokenizer.learn(["b b a a c rare"] * 2 + ["b"], vocabulary_size=7, min_count=3)
    assert tokenizer.vocabulary == ["<pad>", "<unk>", "<s>", "</s>", "b", "a"]
    assert WordTokenizer.learn(["b b a a c"] * 2, 6).vocabulary[4:] == ["a", "b"]
    assert tokenizer.tokenize(tf.constant(["B rare a <pad>"])).to_list() == [
        [4, UNKNOWN, 5, UNKNOWN, UNKNOWN, UNKNOWN]
    ]


def test_case_is_kept_without_fold_case():
    tokenizer = WordTokenizer.learn(["Good good"] * 2, vocabulary_size=10, fold_case=False)
    assert tokenizer.vocabulary[4:] == ["Good", "good"]


def test_any_bytes_are_tokenized(tokenizer):
    ids = pad(tokenizer.tokenize(tf.constant(as_bytes(HOSTILE))), 64).numpy()
    assert ids.shape == (len(HOSTILE), 64)
    assert ids.min() >= 0
    assert ids.max() < tokenizer.vocabulary_size
    assert not ids[0].any()  # "" is padding only
    assert not ids[1].any()
    assert ids[4].all()  # 25,000 words are cut to 64


def test_a_lone_surrogate_is_tokenized(tokenizer):
    (ids,) = encode(tokenizer, ["good \ud800 film"], 50)
    assert len(ids) >= 3


def test_empty_batches_and_texts(tokenizer):
    assert pad(tokenizer.tokenize(tf.constant([], tf.string)), 9).shape[0] == 0
    assert pad(tokenizer.tokenize(tf.constant([""])), 9).numpy().tolist() == [[0]]
    assert len(encode(tokenizer, [], 9)) == 0
    assert [len(ids) for ids in encode(tokenizer, ["", "good", ""], 9)] == [0, 1, 0]


@given(st.lists(st.text(max_size=40), max_size=6))
@settings(max_examples=60)
def test_ids_do_not_depend_on_the_batch(pieces, words, texts):
    for tokenizer in (words, pieces):
        together = encode(tokenizer, texts, 1_000)
        for text, ids in zip(texts, together, strict=True):
            assert np.array_equal(encode(tokenizer, [text], 1_000)[0], ids)


@given(st.text(st.one_of(st.sampled_from("ab1_'’ ,é"), st.characters(codec="utf-8")), max_size=60))
@settings(max_examples=200)
def test_words_match_a_python_implementation(text):
    """Compare the regular expressions with a loop over Python's Unicode categories."""
    text = re.sub(r"(?i)<br\s*/?>|[\x00-\x1f\x7f\x85\u2028\u2029]", " ", text)
    text = unicodedata.normalize("NFKC", text)
    kinds = [unicodedata.category(character) for character in text] + ["Zs"]
    if "Cn" in kinds:
        return  # unassigned in Python's Unicode version, perhaps a letter in TensorFlow's
    expected, run = [], ""
    for at, character in enumerate(text):
        if kinds[at][0] in "LMN" or character == "_":
            run += character
        elif character in "'’" and run and kinds[at + 1][0] == "L":
            run += "'"
        else:
            expected += [run] * bool(run)
            run = ""
            if kinds[at][0] != "Z":
                expected.append(character)
    expected += [run] * bool(run)
    assert split(text) == expected


def test_pieces_round_trip_on_real_texts(shared_data):
    """Equal up to NFKC and the width of white space, without unknown tokens."""
    lines = (shared_data / "tatoeba-fra-eng/fra.txt").read_text("utf-8").split("\n")
    texts = [side for line in lines[:60_000:20] for side in line.split("\t")]
    texts += ["東京 \U0001f600 ﬁn"]
    tokenizer = PieceTokenizer.learn(texts[::3], vocabulary_size=1_000, fold_case=False)
    ids = tokenizer.tokenize(tf.constant(texts))
    assert UNKNOWN not in ids.flat_values.numpy()
    expected = [" ".join(unicodedata.normalize("NFKC", text).split()) for text in texts]
    assert [text.decode() for text in tokenizer.detokenize(ids).numpy()] == expected


def test_pieces_match_sentencepiece(pieces):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces.model)
    texts = ["a good film", "isn't  bad", "\U0001f600 東"]
    assert pieces.tokenize(tf.constant(texts)).to_list() == processor.encode(texts)


def test_setting_the_seed_keeps_the_vocabulary(tokenizer):
    # tf.random.set_seed clears TensorFlow's kernel cache, with tensorflow-text's model.
    texts = tf.constant(["a good film"])
    traced = tf.function(lambda texts: tokenizer.tokenize(texts).to_tensor())
    before = traced(texts).numpy()
    keras.utils.set_random_seed(1)
    assert np.array_equal(traced(texts), before)
    assert np.array_equal(tokenizer.tokenize(texts).to_tensor(), before)


def test_learning_twice_gives_the_same_pieces(pieces):
    assert PieceTokenizer.learn(TEXTS, vocabulary_size=320).model == pieces.model


def test_a_corpus_too_small_for_sentencepiece_is_an_error():
    with pytest.raises(DataError, match=r"could not learn 300 pieces from this corpus\. \("):
        PieceTokenizer.learn([""], vocabulary_size=300)


def test_a_saved_tokenizer_loads_equal(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = type(tokenizer).load(tmp_path)
    assert loaded.vocabulary == tokenizer.vocabulary
    text = tf.constant(["It's a GOOD film, \u2028 isn't it?"])
    assert loaded.tokenize(text).to_list() == tokenizer.tokenize(text).to_list()


def test_a_word_that_python_treats_as_a_line_end_is_saved(tmp_path):
    tokenizer = WordTokenizer(["a", "\u200b", "\x1c", "b"])
    tokenizer.save(tmp_path)
    assert WordTokenizer.load(tmp_path).words == tokenizer.words


def test_a_long_text_is_cut():
    text = tf.constant(["\U0001f600" * (tokenizers.MAX_CHARACTERS + 5)])
    assert tf.strings.length(normalize(text, True), "UTF8_CHAR").numpy() == [100_000]


def test_rare_words_are_dropped_where_there_are_more_than_can_be_counted(monkeypatch):
    monkeypatch.setattr(tokenizers, "MAX_COUNTED", 50)
    monkeypatch.setattr(tokenizers, "BATCH", 4)
    texts = [f"often sometimes{n % 2} rare{n}" for n in range(400)]
    words = tokenizers.WordTokenizer.learn(texts, 10, min_count=100).words
    assert words == ("often", "sometimes0", "sometimes1")


def test_pieces_are_learned_from_a_seeded_sample():
    texts = [f"{n} good films" for n in range(300)]
    learn = tokenizers.PieceTokenizer.learn
    sampled, again, other = (learn(texts, 300, seed=s, sample=40).model for s in (0, 0, 1))
    drawn = np.sort(np.random.default_rng(0).choice(300, 40, replace=False))
    assert sampled == again == learn([texts[index] for index in drawn], 300, seed=0).model
    assert other != sampled
    assert learn(texts, 300, sample=300).model == learn(texts, 300).model


def test_functions_in_threads_keep_the_order_and_take_few_items_ahead():
    taken = []

    def items():
        for number in range(1_000):
            taken.append(number)
            yield number

    results = tokenizers.in_threads(lambda number: -number, items())
    assert next(results) == 0
    assert len(taken) < 500
    assert [*results] == [-number for number in range(1, 1_000)]
