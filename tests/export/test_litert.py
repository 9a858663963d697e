"""LiteRT files of every kind of network: equal to it in LiteRT, or refused."""

import contextlib
import itertools
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo import families, settings
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import litert
from lstm_zoo.recurrent import CELLS, portable
from lstm_zoo.runs.environment import write_environment
from lstm_zoo.speech.alphabet import CharacterTokenizer
from lstm_zoo.speech.features import Features, FeatureSettings
from lstm_zoo.speech.model import output_lengths
from lstm_zoo.text.tokenizers import END, START, PieceTokenizer, WordTokenizer
from lstm_zoo.translation import beam
from lstm_zoo.translation.model import encoder
from tests.translation.phrases import phrases

pytest.importorskip("ai_edge_litert")

WORDS = [f"word{number}" for number in range(40)]


@pytest.fixture
def make(tmp_path):
    """Make pipelines of a family with random weights, without training."""

    def make(family, *learned, **given):
        values = settings.resolve(families.settings(family), {"variant": "tiny", **given})
        task, pipeline = families.task(family)(values, *learned), families.pipeline(family)
        network = task.network_arguments()
        model = pipeline.build(**network)
        generator = np.random.default_rng(1)
        # Large enough that an error in a gate, a state or a mask shows.
        model.set_weights([generator.normal(size=w.shape) * 0.3 for w in model.weights])
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        write_environment(run, None, 0)
        config = {
            "family": family,
            "settings": task.settings,
            "network": network,
            "learned": task.learned,
            "data": {},
        }
        return pipeline(task, model, config, run)

    return make


@pytest.fixture
def classifier(make):
    def make_classifier(**given):
        given = {"embedding_size": 6, "units": 5, "max_length": 40, **given}
        return make("sentiment", ["neg", "neutral", "pos"], WordTokenizer(WORDS), **given)

    return make_classifier


@pytest.fixture
def recognizer_of(make):
    def make_recognizer(**given):
        features = Features(FeatureSettings(sample_rate=8_000, num_mels=7, num_mfcc=5))
        return make("speech", CharacterTokenizer("abc "), features, **{"units": 5, **given})

    return make_recognizer


@pytest.fixture(scope="module")
def piece_tokenizers():
    sources, targets = phrases(300, seed=1)
    return [PieceTokenizer.learn(texts, 300, fold_case=False) for texts in (sources, targets)]


@pytest.fixture
def translator_of(make, piece_tokenizers):
    def make_translator(**given):
        sizes = {"embedding_size": 6, "encoder_units": 5, "decoder_units": 5, "max_length": 20}
        return make("translation", *piece_tokenizers, **{**sizes, **given})

    return make_translator


def smallest(classifier):
    return classifier(cell="simple_rnn", bidirectional=False, max_length=20)


def interpreter(path, **options):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path), **options)


def files_of(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


POOLINGS = ("last+mean+max", "last", "mean", "max")
NETWORKS = [*itertools.product(CELLS, [False, True], POOLINGS)]
# Each cell, direction and pooling once; the other combinations are slow tests.
FEW = {0, 15, 20}


@pytest.mark.parametrize(
    "cell, bidirectional, pooling",
    [
        pytest.param(*network, marks=[] if number in FEW else pytest.mark.slow)
        for number, network in enumerate(NETWORKS)
    ],
)
def test_classifiers_of_every_kind(classifier, tmp_path, cell, bidirectional, pooling):
    pipeline = classifier(
        cell=cell,
        bidirectional=bidirectional,
        pooling=pooling,
        class_ratios=True,
        ngrams=2,
        ngram_buckets=50,
    )
    path = litert.export_litert(pipeline, tmp_path / "export")
    assert files_of(path.parent) == {
        "model.tflite",
        "card.json",
        "checksums.json",
        "vocabulary.txt",
    }
    classify = interpreter(path).get_signature_runner()
    for text in ["word1", "word3 word2 unknown word5", "word7 " * 60]:
        ids = pipeline.tokenizer.tokenize([text]).to_tensor().numpy()
        alone = classify(ids=ids)["logits"]  # equal to the network's: the export checks that
        for padding in (1, 9):
            padded = classify(ids=np.pad(ids, [[0, 0], [0, padding]]))["logits"]
            assert padded == pytest.approx(alone, abs=1e-5)


@pytest.mark.slow
def test_a_batch_of_rows_and_a_stack_of_layers(classifier, tmp_path):
    pipeline = classifier(units=(5, 4))
    path = litert.export_litert(pipeline, tmp_path, batch_size=3)
    classify = interpreter(path).get_signature_runner()
    texts = ["word1 word2 word3 word4", "unknown", ""]
    ids = pipeline.tokenizer.tokenize(texts).to_tensor().numpy()
    probabilities = tf.nn.softmax(classify(ids=ids)["logits"]).numpy()
    for row, expected in zip(probabilities, pipeline.predict(texts), strict=True):
        assert row == pytest.approx([*expected.probabilities.values()], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given, batch_size",
    [
        pytest.param({"cell": "lstm", "subsampling": 1}, 1, marks=pytest.mark.slow),
        ({"cell": "lstm", "subsampling": 3, "subsampling_kind": "stack"}, 2),
        ({"cell": "gru", "subsampling": 2, "subsampling_kind": "conv"}, 2),
        pytest.param(
            {"cell": "simple_rnn", "bidirectional": False, "units": (5, 4)},
            1,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_recognizers_of_every_subsampling(recognizer_of, tmp_path, given, batch_size):
    pipeline = recognizer_of(**given)
    path = litert.export_litert(pipeline, tmp_path / "export", batch_size)
    assert files_of(path.parent) == {
        "model.tflite", "card.json", "checksums.json", "alphabet.txt", "features.npz",
    }  # fmt: skip
    recognize = interpreter(path).get_signature_runner()
    factor = pipeline.config["network"]["subsampling"]
    generator = np.random.default_rng(2)
    for frames in (1, 7, 50):
        features = generator.normal(size=(batch_size, frames + 9, 7)).astype(np.float32)
        lengths = np.full(batch_size, frames, np.int32)
        alone = recognize(features=features[:, :frames], lengths=lengths)["logits"]
        padded = recognize(features=features, lengths=lengths)["logits"]
        valid = output_lengths(frames, factor)
        assert padded[:, :valid] == pytest.approx(alone, abs=1e-5)
    # Here too, what the export is compared with is the network.
    assert alone == pytest.approx(pipeline.model([features[:, :frames], lengths]), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"cell": "lstm", "decoder_units": (5, 5), "residual": True, "reverse_source": True},
        {"cell": "gru", "tied": False, "encoder_units": (5, 5), "bidirectional": False},
        pytest.param(
            {"cell": "simple_rnn", "context": False, "pooling": "last"}, marks=pytest.mark.slow
        ),
    ],
)
def test_decoding_step_by_step_equals_greedy_search(translator_of, tmp_path, given):
    pipeline = translator_of(**given)
    runtime = interpreter(litert.export_litert(pipeline, tmp_path / "export"))
    encode, step = (runtime.get_signature_runner(name) for name in ("encode", "step"))
    encode_source, decoder = encoder(pipeline.model), pipeline.model.get_layer("decoder")

    def keras_step(ids, states):
        logits, new = decoder.step(ids, *states)
        return logits, (states[0], new)

    for text in phrases(3, seed=2)[0]:
        source = pipeline.source_ids(tf.constant([text])).numpy()
        limit = 12
        context = encode_source(source)
        expected = beam.search(
            keras_step,
            (context, decoder.initial_states(context)),
            tf.constant([limit]),
            width=1,
        )
        states = encode(source=source)
        context = states.pop("summary")
        last, found = START, []
        while last != END and len(found) < limit:
            states = step(ids=np.array([last], np.int32), summary=context, **states)
            logits = states.pop("logits")[0]
            last = END + logits[END:].argmax()  # special tokens before END are never output
            found.append(last)
        found = [id for id in found if id != END]
        assert found == [id for id in expected.ids.numpy()[0, 0] if id]


@pytest.mark.slow
def test_an_export_has_the_tokenizers_and_a_card(translator_of, tmp_path):
    path = litert.export_litert(translator_of(), tmp_path / "export", batch_size=2)
    assert files_of(path.parent) == {
        "model.tflite", "card.json", "checksums.json", "source/pieces.model", "target/pieces.model",
    }  # fmt: skip
    card = json.loads(path.with_name("card.json").read_text())
    assert card["family"] == "translation" and "WHILE" in card["ops"]
    assert "ai-edge-litert" in card["exported_with"]
    assert card["signatures"]["encode"]["inputs"] == {"source": "int32[2, ?]"}
    assert card["signatures"]["step"]["inputs"] == {
        "cell_1": "float32[2, 5]",
        "hidden_1": "float32[2, 5]",
        "ids": "int32[2]",
        "summary": "float32[2, 30]",
    }


def shapes(path, time):
    """Return the shapes that LiteRT infers for a number of time steps before it runs."""
    from ai_edge_litert.interpreter import OpResolverType

    # A delegate would hide the tensors between its ops.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runtime = interpreter(path, experimental_op_resolver_type=plain)
    for tensor in runtime.get_input_details():
        shape = [time if size == -1 else size for size in tensor["shape_signature"]]
        runtime.resize_tensor_input(tensor["index"], shape)
    runtime.allocate_tensors()
    return {
        tensor["name"]: tuple(tensor["shape"])
        for tensor in runtime.get_tensor_details()
        # What a loop only reads is among its outputs too, unused and without a shape.
        if -1 in tensor["shape_signature"] and not re.search(r"/while\d+$", tensor["name"])
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "family, given",
    [
        ("sentiment", {"units": (5, 4), "pooling": "last+mean+max", "ngrams": 2}),
        ("speech", {"subsampling": 3, "subsampling_kind": "stack"}),
        ("speech", {"subsampling": 2, "subsampling_kind": "conv", "units": (5, 4)}),
        ("translation", {"encoder_units": (5, 5), "residual": True, "reverse_source": True}),
    ],
)
def test_all_shapes_are_known_before_the_model_runs(
    classifier, recognizer_of, translator_of, tmp_path, family, given
):
    pipelines = {"sentiment": classifier, "speech": recognizer_of, "translation": translator_of}
    path = litert.export_litert(pipelines[family](**given), tmp_path / "export")
    few, many = shapes(path, 16), shapes(path, 40)
    assert len(few) > 20
    assert [name for name in few if few[name] == many[name]] == []


@pytest.mark.slow
def test_weights_that_signatures_share_are_stored_once(translator_of):
    module = families.module("translation", "litert")
    pipeline = translator_of(embedding_size=64, encoder_units=64, decoder_units=64)
    model, _ = litert._convert(pipeline.model, module.signatures(pipeline, 1))
    assert len(model) < 1.3 * 4 * pipeline.model.count_params()


@pytest.mark.slow
def test_existing_files_are_not_replaced(classifier, tmp_path):
    pipeline = smallest(classifier)
    path = litert.export_litert(pipeline, tmp_path)
    before = path.read_bytes()
    with pytest.raises(CallError, match="model.tflite exists already"):
        litert.export_litert(pipeline, tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(CallError, match="vocabulary.txt exists already, from another export"):
        (tmp_path / "vocabulary.txt").write_text("other\n")
        litert.export_litert(pipeline, tmp_path)
    assert not path.exists()


def test_bad_arguments_are_refused(classifier, tmp_path):
    with pytest.raises(
        CallError, match="batch_size takes integers of at least 1 and at most 4096. Received: 0"
    ):
        litert.export_litert(classifier(), tmp_path / "export", batch_size=0)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CallError, match="file: can't write an export there"):
        litert.export_litert(classifier(), tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == ["file"]


def poisoned(monkeypatch, poison):
    """Change the logits of the classifier's function where it is converted.

    The outputs that it is compared with stay the network's.
    """
    from lstm_zoo.sentiment import litert as module

    signatures = module.signatures

    def poisoned_signatures(pipeline, batch_size):
        ((function, inputs),) = signatures(pipeline, batch_size).values()

        def classify(ids):
            logits = function(ids)["logits"]
            return {"logits": poison(logits) if portable.is_chosen() else logits}

        return {"serving_default": litert.Signature(classify, inputs)}

    monkeypatch.setattr(module, "signatures", poisoned_signatures)


def with_a_wrong_number(logits):
    return logits + 0.001


def with_another_shape(logits):
    return logits[:, :1]


def with_an_op_missing_in_litert(logits):
    return logits + tf.linalg.inv([[1.0, tf.reduce_sum(logits)], [0.0, 1.0]])[0, 0]


def with_python_inside(logits):
    return tf.numpy_function(lambda x: x, [logits], tf.float32)


@pytest.mark.parametrize(
    "poison, message",
    [
        (with_a_wrong_number, "differ from the pipeline's: output logits of serving_default, pro"),
        (
            with_another_shape,
            r"output logits of serving_default, probe 0 .* is float32\(1, 1\), the pipeline",
        ),
        (
            with_an_op_missing_in_litert,
            r"can't be converted for LiteRT: LiteRT has no tf.MatrixInverse\.",
        ),
        (with_python_inside, "LiteRT has no tf.PyFunc"),
    ],
)
def test_a_poisoned_file_is_refused_and_leaves_nothing(
    classifier, tmp_path, monkeypatch, poison, message
):
    poisoned(monkeypatch, poison)
    with pytest.raises(ExportError, match=message):
        litert.export_litert(smallest(classifier), tmp_path / "export")
    assert list((tmp_path / "export").iterdir()) == []


def test_the_fused_loops_are_refused(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(litert, "portable_loops", contextlib.nullcontext)
    with pytest.raises(ExportError, match="can't be converted for LiteRT"):
        litert.export_litert(classifier(), tmp_path / "export")
    assert list((tmp_path / "export").iterdir()) == []


def test_flex_ops_are_refused_even_if_the_converter_lets_them_pass(
    classifier, tmp_path, monkeypatch
):
    @tf.function(input_signature=[tf.TensorSpec([2, 2], tf.float32)])
    def inverse(matrix):
        return tf.linalg.inv(matrix)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([inverse.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    flex = converter.convert()
    monkeypatch.setattr(litert, "_convert", lambda *_: (flex, {}))
    with pytest.raises(ExportError, match="not built into LiteRT: .*FlexMatrixInverse"):
        litert.export_litert(smallest(classifier), tmp_path / "export")
    assert list((tmp_path / "export").iterdir()) == []


def test_a_file_that_is_not_a_model_is_refused(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(litert, "_convert", lambda *_: (b"not a model" * 9, {}))
    with pytest.raises(ExportError, match="does not load in a fresh process"):
        litert.export_litert(smallest(classifier), tmp_path / "export")
    assert list((tmp_path / "export").iterdir()) == []
