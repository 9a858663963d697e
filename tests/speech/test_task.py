"""The speech task: examples, skipped rows, augmented copies, batches and the loss."""

import json

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.errors import DataError
from lstm_zoo.settings import TRAINING, resolve
from lstm_zoo.speech import SETTINGS, ctc, decoding
from lstm_zoo.speech.corpus import read
from lstm_zoo.speech.model import output_lengths
from lstm_zoo.speech.task import Task
from lstm_zoo.training.callbacks import evaluate

RATE = 8_000


def tone(seconds, frequency=440.0, rate=RATE):
    times = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32), rate


def learn(columns, **given):
    settings = resolve({**TRAINING, **SETTINGS}, given)
    data = read(columns)
    return Task.learn(data, settings, settings["seed"]), data


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    clips = [tone(1.0), tone(0.5), str(tmp_path / "text.wav"), tone(0.02), tone(1.0)]
    return clips, ["one", "Two.", "three", "much too long for it", "…"]


def test_unusable_rows_are_skipped_with_a_reason(corpus, tmp_path):
    task, data = learn(corpus)
    examples = task.encode(data, training=True, cache=tmp_path / "cache")
    assert examples.texts == ["one", "two"]
    reasons = dict(examples.skipped)
    assert list(reasons) == ["row 2", "row 3", "row 4"]
    assert "text.wav: not audio" in reasons["row 2"]
    assert reasons["row 3"].startswith("20 labels for 1 frames")
    assert "no text is left" in reasons["row 4"]
    # A transcript that is too long for CTC can still be evaluated.
    evaluated = task.encode(data, training=False, cache=tmp_path / "cache")
    assert evaluated.texts == ["one", "two", "much too long for it"]
    assert evaluated.feasible.tolist() == [[True, True, False]]


def test_no_usable_clip_is_an_error_and_with_strict_any_unusable_one(corpus, tmp_path):
    clips, texts = corpus
    task, _ = learn(corpus)
    with pytest.raises(DataError, match="No clip can be used; the first, row 0: .*text.wav"):
        task.encode(read((clips[2:3], texts[2:3])), training=True, cache=tmp_path)
    run = tmp_path / "run"
    with pytest.raises(DataError, match="row 2: .*text.wav.* .without strict it is skipped"):
        lstm_zoo.train("speech", corpus, run=run, strict=True, validation=(clips[:1], texts[:1]))
    assert not run.exists()


def test_the_sample_rate_is_the_most_frequent_one_and_at_most_16000():
    for rates, expected in (((8_000, 8_000, 22_050), 8_000), ((44_100, 44_100, 8_000), 16_000)):
        task, _ = learn(([tone(0.2, rate=rate) for rate in rates], ["a", "b", "c"]))
        assert task.features.settings.sample_rate == expected
    task, _ = learn(([tone(0.2)], ["a"]), sample_rate=11_025)
    assert task.features.settings.sample_rate == 11_025


def test_copies_are_augmented_and_reproducible_by_seed(tmp_path):
    columns = [tone(1.0, 300 + 10 * n) for n in range(4)], ["one", "two", "three", "four"]
    options = {"speed": 0.2, "noise": 10, "copies": 2}
    found = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        task, data = learn(columns, seed=seed, **options)
        found.append(task.encode(data, training=True, cache=tmp_path / folder))
    first, again, other = found
    assert len(first.versions) == 3
    for rows, same, another in zip(first.versions, again.versions, other.versions, strict=True):
        for row, twin in zip(rows, same, strict=True):
            np.testing.assert_array_equal(row, twin)
        assert rows is first.versions[0] or any(
            len(row) != len(twin) for row, twin in zip(rows, another, strict=True)
        )
    # The first version is the original clip, with any seed.
    np.testing.assert_array_equal(first.versions[0][0], other.versions[0][0])
    lengths = [len(row) for rows in first.versions[1:] for row in rows]
    assert min(lengths) >= 101 / 1.2 - 1 and max(lengths) <= 101 / 0.8 + 1
    assert len(set(lengths)) > 1
    # Validation and test data are not augmented.
    assert len(task.encode(data, training=False, cache=tmp_path / "c").versions) == 1


def test_clips_as_lists_equal_clips_as_arrays(tmp_path):
    (samples, rate), found = tone(0.3), []
    for clip in ((samples, rate), ([*map(float, samples)], rate)):
        task, data = learn(([clip], ["one"]))
        found.append(task.encode(data, training=True, cache=tmp_path).versions[0][0])
    np.testing.assert_array_equal(*found)


def test_a_copy_too_short_for_its_transcript_is_not_used(tmp_path):
    task, data = learn(([tone(0.5)], ["abcdefghijklmnopq"]), speed=0.4, copies=20)
    examples = task.encode(data, training=True, cache=tmp_path)
    assert examples.feasible[0, 0] and not examples.feasible[:, 0].all()
    for seed in range(30):
        _, targets = task.batch(examples, np.array([0]), np.random.default_rng(seed))
        assert targets[0, 1] >= 17


def test_a_batch_is_normalized_and_padded_with_its_lengths(tmp_path):
    task, data = learn(([tone(1.0), tone(0.3, 800)], ["ab", "c"]))
    examples = task.encode(data, training=True, cache=tmp_path)
    (features, lengths), targets = task.batch(examples, np.arange(2), np.random.default_rng(0))
    assert features.shape == (2, 101, 40) and lengths.tolist() == [101, 31]
    assert np.abs(features[1, 31:]).max() == 0
    np.testing.assert_allclose(features[1, :31].mean(axis=0), 0, atol=1e-4)
    assert targets.tolist() == [[2, 34, 1, 2], [1, 11, 3, 0]]


def test_the_loss_of_a_row_does_not_depend_on_its_batch(tmp_path):
    task, data = learn(([tone(1.0), tone(0.4, 800)], ["ab", "c"]), variant="tiny", dropout=0.0)
    examples = task.encode(data, training=True, cache=tmp_path)
    model, _ = task.build(examples, 0)
    model.compile("sgd", task.loss(), jit_compile=False)
    losses = []
    for indices in ([0], [1], [0, 1]):
        inputs, targets = task.batch(examples, np.array(indices), np.random.default_rng(0))
        losses.append(float(model.test_on_batch([*inputs], targets)))
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-5)
    assert evaluate(task, model, examples)["loss"] == pytest.approx(losses[2], rel=1e-4)


def test_out_of_vocabulary_characters_stay_in_the_reference(tmp_path):
    task, data = learn(([tone(1.0)], ["abc"]))
    other = read(([tone(1.0)], ["axc"]))
    examples = task.encode(other, training=False, cache=tmp_path)
    assert examples.texts == ["axc"] and examples.labels[0].tolist() == [1, 3]


@pytest.mark.slow
def test_training_memorizes_one_utterance(spoken_data, tmp_path):
    whole = read(spoken_data)
    longest = int(np.argmax([*map(len, whole.texts)]))
    one = whole.take([longest])
    pipeline = lstm_zoo.train(
        "speech", whole.take([longest] * 10).columns, validation=one.columns, run=tmp_path / "run",
        epochs=8, patience=8, batch_size=1, learning_rate=0.01, variant="tiny", dropout=0,
        time_masks=0, frequency_masks=0,
    )  # fmt: skip
    assert pipeline.evaluate(one.columns)["wer"] == 0
    assert json.loads((tmp_path / "run/metrics.json").read_text())["validation"]["wer"] == 0
    assert (tmp_path / "run/posteriors.png").stat().st_size > 10_000


@pytest.mark.slow
def test_pieces_can_be_labels(spoken_data, tmp_path):
    corpus = read(spoken_data)
    pipeline = lstm_zoo.train(
        "speech", corpus.columns, run=tmp_path / "run", epochs=1, variant="tiny",
        tokens="pieces", vocabulary_size=300, learning_rate=0.01,
    )  # fmt: skip
    task = Task.load(tmp_path / "run", pipeline.config)
    labels = task.tokenizer.tokenize(["five six", "zero"])
    dense = labels.to_tensor()[:, np.newaxis]
    assert decoding.texts(task.tokenizer, dense).numpy().tolist() == [[b"five six"], [b"zero"]]
    assert 0 < pipeline.evaluate(corpus.take(range(20)).columns)["wer"] <= 1.5
    pipeline.export(tmp_path / "export")


def test_too_little_text_for_pieces_names_an_alternative():
    with pytest.raises(DataError, match="could not learn 9 pieces .*; tokens=characters takes any"):
        learn(([tone(0.1)], ["a"]), tokens="pieces", vocabulary_size=9)


@pytest.mark.parametrize("normalization, fill", [("none", "mean"), ("utterance", "zero")])
def test_masks_are_filled_with_the_mean_of_the_normalized_features(normalization, fill, tmp_path):
    task, data = learn(([tone(0.5)], ["a"]), normalization=normalization)
    model, _ = task.build(task.encode(data, training=True, cache=tmp_path), 0)
    assert model.get_layer("spec_augment").fill == fill


def test_feasibility_depends_on_the_networks_frames(tmp_path):
    task, data = learn(([tone(0.1)], ["abcd"]), subsampling=3)
    examples = task.encode(data, training=True, cache=tmp_path)
    frames = output_lengths(len(examples.versions[0][0]), 3)
    assert frames == 4 and ctc.feasible(frames, examples.labels[0])
    task, data = learn(([tone(0.1)], ["abcc"]), subsampling=3)
    with pytest.raises(DataError, match="too little audio for its transcript"):
        task.encode(data, training=True, cache=tmp_path)


def test_a_row_is_formatted_as_it_was_understood(spoken_data):
    task, _ = learn(([tone(0.1)], ["a"]))
    assert task.format_row(read(([tone(0.1)], ["a  b"])), 0) == 'clip in memory  "a b"'
    corpus = read(spoken_data)
    row = task.format_row(corpus, 0)
    assert row == f'clip {spoken_data.parent}/0.flac  "{corpus.texts[0]}"'


@pytest.mark.parametrize(
    "text, monitor",
    [("one two", "wer_greedy"), ("今天很好 ok", "cer_greedy"), ("สวัสดี", "cer_greedy")],
)
def test_characters_are_counted_where_no_spaces_separate_words(text, monitor):
    task, _ = learn(([tone(0.1)], [text]))
    assert task.monitor == monitor and task.baseline_score(None) == 1
    rows = [{"reference": "今天很好", "hypothesis": text} for text in ("今天很坏", "明天太冷")]
    better, worse = map(task.score_prediction, rows)
    assert better == worse if monitor == "wer_greedy" else better > worse


def test_samples_are_a_reference_and_a_hypothesis_each():
    task, _ = learn(([tone(0.1)], ["a"]))
    lines = ["  reference   one two", "  hypothesis  one too"]
    row = {"clip": "clip.wav", "reference": "one two", "hypothesis": "one too"}
    assert task.format_samples([row] * 2) == lines * 2
