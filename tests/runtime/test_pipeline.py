"""Answers of ONNX exports: the run's, in Python and on the command line, without TensorFlow."""

import functools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from presets import write_half

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.cli import cli
from lstm_zoo.errors import BackendError, CallError, DataError
from lstm_zoo.export.onnx import add_onnx
from lstm_zoo.export.onnx_pipeline_checks import close
from lstm_zoo.files import write_checksums
from lstm_zoo.runs.directory import WEIGHTS
from lstm_zoo.runtime.pipeline import open_session
from tests.conftest import HOSTILE, READY_RUNS

# As on a machine that has only what answers need.
WITHOUT_TENSORFLOW = """
import sys

class Blocked:
    names = {"tensorflow", "keras", "tensorflow_text", "librosa", "onnx", "h5py", "numba",
             "matplotlib", "scipy", "sklearn", "jiwer", "sacrebleu"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from lstm_zoo.cli import main
sys.argv[0] = "lstm-zoo"
main()
"""
SPOKEN = READY_RUNS / "spoken.wav"
TEXTS = ["", "a wonderful film", "It isn't bad.", "A dog runs in the park.", "5 hours", *HOSTILE]


def without_tensorflow(*arguments, stdin=b"", **options):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=300,
        **options,
    )


def inputs_of(family):
    if family != "speech":
        return TEXTS
    spoken = READY_RUNS / "spoken.wav"
    return [str(spoken), "none.wav", (np.zeros(5), 8_000), spoken.read_bytes()[:9_000], b"\0"]


def assert_close(found, expected):
    found, expected = (json.loads(json.dumps([row._asdict() for row in rows]))
                       for rows in (found, expected))  # fmt: skip
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert close(one, other), (one, other)


@pytest.fixture(params=families.FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def pair(family, onnx_export):
    """The pipelines of a run and of its export."""
    return lstm_zoo.load(READY_RUNS / family), lstm_zoo.load(onnx_export(family))


# Beside a run's weights -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A function from a family to its ready run, with an ONNX export beside its weights."""
    folder = tmp_path_factory.mktemp("both")

    @functools.cache
    def make(family):
        run = shutil.copytree(READY_RUNS / family, folder / family)
        write_half(READY_RUNS / family / WEIGHTS, run / WEIGHTS)
        write_checksums(run)
        add_onnx(lstm_zoo.load(run))
        return run

    return make


def test_a_run_with_onnx_files_answers_with_them_if_preferred(family, both, tmp_path):
    run = shutil.copytree(both(family), tmp_path / "moved")
    size = sum(path.stat().st_size for path in run.glob("*.onnx"))
    assert size < (run / WEIGHTS).stat().st_size / 2
    with_tensorflow, light = lstm_zoo.load(run), lstm_zoo.load(run, prefer_onnx=True)
    assert hasattr(with_tensorflow, "model") and not hasattr(light, "model")
    assert_close(light.predict(inputs_of(family)), with_tensorflow.predict(inputs_of(family)))

    arguments = [family, "predict", run, "moving film" if family != "speech" else SPOKEN]
    done = without_tensorflow(*arguments)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout

    with open(run / WEIGHTS, "r+b") as file:
        file.truncate(1_000)
    with pytest.raises(DataError, match=r"damaged: model\.weights\.h5"):
        lstm_zoo.load(run, prefer_onnx=True)


def test_onnx_files_are_chosen_where_a_package_is_missing(both, monkeypatch):
    run = both("sentiment")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow", None)
        assert not hasattr(lstm_zoo.load(run), "model")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert hasattr(lstm_zoo.load(run, prefer_onnx=True), "model")


def test_onnx_files_are_added_to_a_run_once(both):
    with pytest.raises(CallError, match=r"model\.onnx exists already"):
        add_onnx(lstm_zoo.load(both("sentiment")))


# Python ------------------------------------------------------------------------------------------


def test_an_export_answers_as_its_run(family, pair):
    run, export = pair
    inputs = inputs_of(family)
    assert_close(export.predict(inputs), run.predict(inputs))
    assert export.predict([]) == []
    assert export.card == run.card and export.answer_names == run.answer_names
    if families.module(family).DECODES:
        for options in ({"beam_width": 1}, {"beam_width": 4, "n_best": 4}):
            assert_close(export.predict(inputs, **options), run.predict(inputs, **options))
        assert export.beam_width == run.beam_width
        narrow = export.with_beam_width(2)
        assert (narrow.beam_width, export.beam_width) == (2, run.beam_width)
        assert_close(narrow.predict(inputs), export.predict(inputs, beam_width=2))
        with pytest.raises(CallError, match="n_best is at least 1 and at most beam_width"):
            export.predict(inputs, beam_width=2, n_best=3)
    else:
        for least in (0.0, 0.9):
            options = {"min_probability": least}
            assert_close(export.predict(inputs, **options), run.predict(inputs, **options))
        with pytest.raises(CallError, match="min_probability is from 0 to 1"):
            export.predict(inputs, min_probability=2)


def test_wrong_inputs_have_the_same_errors(family, pair):
    for wrong in ("one", {"text": ["a"]}, [None], [3]):
        messages = []
        for pipeline in pair:
            with pytest.raises((CallError, DataError)) as error:
                pipeline.predict(wrong)
            messages.append(str(error.value))
        assert messages[0] == messages[1]


@pytest.fixture
def data(family, spoken_data, tmp_path):
    """A path of labelled data, a row of which is skipped."""
    if family == "speech":
        rows = spoken_data.read_text().splitlines()[:9]
        path = spoken_data.with_name("some.tsv")
        path.write_text("\n".join([*rows, "none.flac\tnone\tx"]) + "\n")
        return path
    path = tmp_path / "data.tsv"
    header = {"sentiment": "text\tlabel", "translation": "en\tfr"}[family]
    answers = {"sentiment": ["pos", "neg"], "translation": ["un chien court", "5 heures"]}[family]
    rows = [f"{text}\t{answers[n % 2]}" for n, text in enumerate(TEXTS[1:5] * 3)]
    path.write_text("\n".join([header, *rows, f"\t{answers[0]}"]) + "\n")
    return path


def test_an_evaluation_is_the_runs(family, pair, data, tmp_path):
    run, export = pair
    expected, found = (json.loads(json.dumps(pipeline.evaluate(data))) for pipeline in pair)
    assert close(found, expected), (found, expected)
    assert found["skipped"] == 1 and found["examples"] >= 8
    assert export.report(found) == run.report(expected)
    rows = found["predictions"]
    assert close(export.worst(rows, 3), run.worst(expected["predictions"], 3))
    for pipeline, scores in ((run, expected), (export, found)):
        pipeline.write_report(tmp_path / "report.html", data, scores)
        assert f"{scores['examples']} examples" in (tmp_path / "report.html").read_text()


def test_a_table_is_answered_as_by_the_run(family, pair, data, tmp_path):
    tables = []
    for pipeline in pair:
        target = tmp_path / "answers.jsonl"
        column = None if family != "translation" else "en"
        assert pipeline.predict_file(data, target, column=column)[1] == 1
        tables.append([*map(json.loads, target.read_text().splitlines())])
    assert close(*tables)


def test_many_threads_get_right_answers(family, pair):
    _, export = pair
    inputs = inputs_of(family)[:5]
    expected = export.predict(inputs)
    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(lambda _: export.predict(inputs), range(40)):
            assert_close(answers, expected)


@pytest.mark.parametrize("path", ["directory", "model"])
def test_the_file_of_the_model_is_a_path_too(onnx_export, path, monkeypatch):
    export = onnx_export("sentiment")
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # which has no effect
    loaded = lstm_zoo.load(export if path == "directory" else export / "model.onnx")
    assert loaded.run == export
    assert loaded.predict(["good"])[0].label in loaded.classes


def test_int8_answers_are_near(family, onnx_export):
    exact, near = (lstm_zoo.load(onnx_export(family, **o)) for o in ({}, {"int8": True}))
    inputs = inputs_of(family)
    for one, other in zip(exact.predict(inputs), near.predict(inputs), strict=True):
        if family == "sentiment":
            np.testing.assert_allclose(
                [*other.probabilities.values()], [*one.probabilities.values()], atol=0.05
            )
        elif one.score is not None:
            assert abs(other.score - one.score) < 0.1 * max(1, abs(one.score))
        if family == "speech":
            assert other.error == one.error


# Damage ------------------------------------------------------------------------------------------


def copied(export, tmp_path):
    return shutil.copytree(export, tmp_path / "copy")


def test_a_damaged_export_is_refused(family, onnx_export, tmp_path):
    export = copied(onnx_export(family), tmp_path)
    (export / "model.onnx").write_bytes(b"not ONNX")
    with pytest.raises(DataError, match=r"model\.onnx has changed since it was written"):
        lstm_zoo.load(export)
    write_checksums(export)  # a stranger's
    pipeline = None
    with pytest.raises(DataError, match=r"model\.onnx: damaged"):
        pipeline = lstm_zoo.load(export)
        pipeline._model  # noqa: B018
    assert family == "translation" or pipeline is None


def test_files_of_another_network_are_refused(onnx_export, tmp_path):
    export = copied(onnx_export("sentiment"), tmp_path)
    with (export / "vocabulary.txt").open("a") as file:
        file.write("more\n")
    write_checksums(export)
    with pytest.raises(DataError, match=r"vocabulary_size=\d+, but the network has vocabulary_siz"):
        lstm_zoo.load(export)


def test_an_export_of_an_earlier_version_is_to_be_made_again():
    with pytest.raises(CallError, match=r"without pipeline\.json.*Export its run again"):
        lstm_zoo.load(READY_RUNS / "exports/sentiment-onnx")


def test_an_export_is_of_its_family(onnx_export):
    with pytest.raises(CallError, match="a run of speech, not of sentiment"):
        lstm_zoo.load(onnx_export("speech"), family="sentiment")


def test_onnxruntime_that_is_not_installed_is_named(onnx_export, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match="needs ONNX Runtime: pip install onnxruntime"):
        open_session(onnx_export("sentiment") / "model.onnx")


# The command line --------------------------------------------------------------------------------


def invoke(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)])


def test_predict_prints_what_it_prints_of_the_run(family, onnx_export, tmp_path):
    """In a process that can't import TensorFlow, with the export moved elsewhere."""
    export = copied(onnx_export(family), tmp_path)
    inputs = [READY_RUNS / "spoken.wav", "none.wav"] if family == "speech" else TEXTS[1:4]
    for options in ([], ["--json"]):
        done = without_tensorflow(family, "predict", export, *inputs, *options, cwd=tmp_path)
        expected = invoke(family, "predict", READY_RUNS / family, *inputs, *options)
        assert done.returncode == expected.exit_code == int(family == "speech"), done.stderr
        if options:
            assert close(json.loads(done.stdout), json.loads(expected.stdout))
        else:
            assert done.stdout.decode() == expected.stdout
        assert done.stderr.decode() in expected.stderr


def test_options_of_the_decoder_and_formats(onnx_export):
    spoken = READY_RUNS / "spoken.wav"
    for options in (["--format", "srt"], ["--beam-width", 3, "--n-best", 2, "--json"]):
        done = without_tensorflow("speech", "predict", onnx_export("speech"), spoken, *options)
        expected = invoke("speech", "predict", READY_RUNS / "speech", spoken, *options)
        assert done.returncode == 0, done.stderr
        if "--json" in options:
            assert close(json.loads(done.stdout), json.loads(expected.stdout))
        else:
            assert done.stdout.decode() == expected.stdout


def test_tables_and_standard_input(onnx_export, tmp_path):
    export = onnx_export("sentiment")
    (tmp_path / "films.csv").write_text("id,text\n1,a moving film\n2,\n")
    arguments = ["--input", tmp_path / "films.csv", "--output", tmp_path / "answers.csv"]
    done = without_tensorflow("sentiment", "predict", export, *arguments)
    assert done.returncode == 1
    assert done.stderr.endswith(b"1 of 2 rows have no answer; the column error says why.\n")
    header, first, second = (tmp_path / "answers.csv").read_text().splitlines()
    assert header == "id,text,predicted,probability,p(neg),p(pos),error"
    assert second == "2,,,,,,no text"
    lines = b"a moving film\n\xff\xfe\n"
    done = without_tensorflow("sentiment", "predict", export, "-", stdin=lines)
    assert done.returncode == 0
    label, probability = done.stdout.decode().splitlines()[0].split("\t")
    assert first.startswith(f"1,a moving film,{label},{float(probability):.2}")
    assert done.stdout.count(b"\n") == 2


def test_what_is_not_installed_is_named_in_a_line(onnx_export, tmp_path):
    (tmp_path / "data.tsv").write_text("text\tlabel\ngood\tpos\nbad\tneg\n")
    evaluate = ["sentiment", "evaluate", onnx_export("sentiment"), "--data", tmp_path / "data.tsv"]
    done = without_tensorflow(*evaluate)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"scikit-learn" in done.stderr
    done = without_tensorflow("sentiment", "predict", READY_RUNS / "sentiment", "good")
    assert done.returncode == 2
    assert b"Error: tensorflow is not installed; without it, only predict and" in done.stderr


def test_evaluate_needs_no_tensorflow(family, onnx_export, data):
    script = WITHOUT_TENSORFLOW.replace('"scipy", "sklearn", "jiwer", "sacrebleu"', "")
    command = [family, "evaluate", onnx_export(family), "--data", data, "--json"]
    done = subprocess.run([sys.executable, "-c", script, *map(str, command)], capture_output=True)
    assert done.returncode == 0, done.stderr
    expected = invoke(family, "evaluate", READY_RUNS / family, "--data", data, "--json")
    assert close(json.loads(done.stdout), json.loads(expected.stdout))


def test_other_verbs_take_the_run(onnx_export, tmp_path):
    export = onnx_export("sentiment")
    done = invoke("sentiment", "export", export, tmp_path / "other")
    assert done.exit_code == 2 and "It holds an export, model.onnx: name its run" in done.output
    described = json.loads(invoke("inspect", export, "--json").stdout)
    assert described["family"] == "sentiment" and described["checksums"] == "verified"
    assert described["path"] == os.path.join(export, "model.onnx")


def test_an_export_named_by_a_relative_path_may_be_used_elsewhere(
    family, onnx_export, data, tmp_path, monkeypatch
):
    shutil.copytree(onnx_export(family), tmp_path / "export")
    monkeypatch.chdir(tmp_path)
    pipeline = lstm_zoo.load("export")
    monkeypatch.chdir("/")
    assert pipeline.evaluate(data)["examples"] > 0
