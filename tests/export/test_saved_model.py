"""SavedModels: loaded in a fresh process without lstm_zoo, moved, equal to the pipeline."""

import json
import os
import random
import signal
import subprocess
import tarfile
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import saved_model, saved_model_checks
from lstm_zoo.sentiment import demo
from tests import preloaded
from tests.conftest import HOSTILE, exported_once, serve_elsewhere

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
def exported(tmp_path_factory):
    return exported_once(tmp_path_factory, "sentiment")


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
            # Other kernels may decide a tie otherwise; nothing else may differ.
            assert label == row.label or abs(row.probability - 0.5) < 1e-4


@pytest.mark.slow
def test_a_moved_export_gives_the_pipelines_outputs(exported, small_pipeline, tmp_path):
    batches = [[], [""], ["", "x"], HOSTILE, demo.generate(100, seed=6)[0]]
    answers = serve_elsewhere(SERVE, exported, tmp_path, batches)
    assert answers[0] == {"label": [], "probability": [], "probabilities": [], "classes": []}
    assert_answers_equal(small_pipeline, batches, answers)


@pytest.mark.slow
def test_a_moved_export_gives_the_pipelines_outputs_on_real_reviews(
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
def test_an_export_tokenizes_with_sentencepiece_too(tmp_path):
    import lstm_zoo

    texts, labels, _ = demo.generate(200, seed=3)
    pipeline = lstm_zoo.train(
        "sentiment", (texts, labels), run=tmp_path / "run", variant="tiny", epochs=1,
        tokens="pieces", vocabulary_size=320,
    )  # fmt: skip
    batches = [[], HOSTILE, texts[:50]]
    answers = serve_elsewhere(SERVE, pipeline.export(tmp_path / "export"), tmp_path, batches)
    assert_answers_equal(pipeline, batches, answers)


def test_the_signature_is_the_documented_one(exported):
    assert saved_model.read_signatures(exported) == {
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


def test_an_export_has_a_card(exported, small_pipeline):
    card = json.loads((exported / "assets.extra/card.json").read_text())
    assert card["family"] == "sentiment" and card["classes"] == ["neg", "pos"]
    scores = json.loads((small_pipeline.run / "metrics.json").read_text())
    assert card["scores"]["validation"]["accuracy"] == scores["validation"]["accuracy"]
    assert card["data"] == small_pipeline.config["data"]
    assert card["signatures"] == saved_model.read_signatures(exported)
    assert "BlockLSTMV2" in card["ops"]
    assert {"tensorflow", "keras", "lstm_zoo"} <= set(card["exported_with"])


def test_the_warmup_has_requests_that_the_signature_takes(exported):
    from tensorflow_serving.apis import prediction_log_pb2

    serve = tf.saved_model.load(exported).signatures["serving_default"]
    records = tf.data.TFRecordDataset(exported / "assets.extra/tf_serving_warmup_requests")
    sizes = []
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        assert request.model_spec.signature_name == "serving_default"
        texts = tf.constant(tf.make_ndarray(request.inputs["text"]))
        sizes.append(len(texts))
        assert len(serve(text=texts)["label"]) == len(texts)
    assert sizes and min(sizes) >= 1 and max(sizes) > 1


def test_no_function_in_the_graph_must_be_compiled_by_xla(exported):
    meta_graph = saved_model_checks.read_meta_graph(exported)
    functions = meta_graph.graph_def.library.function
    nodes = [*meta_graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    for holder in (*functions, *nodes):
        assert not holder.attr["_XlaMustCompile"].b


@pytest.mark.slow
def test_versions_count_up_and_are_never_replaced(small_pipeline, tmp_path):
    (tmp_path / "7").mkdir()
    assert small_pipeline.export(tmp_path).name == "8"
    assert small_pipeline.export(tmp_path, version=3).name == "3"
    with pytest.raises(CallError, match="3 exists already"):
        small_pipeline.export(tmp_path, version=3)
    with pytest.raises(CallError, match="at least 1 .*Received: 0"):
        small_pipeline.export(tmp_path, version=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "7", "8"]


def test_concurrent_exporters_take_different_versions(tmp_path):
    folders = []
    for index in range(8):
        folder = tmp_path / f".writing-{index}" / "export"
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(str(index))
        folders.append(folder)
    published = []
    threads = [
        threading.Thread(
            target=lambda r=folder: published.append(saved_model._publish(r, tmp_path, None))
        )
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in published) == [str(n) for n in range(1, 9)]
    contents = {(path / "saved_model.pb").read_text() for path in published}
    assert contents == set("01234567")


@pytest.mark.slow
def test_an_op_of_no_known_library_is_refused(small_pipeline, tmp_path, monkeypatch):
    write = saved_model._write

    def write_and_add_an_op(pipeline, path):
        write(pipeline, path)
        written = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        written.meta_graphs[0].graph_def.node.add(name="own", op="OpOfMyOwn")
        (path / "saved_model.pb").write_bytes(written.SerializeToString())

    monkeypatch.setattr(saved_model, "_write", write_and_add_an_op)
    with pytest.raises(ExportError, match="neither TensorFlow nor tensorflow-text: OpOfMyOwn"):
        small_pipeline.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


EXPORT_FOREVER = """
import sys, lstm_zoo
pipeline = lstm_zoo.load(sys.argv[1])
while True:
    print(pipeline.export(sys.argv[2]), flush=True)
"""


@pytest.mark.slow
def test_a_killed_exporter_leaves_complete_versions_only(exported, small_run, tmp_path):
    complete = {str(path.relative_to(exported)) for path in exported.rglob("*")}
    generator = random.Random(5)
    done = 0
    for _ in range(3):
        arguments = [preloaded.python(), "-c", EXPORT_FOREVER, small_run, tmp_path]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            process.stdout.readline()  # the first export is written, the second begins
            time.sleep(generator.uniform(0, 6))
            os.killpg(process.pid, signal.SIGKILL)
            done += 1 + len(process.stdout.read().splitlines())
        versions = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
        # One more if the kill came between the rename and the print.
        assert done <= len(versions) <= done + 1
        done = len(versions)
        for version in versions:
            assert {str(path.relative_to(version)) for path in version.rglob("*")} == complete
    (newest,) = (path for path in versions if path.name == str(len(versions)))
    serve = tf.saved_model.load(newest).signatures["serving_default"]
    assert serve(text=tf.constant(["fine"]))["label"].numpy()[0] in (b"neg", b"pos")


EXPORT_TWICE = """
import sys, lstm_zoo
pipeline = lstm_zoo.load(sys.argv[1])
for _ in range(2):
    print(pipeline.export(sys.argv[2]), flush=True)
"""


@pytest.mark.slow
def test_two_exporter_processes_never_take_the_same_version(exported, small_run, tmp_path):
    complete = {str(path.relative_to(exported)) for path in exported.rglob("*")}
    arguments = [preloaded.python(), "-c", EXPORT_TWICE, small_run, tmp_path]
    exporters = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(2)]
    versions = [
        line.decode() for exporter in exporters for line in exporter.communicate()[0].split()
    ]
    assert [exporter.returncode for exporter in exporters] == [0, 0]
    assert sorted(versions) == [str(tmp_path / str(number)) for number in range(1, 5)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*"1234"]
    for version in tmp_path.iterdir():
        assert {str(path.relative_to(version)) for path in version.rglob("*")} == complete


EXPORT_NETWORKS = """
import itertools, sys, lstm_zoo
pipeline = lstm_zoo.load(sys.argv[1])
for number in itertools.count():
    print(pipeline.export(f"{sys.argv[2]}/{number}", format=sys.argv[3]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("format, model", [("onnx", "model.onnx"), ("litert", "model.tflite")])
def test_a_killed_exporter_of_a_network_leaves_complete_exports_only(
    small_pipeline, small_run, tmp_path, format, model
):
    file = small_pipeline.export(tmp_path / "complete", format=format)
    complete = {path.name: path.stat().st_size for path in file.parent.iterdir()}
    generator = random.Random(6)
    for number in range(2):
        place = tmp_path / str(number)
        arguments = [preloaded.python(), "-c", EXPORT_NETWORKS, small_run, place, format]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            process.stdout.readline()  # the first export is written, the second begins
            time.sleep(generator.uniform(0, 8))
            os.killpg(process.pid, signal.SIGKILL)
        for one in place.glob("*"):
            left = {path.name: path for path in one.iterdir() if not path.name.startswith(".")}
            if model in left:  # published last
                assert {name: path.stat().st_size for name, path in left.items()} == complete
        assert (place / "0" / model).exists()


def test_a_directory_that_cannot_be_written_is_named(small_pipeline, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CallError, match="file: can't write an export there"):
        small_pipeline.export(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class Poisoned:
    """A pipeline whose function, once rebuilt for the export, gives other outputs."""

    def __init__(self, pipeline, poison):
        self._original, self._poison, self._rebuilt = pipeline, poison, False

    def __getattr__(self, name):
        return getattr(self._original, name)

    def rebuilt(self, use_cudnn):
        self._rebuilt = True
        return self

    @property
    def signatures(self):
        if not self._rebuilt:
            return self._original.signatures

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def classify(text):
            return self._poison(self._original.classify(text))

        self._rebuilt = False
        return {"serving_default": classify}


def with_a_wrong_number(outputs):
    return {**outputs, "probability": outputs["probability"] + 0.001}


def with_a_wrong_string(outputs):
    return {**outputs, "label": tf.strings.upper(outputs["label"])}


def with_python_inside(outputs):
    (probability,) = tf.numpy_function(lambda p: [p], [outputs["probability"]], [tf.float32])
    return {**outputs, "probability": tf.ensure_shape(probability, [None])}


def with_xla_inside(outputs):
    compiled = tf.function(lambda p: p + 0.0, jit_compile=True, autograph=False)
    return {**outputs, "probability": compiled(outputs["probability"])}


def with_cudnn_inside(outputs):
    row = tf.reshape(outputs["probability"], [1, -1, 1])
    state = tf.zeros([1, 1, 1])
    cudnn = tf.raw_ops.CudnnRNNV3(
        input=row, input_h=state, input_c=state, params=tf.zeros([16]), is_training=False,
        sequence_lengths=[1],
    )  # fmt: skip
    return {**outputs, "probability": tf.reshape(cudnn.output, [-1])}


def with_a_file_inside(outputs):
    name = tf.strings.join(["/etc/host", tf.strings.as_string(tf.size(outputs["label"]))])
    return {**outputs, "label": tf.fill(tf.shape(outputs["label"]), tf.io.read_file(name))}


def with_an_untracked_table(outputs):
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["pos"], ["good"]), default_value="bad"
    )
    return {**outputs, "label": table.lookup(outputs["label"])}


def without_a_batch_dimension(outputs):
    return {**outputs, "probability": tf.reduce_mean(outputs["probability"])}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "poison, message",
    [
        # `test_saved_model_checks.py` has the checks of most of these on their own.
        slow(with_xla_inside, "XLA, which a server lacks, must compile"),
        slow(with_python_inside, "ops that a server can't run: PyFunc"),
        slow(with_a_file_inside, "ops that a server can't run: ReadFile"),
        slow(with_cudnn_inside, "ops that a server can't run: CudnnRNNV3"),
        (with_an_untracked_table, "uses what the export does not hold: .*untracked"),
        slow(without_a_batch_dimension, "serving_default's output probability is not open"),
        slow(with_a_wrong_number, "differ from the pipeline's: serving_default, output probabili"),
        slow(
            with_a_wrong_string, "differ from the pipeline's: serving_default, output label, probe"
        ),
    ],
)
def test_a_poisoned_export_is_refused_and_leaves_nothing(small_pipeline, tmp_path, poison, message):
    with pytest.raises(ExportError, match=message):
        saved_model.export_saved_model(Poisoned(small_pipeline, poison), tmp_path)
    assert list(tmp_path.iterdir()) == []
