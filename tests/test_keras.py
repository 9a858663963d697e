"""The builders' models as plain Keras models: files, other heads, padding, replicas, summaries."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo import build_sentiment, build_speech, build_translation
from lstm_zoo.speech.ctc import CTCLoss, pack_targets
from lstm_zoo.translation.loss import SmoothedCrossEntropy

MODELS = {
    "sentiment": lambda: build_sentiment(50, 2, "tiny"),
    "everything": lambda: build_sentiment(
        50, 3, "tiny", cell="gru", units=(8, 8), pooling="last+mean", ngrams=2, class_ratios=True
    ),
    "features": lambda: build_sentiment(50, variant="tiny", include_top=False),
    "stack": lambda: build_speech(9, 4, "tiny"),
    "conv": lambda: build_speech(9, 4, "tiny", subsampling_kind="conv", cell="simple_rnn"),
    "translation": lambda: build_translation(50, 60, "tiny"),
    "reversed": lambda: build_translation(
        50, 60, "tiny", reverse_source=True, tied=False, residual=True,
        encoder_units=(8, 4), decoder_units=(8, 8), cell="gru",
    ),
}  # fmt: skip
IDS = np.array([[5, 6, 7, 8], [9, 4, 0, 0]], "int32")
FEATURES = np.linspace(-1, 1, 2 * 9 * 4).reshape(2, 9, 4).astype("float32")


def inputs_of(model):
    if model.name.startswith("speech"):
        return [FEATURES, np.array([9, 5], "int32")]
    return [IDS] * len(model.inputs) if len(model.inputs) > 1 else IDS


@pytest.mark.slow
def test_keras_files_load_in_a_new_process_in_safe_mode(tmp_path):
    expected = {}
    for name, build in MODELS.items():
        model = build()
        losses = {"translation": SmoothedCrossEntropy(0.1), "stack": CTCLoss()}
        model.compile("adam", losses.get(name))
        model.save(tmp_path / f"{name}.keras")
        inputs = inputs_of(model)
        np.savez(tmp_path / f"{name}.npz", *(inputs if isinstance(inputs, list) else [inputs]))
        expected[name] = np.asarray(model(inputs))
    script = (
        "import sys, pathlib, lstm_zoo, keras, numpy as np\n"
        "lstm_zoo.register_layers()\n"
        "for file in pathlib.Path(sys.argv[1]).glob('*.keras'):\n"
        "    model = keras.models.load_model(file, safe_mode=True)\n"
        "    inputs = [*np.load(file.with_suffix('.npz')).values()]\n"
        "    np.save(file.with_suffix('.npy'), model(inputs if len(inputs) > 1 else inputs[0]))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    for name, outputs in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), outputs, atol=1e-6)


@pytest.mark.slow
def test_files_in_h5_load(tmp_path):
    for build in (MODELS["everything"], MODELS["translation"]):
        model, other = build(), build()
        model.save_weights(tmp_path / "x.weights.h5")
        other.load_weights(tmp_path / "x.weights.h5")
        model.save(tmp_path / "x.h5")
        loaded = keras.models.load_model(tmp_path / "x.h5")  # the layers are registered here
        for found in (other, loaded):
            np.testing.assert_array_equal(model(inputs_of(model)), found(inputs_of(model)))


def test_a_summary_shows_layers_rather_than_ops():
    for name, count in {"everything": 16, "stack": 9, "translation": 12}.items():
        layers = MODELS[name]().layers
        assert len(layers) <= count, [layer.name for layer in layers]
        for layer in layers:
            assert isinstance(layer, keras.Layer), layer.name  # an op is none


@pytest.mark.slow
def test_another_head_on_the_features_fits_and_its_features_are_the_trained_ones(tmp_path):
    classifier = build_sentiment(50, 2, "tiny", units=(8,))
    classifier.save_weights(tmp_path / "x.weights.h5")
    features = build_sentiment(50, variant="tiny", units=(8,), include_top=False)
    features.load_weights(tmp_path / "x.weights.h5")
    same = keras.Model(classifier.inputs, classifier.get_layer("pooling").output)
    np.testing.assert_array_equal(features(IDS), same(IDS))
    model = keras.Model(features.inputs, keras.layers.Dense(5)(features.output))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    loss = model.fit(IDS, np.array([4, 0]), epochs=5, verbose=0).history["loss"]
    assert loss[-1] < loss[0]

    features = build_speech(num_features=4, variant="tiny", units=(8,), include_top=False)
    # Keras's own Dense keeps the mask of the recurrent layers: CTC's loss must not be scaled by it.
    model = keras.Model(features.inputs, keras.layers.Dense(9)(features.output))
    model.compile("sgd", CTCLoss())
    inputs = [FEATURES, np.array([9, 5], "int32")]
    targets = pack_targets([np.array([1]), np.array([2])], [3, 2])
    logits = model(inputs)
    assert logits.shape == (2, 3, 9)
    found = model.evaluate(inputs, targets, verbose=0)
    assert found == pytest.approx(float(CTCLoss()(targets, np.asarray(logits))), rel=1e-5)


def test_features_without_a_top_have_no_ngrams():
    with pytest.raises(ValueError, match="ngrams are a part of the top"):
        build_sentiment(50, variant="tiny", ngrams=2, include_top=False)


def test_left_padded_ids_have_the_outputs_of_right_padded_ones():
    texts = [[5, 6, 7], [8, 9, 10, 11]]
    right, left = (keras.utils.pad_sequences(texts, 6, padding=side) for side in ("post", "pre"))
    model = build_sentiment(50, 2, "tiny", units=(8,), pooling="last+mean+max", ngrams=2)
    model.get_layer("ngrams").table.assign(np.random.default_rng(0).normal(size=(2**18, 2)))
    np.testing.assert_allclose(model(left), model(right), atol=1e-6)
    translator = build_translation(50, 60, "tiny", reverse_source=True)
    expected = translator([right, right])
    np.testing.assert_allclose(translator([left, right]), expected, atol=1e-6)
    # The logits of a target belong to its positions, so that it can't be moved.
    with pytest.raises(tf.errors.InvalidArgumentError, match="padded with 0 on the right"):
        translator([right, left])


@pytest.mark.slow
def test_left_padded_targets_are_refused_in_fit_and_predict():
    left = keras.utils.pad_sequences([[5, 6], [7]], 4)
    model = build_translation(50, 60, "tiny", encoder_units=(8,), decoder_units=(8,))
    model.compile("sgd", SmoothedCrossEntropy())
    for call in (
        lambda: model.fit([left, left], left, verbose=0),
        lambda: model.predict([left] * 2),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="padded with 0 on the right"):
            call()


@pytest.mark.slow
def test_losses_reduce_under_replicas_as_keras_does():
    """Two virtual CPUs need a process in which TensorFlow has not started."""
    subprocess.run([sys.executable, "-c", REPLICAS], check=True)


REPLICAS = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from lstm_zoo.speech.ctc import CTCLoss, pack_targets
from lstm_zoo.translation.loss import SmoothedCrossEntropy

class Tokens(keras.layers.Layer):  # logits (batch, time, 7), from ids
    def build(self, shape):
        self.table = self.add_weight(shape=(7, 7), initializer="glorot_uniform")
    def call(self, ids):
        return keras.ops.take(self.table, keras.ops.cast(ids, "int32"), axis=0)

x = np.random.default_rng(0).integers(1, 7, (8, 5))
stock = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
packed = pack_targets([row[:1] for row in x], [5] * 8)
weights, of_stock = np.arange(8) / 4, {}
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for loss, targets in ((stock, x), (SmoothedCrossEntropy(), x), (CTCLoss(), packed)):
    for weight in (None, weights[:, None] if loss is stock else weights):
        results = []
        for scope in (tf.distribute.get_strategy().scope, strategy.scope):
            with scope():
                keras.utils.set_random_seed(0)
                model = keras.Sequential([keras.Input((5,)), Tokens()])
                model.compile(keras.optimizers.SGD(0.5), loss)
                fitted = model.fit(x, targets, sample_weight=weight, batch_size=8, verbose=0)
                results.append((fitted.history["loss"][0], model.get_weights()[0]))
        np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
        np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-6)
        if targets is x:  # without padding and smoothing, ours is Keras's
            key = weight is None
            np.testing.assert_allclose(results[0][0], of_stock.setdefault(key, results[0][0]), 1e-5)
"""
