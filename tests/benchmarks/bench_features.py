"""Time log-mel and MFCC features: seconds of audio per second, by librosa and in the graph.

    python tests/benchmarks/bench_features.py --data CORPUS

CORPUS is speech data as for `lstm-zoo speech train`; by default, generated noise at 8, 16 and
22.05 kHz. The implementations are timed in turn; prints medians over the rounds, with quartiles.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from collections.abc import Callable

import click
import numpy as np
import tensorflow as tf

from lstm_zoo.speech import FEATURE_KINDS
from lstm_zoo.speech.audio import read_audio, read_rate
from lstm_zoo.speech.corpus import read
from lstm_zoo.speech.features import Features, FeatureSettings

CLIPS = 32
BATCH = 16


def synthetic(rate: int) -> list[np.ndarray]:
    """Return noise in clips of 1 to 8 seconds."""
    generator = np.random.default_rng(0)
    return [
        generator.standard_normal(int(generator.uniform(1, 8) * rate)).astype(np.float32) / 10
        for _ in range(CLIPS)
    ]


def pad(clips: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([*map(len, clips)], np.int32)
    audio = np.zeros((len(clips), lengths.max()), np.float32)
    for row, clip in zip(audio, clips, strict=True):
        row[: len(clip)] = clip
    return audio, lengths


def implementations(features: Features, clips: list[np.ndarray]) -> dict[str, Callable[[], None]]:
    """Return functions that compute the features of all clips, by name."""
    in_graph = tf.function(
        features.extract_batch,
        input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int32)],
        autograph=False,
    )
    singles = [pad([clip]) for clip in clips]
    ordered = sorted(clips, key=len)
    batches = [pad(ordered[start : start + BATCH]) for start in range(0, len(clips), BATCH)]
    return {
        "librosa": lambda: [features.extract(clip) for clip in clips],
        "in graph, batch of 1": lambda: [in_graph(*single) for single in singles],
        f"in graph, batch of {BATCH}": lambda: [in_graph(*batch) for batch in batches],
    }


@click.command(help=__doc__)
@click.option("--data", help="Speech data.  [default: noise]")
@click.option("--rounds", default=9, show_default=True, help="Timed rounds.")
def main(data: str | None, rounds: int) -> None:
    if data:
        chosen = read(data).clips[:CLIPS]
        rate = read_rate(chosen[0])
        corpora = {rate: [read_audio(clip, rate) for clip in chosen]}
    else:
        corpora = {rate: synthetic(rate) for rate in (8_000, 16_000, 22_050)}
    for rate, clips in corpora.items():
        seconds = sum(map(len, clips)) / rate
        for kind in FEATURE_KINDS:
            features = Features(FeatureSettings(kind=kind, sample_rate=rate))
            compared = implementations(features, clips)
            times = {name: [] for name in compared}
            for number in range(rounds + 1):  # the first is a warm-up
                for name, extract in compared.items():
                    start = time.perf_counter()
                    extract()
                    if number:
                        times[name].append(time.perf_counter() - start)
            first = np.median(times["librosa"])
            for name, found in times.items():
                low, middle, high = np.percentile(found, (75, 50, 25))
                speed = f"{seconds / middle:7,.0f} ({seconds / low:,.0f} to {seconds / high:,.0f})"
                click.echo(
                    f"{kind:8} {rate:6} Hz  {name:22}  {speed} s of audio per second"
                    f"  {first / middle:5.2f} x librosa"
                )


if __name__ == "__main__":
    main()
