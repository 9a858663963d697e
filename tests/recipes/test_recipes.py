"""Recipes: what they read, what they write, and that no published row has outlived its recipe."""

import importlib
import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import common
import pytest
import soundfile
from classification import Classification
from click.testing import CliRunner

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SHARED = ("common", "classification", "pairs", "recognition")  # what the recipes are made with
NAMES = sorted(path.stem for path in RECIPES.glob("*.py") if path.stem not in SHARED)


def every_row():
    return [row for rows in common.read_results().values() for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_has_a_row_and_its_settings_are_those_that_made_it(name):
    recipe = importlib.import_module(name)
    digests = {row["digest"] for row in every_row() if row["recipe"] == name}
    assert digests, f"recipes/{name}.py has no row in RESULTS.md"
    assert digests == {recipe.RECIPE.digest()}, "run the recipe again"


def test_no_row_is_without_its_recipe():
    assert {row["recipe"] for row in every_row()} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_command_the_cost_and_the_target(name):
    recipe = importlib.import_module(name)
    text = CliRunner().invoke(recipe.main, ["--help"]).output
    for word in (f"python recipes/{name}.py --data", "Cost:", "Target:", "--seed", "--export"):
        assert word in text


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_costs_no_more_than_it_says(name):
    guide = importlib.import_module(name).__doc__
    times, minutes, memory = re.search(
        r"Cost: on two cores \w+ (?:(\d+) times )?(\d+) minutes.*? (\d+) GB", guide
    ).groups()
    for row in every_row():
        if row["recipe"] == name:
            assert float(row["minutes"]) <= 1.1 * int(times or 1) * int(minutes)
            # Rows of trainings in one process have no peak of their own.
            assert float(row.get("peak GB", 0)) <= int(memory)


def test_each_speaker_is_left_out_by_a_seed_and_synthetic_voices_join_but_in_plain(
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

    def train(self, rest, run, seed, **others):
        trained.append((others == unheard_speaker.PLAIN, rest.texts, rest.speakers))
        run.mkdir()
        seconds, peak = (30, 3e9) if others else (90, 2e9)
        environment = {"training_seconds": seconds, "peak_memory_bytes": peak}
        (run / "environment.json").write_text(json.dumps(environment))

        def evaluate(columns, beam_width):
            assert not set(columns[2]) & set(rest.speakers)
            return {"wer": 0.5 if others else 0.25, "cer": 0.125}

        return SimpleNamespace(run=run, evaluate=evaluate)

    monkeypatch.setattr(common.Recipe, "train", train)
    for seed in range(5):
        (row,) = unheard_speaker.RECIPE.rows(data, tmp_path / f"run-{seed}", seed, None)
        assert (row["minutes"], row["peak GB"]) == ("2.0", "3.0")
        assert (row["WER greedy"], row["WER plain"]) == ("0.2500", "0.5000")
    for left_out, varied, plain in zip("abcde", trained[::2], trained[1::2], strict=True):
        people = [speaker for speaker in "abcde" if speaker != left_out]
        assert plain == (True, ["ONE TWO"] * 4, people)
        assert not varied[0] and varied[1] == ["ONE TWO"] * 4 * (1 + unheard_speaker.SAYINGS)
        assert varied[2][:4] == people and all("+" in voice for voice in varied[2][4:])


def test_a_digest_changes_with_whatever_makes_the_number(monkeypatch):
    from lstm_zoo import sentiment
    from lstm_zoo.settings import TRAINING

    recipe = Classification("made", "", None, {"units": (8,)}, "", 0.1)
    first = recipe.digest()
    assert replace(recipe, settings={"units": "8"}, guide="reworded").digest() == first
    assert replace(recipe, settings={"units": (9,)}).digest() != first
    assert replace(recipe, splits=2).digest() != first
    assert replace(recipe, validation_share=0.2).digest() != first
    # A default that changes changes the number too.
    other = TRAINING["epochs"]._replace(default=99)
    monkeypatch.setitem(TRAINING, "epochs", other)
    assert recipe.digest() != first
    monkeypatch.undo()
    monkeypatch.setitem(sentiment.VARIANTS["base"], "dropout", 0.9)
    assert recipe.digest() != first


def test_new_rows_take_the_place_of_the_old_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    one, two = ({"recipe": name, "accuracy": "0.1", "digest": "x"} for name in ("one", "two"))
    heard = {"recipe": "heard", "WER": "0.4", "digest": "x"}
    several = [{"recipe": "several", "WER": wer, "digest": "x"} for wer in ("0.6", "0.5")]
    common.record([two])
    common.record([one])
    common.record([heard])
    common.record(several)
    heading = common.environment_heading()
    monkeypatch.setattr(common, "environment_heading", lambda: "## another machine")
    common.record([{**one, "accuracy": "0.3"}])
    common.record(several[:1])
    assert common.read_results() == {
        heading: [heard, two],
        "## another machine": [several[0], {**one, "accuracy": "0.3"}],
    }
    assert "tensorflow" in heading


def test_latencies_stand_behind_the_rows_whichever_is_written_first(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    row = {"recipe": "one", "accuracy": "0.1", "digest": "x"}
    common.record([row])
    for milliseconds in ("3.1", "2.9"):
        common.record_latency("two cores", ("runtime", "p50 ms"), [("LiteRT", milliseconds)])
    common.record([{**row, "accuracy": "0.2"}])
    assert every_row() == [{**row, "accuracy": "0.2"}]
    text = common.RESULTS.read_text()
    assert text.count("# Latency") == 1
    assert text.endswith("two cores.\n\n| runtime | p50 ms |\n| --- | --- |\n| LiteRT | 2.9 |\n")


@pytest.mark.slow
def test_a_recipe_goes_from_data_to_a_row(tmp_path, monkeypatch):
    from lstm_zoo.sentiment import demo

    monkeypatch.setattr(common, "RESULTS", tmp_path / "RESULTS.md")
    settings = {"variant": "tiny", "epochs": 1}
    recipe = Classification(
        "made", "A recipe.", lambda path: demo.generate(200)[:2], settings, "demo", 0.1, splits=2
    )
    arguments = ["--data", ".", "--run", tmp_path / "run", "--export", tmp_path / "export"]
    result = CliRunner().invoke(recipe.command(), list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    (row,) = every_row()
    assert row["digest"] == recipe.digest()
    assert 0 <= float(row["accuracy"].split(" ± ")[0]) <= 1
    assert (tmp_path / "run/seed-1/model.weights.h5").is_file()
    assert (tmp_path / "export/1/saved_model.pb").is_file()
    # Run again, it finds its runs finished, and reports the same.
    CliRunner().invoke(recipe.command(), list(map(str, arguments)))
    (again,) = every_row()
    assert again["accuracy"] == row["accuracy"]


def test_trec_reads_its_lines(tmp_path):
    import trec

    from lstm_zoo.errors import DataError

    path = tmp_path / "train.txt"
    path.write_bytes("DESC:manner Who is caf\xe9 ?\nNUM:date When ?\n".encode("latin-1"))
    assert trec.read(path) == (["Who is café ?", "When ?"], ["DESC", "NUM"])
    path.write_text("DESC:manner What ?\nnothing\n")
    with pytest.raises(DataError, match="train.txt:2: expected COARSE:fine"):
        trec.read(path)


def test_imdb_reads_the_archive_as_it_reads_the_folder(tmp_path):
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
    expected = (["bad é", "good"], ["neg", "pos"])
    assert imdb.read(archive) == expected
    assert tuple(imdb.read(tmp_path / "aclImdb/train")) == expected


def test_sentence_polarity_reads_both_files(tmp_path):
    import sentence_polarity

    (tmp_path / "rt-polarity.neg").write_text("dull . \n\n")
    (tmp_path / "rt-polarity.pos").write_text("fine .\n")
    assert sentence_polarity.read(tmp_path) == (["dull .", "fine ."], ["neg", "pos"])
