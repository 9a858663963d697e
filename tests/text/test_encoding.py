"""Texts to ids: equal in memory and prepared on disk, where they are kept for later runs."""

import pytest
import tensorflow as tf

import lstm_zoo
from lstm_zoo.data import rows
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


@pytest.mark.parametrize("kind", [WordTokenizer, PieceTokenizer])
def test_a_tokenizer_learned_from_texts_on_disk_is_that_from_lists_and_is_kept(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setattr(tokenizers, "BATCH", 4)
    values = [f"{text} and {number % 7} more" for number, text in enumerate(TEXTS * 3)]
    options = {"vocabulary_size": 300, "fold_case": True}
    if kind is PieceTokenizer:
        options |= {"seed": 3, "sample": 50}
    texts = texts_on_disk(values, tmp_path)
    expected = kind.learn(values, **options).vocabulary
    assert encoding.learn(kind, texts, **options).vocabulary == expected
    learned = kind.learn
    monkeypatch.setattr(kind, "learn", None)
    assert encoding.learn(kind, texts, **options).vocabulary == expected
    (folder,) = (path for path in tmp_path.iterdir() if path.name.startswith("tokenizer-"))
    monkeypatch.setattr(kind, "learn", learned)
    (folder / kind.FILE).write_text("damaged")
    assert encoding.learn(kind, texts, **options).vocabulary == expected
    for other, changed in (
        (texts.take(range(60)), options),
        (texts, {**options, "vocabulary_size": 299}),
        (texts, {**options, "fold_case": False}),
    ):
        encoding.learn(kind, other, **changed)
    assert len([p for p in tmp_path.iterdir() if p.name.startswith("tokenizer-")]) == 4


def test_ids_of_texts_on_disk_are_prepared_however_few_they_are(tmp_path):
    texts = texts_on_disk(TEXTS, tmp_path)
    expected = [ids.tolist() for ids in encode(WORDS, TEXTS, 9)]
    for chosen in ([*range(36)], [5, 2, 30]):
        found = encode(WORDS, texts.take(chosen), 9, tmp_path)
        assert [ids.tolist() for ids in found] == [expected[index] for index in chosen]
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("ids-")]) == 2


def texts_on_disk(values, folder):
    path = folder / "data.txt"
    path.write_text("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "IN_MEMORY", 0)
        source = rows.Source(path, (), folder)
        found = (("", (text, "")) for text in values)
        return rows.gather(found, ("texts", "places"), "a text", source=source).columns[0]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "translation"])
def test_a_training_from_the_disk_is_that_in_memory(family, on_disk, tmp_path, monkeypatch):
    if family == "sentiment":
        texts, labels = demo.generate(60, seed=1)[:2]
        path, options = tmp_path / "texts.tsv", {"batch_size": 8}
        lines = [f"{text}\t{label}" for text, label in zip(texts, labels, strict=True)]
        path.write_text("\n".join(["text\tlabel", *lines, lines[3]]))
    else:
        path = tmp_path / "pairs"
        options = {"vocabulary_size": 350, "source": "en", "target": "de", "vocabulary": "joint"}
        sides = pairs.generate(60, 1, "en", "de")
        for code, side in zip(("en", "de"), sides, strict=True):
            (tmp_path / f"pairs.{code}").write_text("\n".join([*side, side[3]]))
    found = []
    for name in ("memory", "first", "second"):
        monkeypatch.setattr(rows, "IN_MEMORY", 1_000 if name == "memory" else 20)
        monkeypatch.setattr(encoding, "PREPARED_TEXTS", 1_000 if name == "memory" else 1)
        tf.keras.utils.clear_session()
        run = tmp_path / name
        lstm_zoo.train(
            family, path, run=run, variant="tiny", epochs=2, cell="simple_rnn", **options
        )
        files = ["model.weights.h5", "history.csv", "config.json", "metrics.json"]
        found.append({name: (run / name).read_bytes() for name in files})
        if name == "memory":
            assert not (tmp_path / "cache").exists()
    assert found[0] == found[1] == found[2]
    kinds = [path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()]
    assert kinds.count("rows") == 1 and kinds.count("tokenizer") == 1
    assert kinds.count("identity") == 2 and kinds.count("ids") >= 5
