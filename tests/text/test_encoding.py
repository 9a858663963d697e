"""Texts to ids: equal in memory and prepared on disk, where they are kept for later runs."""

import numpy as np
import pytest
import tensorflow as tf

import lstm_zoo
from lstm_zoo.files import file_digest
from lstm_zoo.sentiment import demo
from lstm_zoo.text import encoding, tokenizers
from lstm_zoo.text.encoding import encode
from lstm_zoo.text.tokenizers import PieceTokenizer, WordTokenizer
from lstm_zoo.translation import demo as pairs

TEXTS = ["good film", "", "film \ud800", "bad"] * 9
WORDS = WordTokenizer(["good", "film"])


@pytest.fixture
def on_disk(monkeypatch):
    """Prepare corpora of any size on disk, in several shards of several blocks."""
    monkeypatch.setattr(encoding, "PREPARED_TEXTS", 1)
    monkeypatch.setattr(encoding, "SHARD", 14)
    monkeypatch.setattr(tokenizers, "BATCH", 4)


def test_prepared_ids_are_those_in_memory_and_are_not_computed_again(on_disk, tmp_path):
    cache = tmp_path / "cache"
    expected = [ids.tolist() for ids in encode(WORDS, TEXTS, 9)]
    assert [ids.tolist() for ids in encode(WORDS, TEXTS, 9, cache)] == expected
    assert len([*cache.iterdir()]) == 3
    same = WordTokenizer(["good", "film"])
    same.tokenize = None
    assert [ids.tolist() for ids in encode(same, TEXTS, 9, cache)] == expected
    # a lone surrogate is three bytes
    assert encoding.unknown_share(encode(same, TEXTS, 9, cache)) == 4 / 7


def test_other_texts_tokenizers_and_lengths_are_prepared_apart(on_disk, tmp_path):
    pieces = PieceTokenizer.learn(["a good film", "a bad film"] * 9, vocabulary_size=280)
    arguments = [
        (WORDS, TEXTS, 9),
        (WORDS, TEXTS, 8),
        (WORDS, TEXTS[::-1], 9),
        (WordTokenizer(["film", "good"]), TEXTS, 9),
        (WordTokenizer(["good", "film"], fold_case=False), TEXTS, 9),
        (pieces, TEXTS, 9),
        (PieceTokenizer(pieces.model, fold_case=False), TEXTS, 9),
    ]
    for values in arguments:
        encode(*values, tmp_path)
    assert len({path.name.split("-")[1] for path in tmp_path.iterdir()}) == len(arguments)


def test_few_texts_stay_in_memory(tmp_path):
    assert len(encode(WORDS, TEXTS, 9, tmp_path / "cache")) == 36
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "translation"])
def test_a_training_from_prepared_examples_is_that_in_memory(family, on_disk, tmp_path):
    if family == "sentiment":
        data, options = demo.generate(60, seed=1)[:2], {"batch_size": 8}
    else:
        data, options = pairs.generate(60, 1, "en", "de"), {"vocabulary_size": 330}
    digests, threshold = [], encoding.PREPARED_TEXTS
    for name in ("memory", "first", "second"):
        encoding.PREPARED_TEXTS = 1_000 if name == "memory" else threshold
        tf.keras.utils.clear_session()
        run = tmp_path / name
        lstm_zoo.train(family, data, run=run, variant="tiny", epochs=2, **options)
        digests.append((file_digest(run / "model.weights.h5"), (run / "history.csv").read_text()))
    assert digests[0] == digests[1] == digests[2]
    prepared = [path for path in (tmp_path / "cache").iterdir() if path.name.startswith("ids-")]
    assert len(prepared) >= 5
    assert all(np.fromfile(path / "data.int32", np.int32).size for path in prepared)
