"""Time the sentiment network, end to end, against the same one in stock Keras and in PyTorch.

    python tests/benchmarks/bench_sentiment.py

prints examples a second in training (Adam) and in prediction: an embedding of 128 for 30,000
words, one bidirectional LSTM of 96 units, mean and max over the real steps, logits. The ids are
random, in batches of texts of similar lengths, which are spread as those of film reviews
(log-normal around 230 words, cut at 1,024). All networks go through the same batches in turn, round
after round; medians are shown, and our ratio to each. PyTorch (`pip install torch==2.13.0`) packs
its sequences; it is left out where it is not installed.
"""

import importlib.util
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import keras
import numpy as np
from keras import ops

from lstm_zoo import batching, build_sentiment

WORDS, EMBEDDING, UNITS, CLASSES = 30_000, 128, 96, 2


@click.command(help=__doc__.split("\n")[0])
@click.option("--rounds", default=5, show_default=True, help="How often each network is timed.")
@click.option("--batches", default=8, show_default=True, help="Batches a round.")
@click.option("--batch-size", default=32, show_default=True, help="Texts a batch.")
def main(rounds: int, batches: int, batch_size: int) -> None:
    data = list(random_batches(batches, batch_size))
    networks = {"ours": keras_steps(ours()), "stock": keras_steps(stock())}
    if importlib.util.find_spec("torch"):
        networks["torch"] = torch_steps()
    for number, mode in enumerate(("training", "prediction")):
        speeds = {name: [] for name in networks}
        for turn in range(rounds + 1):
            for name, steps in networks.items():
                start = time.perf_counter()
                for ids, targets in data:
                    steps[number](ids, targets)
                if turn:  # the first is for tracing and compiling
                    speeds[name].append(batches * batch_size / (time.perf_counter() - start))
        medians = {name: statistics.median(values) for name, values in speeds.items()}
        for name, values in speeds.items():
            ratio = medians["ours"] / medians[name]
            click.echo(
                f"{mode:10} {name:6}{medians[name]:8.1f} examples/s "
                f"({min(values):.1f} to {max(values):.1f})   ours/{name} {ratio:.2f}"
            )


def random_batches(batches, batch_size):
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.lognormal(np.log(230), 0.6, batches * batch_size), 1024).astype(int)
    for indices in batching.sorted_batches(lengths, batch_size):
        rows = [rng.integers(2, WORDS, lengths[index]) for index in indices]
        yield batching.pad(rows), rng.integers(0, CLASSES, len(rows))


def ours():
    return build_sentiment(
        WORDS,
        CLASSES,
        embedding_size=EMBEDDING,
        units=(UNITS,),
        pooling="mean+max",
        embedding_dropout=0,
        dropout=0,
    )


def stock():
    ids = keras.Input((None,), dtype="int32")
    mask = ids != 0
    x = keras.layers.Embedding(WORDS, EMBEDDING)(ids)
    layer = keras.layers.Bidirectional(keras.layers.LSTM(UNITS, return_sequences=True))
    x = layer(x, mask=mask)
    real = ops.expand_dims(ops.cast(mask, "float32"), -1)
    mean = ops.sum(x * real, axis=1) / ops.sum(real, axis=1)
    highest = ops.max(x - 2 * (1 - real), axis=1)
    return keras.Model(ids, keras.layers.Dense(CLASSES)(ops.concatenate([mean, highest], -1)))


def keras_steps(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    return model.train_on_batch, lambda ids, targets: model.predict_on_batch(ids)


def torch_steps():
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(WORDS, EMBEDDING, padding_idx=0)
            self.lstm = torch.nn.LSTM(EMBEDDING, UNITS, batch_first=True, bidirectional=True)
            self.logits = torch.nn.Linear(4 * UNITS, CLASSES)

        def forward(self, ids):
            lengths = (ids != 0).sum(1)
            packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True)
            x, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            real = (ids != 0).unsqueeze(-1)
            mean = (x * real).sum(1) / lengths.unsqueeze(-1)
            highest = x.masked_fill(~real, -2).amax(1)
            return self.logits(torch.cat([mean, highest], -1))

    network = Network()
    optimizer = torch.optim.Adam(network.parameters())

    def train(ids, targets):
        optimizer.zero_grad()
        logits = network(torch.from_numpy(ids).long())
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets)).backward()
        optimizer.step()

    def predict(ids, targets):
        with torch.no_grad():
            network(torch.from_numpy(ids).long())

    return train, predict


if __name__ == "__main__":
    main()
