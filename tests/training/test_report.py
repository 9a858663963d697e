"""What is logged about the data before a training, and warnings."""

import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo import settings as setting_tables
from lstm_zoo.training import corpora, report

ZH = ["这部电影很好看", "这个故事很无聊", "演员的表演真棒", "剧情太差了"]


def log_data(capsys, family, data, validation=None, **given):
    """Log what a training of this data would log, and return the lines."""
    given = {"min_count": 1, **given} if family == "sentiment" else given
    values = setting_tables.resolve(families.settings(family), given)
    task = families.task(family)
    read = corpora.read(task, data, validation, None, False, values)
    learned = task.learn(read.training, values, seed=0)
    examples = [
        learned.encode(corpus, training=training, cache=None)
        for corpus, training in ((read.training, True), (read.validation, False))
    ]
    report.log_data(learned, read, *examples)
    return capsys.readouterr().err.splitlines()


def test_the_share_of_a_label_is_that_of_examples(capsys):
    data = ([f"text {number}" for number in range(4)], ["a|b", "a|b|c", "a", "a"])
    first = log_data(capsys, "sentiment", data, data, multi_label=True)[0]
    assert first == "3 classes; the rarest: c 1, b 2, a 4; the largest: a 4 (100%)"


def test_a_report_of_classes_lengths_duplicates_and_unknown_tokens(capsys):
    texts = ["a"] * 2 + ["b"] * 6 + ["c a"] * 10 + ["d a b c b", "d"]
    labels = ["rare"] * 2 + ["often"] * 6 + ["most"] * 10 + ["rarest", "other"]
    data, validation = (texts, labels), (["a x", "x"], ["most", "most"])
    assert log_data(capsys, "sentiment", data, validation, max_length=3) == [
        "5 classes; the rarest: other 1, rarest 1, rare 2; the largest: most 10 (50%)",
        "tokens of an example: median 2, 95% at most 2, longest 3; 1 (5.0%) are cut to max_length",
        "15 duplicates; unknown tokens: 0.0% of the training, 66.7% of the validation data",
        "Warning: 67% of the validation data's tokens are unknown: words that are rare in the "
        "training data (min_count, vocabulary_size), or not in them; tokens=pieces has no unknown "
        "tokens, and languages written without spaces need it.",
    ]


def test_words_without_spaces_are_a_warning_with_the_setting_that_helps(capsys):
    texts = [f"{ZH[i % 4]}今天第{i}次看" for i in range(40)]
    lines = log_data(capsys, "sentiment", (texts, [i % 2 for i in range(40)]), min_count=2)
    for name in ("training", "validation"):
        (line,) = (line for line in lines if line.startswith(f"Warning: 100% of the {name} data's"))
        assert "tokens=pieces has no unknown tokens" in line
    lines = log_data(
        capsys,
        "sentiment",
        (texts, [i % 2 for i in range(40)]),
        tokens="pieces",
        vocabulary_size=320,
    )
    assert not any("Warning" in line for line in lines)


def test_skipped_rows_are_a_warning_with_the_most_frequent_reason(capsys):
    sources = [f"one two three number {i}" for i in range(30)]
    targets = [f"eins zwei drei nummer {i}" for i in range(24)] + ["x"] * 5 + [" "]
    settings = {"source": "en", "target": "de", "vocabulary_size": 300}
    data = (sources, targets)
    lines = log_data(
        capsys, "translation", data, (targets[:3], sources[:3]), **settings, max_ratio=3.0
    )
    assert lines[0].startswith("pieces (source and target) of an example: median ")
    assert len(lines) == 3
    assert lines[2].startswith(
        "Warning: 6 of the training data's 30 rows (20%) are skipped, 5 of them like row 24: "
    )
    assert lines[2].endswith("(max_ratio 3)")


@pytest.mark.parametrize("count, warned", [(10, False), (11, True)])
def test_more_than_a_tenth_is_warned_of(capsys, count, warned):
    report.warn_of_skipped("training", [("a.tsv:2", "no text")] * count, 100)
    report.warn_of_unknown("rare", "training", count / 100)
    assert capsys.readouterr().err.count("Warning") == 2 * warned


@pytest.mark.slow
def test_few_steps_are_a_warning_before_a_training_begins(tmp_path, capsys):
    texts, labels = [f"text {i}" for i in range(60)], ["a", "b"] * 30
    options = {"variant": "tiny", "cell": "simple_rnn", "batch_size": 6, "patience": 1}
    lstm_zoo.train("sentiment", (texts, labels), run=tmp_path / "run", epochs=2, **options)
    lines = capsys.readouterr().err.splitlines()
    (number,) = (n for n, line in enumerate(lines) if "training steps" in line)
    assert lines[number].startswith("Warning: only 18 training steps (2 epochs of 9), in which")
    assert number < min(n for n, line in enumerate(lines) if line.startswith("epoch 1/2"))


def test_enough_steps_are_no_warning(capsys):
    report.warn_of_few_steps(1, 300)
    assert capsys.readouterr().err == ""
