"""Training data, validation data and test set: reading, splitting, fingerprints, reading again."""

import hashlib
import json

import pytest

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.sentiment import demo, task
from lstm_zoo.sentiment.task import Task
from lstm_zoo.training import corpora
from lstm_zoo.training.corpora import fingerprint

TEXTS, LABELS, _ = demo.generate(60, seed=3)
DATA = (TEXTS, LABELS)


def read(data=DATA, validation=None, validation_split=None, strict=False, seed=0):
    return corpora.read(
        Task, data, validation, validation_split, strict, {"seed": seed, "multi_label": False}
    )


def write(path, rows):
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return path


def test_validation_data_is_split_off_by_seed():
    first, again, other = read(seed=1), read(seed=1), read(seed=2)
    assert (len(first.training), len(first.validation)) == (54, 6)
    assert first.validation.texts == again.validation.texts != other.validation.texts
    assert sorted(first.training.texts + first.validation.texts) == sorted(TEXTS)
    assert not {*first.training.texts} & {*first.validation.texts}
    assert (first.test, first.overlap, first.skipped) == (None, 0, [])
    assert len(read(validation_split=0.25).validation) == 16  # 8 of each class: 7.5 rounded up


def test_the_description_holds_the_sources_the_split_and_the_fingerprints():
    found = read(validation_split=0.2, strict=True, seed=4)
    assert found.description == {
        "source": "in memory",
        "validation_source": None,
        "validation_split": 0.2,
        "strict": True,
        "seed": 4,
        "training": {
            "examples": len(found.training),
            "sha256": fingerprint(found.training.texts, found.training.labels),
        },
        "validation": {
            "examples": len(found.validation),
            "sha256": fingerprint(found.validation.texts, found.validation.labels),
        },
    }
    json.dumps(found.description)


def test_given_validation_data_is_used_and_an_overlap_is_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "data.tsv", [("good", "pos"), ("bad", "neg"), ("", "pos")])
    own = write(tmp_path / "own.tsv", [("Good", "pos"), ("dull", "neg"), ("fine", "")])
    found = read("data.tsv", "own.tsv")
    assert found.training.texts == ["good", "bad"]
    assert found.validation.texts == ["Good", "dull"]
    assert found.overlap == 1
    assert found.skipped == [("data.tsv:4", "no text"), ("own.tsv:4", "no label")]
    assert found.description["source"] == str(data)
    assert found.description["validation_source"] == str(own)
    with pytest.raises(DataError, match="data.tsv:4: no text"):
        read("data.tsv", "own.tsv", strict=True)


def test_the_demo_corpus_has_a_test_set(monkeypatch):
    monkeypatch.setattr(task, "DEMO_EXAMPLES", 100)
    found = read(data=None)
    assert [len(found.training), len(found.validation), len(found.test)] == [72, 8, 20]
    assert not {*found.training.texts, *found.validation.texts} & {*found.test.texts}
    assert found.description["source"] == "demo"


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5])
def test_the_split_is_a_fraction(fraction):
    with pytest.raises(CallError, match=f"a fraction between 0 and 1. Received: {fraction}"):
        read(validation_split=fraction)


def test_data_too_small_to_be_split_is_an_error():
    with pytest.raises(DataError, match="can't split off validation data: .*leaves one side empty"):
        read((["a", "a"], ["x", "x"]))


def test_a_fingerprint_changes_with_any_row_and_with_the_order():
    first = fingerprint(["good", "bad"], ["pos", "neg"])
    assert first == fingerprint(iter(["good", "bad"]), ("pos", "neg"))
    others = [
        fingerprint(["good", "bad "], ["pos", "neg"]),
        fingerprint(["good", "bad"], ["pos", "pos"]),
        fingerprint(["bad", "good"], ["neg", "pos"]),
        fingerprint(["good"], ["pos"]),
        fingerprint(["goodp", "bad"], ["os", "neg"]),  # the same characters in other fields
        fingerprint(["good", "bad", ""], ["pos", "neg", ""]),
        fingerprint([]),
    ]
    assert len({first, *others}) == 1 + len(others)


def test_a_fingerprint_is_the_sha256_of_lengths_and_fields():
    fields = ["é", "pos", "half a pair: \ud83d", ""]
    digest = hashlib.sha256()
    for field in fields:
        data = field.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    assert fingerprint(fields[::2], fields[1::2]) == digest.hexdigest()
    with pytest.raises(ValueError):
        fingerprint(["good", "bad"], ["pos"])


def read_again(found, data=DATA, validation=None, validation_split=None, strict=False):
    config = {
        "data": json.loads(json.dumps(found.description)),
        "settings": {"seed": 1, "multi_label": False},
    }
    return corpora.read_again(Task, config, data, validation, validation_split, strict)


def test_a_resumed_run_reads_equal_data():
    found = read(validation_split=0.3, seed=1)
    for options in ({}, {"validation_split": 0.3}):
        again = read_again(found, **options)
        assert again.training.texts == found.training.texts
        assert again.validation.texts == found.validation.texts
        assert again.description == found.description
    strict = read(strict=True, seed=1)
    assert read_again(strict).description == read_again(strict, strict=True).description


def test_a_resumed_run_reads_files_and_the_demo_corpus_without_being_given_them(
    tmp_path, monkeypatch
):
    write(tmp_path / "data.tsv", zip(TEXTS, LABELS, strict=True))
    write(tmp_path / "own.tsv", [("Fine.", "pos"), ("Dull.", "neg")])
    monkeypatch.chdir(tmp_path)
    found = read("data.tsv", "own.tsv", seed=1)
    monkeypatch.chdir("/")
    assert read_again(found, data=None).description == found.description
    write(tmp_path / "own.tsv", [("Fine.", "pos"), ("Dull!", "neg")])
    with pytest.raises(DataError, match="The validation data has changed since this run was"):
        read_again(found, data=None)

    monkeypatch.setattr(task, "DEMO_EXAMPLES", 100)
    found = read(data=None, seed=1)
    assert read_again(found, data=None).test.texts == found.test.texts


def test_changed_data_is_refused():
    found = read(seed=1)
    changed = [
        (TEXTS[:-1], LABELS[:-1]),
        (TEXTS[::-1], LABELS[::-1]),
        ([*TEXTS[:-1], "another"], LABELS),
        (TEXTS, ["neg" if label == "pos" else "pos" for label in LABELS]),
    ]
    for data in changed:
        with pytest.raises(DataError, match="The training data has changed since this run was"):
            read_again(found, data)


def test_a_resumed_run_needs_its_data_in_memory_and_keeps_its_split():
    found = read(seed=1)
    with pytest.raises(CallError, match="trained on data in memory"):
        read_again(found, None)
    with pytest.raises(CallError, match="keeps its validation_split"):
        read_again(found, validation_split=0.4)
    with pytest.raises(CallError, match="keeps its validation_split and strict"):
        read_again(found, strict=True)
    own = read(validation=(TEXTS[:9], LABELS[:9]), seed=1)
    with pytest.raises(CallError, match="trained on data in memory"):
        read_again(own)


def test_a_resumed_run_reads_the_columns_that_it_was_started_with(tmp_path):
    path = tmp_path / "data.csv"
    rows = [*zip(TEXTS, LABELS, strict=True)]
    path.write_text("review;stars\n" + "".join(f'"{text}";{label}\n' for text, label in rows))
    settings = {"seed": 0, "multi_label": False, "text_column": "review", "label_column": "stars"}
    found = corpora.read(Task, str(path), None, None, False, settings)
    config = {"data": found.description, "settings": settings}
    again = corpora.read_again(Task, config, None, None, None, False)
    assert again.training.texts == found.training.texts
