"""Exports: loaded in a fresh process without lstm_zoo, moved, equal to the pipeline."""

import tarfile
import threading

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo import export
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.sentiment import demo
from tests.conftest import HOSTILE, serve_elsewhere

SERVE = """
import base64, json, sys
import tensorflow as tf
import tensorflow_text
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
answers = []
for batch in json.load(sys.stdin):
    texts = [base64.b64decode(text) for text in batch]
    outputs = serve(text=tf.constant(texts, tf.string, shape=[len(texts)]))
    answers.append({
        key: value.numpy().tolist() if value.dtype != tf.string
        else [[c.decode() for c in row] if isinstance(row, list) else row.decode()
              for row in value.numpy().tolist()]
        for key, value in outputs.items()
    })
assert "lstm_zoo" not in sys.modules
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def exported(small_pipeline, tmp_path_factory):
    return small_pipeline.export(tmp_path_factory.mktemp("exports"))


def assert_answers_equal(pipeline, batches, answers):
    for batch, answer in zip(batches, answers, strict=True):
        expected = pipeline.predict(batch)
        probabilities = np.array([list(row.probabilities.values()) for row in expected])
        assert np.array(answer["probabilities"]).reshape(-1, 2) == pytest.approx(
            probabilities.reshape(-1, 2), abs=1e-4
        )
        assert answer["classes"] == [list(pipeline.classes)] * len(batch)
        for row, label, probability in zip(
            expected, answer["label"], answer["probability"], strict=True
        ):
            assert probability == pytest.approx(row.probability, abs=1e-4)
            # Other kernels may let a tie fall the other way; nothing else may differ.
            assert label == row.label or abs(row.probability - 0.5) < 1e-4


def test_a_moved_export_answers_as_the_pipeline_does(exported, small_pipeline, tmp_path):
    batches = [[], [""], ["", "x"], HOSTILE, demo.generate(100, seed=6)[0]]
    answers = serve_elsewhere(SERVE, exported, tmp_path, batches)
    assert answers[0] == {"label": [], "probability": [], "probabilities": [], "classes": []}
    assert_answers_equal(small_pipeline, batches, answers)


@pytest.mark.slow
def test_a_moved_export_answers_the_same_on_real_reviews(
    exported, small_pipeline, shared_data, tmp_path
):
    with tarfile.open(shared_data / "aclImdb_train.tar.gz") as tar:
        members = [member for member in tar.getmembers() if member.name.endswith(".txt")]
        reviews = [tar.extractfile(member).read() for member in members[:: len(members) // 1_000]]
    batches = [reviews[start : start + 50] for start in range(0, 1_000, 50)]
    answers = serve_elsewhere(SERVE, exported, tmp_path, batches)
    assert sum(len(answer["label"]) for answer in answers) == 1_000
    assert_answers_equal(small_pipeline, batches, answers)


@pytest.mark.slow
def test_pieces_are_served_too(tmp_path):
    import lstm_zoo

    texts, labels, _ = demo.generate(200, seed=3)
    pipeline = lstm_zoo.train(
        "sentiment", (texts, labels), run=tmp_path / "run", variant="tiny", epochs=1,
        tokens="pieces", vocabulary_size=320,
    )  # fmt: skip
    batches = [[], HOSTILE, texts[:50]]
    answers = serve_elsewhere(SERVE, pipeline.export(tmp_path / "export"), tmp_path, batches)
    assert_answers_equal(pipeline, batches, answers)


def test_the_signature_is_the_stated_one(exported):
    assert export.read_signatures(exported) == {
        "serving_default": {
            "inputs": {"text": "string[?]"},
            "outputs": {
                "classes": "string[?, 2]",
                "label": "string[?]",
                "probabilities": "float32[?, 2]",
                "probability": "float32[?]",
            },
        }
    }


def test_nothing_in_the_graph_must_be_compiled(exported):
    meta_graph = export._read_meta_graph(exported)
    functions = meta_graph.graph_def.library.function
    nodes = [*meta_graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    for holder in (*functions, *nodes):
        assert not holder.attr["_XlaMustCompile"].b


def test_versions_count_up_and_are_never_written_over(small_pipeline, tmp_path):
    (tmp_path / "7").mkdir()
    assert small_pipeline.export(tmp_path).name == "8"
    assert small_pipeline.export(tmp_path, version=3).name == "3"
    with pytest.raises(CallError, match="3 exists already"):
        small_pipeline.export(tmp_path, version=3)
    with pytest.raises(CallError, match="at least 1. Received: 0"):
        small_pipeline.export(tmp_path, version=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "7", "8"]


def test_exporters_at_the_same_time_take_different_versions(tmp_path):
    rooms = []
    for index in range(8):
        room = tmp_path / f".writing-{index}" / "export"
        room.mkdir(parents=True)
        (room / "saved_model.pb").write_text(str(index))
        rooms.append(room)
    published = []
    threads = [
        threading.Thread(target=lambda r=room: published.append(export._publish(r, tmp_path, None)))
        for room in rooms
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in published) == [str(n) for n in range(1, 9)]
    contents = {(path / "saved_model.pb").read_text() for path in published}
    assert contents == set("01234567")


def test_a_directory_that_cannot_be_written_is_named(small_pipeline, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CallError, match="file: can't write an export there"):
        small_pipeline.export(tmp_path / "file")
    with pytest.raises(CallError, match="format is tf_saved_model. Received: 'pickle'"):
        small_pipeline.export(tmp_path / "other", format="pickle")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class Poisoned:
    """A pipeline whose served function is not what it says."""

    def __init__(self, pipeline, poison):
        self.tokenizer, self.model, self.probes = (
            pipeline.tokenizer,
            pipeline.model,
            pipeline.probes,
        )
        self._original, self._poison, self._rebuilt = pipeline, poison, False

    def rebuilt(self, use_cudnn):
        self._rebuilt = True
        return self

    @property
    def signatures(self):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def classify(text):
            return self._poison(self._original.classify(text))

        return {"serving_default": classify}


def make_wrong_when_saved():
    traces = []

    def poison(outputs):
        traces.append(len(traces))
        # The first trace is the one that is saved.
        wrong = 0.5 if len(traces) == 1 else 0.0
        return {**outputs, "probability": outputs["probability"] + wrong}

    return poison


def with_python_inside(outputs):
    (probability,) = tf.numpy_function(lambda p: [p], [outputs["probability"]], [tf.float32])
    return {**outputs, "probability": tf.ensure_shape(probability, [None])}


def with_xla_inside(outputs):
    compiled = tf.function(lambda p: p + 0.0, jit_compile=True, autograph=False)
    return {**outputs, "probability": compiled(outputs["probability"])}


@pytest.mark.parametrize(
    "poison, message",
    [
        (with_xla_inside, "XLA, which a server lacks, must compile"),
        (with_python_inside, "ops that a server can't run: PyFunc"),
        (make_wrong_when_saved(), "answers otherwise than the pipeline: serving_default"),
    ],
)
def test_a_poisoned_export_is_refused_and_leaves_nothing(small_pipeline, tmp_path, poison, message):
    with pytest.raises(ExportError, match=message):
        export.export_saved_model(Poisoned(small_pipeline, poison), tmp_path)
    assert list(tmp_path.iterdir()) == []
