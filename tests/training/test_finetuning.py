"""Fine-tuning by the command line: a run of each family goes on with other data."""

import json
import shutil

import pytest
import soundfile
from click.testing import CliRunner

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.cli import cli
from lstm_zoo.export.inspection import describe
from lstm_zoo.runs.directory import read_config
from lstm_zoo.speech import demo as spoken
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.translation import demo as phrases
from tests.training.helpers import DATA, RUNS


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def write_data(family, folder):
    """Write a small corpus of a family; return its path, and an input to predict."""
    table = folder / "data.tsv"
    if family == "sentiment":
        header, columns = ("text", "label"), DATA
    elif family == "speech":
        clips, texts, _ = spoken.generate(30, seed=1)
        paths = [folder / f"{number}.wav" for number in range(len(clips))]
        for path, clip in zip(paths, clips, strict=True):
            soundfile.write(path, read_audio(clip, 8_000), 8_000)
        header, columns = ("path", "text"), (paths, texts)
    else:
        header, columns = ("en", "fr"), phrases.generate(120, 5, "en", "fr")
    rows = [header, *zip(*columns, strict=True)]
    table.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return table, columns[0][0]


@pytest.mark.slow
@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_run_is_fine_tuned_resumed_moved_and_exported_without_its_source(family, tmp_path):
    source = shutil.copytree(RUNS / family, tmp_path / "source")
    data, example = write_data(family, tmp_path)
    trained = invoke(
        family, "train", "--data", data, "--run", tmp_path / "run", "--epochs", 2,
        "--init-from", source, "--keep-vocabulary",
        "--set", "freeze=1", "--set", "layer_decay=0.4", "--learning-rate", 0.001,
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    config = read_config(tmp_path / "run")
    entry, network = config["init_from"], lstm_zoo.load(tmp_path / "run").model
    count = len(network.weights)
    assert f"{source}: {count} of the network's {count} weights start from it" in trained.output
    assert ": learning rate × 0.4, from epoch 2" in trained.output
    assert {*entry["taken"]} == {weight.path for weight in network.weights}
    assert (entry["partly"], entry["fresh"], entry["unused"]) == ({}, {}, [])
    assert entry["run"] == str(source) and entry["keep_vocabulary"] is True
    assert config["settings"]["freeze"] == 1 and config["settings"]["layer_decay"] == 0.4
    expected = read_config(source)["network"]  # of an earlier version, without newer arguments
    assert {name: config["network"][name] for name in expected} == expected

    shutil.rmtree(source)
    moved = shutil.move(tmp_path / "run", tmp_path / "moved")
    shown = invoke("inspect", moved, "--json")
    assert shown.exit_code == 0, shown.output
    card = json.loads(shown.stdout)
    assert card["init_from"] == entry and card["checksums"] == "verified"
    predicted = invoke(family, "predict", moved, example)
    assert predicted.exit_code == 0 and predicted.stdout.strip()
    exported = invoke(family, "export", moved, tmp_path / "export")
    assert exported.exit_code == 0, exported.output
    assert describe(exported.stdout.strip())["init_from"] == entry


def test_what_can_not_be_a_source_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "text\tlabel\n" + "a good film\tpos\na bad film\tneg\n" * 10
    (tmp_path / "data.tsv").write_text(text, encoding="utf-8")
    for arguments, message in (
        (["--init-from", "none"], "none: no such run directory"),
        (["--init-from", RUNS / "speech"], "a run of speech, not of sentiment"),
        (["--init-from", ""], "'--init-from' is empty"),
        (["--keep-vocabulary"], "keep_vocabulary has no effect without init_from"),
        (["--init-from", RUNS / "sentiment", "--resume"], "A resumed run keeps its init_from"),
        (["--init-from", RUNS / "sentiment", "--set", "layer_decay=1.5"], "layer_decay takes"),
    ):
        result = invoke("sentiment", "train", "--data", "data.tsv", "--run", "run", *arguments)
        assert result.exit_code == 2, result.output
        assert message in result.output and "Traceback" not in result.output
        assert not (tmp_path / "run").exists()
