"""The layers of a network, from the top down."""

import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.runs.directory import read_config
from lstm_zoo.training import layers
from tests.training.helpers import RUNS


def tasks(family, **sizes):
    """The task of a ready run with other sizes, and a network of these sizes."""
    config = read_config(RUNS / family)
    settings = {**config["settings"], **sizes}
    task = families.task(family).load(RUNS / family, {**config, "settings": settings})
    build = families.pipeline(family).build
    return task, build(**task.network_arguments())


@pytest.mark.parametrize(
    "family, sizes, expected",
    [
        (
            "sentiment",
            {"units": (8, 4)},
            {"embedding": 3, "lstm_1": 2, "lstm_2": 1, "logits": 0, "ngrams": 0},
        ),
        ("speech", {"cell": "gru"}, {"gru_1": 1, "logits": 0}),
        (
            "speech",
            {"cell": "gru", "subsampling_kind": "conv"},
            {"conv": 2, "gru_1": 1, "logits": 0},
        ),
        (
            "translation",
            {"encoder_units": (8, 8), "decoder_units": (4, 4)},
            {
                "source_embedding": 5,
                "lstm_1": 4,
                "lstm_2": 3,
                "decoder/lstm_1": 2,
                "decoder/bridge_1_cell": 2,
                "decoder/input_projection": 2,
                "decoder/lstm_2": 1,
                "decoder/embedding": 0,  # tied to the logits
                "decoder/bias": 0,
                "decoder/readout": 0,
            },
        ),
        (
            "translation",
            {"tied": False, "context": False},
            {
                "source_embedding": 3,
                "lstm_1": 2,
                "decoder/lstm_1": 1,
                "decoder/embedding": 1,
                "decoder/logits": 0,
            },
        ),
    ],
)
def test_every_weight_is_of_a_layer(family, sizes, expected):
    task, model = tasks(family, **sizes)
    depths = layers.depths(model.trainable_variables, task.layers)
    assert len({weight.path for weight in model.weights}) == len(model.weights)
    found = dict(zip((weight.path for weight in model.trainable_variables), depths, strict=True))
    for first, depth in expected.items():
        inside = {value for path, value in found.items() if f"{path}/".startswith(f"{first}/")}
        assert inside == {depth}, first
    assert {*depths} == {*range(len(task.layers))}


def test_a_weight_of_no_layer_is_an_error():
    model = lstm_zoo.build_sentiment(9, variant="tiny")
    with pytest.raises(ValueError, match="Found: embedding/embeddings"):
        layers.depths(model.trainable_variables, [("logits",), ("lstm_1",), ("embed",)])


def test_the_layers_are_described_if_they_learn_differently():
    settings = {"epochs": 2, "layer_decay": None, "freeze": 0}
    names = [("logits", "ngrams"), ("lstm_1",), ("embedding",)]
    assert layers.describe(names, settings) == []
    assert layers.describe(names, {**settings, "freeze": 1}) == [
        "logits, ngrams: learning rate × 1, from epoch 1",
        "lstm_1: learning rate × 1, from epoch 2",
        "embedding: learning rate × 1, never trained",
    ]
    rates = [
        line.split(", ")[-2] for line in layers.describe(names, {**settings, "layer_decay": 0.5})
    ]
    assert [rate.split(": ")[-1] for rate in rates[1:]] == [
        "learning rate × 0.5",
        "learning rate × 0.25",
    ]
