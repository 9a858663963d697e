"""The check that an ONNX export answers as its run, in a process without TensorFlow."""

import pytest

import lstm_zoo
from lstm_zoo.errors import ExportError
from lstm_zoo.export import onnx, onnx_pipeline_checks
from tests.conftest import READY_RUNS

ANSWER = {"text": "a b", "score": -2.0, "tokens": [["a", 0.1]], "error": ""}


@pytest.mark.parametrize(
    "change, mode, agrees",
    [
        ({}, "exact", True),
        ({"score": -2.001}, "exact", True),
        ({"score": -2.01}, "exact", False),
        ({"text": "a c", "score": -2.0001}, "exact", True),  # a tie
        ({"text": "a c", "score": -2.001}, "exact", False),
        ({"tokens": [["a", 0.1], ["b", 0.2]], "score": -2.1}, "exact", False),
        ({"error": "no samples"}, "exact", False),
        ({"error": "no samples"}, "near", False),
        ({"text": "a c", "score": -3.0}, "near", True),
        ({"more": 1}, "near", False),
    ],
    ids=str,
)
def test_answers_agree_if_equal_or_as_good(change, mode, agrees):
    assert onnx_pipeline_checks.agree({**ANSWER, **change}, ANSWER, mode) == agrees


@pytest.mark.parametrize("family", ["sentiment", "speech"])
def test_other_answers_are_refused_and_no_file_is_left(tmp_path, monkeypatch, family):
    """The decoder's beam, or the case of words, as a mistake in NumPy would change the answers."""
    make = onnx._expected

    def expected(pipeline):
        wanted = make(pipeline)
        for row in wanted["calls"][0]["answers"]:
            for name in row.keys() & {"score", "probability"}:
                row[name] = row[name] and row[name] - 0.1
        return wanted

    monkeypatch.setattr(onnx, "_expected", expected)
    with pytest.raises(ExportError, match=r"ONNX Runtime answers the input b'.*, the run with {"):
        lstm_zoo.load(READY_RUNS / family).export(tmp_path / "export", format="onnx")
    assert [*(tmp_path / "export").iterdir()] == []


def test_an_import_of_tensorflow_is_refused(tmp_path, monkeypatch):
    paths = tmp_path / "elsewhere"
    paths.mkdir()
    # A module that the runtime imports, and that imports Keras.
    (paths / "sentencepiece.py").write_text("import keras")
    monkeypatch.syspath_prepend(str(paths))
    with pytest.raises(ExportError, match="keras is needed, which an export must not"):
        lstm_zoo.load(READY_RUNS / "translation").export(tmp_path / "export", format="onnx")
