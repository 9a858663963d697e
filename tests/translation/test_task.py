"""The translation task: filters, splits, batches, tokenizers, and overfitting a few pairs."""

import json

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.data import splits
from lstm_zoo.errors import DataError
from lstm_zoo.settings import TRAINING, resolve
from lstm_zoo.text.tokenizers import END, START
from lstm_zoo.training.callbacks import evaluate
from lstm_zoo.translation import SETTINGS, decoding, demo
from lstm_zoo.translation.corpus import read
from lstm_zoo.translation.task import Task
from tests.translation.phrases import phrases


def settings_of(**given):
    return resolve({**TRAINING, **SETTINGS}, {"vocabulary_size": 500, **given})


@pytest.fixture(scope="module")
def corpus():
    return read(demo.generate(400, 0))


def test_examples_have_start_and_end_tokens(corpus):
    learned = Task.learn(corpus, settings_of(), 0)
    examples = learned.encode(corpus, training=True)
    (source, inputs), targets = learned.batch(examples, np.array([3, 8]))
    assert np.all(inputs[:, 0] == START)
    for row, index in enumerate((3, 8)):
        ids = learned.target.tokenize([examples.texts[1][index]])[0].numpy().tolist()
        count = len(ids) + 1
        assert inputs[row, :count].tolist() == [START, *ids]
        assert targets[row, :count].tolist() == [*ids, END]
        assert not inputs[row, count:].any() and not targets[row, count:].any()
        assert source[row][np.count_nonzero(source[row]) - 1] == END
    # Training and inference tokenize alike.
    texts = [examples.texts[0][index] for index in (3, 8)]
    assert decoding.source_ids(learned.source, texts, 100).numpy().tolist() == source.tolist()


def test_subword_regularization_changes_the_pieces_of_training_batches_alone(corpus):
    learned = Task.learn(corpus, settings_of(subword_alpha=0.1, max_length=25), 0)
    examples, indices = learned.encode(corpus, training=True), np.arange(40)

    def texts(batch):
        (sources, inputs), targets = batch
        assert np.array_equal(inputs[:, 0], np.full(len(inputs), START))
        for row, following in zip(inputs, targets, strict=True):
            assert np.array_equal(row[1:][row[1:] > 0], following[following > 0][:-1])
        sides = zip((sources, targets), learned.tokenizer, strict=True)
        return [
            [tokenizer.detokenize([row[row > 0][:-1]]).numpy()[0] for row in ids]
            for ids, tokenizer in sides
        ]

    plain = learned.batch(examples, indices)
    one, other = (learned.batch(examples, indices, np.random.default_rng(n)) for n in (1, 2))
    assert texts(one) == texts(other) == texts(plain)
    assert np.count_nonzero(one[1]) > np.count_nonzero(plain[1])
    assert one[1].tobytes() != other[1].tobytes()
    assert max(batch[1].shape[1] for batch in (one, other)) <= 25 + 1
    # A worker's rows are those of the whole batch.
    some = learned.batch(examples, indices, np.random.default_rng(1), np.array([3, 8]))
    assert np.array_equal(some[1], one[1][[3, 8]])
    assert np.array_equal(some[0][0], one[0][0][[3, 8]])


def test_long_and_unbalanced_pairs_are_skipped_in_training_only(corpus):
    learned = Task.learn(corpus, settings_of(max_length=12, max_ratio=3), 0)
    pairs = read((["June", "a " * 40, "May", "May"], ["Juni", "ein " * 40, "x y z " * 4, "Mai"]))
    examples = learned.encode(pairs, training=True)
    assert [place for place, _ in examples.skipped] == ["row 1", "row 2"]
    assert "more than 12 pieces (max_length)" in examples.skipped[0][1]
    evaluated = learned.encode(pairs, training=False)
    assert len(evaluated) == 4 and not evaluated.skipped
    (sources, _), _ = learned.batch(evaluated, np.array([1]))
    assert sources.shape == (1, 13) and sources[0, -1] == END
    with pytest.raises(DataError, match="No pair can be used; the first, row 1: more than 12"):
        learned.encode(pairs.take([1]), training=True)


def test_a_row_is_formatted_as_it_was_understood():
    pair = read((["ein  Hund"], ["a dog"]))
    for languages, row in (
        ({"source": "de", "target": "en"}, "de: ein Hund  en: a dog"),
        ({}, "source: ein Hund  target: a dog"),
    ):
        assert Task(settings_of(**languages), None, None).format_row(pair, 0) == row


def test_no_sentence_is_in_both_sets_of_a_split():
    sources = ["hi", "hi", "hello", "bye", "ciao", "Bye", *map(str, range(40))]
    targets = ["salut", "coucou", "coucou", "au revoir", "adieu", "adieu", *map(str, range(40))]
    for seed in range(5):
        rest, held_out = read((sources, targets)).split(0.3, seed)
        for side in ("sources", "targets"):
            keys = [{splits.content_key(t) for t in getattr(p, side)} for p in (rest, held_out)]
            assert not keys[0] & keys[1]
        assert 10 <= len(held_out) <= 17


def test_pieces_are_separate_or_joint(corpus, tmp_path):
    for vocabulary in ("separate", "joint"):
        learned = Task.learn(corpus, settings_of(vocabulary=vocabulary), 0)
        equal = learned.source.vocabulary == learned.target.vocabulary
        assert equal == (vocabulary == "joint")
        run = tmp_path / vocabulary
        run.mkdir()
        learned.save(run)
        again = Task.load(run, {"settings": learned.settings, "learned": learned.learned})
        assert again.target.vocabulary == learned.target.vocabulary
        for tokenizer, texts in ((again.source, corpus.sources), (again.target, corpus.targets)):
            back = tokenizer.detokenize(tokenizer.tokenize(texts)).numpy()
            assert [t.decode() for t in back] == [" ".join(nfkc(t).split()) for t in texts]


def nfkc(text):
    import unicodedata

    return unicodedata.normalize("NFKC", text)


@pytest.mark.slow
def test_one_traced_function_serves_all_epochs(corpus):
    learned = Task.learn(corpus, settings_of(variant="tiny"), 0)
    parts = [learned.encode(corpus.take(range(n, 2 * n)), training=False) for n in (8, 20, 30)]
    model, _ = learned.build(parts[0], 0)
    scores = [evaluate(learned, model, part) for part in parts]
    assert learned._translator(model).experimental_get_tracing_count() == 1
    assert set(learned.directions) | {"loss", "predictions"} == set(scores[0])
    # The decoder reads the network's weights of the moment.
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])
    assert evaluate(learned, model, parts[0])["loss"] != scores[0]["loss"]


def test_the_baseline_is_of_unrelated_answers_and_the_worst_sample_has_the_lowest_chrf(corpus):
    learned = Task.learn(corpus, settings_of(target="zh"), 0)
    same = read((["a", "b", "c", "d"], ["她买了五个苹果"] * 4))
    other = read((["a", "b"], ["她买了五个苹果", "我喜欢看书和写字"]))
    scores = [learned.baseline_score(learned.encode(c, training=False)) for c in (same, other)]
    assert scores[0] == pytest.approx(100) and scores[1] < 1
    rows = [{"reference": "a dog runs", "hypothesis": text} for text in ("a dog ran", "cats")]
    assert learned.score_prediction(rows[0]) > learned.score_prediction(rows[1])


@pytest.mark.slow
def test_it_memorizes_its_pairs(tmp_path):
    few = phrases(8, seed=2)
    pairs = [side * 40 for side in few]
    translator = lstm_zoo.train(
        "translation",
        pairs,
        validation=few,
        run=tmp_path / "run",
        variant="tiny",
        vocabulary_size=330,
        dropout=0.0,
        token_dropout=0.0,
        epochs=20,
        patience=20,
        batch_size=8,
        batch_tokens=None,
        learning_rate=0.01,
        label_smoothing=0.0,
    )
    for width in (1, 4):
        answers = translator.predict(few[0], beam_width=width)
        assert [answer.text for answer in answers] == few[1]
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["validation"]["bleu"] > 99.9
    assert metrics["validation"]["perplexity"] < 1.2
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files >= {"bleu_by_length.png", "curves.png", "source", "target"}


@pytest.mark.slow
def test_detokenizing_reproduces_the_shared_corpora(shared_data):
    """Up to NFKC and repeated spaces."""
    for place, languages in (
        ("multi30k/train", ("de", "fr")),
        ("tatoeba-fra-eng/fra.txt", ("en", "fr")),
    ):
        corpus = read(shared_data / place, *languages)
        learned = Task.learn(
            corpus.take(range(0, len(corpus), 10)), settings_of(vocabulary_size=2_000), 0
        )
        for tokenizer, texts in zip((learned.source, learned.target), corpus.columns, strict=True):
            for start in range(0, len(texts), 4_096):
                chunk = texts[start : start + 4_096]
                back = tokenizer.detokenize(tokenizer.tokenize(chunk)).numpy()
                assert [t.decode() for t in back] == [" ".join(nfkc(t).split()) for t in chunk]
