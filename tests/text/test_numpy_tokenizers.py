"""Tokenizers in NumPy: the same texts, words and ids as the graph's, for all that a text can be."""

import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lstm_zoo.data import batching
from lstm_zoo.errors import DataError
from lstm_zoo.text import numpy_tokenizers, probes, tokenizers, unicode_tables
from lstm_zoo.text.numpy_tokenizers import Normalizer

SURROGATES = range(0xD800, 0xE000)


@pytest.fixture(scope="module", params=[True, False], ids=["folded", "as written"])
def normalizer(request):
    return Normalizer(unicode_tables.compute(), fold_case=request.param)


def check(normalizer, texts):
    """Compare normalized texts and their words with the graph's."""
    encoded = tokenizers.as_bytes(texts)
    expected = tokenizers.normalize(tf.constant(encoded), normalizer.fold_case)
    words = numpy_tokenizers.WordTokenizer([], normalizer)
    split = tokenizers.split_words(expected).to_list()
    for text, normalized, tokens in zip(texts, expected.numpy(), split, strict=True):
        assert normalizer(text) == normalized.decode(), ascii(text)
        found = words.split(normalized.decode())
        assert [word.encode() for word in found] == tokens, ascii(text)


def special(tables):
    """The characters that normalization, case folding or splitting treat in a way of their own."""
    arrays = (tables.decomposed, tables.marks, tables.pairs.ravel(), tables.folded)
    codes = np.unique(np.concatenate([*arrays, tables.class_starts]))
    jamo = [*range(0x1100, 0x1200), *range(0xAC00, 0xAC40)]
    return [chr(code) for code in [*codes.tolist(), *jamo] if code not in SURROGATES]


def test_every_special_character_alone_and_in_a_word(normalizer):
    characters = special(normalizer.tables)
    assert len(characters) > 14_000
    check(normalizer, characters)
    check(normalizer, [f"a'{character}'b{character}" for character in characters])


@pytest.mark.slow
def test_every_character(normalizer):
    """Many to a text, each between letters and, where it is one of few, as the first and last."""
    characters = [chr(code) for code in range(0x110000) if code not in SURROGATES]
    for size in (100, 997):
        texts = [characters[start : start + size] for start in range(0, len(characters), size)]
        check(normalizer, ["ab".join(text) for text in texts])
        check(normalizer, [" ".join(text) for text in texts])


def test_special_characters_in_any_order(normalizer):
    draw = random.Random(0)
    characters = special(normalizer.tables) + 300 * [*"aeo'’_<br/> \u00a0\u3000"]
    marks = [chr(code) for code in normalizer.tables.marks] + [*"aeouAEO"] * 10
    for alphabet in (characters, marks, [chr(code) for code in range(0x1100, 0x1200)]):
        check(normalizer, ["".join(draw.choices(alphabet, k=8)) for _ in range(10_000)])


@given(text=st.text(max_size=40))
def test_any_text(normalizer, text):
    check(normalizer, [text])


@given(text=st.binary(max_size=40))
def test_any_bytes(normalizer, text):
    check(normalizer, [text])


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_001,
        "\u0301" * 100_001,
        "\U0001f600" * 100_001,
        b"\xff" * 400_001,
        "e\u0301\u0323" * 30_000,
        "don't " * 20_000,
    ],
    ids=lambda text: repr(text[:3]),
)
def test_a_long_text_is_cut_as_in_the_graph(normalizer, text):
    check(normalizer, [text])


def test_characters_that_python_knows_are_normalized_as_python_does(normalizer):
    """But for those that one of the two does not know, or may not."""
    known = [c for c in special(normalizer.tables) if unicodedata.ucd_3_2_0.category(c) != "Cn"]
    plain = Normalizer(normalizer.tables, fold_case=False)
    differ = [c for c in known if plain(c) != unicodedata.normalize("NFKC", c) and ord(c) > 0x9F]
    assert len(known) > 5_000 and {*differ} <= {"\u2028", "\u2029"}  # they become spaces


# Ids ----------------------------------------------------------------------------------------------

LEARNED = ["A dog runs. The dog's café!", "ein Straßenhund läuft, 5 Stunden lang", "今日はいい"] * 9


@pytest.mark.parametrize("fold_case", [True, False])
@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_ids_are_those_of_the_graph(tmp_path, kind, fold_case):
    tokenizer = tokenizers.TOKENIZERS[kind].learn(LEARNED, 400, fold_case=fold_case)
    tokenizer.save(tmp_path)
    unicode_tables.save(tmp_path)
    found = numpy_tokenizers.TOKENIZERS[kind].load(tmp_path, Normalizer.load(tmp_path, fold_case))
    assert [*found.vocabulary] == tokenizer.vocabulary
    texts = [*LEARNED[:3], *probes.TEXTS, "a" * 30_000, "x\u0301 " * 500]
    expected = tokenizer.tokenize(tf.constant(tokenizers.as_bytes(texts))).to_list()
    assert [[*found.tokenize(text)] for text in texts] == expected
    assert max(map(max, filter(None, expected))) > 4
    rows = [row[:7] for row in expected]
    padded = tokenizers.pad(tf.ragged.constant(rows, tf.int32), 7).numpy()
    np.testing.assert_array_equal(batching.pad(rows), padded)


@given(ids=st.lists(st.integers(0, 279), max_size=30))
def test_pieces_are_joined_as_in_the_graph(pieces, ids):
    """Bytes that are no UTF-8 too."""
    graph, found = pieces
    expected = graph.detokenize(tf.ragged.constant([ids], tf.int32, ragged_rank=1)).numpy()[0]
    assert found.detokenize(ids).encode() == expected


@pytest.fixture(scope="module")
def pieces():
    graph = tokenizers.PieceTokenizer.learn(LEARNED, 400, fold_case=False)
    assert graph.vocabulary_size >= 280
    return graph, numpy_tokenizers.PieceTokenizer(graph.model)


# The file -----------------------------------------------------------------------------------------


def test_a_damaged_file_of_tables_is_named(tmp_path):
    path = tmp_path / "unicode.npz"
    with pytest.raises(DataError, match="unicode.npz: No such file"):
        numpy_tokenizers.read_tables(tmp_path)
    path.write_bytes(b"PK")
    with pytest.raises(DataError, match="unicode.npz: damaged"):
        numpy_tokenizers.read_tables(tmp_path)
    np.savez_compressed(path, decomposed=np.zeros(2**22, np.uint64))
    with pytest.raises(DataError, match="an array is larger than expected"):
        numpy_tokenizers.read_tables(tmp_path)
    tables = unicode_tables.compute()._asdict()
    np.savez(path, **{**tables, "marks": tables["marks"].astype(float)})
    with pytest.raises(DataError, match="expected unsigned integers"):
        numpy_tokenizers.read_tables(tmp_path)
