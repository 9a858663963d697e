"""Formats by name: unknown ones, missing extras, and options of another format."""

import inspect
import sys

import pytest
import tensorflow as tf

import lstm_zoo
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import formats
from tests.conftest import READY_RUNS


@pytest.fixture(scope="module")
def classifier():
    return lstm_zoo.load(READY_RUNS / "sentiment")


def stand_in(name, calls):
    def export(pipeline, directory, version=None, int8=False):
        calls.append((name, version, int8))
        return directory

    return export


@pytest.fixture
def calls(monkeypatch):
    """The calls of the exporters, which stand-ins replace."""
    calls = []
    for name, exporter in formats.EXPORTERS.items():
        monkeypatch.setattr(formats.module(name), exporter.function, stand_in(name, calls))
    return calls


def test_the_format_chooses_the_exporter(calls, tmp_path):
    for name in formats.FORMATS:
        assert formats.export(None, tmp_path, name) == tmp_path
    assert [name for name, *_ in calls] == ["tf_saved_model", "onnx", "litert"]
    formats.export(None, tmp_path)
    assert calls[-1] == ("tf_saved_model", None, False)


def test_tf32_is_off_during_an_export_only(monkeypatch, tmp_path):
    """A GPU's answers must be as near to those of the checks, on a processor, as float32 is."""
    seen = []

    def export(pipeline, directory):
        seen.append(tf.config.experimental.tensor_float_32_execution_enabled())
        raise ExportError

    monkeypatch.setattr(formats.module("onnx"), formats.EXPORTERS["onnx"].function, export)
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    try:
        for chosen in (True, False):
            tf.config.experimental.enable_tensor_float_32_execution(chosen)
            with pytest.raises(ExportError):
                formats.export(None, tmp_path, "onnx")
            assert tf.config.experimental.tensor_float_32_execution_enabled() == chosen
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
    assert seen == [False, False]


def test_none_and_false_are_options_not_given(calls, tmp_path):
    formats.export(None, tmp_path, "onnx", int8=True, version=None, batch_size=False)
    assert calls == [("onnx", None, True)]


@pytest.mark.parametrize("name", formats.FORMATS)
def test_the_options_of_a_format_are_those_of_its_exporter(name):
    exporter = formats.EXPORTERS[name]
    function = getattr(formats.module(name), exporter.function)
    assert tuple(inspect.signature(function).parameters)[2:] == exporter.options


def test_an_unknown_format_is_refused(classifier, tmp_path):
    with pytest.raises(
        CallError, match="format is one of tf_saved_model, onnx, litert. Received: 'pickle'"
    ):
        classifier.export(tmp_path / "new", format="pickle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format, package", [("onnx", "onnxruntime"), ("litert", "ai_edge_litert")])
def test_a_missing_extra_is_named(classifier, tmp_path, monkeypatch, format, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"lstm_zoo.export.{format}", raising=False)
    with pytest.raises(CallError, match=rf"needs an extra: pip install 'lstm_zoo\[{format}\]' \("):
        classifier.export(tmp_path / "new", format=format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options, message",
    [
        ({"format": "onnx", "version": 2}, "onnx has no option version. Known: int8."),
        ({"format": "onnx", "beam_width": 2}, "onnx has no option beam_width"),
        ({"int8": True}, "tf_saved_model has no option int8. Known: version, beam_width."),
        ({"format": "litert", "int8": True}, "litert has no option int8. Known: batch_size."),
        ({"beam_width": 3}, "beam_width is for families that decode; sentiment does not"),
        ({"format": "onnx", "typo": 3}, "onnx has no option typo"),
    ],
)
def test_options_of_another_format_are_refused(classifier, tmp_path, options, message):
    with pytest.raises(CallError, match=message):
        classifier.export(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
