"""The speech pipeline: from audio to transcripts."""

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.data import batching, columns
from lstm_zoo.errors import DataError
from lstm_zoo.speech import corpus, decoding, metrics, plots
from lstm_zoo.speech.audio import as_clip, check_waveforms, parse_wav, read_audio
from lstm_zoo.speech.features import Features
from lstm_zoo.speech.model import build_speech, output_lengths
from lstm_zoo.training import report

# Clips are read ahead and sorted by length, up to a number or to a duration.
LOOKAHEAD = 256
LOOKAHEAD_SECONDS = 3_600
READ_BATCH = 16  # clips read in parallel between two checks of the lookahead
BATCH_SECONDS = 600  # maximum audio in a batch, padding included: some 0.5 GB at 16 kHz
PLOTTED = 3  # utterances in the plot of posteriors


class Transcript(NamedTuple):
    """The transcript of a clip.

    text: the best hypothesis, "" if the clip can't be used.
    score: the log probability of the text, summed over all its alignments; None if the clip can't
        be used.
    tokens: the characters or pieces of the text, each with its start in seconds.
    n_best: the hypotheses (text, score) by descending score, at most as many as requested.
    error: the reason why the clip can't be used, otherwise "".
    path: the path of the clip, "" if it was in memory.
    """

    text: str
    score: float | None
    tokens: list[tuple[str, float]]
    n_best: list[tuple[str, float]]
    error: str = ""
    path: str = ""

    def __str__(self) -> str:
        path = re.sub(r"[\t\r\n]", " ", self.path)
        return f"{path}\t{self.text}" if path else self.text


class Pipeline(pipeline.Pipeline):
    """A trained speech recognizer, returned by `lstm_zoo.train` and `lstm_zoo.load`.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, from features and lengths to logits.
        tokenizer: maps transcripts to labels and back.
        features: extracts features from audio.
        config: the run's `config.json`.
    """

    build = staticmethod(build_speech)

    @property
    def features(self) -> Features:
        """The feature extraction."""
        return self._task.features

    @property
    def sample_rate(self) -> int:
        """The sample rate of the network's audio, in Hz."""
        return self.features.settings.sample_rate

    @property
    def card(self) -> dict[str, Any]:
        """The card's entries: sample rate in Hz, vocabulary, features, beam width."""
        return {
            "sample_rate": self.sample_rate,
            "vocabulary": self.tokenizer.vocabulary,
            "features": self.config["learned"]["features"],
            "beam_width": self.beam_width,
        }

    # Not compiled by XLA: stock TF Serving can't run such functions.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")], jit_compile=False)
    def transcribe_wav(self, wav: tf.Tensor) -> dict[str, tf.Tensor]:
        """Transcribe WAV files in the graph; the default signature of an export.

        Args:
            wav: string tensor `(batch,)`, the bytes of WAV files; see
                `lstm_zoo.speech.audio.parse_wav` for the formats.

        Returns:
            `transcript` string `(batch,)`; `score` float32 `(batch,)`, the log probability of the
            transcript; `error` string `(batch,)`, "" for a good row. A row that can't be used has
            the transcript "", the score -inf and an error.

        Example:

        >>> recognizer = lstm_zoo.load("runs/digits")
        >>> wav = tf.constant([Path("call.wav").read_bytes(), b"RIFF"])
        >>> recognizer.transcribe_wav(wav)["error"].numpy().tolist()
        [b'', b'not a WAV file: it does not begin with RIFF and WAVE']
        """
        return self._outputs(*parse_wav(wav, self.sample_rate))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, "audio"),
            tf.TensorSpec([None], tf.int32, "num_samples"),
        ],
        jit_compile=False,
    )
    def transcribe_waveform(self, audio: tf.Tensor, num_samples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Transcribe samples in the graph.

        Args:
            audio: float32 `(batch, samples)`, mono, at `sample_rate`, 1 at full scale.
            num_samples: int32 `(batch,)`, the valid samples of each row.

        Returns:
            As `transcribe_wav`.
        """
        return self._outputs(*check_waveforms(audio, num_samples))

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The served functions by name."""
        return {"serving_default": self.transcribe_wav, "waveform": self.transcribe_waveform}

    @property
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs for each signature, to compare an export with this pipeline on."""
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
            clips: each the path or the bytes of an audio file that libsndfile reads, or a pair
                (samples, sample_rate); see `lstm_zoo.speech.audio.as_clip`.
            batch_size: the maximum number of clips computed at once; long clips have smaller
                batches. The result does not depend on it.
            beam_width: hypotheses kept while decoding; 1 is greedy; None uses the pipeline's.
            n_best: the number of hypotheses of each clip, at most `beam_width`.

        Returns:
            A `Transcript` for each clip, in order. If a clip can't be used, its `error` is set.

        Raises:
            CallError: if `clips` is one path, an array, a table or a mapping rather than a
                sequence of clips, a clip is none of these, or `n_best` is not between
                1 and `beam_width`.

        Example:

        >>> answer, failed = lstm_zoo.load("runs/digits").predict(["call.wav", "none.wav"])
        >>> answer.text
        'zeron fo o e tigt'
        >>> answer.tokens[:2]
        [('z', 0.03), ('e', 0.09)]
        >>> failed.error
        'none.wav: no such file.'
        """
        clips = columns.to_list(
            clips, "predict takes a list of clips, such as [path] or [(samples, sample_rate)]"
        )
        width = self.checked_beam_width(beam_width, n_best)
        transcripts: list[Transcript] = []
        for audio in self._read_ahead(clips):
            transcripts += self._transcribe(audio, batch_size, width, n_best)
        return [
            transcript._replace(path=_path_of(clip))
            for clip, transcript in zip(clips, transcripts, strict=True)
        ]

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
        path_column: str | int | None = None,
        text_column: str | int | None = None,
    ) -> dict[str, Any]:
        """Evaluate on transcribed speech.

        References are normalized as in training. Out-of-vocabulary characters stay in them and
        count as errors.

        Args:
            data: a path or columns (clips, texts), as accepted by `lstm_zoo.speech.corpus.read`.
            strict: whether a row that can't be used is an error; otherwise it is skipped.
            batch_size: as for `predict`; the result does not depend on it.
            beam_width: as for `predict`.
            path_column: the clips' column in a table: its name, or its position (from 1) in a file
                without a header; None for the run's, or else `path`.
            text_column: the transcripts' column, likewise; else `text` or `sentence`.

        Returns:
            `wer` and `cer` as fractions; `decoder`, "greedy" or "beam" with its width; the numbers
            of `examples` and `skipped` rows; and `predictions`, a dict for each row of the data,
            skipped ones included, as `lstm_zoo.pipeline.prediction_rows` returns them, with `clip`,
            `reference`, `hypothesis` and `score`.

        Raises:
            CallError: if the data does not exist.
            DataError: if it is malformed or has no usable row.

        Example:

        >>> scores = lstm_zoo.load("runs/digits").evaluate((["call.wav"], ["Zero!"]))
        >>> scores["examples"], scores["predictions"][0]["hypothesis"]
        (1, 'zeron fo o e tigt')
        """
        given = {"path_column": path_column, "text_column": text_column}
        dataset = corpus.read(data, strict, given, fallback=self.config["settings"])
        references = [*map(self._task.normalize, dataset.texts)]
        report.warn_of_unknown(self._task, "evaluation", self._task.unknown_share(references))
        transcripts = self.predict(dataset.clips, batch_size, beam_width=beam_width)
        answers = [
            {
                "clip": clip if isinstance(clip, str) else place,
                "reference": reference,
                "hypothesis": transcript.text,
                "score": transcript.score,
                "skipped": transcript.error
                or ("" if reference else "no text is left of the transcript"),
            }
            for clip, reference, transcript, place in zip(
                dataset.clips, references, transcripts, dataset.places, strict=True
            )
        ]
        rows = pipeline.prediction_rows(dataset, answers)
        used = [row for row in answers if not row["skipped"]]
        if len(used) < len(answers) and (strict or not used):
            place, reason = next(
                (place, row["skipped"])
                for place, row in zip(dataset.places, answers, strict=True)
                if row["skipped"]
            )
            raise DataError(f"{place}: {reason}")
        return {
            **metrics.error_rates(
                [row["reference"] for row in used], [row["hypothesis"] for row in used]
            ),
            "decoder": self.decoder(beam_width),
            "examples": len(used),
            "skipped": len(rows) - len(used),
            "predictions": rows,
        }

    @staticmethod
    def report(scores: Mapping[str, Any]) -> str:
        """Format what `evaluate` returned as readable text."""
        return (
            f"WER {scores['wer']:.4f}  CER {scores['cer']:.4f}  "
            f"({scores['decoder']}; {scores['examples']:,} examples, "
            f"{scores['skipped']:,} skipped)"
        )

    def draw(self, data: Any, scores: Mapping[str, Any], directory: Path) -> None:
        """Plot the posteriors of a few utterances to `posteriors.png`."""
        dataset = corpus.read(data)
        panels = []
        for clip, text in zip(dataset.clips, dataset.texts, strict=True):
            if len(panels) == PLOTTED:
                break
            try:
                samples = read_audio(clip, self.sample_rate)
            except DataError:
                continue
            logits, lengths = self._recognize(samples[np.newaxis], np.array([len(samples)]))
            decoded = decoding.greedy_decode(logits, lengths)
            frames = decoding.start_frames(logits, lengths, decoded.labels, decoded.frames)
            panels.append(
                plots.Panel(
                    tf.nn.softmax(logits[0]).numpy(),
                    self._tokens(decoded.labels[0, 0], frames[0, 0]),
                    self._task.normalize(text),
                )
            )
        if panels:
            plots.draw_posteriors(panels, self._seconds_per_frame, directory / "posteriors.png")

    @property
    def _seconds_per_frame(self) -> float:
        """The duration of a frame of the logits."""
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
        """Return logits `(batch, frames, vocabulary)` and their lengths `(batch,)`."""
        features, num_frames = self.features.extract_batch(audio, num_samples)
        features = self.features.normalize_batch(features, num_frames)
        logits = self.model([features, num_frames])
        return logits, output_lengths(num_frames, self.config["network"]["subsampling"])

    def _outputs(
        self, audio: tf.Tensor, num_samples: tf.Tensor, error: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Return the outputs of the signatures."""
        logits, lengths = self._recognize(audio, num_samples)
        decoded = decoding.decode(logits, lengths, self.beam_width, 1)
        good = error == ""
        return {
            "transcript": tf.where(good, decoding.texts(self.tokenizer, decoded.labels)[:, 0], ""),
            "score": tf.where(good, decoded.scores[:, 0], -np.inf),
            "error": error,
        }

    def _read_ahead(self, clips: Sequence[Any]) -> Iterator[list[np.ndarray | DataError]]:
        """Read clips in groups that fit into memory; unusable ones become their errors."""
        group, seconds = [], 0.0
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(clips), READ_BATCH):
                for clip in pool.map(self._read, clips[start : start + READ_BATCH]):
                    group.append(clip)
                    seconds += 0 if isinstance(clip, DataError) else len(clip) / self.sample_rate
                if len(group) >= LOOKAHEAD or seconds >= LOOKAHEAD_SECONDS:
                    yield group
                    group, seconds = [], 0.0
        if group:
            yield group

    def _transcribe(
        self,
        clips: Sequence[np.ndarray | DataError],
        batch_size: int,
        beam_width: int,
        n_best: int,
    ) -> list[Transcript]:
        transcripts = [
            Transcript("", None, [], [], str(clip)) if isinstance(clip, DataError) else None
            for clip in clips
        ]
        usable = np.array([i for i, done in enumerate(transcripts) if done is None], int)
        # Sorted by length, so that batches have little padding.
        lengths = np.array([len(clips[index]) for index in usable], int)
        batch_samples = BATCH_SECONDS * self.sample_rate
        for rows in batching.sorted_batches(lengths, batch_size, batch_samples):
            indices = usable[rows]
            audio = np.zeros((len(indices), lengths[rows].max()), np.float32)
            for row, index in zip(audio, indices, strict=True):
                row[: len(clips[index])] = clips[index]
            logits, num_frames = self._recognize(audio, lengths[rows].astype(np.int32))
            decoded = decoding.decode(logits, num_frames, beam_width, n_best)
            best = decoded.labels[:, :1], decoded.frames[:, :1]
            frames = decoding.start_frames(logits, num_frames, *best)
            for index, transcript in zip(indices, self._transcripts(decoded, frames), strict=True):
                transcripts[index] = transcript
        return transcripts

    def _read(self, clip: Any) -> np.ndarray | DataError:
        try:
            return read_audio(clip, self.sample_rate)
        except DataError as error:
            return error

    def _transcripts(self, decoded: decoding.Decoded, frames: tf.Tensor) -> Iterator[Transcript]:
        texts = decoding.texts(self.tokenizer, decoded.labels).numpy()  # (batch, n_best)
        labels, scores = decoded.labels[:, 0].numpy(), decoded.scores.numpy()
        for row, starts in enumerate(frames[:, 0].numpy()):
            n_best = [
                (text.decode(), float(score))
                for text, score in zip(texts[row], scores[row], strict=True)
                if np.isfinite(score)
            ]
            text, score = n_best[0] if n_best else ("", None)
            yield Transcript(text, score, self._tokens(labels[row], starts), n_best)

    def _tokens(self, labels: Any, frames: Any) -> list[tuple[str, float]]:
        """Return a transcript's tokens, each with its start in seconds."""
        vocabulary = self.tokenizer.vocabulary
        count = int(np.count_nonzero(labels))
        tokens = [vocabulary[label] for label in np.asarray(labels)[:count]]
        seconds = np.round(np.asarray(frames)[:count] * self._seconds_per_frame, 3)
        return [*zip(tokens, map(float, seconds), strict=True)]


def _path_of(clip: Any) -> str:
    """Return the path of a clip, "" if it is in memory."""
    clip = as_clip(clip)
    return clip if isinstance(clip, str) else ""


def _wav(samples: np.ndarray, rate: int) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
