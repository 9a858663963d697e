"""Time one long clip, and its peak memory: `predict`, and an export's two signatures.

    python tests/benchmarks/bench_long_audio.py --run RUN

RUN is a speech run; by default the tests' tiny one. The clip repeats synthetic sentences of the
demo corpus. Each measurement is a process of its own; memory is its peak resident size, less what
it was before the clip.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import io
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np

READY_RUN = Path(__file__).parents[1] / "data/version_0_1/speech"
WARM_UP = 2  # seconds of audio


def speech(seconds: float, rate: int) -> np.ndarray:
    """Return synthetic speech of a duration."""
    from lstm_zoo.speech import demo
    from lstm_zoo.speech.audio import read_audio

    clips, _, _ = demo.generate(60, seed=9)
    sentences = np.concatenate([read_audio(clip, rate) for clip in clips])
    return np.resize(sentences, int(seconds * rate))


def transcribers(run: str, exported: str) -> dict:
    """Return functions from (samples, rate) to a transcript, by name."""
    import soundfile
    import tensorflow as tf

    import lstm_zoo

    def predict(samples, rate):
        return recognizer.predict([(samples, rate)])[0].text

    def wav(samples, rate):
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
        outputs = signatures["serving_default"](wav=tf.constant([file.getvalue()]))
        return outputs["transcript"].numpy()[0].decode()

    def waveform(samples, rate):
        outputs = signatures["waveform"](
            audio=tf.constant(samples[np.newaxis]), num_samples=tf.constant([len(samples)])
        )
        return outputs["transcript"].numpy()[0].decode()

    recognizer = lstm_zoo.load(run)
    signatures = tf.saved_model.load(f"{exported}/1").signatures
    return {"predict": predict, "wav": wav, "waveform": waveform}


def peak() -> float:
    """Return the peak resident size of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(run: str, exported: str, name: str, seconds: float, rate: int) -> tuple:
    """Return seconds, MB, and characters of the transcript."""
    transcribe = transcribers(run, exported)[name]
    transcribe(speech(WARM_UP, rate), rate)
    samples = speech(seconds, rate)
    before, start = peak(), time.perf_counter()
    text = transcribe(samples, rate)
    return time.perf_counter() - start, peak() - before, len(text)


@click.command(help=__doc__)
@click.option("--run", default=str(READY_RUN), help="A speech run.  [default: the tests' tiny one]")
@click.option("--minutes", multiple=True, type=float, default=(1, 10, 60), show_default=True)
def main(run: str, minutes: tuple[float, ...]) -> None:
    import lstm_zoo

    with tempfile.TemporaryDirectory() as folder:
        recognizer = lstm_zoo.load(run)
        recognizer.export(exported := f"{folder}/export")
        rate = recognizer.sample_rate
        context = multiprocessing.get_context("spawn")
        for name in ("predict", "wav", "waveform"):
            for duration in minutes:
                with context.Pool(1) as pool:
                    arguments = run, exported, name, 60 * duration, rate
                    seconds, megabytes, length = pool.apply(measure, arguments)
                click.echo(
                    f"{name:10} {duration:5g} min at {rate} Hz  {seconds:7.1f} s  "
                    f"{megabytes:7,.0f} MB  {length:6,} characters"
                )


if __name__ == "__main__":
    main()
