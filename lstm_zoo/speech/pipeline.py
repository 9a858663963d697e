"""Audio in, transcripts out."""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.data import batching
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.speech import corpus, decoding, metrics, plots
from lstm_zoo.speech.audio import check_waveforms, parse_wav, read_audio
from lstm_zoo.speech.model import build_speech, output_lengths
from lstm_zoo.speech.task import Task

AHEAD = 256  # clips read before they are sorted by length and recognised
AHEAD_SECONDS = 3_600  # of audio that end the reading ahead
READ_TOGETHER = 16  # clips between two looks at how much has been read
BATCH_SECONDS = 600  # of audio computed at once, padding included: some 0.5 GB at 16 kHz
DRAWN = 3  # utterances in the plot of posteriors


class Transcript(NamedTuple):
    """An answer.

    text: what was recognised, "" where the clip can't be used.
    score: the natural logarithm of the text's probability, summed over all its alignments; None
        where the clip can't be used.
    tokens: the text's characters or pieces, each with the second at which it begins.
    n_best: the most probable texts with their scores, the best first, as many as were asked for
        or are there.
    error: what is wrong with the clip, "" when good.
    """

    text: str
    score: float | None
    tokens: list[tuple[str, float]]
    n_best: list[tuple[str, float]]
    error: str = ""

    def __str__(self) -> str:
        return self.text


class Pipeline(pipeline.Pipeline):
    """A trained recognizer of speech.

    `lstm_zoo.train` and `lstm_zoo.load` return one.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, from features and lengths to logits.
        tokenizer: from transcripts to labels and back.
        features: from audio to features.
        config: the run's `config.json`.
    """

    build = staticmethod(build_speech)
    prediction_columns = ("clip", "reference", "transcript")

    def __init__(
        self,
        task: Task,
        model: keras.Model,
        config: Mapping[str, Any],
        run: Path,
        beam_width: int | None = None,
    ):
        super().__init__(task, model, config, run, beam_width)
        self.tokenizer = task.tokenizer
        self.features = task.features

    @property
    def sample_rate(self) -> int:
        """The rate of the audio that the network hears, in Hz."""
        return self.features.settings.sample_rate

    @property
    def card(self) -> dict[str, Any]:
        """What a card tells of the answers: the sample rate in Hz, the alphabet, the features."""
        return {
            "sample_rate": self.sample_rate,
            "vocabulary": self.tokenizer.vocabulary,
            "features": self.config["learned"]["features"],
            "beam_width": self.beam_width,
        }

    # Never compiled by XLA: stock TF Serving does not run what must be.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")], jit_compile=False)
    def transcribe_wav(self, wav: tf.Tensor) -> dict[str, tf.Tensor]:
        """Transcribe the bytes of WAV files, in the graph: what an export serves.

        Args:
            wav: string tensor `(batch,)`, any bytes; see `lstm_zoo.speech.audio.parse_wav` for
                what can be read.

        Returns:
            `transcript` string `(batch,)`; `score` float32 `(batch,)`, the natural logarithm of the
            transcript's probability; `error` string `(batch,)`, "" when good. A row that can't be
            used has "" and -inf and says why.
        """
        return self._answer(*parse_wav(wav, self.sample_rate))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, "audio"),
            tf.TensorSpec([None], tf.int32, "num_samples"),
        ],
        jit_compile=False,
    )
    def transcribe_waveform(self, audio: tf.Tensor, num_samples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Transcribe samples, in the graph.

        Args:
            audio: float32 `(batch, samples)`, mono, at `sample_rate`, 1 at full scale.
            num_samples: int32 `(batch,)`, the samples of each row.

        Returns:
            As `transcribe_wav`.
        """
        return self._answer(*check_waveforms(audio, num_samples))

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The served functions by name."""
        return {"serving_default": self.transcribe_wav, "waveform": self.transcribe_waveform}

    @property
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs for each signature on which an export must answer as this pipeline does."""
        rate = self.sample_rate
        times = np.arange(rate) / rate
        sweep = np.sin(2 * np.pi * (200 + 500 * times) * times).astype(np.float32)
        wavs = [_wav(sweep, rate), _wav(sweep[: rate // 3], rate), _wav(sweep, rate + 1), b"RIFF"]
        audio = np.stack([sweep, sweep[::-1], np.full_like(sweep, np.nan)])
        return {
            "serving_default": [
                {"wav": tf.constant(batch, tf.string)} for batch in ([], [b""], wavs)
            ],
            "waveform": [
                {"audio": tf.constant(audio[:n]), "num_samples": tf.constant(lengths, tf.int32)}
                for n, lengths in ((0, []), (1, [0]), (3, [rate, rate // 2, rate]))
            ],
        }

    def predict(
        self,
        clips: Sequence[Any],
        batch_size: int = 16,
        *,
        beam_width: int | None = None,
        n_best: int = 1,
    ) -> list[Transcript]:
        """Transcribe clips.

        Args:
            clips: each a path to a file that libsndfile reads, or a pair (samples, sample_rate);
                an empty list gives an empty list.
            batch_size: clips computed at once, fewer where they are long; it does not change the
                answers.
            beam_width: transcripts kept while decoding, 1 for the best alignment (greedy); None for
                the pipeline's.
            n_best: how many transcripts to give for each clip, `beam_width` at most.

        Returns:
            A `Transcript` for each clip, in their order; one that can't be used has its `error`.

        Raises:
            CallError: if `clips` is one path rather than a sequence, a clip is neither a path nor a
                pair, or `n_best` is more than `beam_width`.

        Example:

        >>> lstm_zoo.load("runs/digits").predict(["call.wav"])  # doctest: +SKIP
        """
        if isinstance(clips, (str, bytes, os.PathLike)):
            raise CallError("predict takes a list of clips, such as [path]. Received: one path")
        width = self.beam_width if beam_width is None else beam_width
        if not 1 <= n_best <= width:
            raise CallError(f"n_best is at least 1, and at most beam_width ({width}): {n_best}")
        answers: list[Transcript] = []
        for heard in self._hear(clips):
            answers += self._transcribe(heard, batch_size, width, n_best)
        return answers

    @staticmethod
    def error_of(answer: Transcript) -> str:
        """Return why a clip could not be used, "" where it could."""
        return answer.error

    def evaluate(
        self,
        data: Any,
        *,
        strict: bool = False,
        batch_size: int = 16,
        beam_width: int | None = None,
    ) -> dict[str, Any]:
        """Judge the recognizer on transcribed speech.

        References are normalised as the transcripts that were learned; a character outside the
        alphabet stays, and counts as not recognised.

        Args:
            data: a path or columns (clips, texts), as `lstm_zoo.speech.corpus.read` takes it.
            strict: whether a row that can't be used is an error, not skipped.
            batch_size: as `predict` takes it; it does not change the result.
            beam_width: as `predict` takes it.

        Returns:
            `wer` and `cer` as fractions; `examples` and `skipped`, counted; and `predictions`, a
            row (clip, reference, transcript) for each example.

        Raises:
            CallError: if there is no such data.
            DataError: if it is malformed, or none of it can be used.

        Example:

        >>> lstm_zoo.load("runs/digits").evaluate("digits/dev")["wer"]  # doctest: +SKIP
        """
        part = corpus.read(data, strict=strict)
        references = [*map(self._task.normalize, part.texts)]
        answers = self.predict(part.clips, batch_size, beam_width=beam_width)
        rows, skipped = [], [*part.skipped]
        for clip, reference, answer, place in zip(
            part.clips, references, answers, part.places, strict=True
        ):
            error = answer.error or ("" if reference else "no text is left of the transcript")
            if error:
                skipped.append((place, error))
            else:
                name = clip if isinstance(clip, str) else place
                rows.append((name, reference, answer.text))
        if len(skipped) > len(part.skipped) and (strict or not rows):
            place, reason = skipped[len(part.skipped)]
            raise DataError(f"{place}: {reason}")
        return {
            **metrics.error_rates([row[1] for row in rows], [row[2] for row in rows]),
            "examples": len(rows),
            "skipped": len(skipped),
            "predictions": rows,
        }

    @staticmethod
    def report(scores: Mapping[str, Any]) -> str:
        """Lay out what `evaluate` returns for a person."""
        return (
            f"WER {scores['wer']:.4f}  CER {scores['cer']:.4f}  "
            f"({scores['examples']:,} examples, {scores['skipped']:,} skipped)"
        )

    def draw(self, data: Any, scores: Mapping[str, Any]) -> None:
        """Draw the posteriors of a few utterances of some data into the run."""
        part = corpus.read(data)
        panels = []
        for clip, text in zip(part.clips, part.texts, strict=True):
            if len(panels) == DRAWN:
                break
            try:
                samples = read_audio(clip, self.sample_rate)
            except DataError:
                continue
            logits, lengths = self._recognize(samples[np.newaxis], np.array([len(samples)]))
            labels = decoding.greedy_labels(logits, lengths)
            frames = decoding.begin_frames(logits, lengths, labels)
            panels.append(
                plots.Panel(
                    tf.nn.softmax(logits[0]).numpy(),
                    self._tokens(labels[0, 0], frames[0, 0]),
                    self._task.normalize(text),
                )
            )
        if panels:
            plots.draw_posteriors(panels, self._seconds_per_frame, self.run / "posteriors.png")

    @property
    def _seconds_per_frame(self) -> float:
        """Of the logits."""
        settings = self.features.settings
        hop = settings.hop_length * self.config["network"]["subsampling"]
        return hop / settings.sample_rate

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ],
        jit_compile=False,
    )
    def _recognize(self, audio: tf.Tensor, num_samples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return logits `(batch, frames, vocabulary)` and their true lengths `(batch,)`."""
        features, num_frames = self.features.extract_batch(audio, num_samples)
        features = self.features.normalize_batch(features, num_frames)
        logits = self.model([features, num_frames])
        return logits, output_lengths(num_frames, self.config["network"]["subsampling"])

    def _answer(
        self, audio: tf.Tensor, num_samples: tf.Tensor, error: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Finish a signature: from audio to its outputs."""
        logits, lengths = self._recognize(audio, num_samples)
        decoded = decoding.decode(logits, lengths, self.beam_width, 1)
        good = error == ""
        return {
            "transcript": tf.where(good, decoding.texts(self.tokenizer, decoded.labels)[:, 0], ""),
            "score": tf.where(good, decoded.scores[:, 0], -np.inf),
            "error": error,
        }

    def _hear(self, clips: Sequence[Any]) -> Iterator[list[np.ndarray | DataError]]:
        """Read clips, in groups of as many as may stand in memory together."""
        heard, seconds = [], 0.0
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(clips), READ_TOGETHER):
                for clip in pool.map(self._read, clips[start : start + READ_TOGETHER]):
                    heard.append(clip)
                    seconds += 0 if isinstance(clip, DataError) else len(clip) / self.sample_rate
                if len(heard) >= AHEAD or seconds >= AHEAD_SECONDS:
                    yield heard
                    heard, seconds = [], 0.0
        if heard:
            yield heard

    def _transcribe(
        self,
        heard: Sequence[np.ndarray | DataError],
        batch_size: int,
        beam_width: int,
        n_best: int,
    ) -> list[Transcript]:
        answers = [
            Transcript("", None, [], [], str(samples)) if isinstance(samples, DataError) else None
            for samples in heard
        ]
        usable = np.array([i for i, answer in enumerate(answers) if answer is None], int)
        # By length, so that a long clip does not pad the short ones.
        lengths = np.array([len(heard[index]) for index in usable], int)
        most = BATCH_SECONDS * self.sample_rate
        for rows in batching.sorted_batches(lengths, batch_size, most):
            chosen = usable[rows]
            audio = np.zeros((len(chosen), lengths[rows].max()), np.float32)
            for place, index in zip(audio, chosen, strict=True):
                place[: len(heard[index])] = heard[index]
            logits, num_frames = self._recognize(audio, lengths[rows].astype(np.int32))
            decoded = decoding.decode(logits, num_frames, beam_width, n_best)
            frames = decoding.begin_frames(logits, num_frames, decoded.labels[:, :1])
            for index, answer in zip(chosen, self._transcripts(decoded, frames), strict=True):
                answers[index] = answer
        return answers

    def _read(self, clip: Any) -> np.ndarray | DataError:
        try:
            path = os.fsdecode(clip) if isinstance(clip, bytes) else clip
            return read_audio(path, self.sample_rate)
        except DataError as error:
            return error

    def _transcripts(self, decoded: decoding.Decoded, frames: tf.Tensor) -> Iterator[Transcript]:
        texts = decoding.texts(self.tokenizer, decoded.labels).numpy()  # (batch, n_best)
        labels, scores = decoded.labels[:, 0].numpy(), decoded.scores.numpy()
        for row, begins in enumerate(frames[:, 0].numpy()):
            n_best = [
                (text.decode(), float(score))
                for text, score in zip(texts[row], scores[row], strict=True)
                if np.isfinite(score)
            ]
            text, score = n_best[0] if n_best else ("", None)
            yield Transcript(text, score, self._tokens(labels[row], begins), n_best)

    def _tokens(self, labels: Any, frames: Any) -> list[tuple[str, float]]:
        """Return a transcript's tokens, each with the second at which it begins."""
        vocabulary = self.tokenizer.vocabulary
        count = int(np.count_nonzero(labels))
        tokens = [vocabulary[label] for label in np.asarray(labels)[:count]]
        seconds = np.round(np.asarray(frames)[:count] * self._seconds_per_frame, 3)
        return [*zip(tokens, map(float, seconds), strict=True)]


def _wav(samples: np.ndarray, rate: int) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
