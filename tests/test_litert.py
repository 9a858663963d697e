"""LiteRT files: of every kind of network, equal to it on LiteRT, or not there at all."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo import families, litert, litert_check, runs, settings
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.recurrent import CELLS, portable_loops, recurrent_layer
from lstm_zoo.speech.alphabet import CharacterTokenizer
from lstm_zoo.speech.features import Features, FeatureSettings
from lstm_zoo.speech.model import build_speech, output_lengths
from lstm_zoo.tokenizers import END, START, PieceTokenizer, WordTokenizer
from lstm_zoo.translation import beam
from lstm_zoo.translation.model import encoder
from tests.translation.phrases import phrases

pytest.importorskip("ai_edge_litert")

WORDS = [f"word{number}" for number in range(40)]


@pytest.fixture
def make(tmp_path):
    """Make pipelines of a family without training: their weights are drawn."""

    def make(family, *learned, **given):
        package, task_room, model_room, pipeline_room = (
            families.module(family, room) for room in (None, "task", "model", "pipeline")
        )
        table = {**settings.TRAINING, **package.SETTINGS}
        task = task_room.Task(settings.resolve(table, {"variant": "tiny", **given}), *learned)
        network = task.network_arguments()
        model = getattr(model_room, f"build_{family}")(**network)
        generator = np.random.default_rng(1)
        # Of a size at which an error of a gate, of a state or of a mask shows.
        model.set_weights([generator.normal(size=w.shape) * 0.3 for w in model.weights])
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        runs.write_environment(run, None, 0)
        config = {
            "family": family,
            "settings": task.settings,
            "network": network,
            "learned": task.learned,
            "data": {},
        }
        return getattr(pipeline_room, f"{family.title()}Pipeline")(task, model, config, run)

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
        features = Features(FeatureSettings(sample_rate=8_000, num_mels=7))
        return make("speech", CharacterTokenizer("abc "), features, **{"units": 5, **given})

    return make_recognizer


@pytest.fixture(scope="module")
def pieces():
    sources, targets = phrases(300, seed=1)
    return [PieceTokenizer.learn(texts, 300, fold_case=False) for texts in (sources, targets)]


@pytest.fixture
def translator_of(make, pieces):
    def make_translator(**given):
        sizes = {"embedding_size": 6, "encoder_units": 5, "decoder_units": 5, "max_length": 20}
        return make("translation", *pieces, **{**sizes, **given})

    return make_translator


def interpreter(path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("cell", CELLS)
def test_classifiers_of_every_cell_and_direction(classifier, tmp_path, cell, bidirectional):
    pipeline = classifier(
        cell=cell,
        bidirectional=bidirectional,
        units=(5, 4),
        pooling="last+mean+max",
        class_ratios=True,
    )
    path = litert.export_litert(pipeline, tmp_path / "export")
    classify = interpreter(path).get_signature_runner()
    for text in ["word1", "word3 word2 unheard word5", "word7 " * 60]:
        ids = pipeline.tokenizer.tokenize([text]).to_tensor().numpy()
        for padding in (0, 1, 9):
            padded = np.pad(ids, [[0, 0], [0, padding]])
            answer = classify(ids=padded)["logits"]
            assert answer == pytest.approx(pipeline.model(ids).numpy(), abs=1e-4)
