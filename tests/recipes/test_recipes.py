"""Recipes: their readers, the rows they write, and whether published rows match their settings."""

import importlib
import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import common
import numpy as np
import pytest
import soundfile
from classification import Classification
from click.testing import CliRunner

from lstm_zoo import sentiment
from lstm_zoo.settings import TRAINING, Setting, integer

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SHARED = (
    "common",
    "classification",
    "finetuning",
    "pairs",
    "presets",
    "recognition",
)  # no recipes
NAMES = sorted(path.stem for path in RECIPES.glob("*.py") if path.stem not in SHARED)


def all_rows():
    return [row for rows in common.read_results().values() for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_has_rows_made_with_its_settings(name):
    recipe = importlib.import_module(name)
    digests = {row["digest"] for row in all_rows() if row["recipe"] == name}
    assert digests, f"recipes/{name}.py has no row in RESULTS.md"
    assert digests == {recipe.RECIPE.digest()}, "run the recipe again"


def test_every_row_has_a_recipe():
    assert {row["recipe"] for row in all_rows()} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_command_the_cost_and_the_target(name):
    recipe = importlib.import_module(name)
    text = CliRunner().invoke(recipe.main, ["--help"]).output
    # One that makes its data has no --data, and no pipeline to export.
    options = ("--data", "--export") if isinstance(recipe.RECIPE, common.Recipe) else ("--run",)
    for word in (f"python recipes/{name}.py {options[0]}", "Cost:", "Target:", "--seed", *options):
        assert word in text


@pytest.mark.parametrize("name", NAMES)
def test_measured_cost_is_within_the_documented_cost(name):
    guide = importlib.import_module(name).__doc__
    times, minutes, memory = re.search(
        r"Cost: on two cores \w+ (?:(\d+) times )?(\d+) minutes.*? (\d+) GB", guide
    ).groups()
    for row in all_rows():
        if row["recipe"] == name:
            assert float(row["minutes"]) <= 1.1 * int(times or 1) * int(minutes)
            # Networks trained in one process have no peak of their own.
            assert float(row.get("peak GB", 0)) <= int(memory)


def test_a_seed_leaves_one_speaker_out_and_plain_training_has_no_synthetic_voices(
    tmp_path, monkeypatch
):
    import unheard_speaker

    data = tmp_path / "LibriSpeech"
    for speaker in "abcde":
        folder = data / "train" / speaker / "1"
        folder.mkdir(parents=True)
        (folder / f"{speaker}-1.trans.txt").write_text(f"{speaker}-1-0 ONE TWO\n")
        soundfile.write(folder / f"{speaker}-1-0.flac", [0.0] * 800, 8_000)
    trained = []

    def train(self, training, run, seed, **others):
        trained.append((others == unheard_speaker.PLAIN, training.texts, training.speakers))
        run.mkdir()
        seconds, peak = (30, 3e9) if others else (90, 2e9)
        environment = {"versions": {}, "training_seconds": seconds, "peak_memory_bytes": peak}
        (run / "environment.json").write_text(json.dumps(environment))

        def evaluate(columns, beam_width):
            assert not set(columns[2]) & set(training.speakers)
            return {"wer": 0.5 if others else 0.25, "cer": 0.125}

        return SimpleNamespace(run=run, evaluate=evaluate)

    monkeypatch.setattr(common.Recipe, "train", train)
    for seed in range(5):
        (row,) = unheard_speaker.RECIPE.rows(data, tmp_path / f"run-{seed}", seed, None)
        assert (row["minutes"], row["peak GB"]) == ("2.0", "3.0")
        assert (row["WER greedy"], row["WER plain"]) == ("0.2500", "0.5000")
    for left_out, augmented, plain in zip("abcde", trained[::2], trained[1::2], strict=True):
        speakers = [speaker for speaker in "abcde" if speaker != left_out]
        assert plain == (True, ["ONE TWO"] * 4, speakers)
        assert not augmented[0] and augmented[1] == ["ONE TWO"] * 4 * (
            1 + unheard_speaker.SYNTHETIC_COPIES
        )
        assert augmented[2][:4] == speakers and all("+" in voice for voice in augmented[2][4:])


def test_the_digest_changes_with_settings_and_splits_only(tmp_path, monkeypatch):
    recipe = Classification("made", "", None, {"units": (8,)}, "", 0.1)
    first = recipe.digest()
    assert replace(recipe, settings={"units": "8"}, guide="reworded").digest() == first
    assert replace(recipe, settings={"units": (9,)}).digest() != first
    assert replace(recipe, splits=2).digest() != first
    assert replace(recipe, validation_share=0.2).digest() != first
    files = {"settings": {"vectors": "glove.txt"}, "files": {"vectors": ""}}
    with_file = replace(recipe, **files).digest()
    monkeypatch.chdir(tmp_path)
    assert replace(recipe, **files).digest() == with_file != first
    # A changed default changes the scores too.
    changed = TRAINING["epochs"]._replace(default=99)
    monkeypatch.setitem(TRAINING, "epochs", changed)
    assert recipe.digest() != first
    monkeypatch.undo()
    monkeypatch.setitem(sentiment.VARIANTS["base"], "dropout", 0.9)
    assert recipe.digest() != first


def test_a_new_setting_changes_the_digest_unless_it_is_neutral(monkeypatch):
    recipe = Classification("made", "", None, {}, "", 0.1)
    first = recipe.digest()
    new = Setting(3, integer(0), "a setting of a later version", neutral=3)
    monkeypatch.setitem(TRAINING, "new", new)
    assert recipe.digest() == first
    assert replace(recipe, settings={"new": 3}).digest() == first
    assert replace(recipe, settings={"new": 4}).digest() != first
    # A default that is not the neutral value changes the scores of recipes that do not set it.
    monkeypatch.setitem(TRAINING, "new", new._replace(default=4))
    assert recipe.digest() != first
    assert replace(recipe, settings={"new": 3}).digest() == first
    # Without a neutral value, every value counts.
    monkeypatch.setitem(TRAINING, "new", Setting(3, integer(0), ""))
    assert recipe.digest() != first


def test_new_rows_replace_the_old_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    one, two = ({"recipe": name, "accuracy": "0.1", "digest": "x"} for name in ("one", "two"))
    speech = {"recipe": "speech", "WER": "0.4", "digest": "x"}
    several = [{"recipe": "several", "WER": wer, "digest": "x"} for wer in ("0.6", "0.5")]
    common.record([two])
    common.record([one])
    common.record([speech])
    common.record(several)
    heading = common.environment_heading()
    monkeypatch.setattr(common, "environment_heading", lambda: "## another machine")
    common.record([{**one, "accuracy": "0.3"}])
    common.record(several[:1])
    assert common.read_results() == {
        heading: [speech, two],
        "## another machine": [several[0], {**one, "accuracy": "0.3"}],
    }
    assert "tensorflow" in heading


def test_latencies_follow_the_rows_whichever_is_written_first(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    row = {"recipe": "one", "accuracy": "0.1", "digest": "x"}
    common.record([row])
    for milliseconds in ("3.1", "2.9"):
        common.record_latency("two cores", ("runtime", "p50 ms"), [("LiteRT", milliseconds)])
    common.record([{**row, "accuracy": "0.2"}])
    assert all_rows() == [{**row, "accuracy": "0.2"}]
    text = common.RESULTS.read_text()
    assert text.count("# Latency") == 1
    assert text.endswith("two cores.\n\n| runtime | p50 ms |\n| --- | --- |\n| LiteRT | 2.9 |\n")


def test_results_are_as_a_recipe_would_rewrite_them(tmp_path, monkeypatch):
    published = common.RESULTS.read_bytes()
    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    common.RESULTS.write_bytes(published)
    common.record([])
    assert common.RESULTS.read_bytes() == published
    assert common.LATENCY.encode() in published


@pytest.mark.slow
def test_a_recipe_trains_and_writes_a_row(tmp_path, monkeypatch):
    from lstm_zoo.runs.directory import read_config
    from lstm_zoo.sentiment import demo

    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    settings = {"variant": "tiny", "epochs": 1, "vectors": "published.txt"}
    files = {"vectors": "Vectors."}
    recipe = Classification(
        "made", "", lambda path: demo.generate(200)[:2], settings, "demo", 0.1, 2, files=files
    )
    arguments = ["--data", ".", "--run", tmp_path / "run", "--export", tmp_path / "export"]
    result = CliRunner().invoke(recipe.command(), list(map(str, arguments)))
    assert result.exit_code == 2 and "Missing option '--vectors'" in result.output
    (tmp_path / "own.txt").write_text("not 1 2 3\nvery 3 2 1\n")
    arguments += ["--vectors", tmp_path / "own.txt"]
    result = CliRunner().invoke(recipe.command(), list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    (row,) = all_rows()
    assert " --vectors own.txt --seed 0" in row["command"]
    assert read_config(tmp_path / "run/seed-0")["network"]["embedding_size"] == 3
    assert row["digest"] == replace(recipe, settings={**settings, "vectors": "own.txt"}).digest()
    assert row["digest"] != recipe.digest()
    assert 0 <= float(row["accuracy"].split(" ± ")[0]) <= 1
    assert (tmp_path / "run/seed-1/model.weights.h5").is_file()
    assert (tmp_path / "export/1/saved_model.pb").is_file()
    # Run again, it loads the finished runs and writes the same scores.
    del arguments[4:6]  # no other export
    CliRunner().invoke(recipe.command(), list(map(str, arguments)))
    (again,) = all_rows()
    assert again["accuracy"] == row["accuracy"]


@pytest.mark.slow
def test_a_recipe_of_fine_tuning_compares_three_networks(tmp_path, monkeypatch):
    from finetuning import FineTuning

    from lstm_zoo.runs.directory import read_config
    from lstm_zoo.sentiment import corpus, demo

    class Made(FineTuning):
        family = "sentiment"
        metrics = {"accuracy": "accuracy"}

        def source_data(self, data, seed):
            return data.take(range(200)), data.take(range(200, 240))

        def split_data(self, data, seed):
            return data.take(range(240, 300)), data.take(range(300, 400))

    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    recipe = Made(
        "made",
        "A recipe.",
        lambda path: corpus.read(demo.generate(400)[:2]),
        {"variant": "tiny", "epochs": 1},
        "demo",
        0.2,
        splits=2,
        test_share=0.0,
        # Without n-grams, whose weight is fitted whatever the rate is.
        source={"variant": "tiny", "ngrams": 0, "epochs": 2, "learning_rate": 0.02},
        tuned={"epochs": 1, "freeze": 1, "learning_rate": 0.0},
        examples=60,
    )
    arguments = ["--data", ".", "--run", tmp_path / "run", "--export", tmp_path / "export"]
    result = CliRunner().invoke(recipe.command(), list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    (row,) = all_rows()
    # Its rate is 0.
    assert row["accuracy fine-tuned"] == row["accuracy source"]
    assert {name for name in row if name.startswith("accuracy")} == {
        "accuracy source",
        "accuracy fine-tuned",
        "accuracy scratch",
    }
    for seed in (0, 1):
        entry = read_config(tmp_path / f"run/seed-{seed}/fine-tuned")["init_from"]
        assert entry["run"] == str(tmp_path / "run/source") and not entry["fresh"]
        assert "init_from" not in read_config(tmp_path / f"run/seed-{seed}/scratch")
    assert (tmp_path / "export/1/saved_model.pb").is_file()
    # Run again, it loads the finished runs and writes the same row.
    del arguments[4:]
    CliRunner().invoke(recipe.command(), list(map(str, arguments)))
    assert all_rows() == [row]
    for changed in ({"source": {}}, {"tuned": {}}, {"settings": {}}, {"examples": 61}):
        assert replace(recipe, **changed).digest() != recipe.digest()


def test_recipes_of_fine_tuning_share_nothing_between_training_and_test_sets():
    from finetuning import folds
    from imdb_to_mr import RECIPE as to_sentences
    from mr_to_imdb import RECIPE as to_reviews

    from lstm_zoo.sentiment import corpus

    texts = [f"sentence {number % 900}" for number in range(1_000)]
    translations = [f"phrase {number % 950}" for number in range(1_000)]
    found = folds(texts, translations)
    assert {*found} == {*range(10)}
    assert all(found[number] == found[number - 900] for number in range(900, 1_000))

    # Three reviews for each id of a film, in both classes.
    ids = np.array([*range(3_000)] * 2)
    labels = ["neg"] * 3_000 + ["pos"] * 3_000
    reviews = corpus.read(([f"review {number}" for number in range(6_000)], labels))
    sentences = corpus.read((texts, labels[2_500:3_500]))
    data = (reviews, ids, sentences)
    for seed in range(5):
        for recipe in (to_sentences, to_reviews):
            training, test = recipe.split_data(data, seed)
            assert training.label_counts == {"neg": 100, "pos": 100}
            assert training.overlap(test) == 0
        tested = {int(text.split()[1]) % 3_000 for text in test.texts}
        assert tested == {*range(300 * seed, 300 * seed + 300)}
    training, validation = to_sentences.source_data(data, 0)
    assert {int(text.split()[1]) % 3_000 for text in validation.texts} == {*range(2_850, 3_000)}
    assert len(training) + len(validation) == 6_000


def test_trec_reads_questions_and_coarse_classes(tmp_path):
    import trec

    from lstm_zoo.errors import DataError

    path = tmp_path / "train.txt"
    path.write_bytes("DESC:manner Who is caf\xe9 ?\nNUM:date When ?\n".encode("latin-1"))
    assert trec.read(path) == (["Who is café ?", "When ?"], ["DESC", "NUM"])
    path.write_text("DESC:manner What ?\nnothing\n")
    with pytest.raises(DataError, match="train.txt:2: expected COARSE:fine"):
        trec.read(path)


def test_imdb_reads_the_archive_like_the_folder(tmp_path):
    import imdb

    archive = tmp_path / "reviews.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in {
            "aclImdb/train/pos/1_9.txt": "good",
            "aclImdb/train/neg/1_2.txt": "bad é",
            "aclImdb/train/unsup/1_0.txt": "unknown",
            "aclImdb/test/pos/1_9.txt": "not to be seen",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    expected = (["bad é", "good"], ["neg", "pos"], ["block 10", "block 10"])
    assert imdb.read(archive) == expected
    assert imdb.read_reviews(archive)[2] == imdb.read_reviews(tmp_path / "aclImdb/train")[2]
    assert imdb.read_reviews(archive)[2] == [1, 1]
    assert tuple(imdb.read(tmp_path / "aclImdb/train")) == expected


def test_sentence_polarity_reads_both_files(tmp_path):
    import sentence_polarity

    (tmp_path / "rt-polarity.neg").write_text("dull . \n\n")
    (tmp_path / "rt-polarity.pos").write_text("fine .\n")
    assert sentence_polarity.read(tmp_path) == (["dull .", "fine ."], ["neg", "pos"])
