"""What training makes of speech: examples, what is left out, versions, batches, the loss."""

import json

import keras
import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.errors import DataError
from lstm_zoo.settings import TRAINING, resolve
from lstm_zoo.speech import SETTINGS, ctc, decoding
from lstm_zoo.speech.corpus import read
from lstm_zoo.speech.model import output_lengths
from lstm_zoo.speech.task import Task

RATE = 8_000


def tone(seconds, frequency=440.0, rate=RATE):
    times = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32), rate


def learn(columns, **given):
    settings = resolve({**TRAINING, **SETTINGS}, given)
    part = read(columns)
    return Task.learn(part, settings, settings["seed"]), part


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    clips = [tone(1.0), tone(0.5), str(tmp_path / "text.wav"), tone(0.02), tone(1.0)]
    return clips, ["one", "Two.", "three", "much too long for it", "…"]


def test_rows_that_cannot_be_used_are_left_out_with_a_reason(corpus, tmp_path):
    task, part = learn(corpus)
    examples = task.encode(part, training=True, cache=tmp_path / "cache")
    assert examples.texts == ["one", "two"]
    reasons = dict(examples.skipped)
    assert list(reasons) == ["row 2", "row 3", "row 4"]
    assert "text.wav: not audio" in reasons["row 2"]
    assert reasons["row 3"].startswith("20 labels for 1 frames")
    assert "no text is left" in reasons["row 4"]
    # What only CTC can't learn from can still be judged.
    judged = task.encode(part, training=False, cache=tmp_path / "cache")
    assert judged.texts == ["one", "two", "much too long for it"]
    assert judged.feasible.tolist() == [[True, True, False]]


def test_a_corpus_without_a_usable_clip_is_an_error_and_strict_makes_one_enough(corpus, tmp_path):
    clips, texts = corpus
    task, _ = learn(corpus)
    with pytest.raises(DataError, match="No clip can be used; the first, row 0: .*text.wav"):
        task.encode(read((clips[2:3], texts[2:3])), training=True, cache=tmp_path)
    run = tmp_path / "run"
    with pytest.raises(DataError, match="row 2: .*text.wav.* .without strict it is skipped"):
        lstm_zoo.train("speech", corpus, run=run, strict=True, validation=(clips[:1], texts[:1]))
    assert not run.exists()


def test_the_rate_is_that_of_most_clips_and_16000_at_the_most():
    for rates, expected in (((8_000, 8_000, 22_050), 8_000), ((44_100, 44_100, 8_000), 16_000)):
        task, _ = learn(([tone(0.2, rate=rate) for rate in rates], ["a", "b", "c"]))
        assert task.features.settings.sample_rate == expected
    task, _ = learn(([tone(0.2)], ["a"]), sample_rate=11_025)
    assert task.features.settings.sample_rate == 11_025


def test_copies_vary_and_a_seed_repeats_them(tmp_path):
    columns = [tone(1.0, 300 + 10 * n) for n in range(4)], ["one", "two", "three", "four"]
    options = {"speed": 0.2, "noise": 10, "copies": 2}
    found = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        task, part = learn(columns, seed=seed, **options)
        found.append(task.encode(part, training=True, cache=tmp_path / folder))
    first, again, other = found
    assert len(first.versions) == 3
    for rows, same, another in zip(first.versions, again.versions, other.versions, strict=True):
        for row, twin in zip(rows, same, strict=True):
            np.testing.assert_array_equal(row, twin)
        assert rows is first.versions[0] or any(
            len(row) != len(twin) for row, twin in zip(rows, another, strict=True)
        )
    # As recorded, for the first version: with another seed too.
    np.testing.assert_array_equal(first.versions[0][0], other.versions[0][0])
    lengths = [len(row) for rows in first.versions[1:] for row in rows]
    assert min(lengths) >= 101 / 1.2 - 1 and max(lengths) <= 101 / 0.8 + 1
    assert len(set(lengths)) > 1
    # What is judged is not varied.
    assert len(task.encode(part, training=False, cache=tmp_path / "c").versions) == 1


def test_clips_of_lists_are_those_of_arrays(tmp_path):
    (samples, rate), found = tone(0.3), []
    for clip in ((samples, rate), ([*map(float, samples)], rate)):
        task, part = learn(([clip], ["one"]))
        found.append(task.encode(part, training=True, cache=tmp_path).versions[0][0])
    np.testing.assert_array_equal(*found)


def test_a_copy_too_fast_for_its_transcript_is_not_used(tmp_path):
    task, part = learn(([tone(0.5)], ["abcdefghijklmnopq"]), speed=0.4, copies=20)
    examples = task.encode(part, training=True, cache=tmp_path)
    assert examples.feasible[0, 0] and not examples.feasible[:, 0].all()
    for seed in range(30):
        _, targets = task.batch(examples, np.array([0]), np.random.default_rng(seed))
        assert targets[0, 1] >= 17


def test_a_batch_is_normalised_padded_and_has_true_lengths(tmp_path):
    task, part = learn(([tone(1.0), tone(0.3, 800)], ["ab", "c"]))
    examples = task.encode(part, training=True, cache=tmp_path)
    (features, lengths), targets = task.batch(examples, np.arange(2), np.random.default_rng(0))
    assert features.shape == (2, 101, 40) and lengths.tolist() == [101, 31]
    assert np.abs(features[1, 31:]).max() == 0
    np.testing.assert_allclose(features[1, :31].mean(axis=0), 0, atol=1e-4)
    assert targets.tolist() == [[2, 34, 1, 2], [1, 11, 3, 0]]


def test_the_loss_of_a_row_does_not_change_with_its_batch(tmp_path):
    task, part = learn(([tone(1.0), tone(0.4, 800)], ["ab", "c"]), variant="tiny", dropout=0.0)
    examples = task.encode(part, training=True, cache=tmp_path)
    model, _ = task.build(examples, 0)
    model.compile("sgd", task.loss(), jit_compile=False)
    losses = []
    for indices in ([0], [1], [0, 1]):
        inputs, targets = task.batch(examples, np.array(indices), np.random.default_rng(0))
        losses.append(float(model.test_on_batch([*inputs], targets)))
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-5)
    assert task.evaluate(model, examples)["loss"] == pytest.approx(losses[2], rel=1e-4)


def test_characters_outside_the_alphabet_count_as_not_recognised(tmp_path):
    task, part = learn(([tone(1.0)], ["abc"]))
    other = read(([tone(1.0)], ["axc"]))
    examples = task.encode(other, training=False, cache=tmp_path)
    assert examples.texts == ["axc"] and examples.labels[0].tolist() == [1, 3]


@pytest.mark.slow
def test_one_utterance_is_learned_by_heart(shared_data, tmp_path):
    whole = read(shared_data / "digits/LibriSpeech/dev")
    one = whole.take([int(np.argmax([*map(len, whole.texts)]))])
    pipeline = lstm_zoo.train(
        "speech", one.columns, validation=one.columns, run=tmp_path / "run", epochs=80,
        patience=80, learning_rate=0.01, variant="tiny", dropout=0, time_masks=0,
        frequency_masks=0,
    )  # fmt: skip
    assert pipeline.evaluate(one.columns)["wer"] == 0
    assert json.loads((tmp_path / "run/metrics.json").read_text())["validation"]["wer"] == 0
    assert (tmp_path / "run/posteriors.png").stat().st_size > 10_000


@pytest.mark.slow
def test_pieces_are_labels_too(digits, tmp_path):
    pipeline = lstm_zoo.train(
        "speech", digits.columns, run=tmp_path / "run", epochs=1, variant="tiny",
        tokens="pieces", vocabulary_size=300, learning_rate=0.01,
    )  # fmt: skip
    task = Task.load(tmp_path / "run", pipeline.config)
    labels = task.tokenizer.tokenize(["five six", "zero"])
    dense = labels.to_tensor()[:, np.newaxis]
    assert decoding.texts(task.tokenizer, dense).numpy().tolist() == [[b"five six"], [b"zero"]]
    assert 0 < pipeline.evaluate(digits.take(range(20)).columns)["wer"] <= 1.5
    pipeline.export(tmp_path / "export")


def test_too_little_text_for_pieces_names_what_takes_any():
    with pytest.raises(DataError, match="could not learn 9 pieces .*; tokens=characters takes any"):
        learn(([tone(0.1)], ["a"]), tokens="pieces", vocabulary_size=9)


@pytest.mark.parametrize("normalization, fill", [("none", "mean"), ("utterance", "zero")])
def test_masks_are_filled_with_the_mean_whatever_the_normalisation(normalization, fill, tmp_path):
    task, part = learn(([tone(0.5)], ["a"]), normalization=normalization)
    model, _ = task.build(task.encode(part, training=True, cache=tmp_path), 0)
    assert model.get_layer("spec_augment").fill == fill


def test_splits_put_no_transcript_on_both_sides(digits):
    rest, held_out = digits.split(0.2, 0)
    assert not {*rest.texts} & {*held_out.texts}
    assert {*held_out.speakers} == {*digits.speakers}
    assert abs(len(held_out) / len(digits) - 0.2) < 0.03


@pytest.mark.parametrize("clips_a_speaker", [1, 3, 12])
def test_speakers_of_few_clips_are_split_as_one(clips_a_speaker):
    count = 600
    texts = [str(index) for index in range(count)]
    speakers = [str(index // clips_a_speaker) for index in range(count)]
    speakers[:200] = ["often heard"] * 200
    whole = read(([tone(0.01)] * count, texts, speakers))
    _, held_out = whole.split(0.1, 0)
    assert len(held_out) == pytest.approx(60, abs=10)
    assert held_out.speakers.count("often heard") == 20


def test_a_transcript_written_in_two_ways_stays_on_one_side():
    words = [f"it's number {index}" for index in range(100)]
    others = [f"\u201cIt\u2019s  NUMBER {index}\u2026\u201d" for index in range(100)]
    whole = read(([tone(0.01)] * 200, words + others, ["x"] * 100 + ["y"] * 100))
    rest, held_out = whole.split(0.2, 0)
    assert len(held_out) == 40 and rest.overlap(held_out) == 0
    numbers = [{int(place.split()[1]) % 100 for place in part.places} for part in (rest, held_out)]
    assert not numbers[0] & numbers[1]
    assert whole.take(range(50)).overlap(whole.take(range(100, 200))) == 50


def test_feasibility_is_of_the_networks_frames(tmp_path):
    task, part = learn(([tone(0.1)], ["abcd"]), subsampling=3)
    examples = task.encode(part, training=True, cache=tmp_path)
    frames = output_lengths(len(examples.versions[0][0]), 3)
    assert frames == 4 and ctc.feasible(frames, examples.labels[0])
    task, part = learn(([tone(0.1)], ["abcc"]), subsampling=3)
    with pytest.raises(DataError, match="too little audio for its transcript"):
        task.encode(part, training=True, cache=tmp_path)


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_resumed_training_comes_to_the_same_end(digits, tmp_path):
    options = {"variant": "tiny", "units": 8, "epochs": 3, "speed": 0.1, "copies": 1}
    columns = digits.take(range(60)).columns
    whole, halted = tmp_path / "whole", tmp_path / "halted"
    lstm_zoo.train("speech", columns, run=whole, **options)
    lstm_zoo.train("speech", columns, run=halted, callbacks=[Interrupt()], **options)
    assert len((halted / "history.csv").read_text().splitlines()) == 2
    lstm_zoo.train("speech", columns, run=halted, resume=True)
    for name in ("history.csv", "model.weights.h5", "metrics.json", "features.npz"):
        assert (halted / name).read_bytes() == (whole / name).read_bytes(), name
