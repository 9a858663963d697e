"""Time each family's network, the same one with Keras's own layers, and one in PyTorch.

    python tests/benchmarks/bench_families.py sentiment speech translation

prints examples per second in training (Adam) and in prediction, without dropout:

- sentiment: an embedding of 128 for 30,000 words, one bidirectional LSTM of 96 units, mean and max
  over the valid steps; texts as long as film reviews (log-normal around 230 words, truncated at
  1,024);
- speech: 40 features, 3 frames stacked, two bidirectional LSTMs of 128 units, 30 characters, CTC;
  clips of around 3 seconds;
- translation: the base variant with 4,000 pieces on each side, around 15 per sentence; prediction
  takes the target too.

The inputs are random, in batches of similar lengths. In each round all networks process the same
batches in turn, on a GPU where TensorFlow sees one; prints medians, and our ratio to each. PyTorch
(`pip install torch==2.13.0`) is omitted where it is not installed. `padded` runs its LSTMs over the
padding too, so that its backward directions read that first; `packed` over the valid steps only, as
ours do. Quote the better one.
"""

import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import keras
import numpy as np
import stock
import tensorflow as tf

from lstm_zoo import build_sentiment, build_speech, build_translation
from lstm_zoo.data import batching
from lstm_zoo.families import FAMILIES
from lstm_zoo.speech import ctc
from lstm_zoo.speech.model import output_lengths
from lstm_zoo.training import process
from lstm_zoo.translation.loss import SmoothedCrossEntropy

REST = 0.25  # seconds, after which the threads of another library no longer spin
WORDS, CLASSES = 30_000, 2
FEATURES, STACKED, CHARACTERS = 40, 3, 30
PIECES = 4_000


class Family(NamedTuple):
    """A family's network and its random data.

    `batch(rng, lengths)` returns inputs and targets of rows of these lengths.
    """

    build: Callable
    loss: keras.losses.Loss
    batch: Callable
    torch_network: Callable
    lengths: tuple[float, float, int]  # median, standard deviation of the logarithm, maximum
    batch_size: int


@click.command(help=__doc__.split("\n")[0])
@click.argument(
    "families",
    nargs=-1,
    required=True,
    type=click.Choice([*FAMILIES]),
)
@click.option("--rounds", default=5, show_default=True, help="Timed rounds.")
@click.option("--batches", default=8, show_default=True, help="Batches per round.")
def main(families: tuple[str, ...], rounds: int, batches: int) -> None:
    process.keep_freed_memory()
    for name in families:
        family = TIMED[name]
        data = list(random_batches(family, batches))
        networks = {"ours": keras_steps(family.build(), family.loss)}
        with stock.replace_ours():
            networks["stock"] = keras_steps(family.build(), family.loss)
        if importlib.util.find_spec("torch"):
            for layout in ("padded", "packed"):
                run_lstm = {"padded": padded, "packed": packed}[layout]
                networks[layout] = torch_steps(family.torch_network(run_lstm))
        for number, mode in enumerate(("training", "prediction")):
            speeds = {network: [] for network in networks}
            for turn in range(rounds + 1):
                for network, steps in networks.items():
                    time.sleep(REST)
                    start = time.perf_counter()
                    for inputs, targets in data:
                        steps[number](inputs, targets)
                    if turn:  # the first traces and compiles
                        seconds = time.perf_counter() - start
                        speeds[network].append(batches * family.batch_size / seconds)
            medians = {network: statistics.median(values) for network, values in speeds.items()}
            for network, values in speeds.items():
                click.echo(
                    f"{name:12}{mode:11}{network:7}{medians[network]:8.1f} examples/s "
                    f"({min(values):.1f} to {max(values):.1f})   "
                    f"ours/{network} {medians['ours'] / medians[network]:.2f}"
                )


def random_batches(family, batches):
    rng = np.random.default_rng(0)
    median, deviation, maximum = family.lengths
    number = batches * family.batch_size
    lengths = np.clip(rng.lognormal(np.log(median), deviation, number), 2, maximum).astype(int)
    for indices in batching.sorted_batches(lengths, family.batch_size):
        yield family.batch(rng, lengths[indices])


def review_batch(rng, lengths):
    ids = batching.pad([rng.integers(2, WORDS, length) for length in lengths])
    return ids, rng.integers(0, CLASSES, len(lengths))


def speech_batch(rng, lengths):
    features = rng.normal(size=(len(lengths), lengths.max(), FEATURES)).astype("float32")
    labels = [rng.integers(1, CHARACTERS, length // 12) for length in lengths]
    targets = ctc.pack_targets(labels, output_lengths(lengths, STACKED))
    return (features, lengths.astype("int32")), targets


def pair_batch(rng, lengths):
    source = batching.pad([rng.integers(4, PIECES, length) for length in lengths])
    target = batching.pad([rng.integers(4, PIECES, length + 1) for length in lengths])
    return (source, target[:, :-1]), target[:, 1:]


def reviews():
    return build_sentiment(
        WORDS,
        CLASSES,
        embedding_size=128,
        units=(96,),
        pooling="mean+max",
        embedding_dropout=0,
        dropout=0,
    )


def recognizer():
    return build_speech(CHARACTERS, FEATURES, dropout=0, time_masks=0, frequency_masks=0)


def translator():
    return build_translation(PIECES, PIECES, dropout=0, token_dropout=0)


def keras_steps(model, loss):
    model.compile("adam", loss, jit_compile=False)
    return model.train_on_batch, lambda inputs, targets: model.predict_on_batch(inputs)


def torch_steps(network):
    import torch

    network = network.to(torch_device())
    optimizer = torch.optim.Adam(network.parameters())

    # As Keras's, the steps return numbers on the processor: on a GPU they wait for the results.
    def train(inputs, targets):
        optimizer.zero_grad()
        loss = network.loss(network(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(inputs, targets):
        with torch.no_grad():
            return network(inputs).cpu()

    return train, predict


def torch_device():
    return "cuda" if tf.config.list_physical_devices("GPU") else "cpu"


def torch_ids(array):
    import torch

    return torch.from_numpy(array).to(torch_device()).long()


def packed(lstm, sequence, lengths):
    """Run PyTorch's LSTM over the valid steps; return its outputs and last hidden states."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    steps = pack_padded_sequence(sequence, lengths, batch_first=True)
    outputs, (hidden, _) = lstm(steps)
    return pad_packed_sequence(outputs, batch_first=True)[0], hidden


def padded(lstm, sequence, lengths):
    """Run PyTorch's LSTM over all steps; return its outputs and last hidden states."""
    outputs, (hidden, _) = lstm(sequence)
    return outputs, hidden


def lengths_of(ids):
    """Count the valid steps of each row, on the processor, where `packed` needs them."""
    import torch

    return torch.from_numpy((ids != 0).sum(1))


def mean_and_max(sequence, valid):
    valid = valid.unsqueeze(-1)
    return [(sequence * valid).sum(1) / valid.sum(1), sequence.masked_fill(~valid, -2).amax(1)]


def torch_reviews(run_lstm):
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 128, padding_idx=0)
            self.lstm = nn.LSTM(128, 96, batch_first=True, bidirectional=True)
            self.logits = nn.Linear(4 * 96, CLASSES)

        def forward(self, inputs):
            ids = torch_ids(inputs)
            sequence, _ = run_lstm(self.lstm, self.embedding(ids), lengths_of(inputs))
            return self.logits(torch.cat(mean_and_max(sequence, ids != 0), -1))

        def loss(self, logits, targets):
            return nn.functional.cross_entropy(logits, torch_ids(targets))

    return Network()


def torch_recognizer(run_lstm):
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            width = STACKED * FEATURES
            self.lstm = nn.LSTM(width, 128, 2, batch_first=True, bidirectional=True)
            self.logits = nn.Linear(256, CHARACTERS)

        def forward(self, inputs):
            features, lengths = inputs
            batch, frames, _ = features.shape
            stacked = np.pad(features, [(0, 0), (0, -frames % STACKED), (0, 0)])
            stacked = stacked.reshape(batch, -1, STACKED * FEATURES)
            lengths = torch.from_numpy(output_lengths(lengths, STACKED))
            stacked = torch.from_numpy(stacked).to(torch_device())
            return self.logits(run_lstm(self.lstm, stacked, lengths)[0])

        def loss(self, logits, targets):
            targets = torch_ids(targets)
            log_probabilities = logits.log_softmax(-1).transpose(0, 1)
            return nn.functional.ctc_loss(
                log_probabilities, targets[:, 2:], targets[:, 1], targets[:, 0]
            )

    return Network()


def torch_translator(run_lstm):
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.source = nn.Embedding(PIECES, 256, padding_idx=0)
            self.target = nn.Embedding(PIECES, 256)
            self.encoder = nn.LSTM(256, 256, batch_first=True, bidirectional=True)
            self.decoder = nn.LSTM(256, 512, batch_first=True)
            self.bridges = nn.ModuleList(nn.Linear(3 * 512, 512) for _ in range(2))
            self.input_projection, self.output_projection = (
                nn.Linear(3 * 512, 256, bias=False) for _ in range(2)
            )
            self.readout = nn.Linear(512, 256)
            self.bias = nn.Parameter(torch.zeros(PIECES))

        def forward(self, inputs):
            source, target = (torch_ids(ids) for ids in inputs)
            sequence, hidden = run_lstm(self.encoder, self.source(source), lengths_of(inputs[0]))
            context = torch.cat([*hidden, *mean_and_max(sequence, source != 0)], -1)
            states = [bridge(context).unsqueeze(0) for bridge in self.bridges]
            embedded = self.target(target) + self.input_projection(context).unsqueeze(1)
            outputs, _ = self.decoder(embedded, (states[0].tanh(), states[1]))
            vectors = self.readout(outputs) + self.output_projection(context).unsqueeze(1)
            return vectors @ self.target.weight.T + self.bias

        def loss(self, logits, targets):
            targets = torch_ids(targets)
            return nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=0)

    return Network()


TIMED = {
    "sentiment": Family(
        reviews,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        review_batch,
        torch_reviews,
        lengths=(230, 0.6, 1_024),
        batch_size=32,
    ),
    "speech": Family(
        recognizer,
        ctc.CTCLoss(),
        speech_batch,
        torch_recognizer,
        lengths=(300, 0.4, 1_000),
        batch_size=32,
    ),
    "translation": Family(
        translator,
        SmoothedCrossEntropy(0.0),
        pair_batch,
        torch_translator,
        lengths=(15, 0.4, 50),
        batch_size=64,
    ),
}

if __name__ == "__main__":
    main()
