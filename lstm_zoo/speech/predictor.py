"""Answers of a trained recognizer, by TensorFlow or ONNX Runtime: transcripts of audio."""

import functools
import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo import families, pipeline
from lstm_zoo.data import batching, columns, ranges
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.speech import ANSWER_FORMATS, corpus, metrics, subtitles
from lstm_zoo.speech.audio import as_clip, read_audio
from lstm_zoo.speech.feature_settings import FeatureSettings
from lstm_zoo.text.scripts import script_without_spaces
from lstm_zoo.training import report

# Clips are read ahead and sorted by length, up to a number or to a duration.
LOOKAHEAD = 256
LOOKAHEAD_SECONDS = 3_600
READ_BATCH = 16  # clips read in parallel between two checks of the lookahead
BATCH_SECONDS = 600  # maximum audio in a batch, padding included: some 0.5 GB at 16 kHz
PLOTTED = 3  # utterances in the plot of posteriors
PLOTTED_SECONDS = 10  # the beginning of each of them
UNKNOWN_REASON = "characters that no transcript of the training data has"


class Transcript(NamedTuple):
    """The transcript of a clip.

    text: the best hypothesis, "" if the clip can't be used.
    score: the log probability of the text, summed over all its alignments; None if the clip can't
        be used.
    tokens: the characters or pieces of the text, each with its start in seconds.
    n_best: the hypotheses (text, score) by descending score, at most as many as requested.
    error: the reason why the clip can't be used, otherwise "".
    path: the path of the clip, "" if it was in memory.
    words: the words of the text, each with its start, end and confidence.
    """

    text: str
    score: float | None
    tokens: list[tuple[str, float]]
    n_best: list[tuple[str, float]]
    error: str = ""
    path: str = ""
    words: Sequence[subtitles.Word] = ()

    def __str__(self) -> str:
        path = re.sub(r"[\t\r\n]", " ", self.path)
        return f"{path}\t{self.text}" if path else self.text


class DecodedBatch(NamedTuple):
    """What a batch of clips is decoded to.

    texts: the hypotheses, best first, bytes `(batch, n_best)`.
    scores: their log probabilities, float32 `(batch, n_best)`; -inf where a row has fewer.
    labels: those of the best hypotheses, integers `(batch, labels)`, padded with 0.
    frames: the frame in which each of them starts, `(batch, labels)`.
    probabilities: the probability of each of them in that frame, `(batch, labels)`.
    posteriors: those of all labels, float32 `(batch, frames, vocabulary)`.
    """

    texts: Sequence[Sequence[bytes]]
    scores: np.ndarray
    labels: np.ndarray
    frames: np.ndarray
    probabilities: np.ndarray
    posteriors: np.ndarray


class Predictor(pipeline.Predictor):
    """Transcripts of audio: how clips are read, and what answers are made of.

    `lstm_zoo.speech.pipeline.Pipeline` and `lstm_zoo.speech.runtime.Pipeline` transcribe.

    Attributes:
        tokenizer: maps labels back to transcripts; it has a `vocabulary`.
        features: the extraction of features; see `lstm_zoo.speech.numpy_features`.
    """

    shown_columns = ("clip", "reference", "hypothesis")
    answer_names = ("hypothesis", "score")  # as `evaluate` names them
    tokenizer: Any
    features: Any

    @functools.cached_property
    def unit(self) -> str:
        """What errors are counted in: "words", or "characters" where no spaces separate words."""
        return unit_of(self.tokenizer.vocabulary)

    @property
    def sample_rate(self) -> int:
        """The sample rate of the network's audio, in Hz."""
        return self._feature_settings.sample_rate

    @property
    def card(self) -> dict[str, Any]:
        """The card's entries: sample rate in Hz, vocabulary, features, beam width."""
        return {
            "sample_rate": self.sample_rate,
            "vocabulary": self.tokenizer.vocabulary,
            "features": self.config["learned"]["features"],
            "beam_width": self.beam_width,
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

    @staticmethod
    def input_of(value: Any, folder: Path) -> str:
        """Return the path of a clip that a manifest names; see `corpus.find_clip`.

        Raises:
            DataError: if there is no such clip, with the reason alone.
        """
        if not isinstance(value, str) or not value.strip():
            raise DataError("no path")
        if (clip := corpus.find_clip(folder, value)) is None:
            raise DataError(f"no such clip: {value}")
        return clip

    @staticmethod
    def answer_fields(answer: Transcript) -> list[Any]:
        """Return the values of `answer_names` of a prediction."""
        return [answer.text, answer.score]

    @staticmethod
    def format_answers(answers: Sequence[Transcript], format: str) -> str:
        """Format transcripts as `srt`, `vtt` or `ctm`; see `lstm_zoo.speech.subtitles`.

        Raises:
            CallError: if there are several, and the format is for one clip; or if two of them have
                the same name in a CTM file.
        """
        if format not in ANSWER_FORMATS:
            raise CallError(f"format is one of {', '.join(ANSWER_FORMATS)}. Received: {format!r}")
        if format == "ctm":
            path_of: dict[str, str] = {}
            for answer in answers:
                name = subtitles.clip_name(answer.path)
                other = path_of.setdefault(name, answer.path)
                if other != answer.path:
                    raise CallError(
                        f"--format ctm: {other} and {answer.path} are both {name} in a CTM file. "
                        "Give them different names, or a call each."
                    )
            return "".join(subtitles.ctm(answer.path, answer.words) for answer in answers)
        if len(answers) != 1:
            raise CallError(f"--format {format} takes one clip. Received: {len(answers)}")
        return getattr(subtitles, format)(answers[0].words, answers[0].text)

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
            `wer` and `cer` as fractions; `decoder`, "greedy" or "beam" with its width; `by_length`
            and `errors`, as `lstm_zoo.speech.metrics` returns them, of words, or of characters
            where no spaces separate words; the numbers of `examples` and `skipped` rows; and
            `predictions`, a dict for each row of the data, skipped ones included, as
            `lstm_zoo.pipeline.prediction_rows` returns them, with `clip`, `reference`,
            `hypothesis` and `score`.

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
        references = [*map(self._normalize, dataset.texts)]
        report.warn_of_unknown(UNKNOWN_REASON, "evaluation", self._unknown_share(references))
        transcripts = []
        for clips in pipeline.chunks(dataset.clips, LOOKAHEAD):
            transcripts += self.predict(clips, batch_size, beam_width=beam_width)
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
        compared = [row["reference"] for row in used], [row["hypothesis"] for row in used]
        return {
            **metrics.error_rates(*compared),
            "decoder": self.decoder(beam_width),
            "by_length": metrics.by_length(*compared, self.unit),
            "errors": metrics.frequent_errors(*compared, self.unit),
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

    @staticmethod
    def tables(scores: Mapping[str, Any]) -> list[families.Table]:
        """Return the tables of the error rate by length and of the most frequent errors."""
        metric = "wer" if "wer" in scores["by_length"][0] else "cer"
        title = "Error rate by length of the reference"
        by_length = ranges.table(title, metric, scores["by_length"])
        errors = [
            families.Table(f"Most frequent {kind}", ("reference", "heard", "count"), rows)
            for kind, rows in scores["errors"].items()
            if rows
        ]
        return [by_length, *errors]

    def draw(
        self, data: Any, scores: Mapping[str, Any], title: str, directory: Path, **columns: Any
    ) -> dict[str, str]:
        """Plot the posteriors of a few utterances, the error rate by length, and the errors."""
        from lstm_zoo.runs.plots import draw_by_length
        from lstm_zoo.speech import plots

        captions = {}
        dataset = corpus.read(data, False, columns, fallback=self.config["settings"])
        if panels := self._panels(dataset):
            name = "posteriors.png"
            heading = f"{title}, the first {len(panels)}" if len(panels) < len(dataset) else title
            plots.draw_posteriors(panels, self._seconds_per_frame, heading, directory / name)
            captions[name] = (
                "The probability of each label over time (greedy decoding), the spectrogram below. "
                "A label has one color in all panels, and stands above where it begins; the blank "
                "is the dotted gray line. A good recognizer has a sharp peak for each label. Clips "
                f"are cut to {PLOTTED_SECONDS} seconds."
            )
        unit, rate = self.unit, "wer" if self.unit == "words" else "cer"
        name, axis = f"{rate}_by_length.png", f"{rate.upper()} ({scores['decoder']})"
        draw_by_length(scores["by_length"], rate, axis, title, directory / name)
        captions[name] = (
            f"The {rate.upper()} by the number of words of the reference. {ranges.INTERVALS}"
        )
        name = "errors.png"
        plots.draw_errors(scores["errors"], unit, title, directory / name)
        captions[name] = (
            f"The most frequent errors: which {unit} are taken for which (reference → heard), left "
            "out, and added."
        )
        return captions

    def _panels(self, dataset: corpus.Corpus) -> list[Any]:
        """Return the first utterances that can be read, for the plot of posteriors."""
        from lstm_zoo.speech import plots

        panels = []
        for clip, text in zip(dataset.clips, dataset.texts, strict=True):
            if len(panels) == PLOTTED:
                break
            try:
                samples = read_audio(clip, self.sample_rate)
            except DataError:
                continue
            samples = samples[: PLOTTED_SECONDS * self.sample_rate]
            decoded = self._decode(samples[np.newaxis], np.array([len(samples)], np.int32), 1, 1)
            (labels,), (frames,) = decoded.labels, decoded.frames
            tokens = [
                (token, int(number), second)
                for number, (token, second) in zip(
                    labels, self._tokens(labels, frames), strict=False
                )
            ]
            panels.append(
                plots.Panel(
                    decoded.posteriors[0],
                    self.features.log_mel().extract(samples),
                    tokens,
                    self._normalize(text),
                    decoded.texts[0][0].decode(),
                )
            )
        return panels

    @property
    def _seconds_per_frame(self) -> float:
        """The duration of a frame of the logits."""
        settings = self._feature_settings
        hop = settings.hop_length * self.config["network"]["subsampling"]
        return hop / settings.sample_rate

    @property
    def _feature_settings(self) -> FeatureSettings:
        return FeatureSettings(**self.config["learned"]["features"])

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return how good a row of `evaluate`'s predictions is: its negated error rate."""
        return metrics.score_prediction(prediction, self.unit)

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
            decoded = self._decode(audio, lengths[rows].astype(np.int32), beam_width, n_best)
            for index, transcript in zip(indices, self._transcripts(decoded), strict=True):
                transcripts[index] = transcript
        return transcripts

    def _read(self, clip: Any) -> np.ndarray | DataError:
        try:
            return read_audio(clip, self.sample_rate)
        except DataError as error:
            return error

    def _transcripts(self, decoded: DecodedBatch) -> Iterator[Transcript]:
        """Yield the transcripts of a batch."""
        for texts, scores, labels, frames, probabilities, _ in zip(*decoded, strict=True):
            n_best = [
                (text.decode(), float(score))
                for text, score in zip(texts, scores, strict=True)
                if np.isfinite(score)
            ]
            text, score = n_best[0] if n_best else ("", None)
            tokens = self._tokens(labels, frames)
            words = subtitles.words(text, tokens, probabilities.tolist(), self.unit)
            yield Transcript(text, score, tokens, n_best, words=words)

    def _tokens(self, labels: np.ndarray, frames: np.ndarray) -> list[tuple[str, float]]:
        """Return a transcript's tokens, each with its start in seconds."""
        vocabulary = self.tokenizer.vocabulary
        count = int(np.count_nonzero(labels))
        tokens = [vocabulary[label] for label in labels[:count]]
        seconds = np.round(frames[:count] * self._seconds_per_frame, 3)
        return [*zip(tokens, map(float, seconds), strict=True)]

    def _normalize(self, text: str) -> str:
        """Normalize a transcript as in training."""
        settings = self.config["settings"]
        return corpus.normalize_transcript(
            text, lower_case=settings["lower_case"], punctuation=settings["punctuation"]
        )

    def _unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of normalized transcripts' characters that are not in the alphabet."""
        if self.config["settings"]["tokens"] != "characters":
            return 0.0  # pieces have bytes
        return corpus.unknown_share(texts, self.tokenizer.vocabulary)

    @abstractmethod
    def _decode(
        self, audio: np.ndarray, num_samples: np.ndarray, beam_width: int, n_best: int
    ) -> DecodedBatch:
        """Transcribe a batch.

        Args:
            audio: float32 `(batch, samples)`, 0 in the padding.
            num_samples: int32 `(batch,)`, the valid samples of each row.
            beam_width: the number of prefixes kept; 1 is greedy.
            n_best: the number of hypotheses of a row.
        """


def unit_of(vocabulary: Sequence[str]) -> str:
    """Return what errors of transcripts are counted in.

    Where no spaces separate words, a transcript is one word: its error rate is stuck at 1.

    Args:
        vocabulary: the labels' names.

    Returns:
        "words", or "characters".

    Example:

    >>> unit_of(["<blank>", *"ab"]), unit_of(["<blank>", *"今天"])
    ('words', 'characters')
    """
    tokens = [token for token in vocabulary if not token.startswith("<")]
    return "characters" if script_without_spaces(tokens) else "words"


def _path_of(clip: Any) -> str:
    """Return the path of a clip, "" if it is in memory."""
    clip = as_clip(clip)
    return clip if isinstance(clip, str) else ""
