"""The speech pipeline: from audio to transcripts."""

import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.speech import decoding
from lstm_zoo.speech.audio import wav_bytes
from lstm_zoo.speech.feature_settings import output_lengths
from lstm_zoo.speech.features import Features
from lstm_zoo.speech.model import build_speech
from lstm_zoo.speech.predictor import DecodedBatch, Predictor
from lstm_zoo.speech.wav import check_waveforms, parse_wav


class Pipeline(Predictor, pipeline.Pipeline):
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

    # Not compiled by XLA: stock TF Serving can't run such functions.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")], jit_compile=False)
    def transcribe_wav(self, wav: tf.Tensor) -> dict[str, tf.Tensor]:
        """Transcribe WAV files in the graph; the default signature of an export.

        Args:
            wav: string tensor `(batch,)`, the bytes of WAV files; see
                `lstm_zoo.speech.wav.parse_wav` for the formats.

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
        clips = [(sweep, rate), (sweep[: rate // 3], rate), (sweep, rate + 1)]
        wavs = [*(wav_bytes(*clip) for clip in clips), b"RIFF"]
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

    def _decode(
        self, audio: np.ndarray, num_samples: np.ndarray, beam_width: int, n_best: int
    ) -> DecodedBatch:
        logits, lengths = self._recognize(audio, num_samples)
        decoded = decoding.decode(logits, lengths, beam_width, n_best)
        best = decoded.labels[:, :1], decoded.frames[:, :1]
        frames = decoding.start_frames(logits, lengths, *best)
        # The padding of the two may differ.
        labels = decoded.labels[:, 0, : tf.shape(frames)[2]]
        frames = frames[:, 0, : tf.shape(labels)[1]]
        posteriors = tf.nn.softmax(logits)
        chosen = tf.gather(posteriors, frames, axis=1, batch_dims=1)
        return DecodedBatch(
            decoding.texts(self.tokenizer, decoded.labels).numpy(),
            decoded.scores.numpy(),
            labels.numpy(),
            frames.numpy(),
            tf.gather(chosen, labels, axis=2, batch_dims=2).numpy(),
            posteriors.numpy(),
        )
