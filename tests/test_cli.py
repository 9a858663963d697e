"""The command line: help, output streams, exit statuses, signals."""

import json
import re
import resource
import signal
import subprocess
import sys
import time

import click
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from lstm_zoo import families
from lstm_zoo.cli import cli
from lstm_zoo.sentiment import demo
from tests.conftest import run_cli


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "train.tsv"
    texts, labels, _ = demo.generate(400, seed=5)
    rows = [f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)]
    path.write_text("text\tlabel\n" + "".join(rows) + "\tpos\n")
    return path


def invoke(*arguments, **options):
    """Run a command in this process, which has imported TensorFlow already."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], **options)


@pytest.mark.parametrize(
    "arguments",
    [[], ["inspect"], *([family] for family in families.FAMILIES)]
    + [
        [family, verb]
        for family in families.FAMILIES
        for verb in ("train", "evaluate", "predict", "export")
    ],
)
def test_help_is_fast_and_does_not_import_tensorflow(arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script = (
        "import sys, lstm_zoo.cli; sys.argv[0] = 'lstm-zoo'\n"
        "try: lstm_zoo.cli.main()\n"
        "finally: assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments, "--help"], capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert b"Usage: lstm-zoo" in done.stdout
    # CPU seconds; importing TensorFlow takes ten times as long.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_predictions_are_printed_while_standard_input_is_open(small_run):
    command = [sys.executable, "-m", "lstm_zoo", "sentiment", "predict", str(small_run), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for text in (b"The film is dull.\r\n", b"The film is moving.\nNot dull.\n"):
            process.stdin.write(text)
            process.stdin.flush()
            for _ in range(text.count(b"\n")):
                assert process.stdout.readline().split(b"\t")[0] in (
                    b"neg\n",
                    b"pos\n",
                    b"neg",
                    b"pos",
                )
        rest, _ = process.communicate(b"the last, without an end")
        assert rest.count(b"\n") == 1
    assert process.returncode == 0


def test_importing_the_package_does_not_import_tensorflow():
    script = (
        "import sys, lstm_zoo; dir(lstm_zoo); lstm_zoo.__version__\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "lstm_zoo.build_sentiment; assert 'tensorflow' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_table_is_copied_with_the_predictions(small_run, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("review,id\nThe film is not dull.,1\n,2\n")
    command = ["sentiment", "predict", small_run, "--input", source, "--output", target]
    result = invoke(*command, "--text-column", "review")
    assert (result.exit_code, result.stdout) == (1, f"{target}\n")
    assert "1 of 2 rows have no answer; the column error says why." in result.stderr
    header, first, second = target.read_text().splitlines()
    assert header == "review,id,predicted,probability,p(neg),p(pos),error"
    assert re.fullmatch(r"The film is not dull\.,1,(neg|pos),0\.\d+,.*,", first)
    assert second == ",2,,,,,no text"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--input", "in.csv"], "--input needs --output"),
        (["--output", "out.csv"], "--input needs --output"),
        (["text", "--input", "in.csv", "--output", "out.csv"], "neither INPUT... nor --json"),
        (["--json", "--input", "in.csv", "--output", "out.csv"], "neither INPUT... nor --json"),
        (["text", "--text-column", "a"], "--text-column has no effect without --input"),
        (["--input", "in.csv", "--output", "in.csv"], "the file of the inputs"),
    ],
)
def test_arguments_of_tables_that_exclude_each_other(
    small_run, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("text\nx\n")
    result = invoke("sentiment", "predict", small_run, *arguments)
    assert result.exit_code == 2 and message in result.output, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_train_help_has_the_sizes_of_the_variants():
    text = invoke("translation", "train", "--help").output
    assert re.search(r"^ +tiny +64 +64 +64", text, re.MULTILINE)
    assert re.search(r"^ +large +512 +512,512 +1024,1024", text, re.MULTILINE)


def test_every_command_and_every_option_has_a_help_text():
    def commands(command):
        yield command
        for name in command.list_commands(None) if isinstance(command, click.Group) else ():
            yield from commands(command.get_command(None, name))

    names = []
    for command in commands(cli):
        names.append(command.name)
        assert command.help
        for parameter in command.params:
            assert parameter.help if isinstance(parameter, click.Option) else True, parameter.name
    assert names.count("train") == len(families.FAMILIES)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_train_help_lists_every_setting(family):
    from lstm_zoo.settings import format_value

    text = invoke(family, "train", "--help").output
    for name, setting in families.settings(family).items():
        if setting.default is not None:
            assert re.search(
                rf"^ +{name} .*\[{format_value(setting.default)}\]$", text, re.MULTILINE
            )
        assert re.search(rf"^ +{name} +{re.escape(setting.help)}", text, re.MULTILINE), name


def train_command(corpus, run, *extra):
    return [
        "sentiment", "train", "--data", corpus, "--run", run, "--variant", "tiny", "--epochs", "3",
        "--set", "units=8", "--set", "embedding_size=8", "--learning-rate", "0.01", *extra,
    ]  # fmt: skip


@pytest.mark.slow
def test_train_evaluate_and_predict_in_processes_of_their_own(corpus, tmp_path):
    run, exports = tmp_path / "run", tmp_path / "exports"
    done = run_cli(*train_command(corpus, run, "--export", exports), fresh=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == [str(run), str(exports / "1")]
    assert b"epoch 3/3" in done.stderr
    assert (run / "skipped.tsv").read_text() == f"place\treason\n{corpus}:402\tno text\n"

    done = run_cli("sentiment", "evaluate", run, "--data", corpus, "--json",
                   "--predictions", tmp_path / "predictions.tsv")  # fmt: skip
    scores = json.loads(done.stdout)
    assert (scores["examples"], scores["skipped"]) == (400, 1)
    rows = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text().split("\n")]
    columns = dict(zip(rows[0], zip(*rows[1:-1], strict=True), strict=True))
    assert columns["row"] == tuple(map(str, range(401)))  # all of them, in order
    kept = [number for number, reason in enumerate(columns["skipped"]) if not reason]
    correct = np.mean([columns["label"][n] == columns["predicted"][n] for n in kept])
    assert len(kept) == 400 and scores["accuracy"] == pytest.approx(correct)
    assert 0 < scores["macro_f1"] <= 1

    done = run_cli("sentiment", "predict", run, "-", "--json", stdin=b"The film is dull.\r\n\n\xff")
    answers = json.loads(done.stdout)["predictions"]
    assert len(answers) == 3
    assert set(answers[0]) == {"label", "probability", "probabilities"}

    done = run_cli("sentiment", "predict", run, "The film is dull.", b"\xff", "-", stdin=b"one\n")
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 3
    assert lines[0].split("\t")[0] == answers[0]["label"]
    assert float(lines[0].split("\t")[1]) == pytest.approx(answers[0]["probability"], abs=1e-4)


def test_predictions_of_hostile_texts_are_written(small_run, tmp_path):
    data = tmp_path / "hostile.jsonl"
    texts = [("half \ud83d\ttab\nline", "pos"), ("", "pos"), ("dull", "neg")]
    rows = [{"text": text, "label": label} for text, label in texts]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    predictions = tmp_path / "predictions.tsv"
    result = invoke(
        "sentiment", "evaluate", small_run, "--data", data, "--predictions", predictions
    )
    assert result.exit_code == 0, result.output
    lines = predictions.read_text().splitlines()
    header = ["row", "place", "skipped", "text", "label", "predicted", "probability"]
    assert lines[0].split("\t") == [*header, "p(neg)", "p(pos)"]
    assert [line.split("\t")[:5] for line in lines[1:]] == [
        ["0", f"{data}:1", "", "half \\ud83d tab line", "pos"],
        ["1", f"{data}:2", "no text", "", ""],
        ["2", f"{data}:3", "", "dull", "neg"],
    ]


def test_evaluate_does_not_write_to_its_data(small_run, tmp_path, monkeypatch):
    data = tmp_path / "test.tsv"
    data.write_text("text\tlabel\ngood\tpos\ndull\tneg\n")
    (tmp_path / "linked.tsv").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    for option, name in (
        ("--predictions", data), ("--report", "test.tsv"), ("--predictions", "linked.tsv"),
    ):  # fmt: skip
        result = invoke("sentiment", "evaluate", small_run, "--data", data, option, name)
        assert result.exit_code == 2 and "a file of the test set; name another" in result.stderr
    options = ["--predictions", "out", "--report", tmp_path / "out"]
    result = invoke("sentiment", "evaluate", small_run, "--data", data, *options)
    assert result.exit_code == 2 and "need a file each" in result.stderr
    assert data.read_text().startswith("text\tlabel\ngood")
    for path in ("pairs.en", "pairs.de"):
        (tmp_path / path).write_text("a\n")
    options = ["--data", tmp_path / "pairs", "--predictions", "pairs.de"]
    result = invoke("translation", "evaluate", small_run, *options)
    assert result.exit_code == 2 and "pairs.de: a file of the test set" in result.stderr


@pytest.mark.parametrize("closed, message", [("2>&-", b""), ("<&-", b"closed"), (">&-", b"")])
def test_a_command_without_a_standard_stream(closed, message):
    command = f"{sys.executable} -m lstm_zoo sentiment predict trec-questions who? - {closed}"
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == (2 if message else 0)
    assert message in done.stderr and b"Traceback" not in done.stderr
    assert done.stdout == (b"" if closed == ">&-" else done.stdout)


def test_evaluate_prints_a_table(small_run, corpus, tmp_path):
    data = tmp_path / "test.tsv"
    data.write_text(corpus.read_text().replace("text", "review", 1))
    result = invoke("sentiment", "evaluate", small_run, "--data", data, "--text-column", "review")
    assert result.exit_code == 0
    assert re.search(
        r"accuracy 0\.\d{4}  macro F1 0\.\d{4}  ECE 0\.\d{4}  \(400 examples, 1 skipped\)",
        result.output,
    )
    assert re.search(r"^pos +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +200$", result.output, re.MULTILINE)


@pytest.mark.slow
def test_answers_below_the_minimum_probability_are_left_out(small_run, corpus):
    texts = ["The film is not dull.", "I found the film moving, and the plot dull."]
    answers = json.loads(invoke("sentiment", "predict", small_run, *texts, "--json").stdout)
    low, high = sorted(row["probability"] for row in answers["predictions"])
    assert low < high
    chosen = ["--min-probability", (low + high) / 2]
    result = invoke("sentiment", "predict", small_run, *texts, *chosen)
    lines = sorted(result.stdout.splitlines())
    assert (result.exit_code, lines[0]) == (0, f"\t{low:.4f}")
    assert lines[1].split("\t")[0] in ("neg", "pos")
    command = ("sentiment", "evaluate", small_run, "--data", corpus)
    report = invoke(*command, *chosen).stdout.splitlines()[1]
    scores = json.loads(invoke(*command, *chosen, "--json").stdout)
    assert report == (
        f"answered with probability {chosen[1]:g} or more: {scores['coverage']:.2%} of the "
        f"examples, accuracy {scores['answered_accuracy']:.4f}"
    )
    assert 0 < scores["coverage"] < 1
    nothing = invoke(*command, "--min-probability", 1).stdout.splitlines()[1]
    assert nothing.endswith("or more: 0.00% of the examples, none to be right")
    for bad in ("1.5", "-1", "nan", "high"):
        assert invoke(*command, "--min-probability", bad).exit_code == 2
    assert "--min-probability" not in invoke("speech", "predict", "--help").output


def test_inspect_describes_runs_and_exports(small_run, tmp_path):
    text = invoke("inspect", small_run).output
    assert "family: sentiment" in text
    assert "text: string[?]" in text
    card = json.loads(invoke("inspect", small_run, "--json").stdout)
    assert card["classes"] == ["neg", "pos"]
    assert [row["kind"] for row in card["layers"]] == ["LSTM", "LSTM"]
    assert all(row["path"] in ("cuDNN", "fused") and row["reason"] for row in card["layers"])

    assert invoke("sentiment", "export", small_run, tmp_path, "--version", "4").exit_code == 0
    described = json.loads(invoke("inspect", tmp_path, "--json").stdout)
    assert described["path"] == str(tmp_path / "4")
    assert described["parameters"] == card["parameters"]
    assert described["signatures"]["serving_default"]["inputs"] == {"text": "string[?]"}
    assert "BlockLSTMV2" in described["ops"]


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["sentiment", "train", "--data", "none"], 2, "none: no such file or folder"),
        (["sentiment", "train", "--data", "EMPTY"], 1, "no folder of .txt files"),
        (["sentiment", "train", "--data", "one_class.tsv"], 1, "Only one class, 'pos'"),
        (["sentiment", "train", "--data", "no_column.csv"], 1, "no_column.csv:1: no column named"),
        (["sentiment", "train", "--data", "broken.jsonl"], 1, "broken.jsonl:2: not valid JSON"),
        (["sentiment", "train", "--text-column", "x"], 2, "text_column has no effect on the demo"),
        (
            ["sentiment", "train", "--data", "one_class.tsv", "--label-column", "stars"],
            1,
            "one_class.tsv:1: no column named stars in the header. Expected text and stars; found",
        ),
        (["sentiment", "train", "--label-column", "0"], 2, "label_column takes a column's name"),
        (["sentiment", "train", "--set", "unit=3"], 2, "No setting is named 'unit'"),
        (["sentiment", "train", "--set", "units"], 2, "--set takes NAME=VALUE"),
        (["sentiment", "train", "--epochs", "0"], 2, "epochs takes an integer of at least 1"),
        (["sentiment", "train", "--set", "epochs=2", "--epochs", "3"], 2, "given twice"),
        (["sentiment", "train", "--set", "units=2", "--set", "units=3"], 2, "units is given twice"),
        (["sentiment", "train", "--seed", "5000000000"], 2, "seed takes an integer"),
        (
            ["sentiment", "train", "--set", "tokens=pieces", "--set", "vocabulary_size=9"],
            1,
            "could not learn 9 pieces from this corpus; tokens=words takes any.",
        ),
        (["sentiment", "train", "--export", "one_class.tsv"], 2, "can't write an export there"),
        (["sentiment", "train", "--data", "blank.tsv", "--strict"], 1, "blank.tsv:2: no text"),
        (
            ["sentiment", "evaluate", "RUN", "--data", "new_label.tsv"],
            1,
            "new_label.tsv:3: the label 'mixed' is not one of",
        ),
        (
            [
                "sentiment",
                "evaluate",
                "RUN",
                "--data",
                "new_label.tsv",
                "--predictions",
                "no/p.tsv",
            ],
            2,
            "no/p.tsv: the folder does not exist",
        ),
        (["speech", "predict", "RUN", "x"], 2, "a run of sentiment, not of speech"),
        (["speech", "evaluate", "RUN", "--data", "x"], 2, "a run of sentiment, not of speech"),
        (["translation", "export", "RUN", "x"], 2, "a run of sentiment, not of translation"),
        (["sentiment", "export", "RUN", ""], 2, "'DIR' is empty"),
        (["sentiment", "predict", "", "x"], 2, "'RUN' is empty"),
        (["sentiment", "train", "--data", ""], 2, "'--data' is empty"),
        (
            ["sentiment", "evaluate", "RUN", "--data", "blank.tsv", "--predictions", "EMPTY"],
            2,
            "EMPTY: a folder; --predictions takes the path of a file",
        ),
        (
            ["sentiment", "evaluate", "RUN", "--data", "blank.tsv", "--report", "EMPTY"],
            2,
            "EMPTY: a folder; --report takes the path of a file",
        ),
        (["sentiment", "predict", "DAMAGED", "x"], 1, "not a run's configuration; it has no"),
        (
            ["sentiment", "train", "--set", "pooling=sum"],
            2,
            "pooling takes one or more of",
        ),
        (["sentiment", "train", "--validation-split", "2"], 2, "between 0 and 1"),
        (["sentiment", "evaluate", "EMPTY", "--data", "one_class.tsv"], 2, "it has no config.json"),
        (["sentiment", "evaluate", "none", "--data", "x"], 2, "none: no such run"),
        (["sentiment", "evaluate", "RUN", "--data", "none.tsv"], 2, "none.tsv: no such file"),
        (["sentiment", "predict", "none", "x"], 2, "none: no such run directory"),
        (["sentiment", "predict", "RUN"], 2, "Missing argument 'INPUT...'"),
        (["sentiment", "export", "RUN", "one_class.tsv"], 2, "can't write an export there"),
        (["sentiment", "export", "RUN", "out", "--format", "zip"], 2, "is one of tf_saved_model"),
        (["inspect", "EMPTY"], 2, "neither a run"),
        (["vision", "train"], 2, "No such command 'vision'"),
        (
            ["translation", "train", "--batch-size", "64"],
            2,
            "batch_size=64 has no effect with batch_tokens=auto",
        ),
        (
            ["sentiment", "train", "--validation", "one_class.tsv", "--validation-split", "0.2"],
            2,
            "validation_split=0.2 has no effect with validation; give only one",
        ),
        (
            ["speech", "predict", "RUN", "clip.wav", "--n-best", "3"],
            2,
            "--n-best has no effect without --json",
        ),
    ],
)
def test_bad_calls_and_bad_data_are_errors_and_write_nothing(
    arguments, status, message, small_run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    one_class = "".join(f"film {number}\tpos\n" for number in range(20))
    (tmp_path / "one_class.tsv").write_text("text\tlabel\n" + one_class)
    (tmp_path / "blank.tsv").write_text("text\tlabel\n \tpos\n")
    (tmp_path / "new_label.tsv").write_text("text\tlabel\ngood\tpos\nso-so\tmixed\n")
    (tmp_path / "DAMAGED").mkdir()
    (tmp_path / "DAMAGED/config.json").write_text('{"format": 1}')
    (tmp_path / "no_column.csv").write_text("text,stars\ngood,5\n")
    (tmp_path / "broken.jsonl").write_text('{"text": "a", "label": "x"}\n{"text"\n')
    before = sorted(tmp_path.rglob("*"))
    result = invoke(*[str(small_run) if word == "RUN" else word for word in arguments])
    assert result.exit_code == status, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_an_existing_run_is_not_changed(small_run, corpus):
    before = {path: path.read_bytes() for path in small_run.iterdir()}
    result = invoke("sentiment", "train", "--data", corpus, "--run", small_run)
    assert result.exit_code == 2
    assert "exists already" in result.output
    assert {path: path.read_bytes() for path in small_run.iterdir()} == before


def weights(run):
    values = {}
    with h5py.File(run / "model.weights.h5") as file:
        file.visititems(
            lambda name, item: values.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return values


def start_and_wait_for_an_epoch(command, interrupt=signal.SIG_DFL):
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_zoo", *map(str, command)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        # Set explicitly: in the background of a shell, the tests' process ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, interrupt),
    )  # fmt: skip
    run = command[command.index("--run") + 1]
    deadline = time.monotonic() + 240
    while not (run / "model.weights.h5").exists():  # the last file of the first epoch
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_a_killed_training_leaves_valid_files_and_resumes_to_the_same_result(corpus, tmp_path):
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    assert run_cli(*train_command(corpus, uninterrupted)).returncode == 0
    process = start_and_wait_for_an_epoch(train_command(corpus, killed))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for path in killed.rglob("*.json"):
        json.loads(path.read_text())
    weights(killed)
    assert run_cli("sentiment", "predict", killed, "x").returncode == 0

    done = run_cli("sentiment", "train", "--run", killed, "--resume")
    assert done.returncode == 0, done.stderr.decode()
    expected = (uninterrupted / "history.csv").read_text()
    assert (killed / "history.csv").read_text() == expected
    for name, value in weights(uninterrupted).items():
        assert np.array_equal(value, weights(killed)[name]), name


@pytest.mark.slow
def test_ctrl_c_ends_a_training_like_early_stopping(corpus, tmp_path):
    run = tmp_path / "run"
    command = train_command(corpus, run, "--set", "patience=500", "--epochs", "500")
    process = start_and_wait_for_an_epoch(command)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    assert output.decode().split() == [str(run)]
    assert re.search(rb"Interrupted after \d+ of 500 epochs; --resume --run .* continues", errors)
    assert json.loads((run / "metrics.json").read_text())["validation"]["examples"] == 40
    assert not list(run.glob(".writing-*"))


@pytest.mark.slow
def test_a_training_in_the_background_ignores_ctrl_c(corpus, tmp_path):
    run = tmp_path / "run"
    command = train_command(corpus, run, "--set", "patience=9", "--epochs", "9")
    process = start_and_wait_for_an_epoch(command, interrupt=signal.SIG_IGN)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert len((run / "history.csv").read_text().splitlines()) == 1 + 9


def test_too_little_memory_is_an_error(small_run, tmp_path, monkeypatch):
    def load(*arguments, **options):
        raise MemoryError("Unable to allocate 9.00 TiB")

    monkeypatch.setattr("lstm_zoo.runs.loading.load", load)
    result = invoke("sentiment", "predict", small_run, "x")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: not enough memory: Unable to allocate 9.00 TiB\n",
    )


def test_a_file_that_ends_too_early_is_not_taken_for_an_abort(monkeypatch):
    def load(*arguments, **options):
        raise EOFError("No data left in file")

    monkeypatch.setattr("lstm_zoo.load", load)
    result = invoke("sentiment", "predict", "run", "text")
    assert result.exit_code == 1
    assert "A file that is read ends too early" in result.output
    assert "Aborted" not in result.output
