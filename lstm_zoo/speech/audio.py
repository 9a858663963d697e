"""Audio to mono float32 samples: files and arrays of any rate, and WAV bytes in the graph.

Samples are amplitudes, 1 at full scale. Channels are mixed by their mean.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from lstm_zoo.errors import CallError, DataError

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; beyond them a header is taken for damaged
MAX_AMPLITUDE = 1e6  # its power still fits a float32; audio that is no integer's scale stays below
NOT_FINITE = f"it has samples that are not numbers, infinite or beyond {MAX_AMPLITUDE:g}"
NO_SAMPLES = "no samples"

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # WAV's format tags
MAX_CHUNKS = 256  # of a WAV file that are looked at before its samples
_SAMPLE_FORMATS = ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64))


def read_audio(source: Any, sample_rate: int) -> np.ndarray:
    """Read a clip as mono audio at the rate asked for.

    Args:
        source: a path to a file that libsndfile reads (WAV, FLAC, Ogg Vorbis and Opus, MP3, …), or
            a pair (samples, sample_rate) whose samples are `(samples,)` or `(samples, channels)`:
            floats, or integers of a width of 8 (unsigned), 16 or 32 bits that are scaled to 1.
        sample_rate: the wanted rate in Hz; a clip of another one is resampled by soxr.

    Returns:
        float32 samples `(samples,)`, at least one, all finite.

    Raises:
        CallError: if the source is neither a path nor such a pair.
        DataError: if the file is missing, not audio, damaged or empty, or a sample is not a finite
            number; the message names the file. A FLAC file that ends early is damaged; in WAV, Ogg
            and MP3 libsndfile takes any end for the end.

    Example:

    >>> read_audio((np.array([[0.5, -0.25]] * 4), 8_000), 16_000).shape
    (8,)
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        samples, rate = _read_file(name)
    else:
        name = "the given audio"
        samples, rate = as_pair(source)
        samples = _scaled(samples)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise DataError(
            f"{name}: a sample rate of {rate} Hz; expected {MIN_RATE} to {MAX_RATE} Hz."
        )
    if not samples.size:
        raise DataError(f"{name}: {NO_SAMPLES}.")
    # Written so that it is false for NaN too.
    if not np.abs(samples).max() <= MAX_AMPLITUDE:
        raise DataError(f"{name}: {NOT_FINITE}.")
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if rate != sample_rate:
        mono = resample(mono, rate, sample_rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_rate(source: Any) -> int:
    """Return a clip's sample rate in Hz; of a file only the header is read.

    Args:
        source: as `read_audio` takes it.

    Raises:
        CallError: if the source is neither a path nor a pair.
        DataError: if the file is missing, or not audio; the message names it.
    """
    if not isinstance(source, (str, os.PathLike)):
        return as_pair(source)[1]
    with _opened(os.fspath(source)) as file:
        return file.samplerate


def as_pair(source: Any) -> tuple[np.ndarray, int]:
    """Return a clip that is no path as its samples and its rate.

    Args:
        source: a pair (samples, sample_rate), as `read_audio` takes it.

    Returns:
        The samples as an array, and the rate in Hz.

    Raises:
        CallError: if it is no such pair.
    """
    try:
        samples, rate = source
        samples, rate = np.asarray(samples), int(rate)
        # Plain integers, of 64 bits, would be silence beside their full scale.
        is_number = samples.dtype.kind == "f" or samples.dtype.kind in "iu" and samples.itemsize < 8
        if samples.ndim not in (1, 2) or not is_number:
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise CallError(
            "Audio is a path or a pair (samples, sample_rate), the samples floats or integers of "
            "32 bits at the most, of shape (samples,) or (samples, channels). "
            f"Received: {type(source).__name__}"
        ) from None
    return samples, rate


def resample(samples: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Resample audio with soxr.

    Args:
        samples: float samples `(samples,)`, at least one.
        from_rate: their rate in Hz.
        to_rate: the wanted rate in Hz.

    Returns:
        float32 samples, at least one: the clip's length in seconds stays.
    """
    import soxr

    resampled = soxr.resample(samples.astype(np.float32), from_rate, to_rate)
    # A clip shorter than one sample of the new rate.
    return resampled if len(resampled) else samples[:1].astype(np.float32)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Any]:
    """Open a file of audio, and say of any failure to read it which file it was."""
    import soundfile

    if not os.path.isfile(name):
        raise DataError(f"{name}: no such file.")
    if not os.path.getsize(name):
        raise DataError(f"{name}: an empty file; expected audio.")
    try:
        # As bytes: it would encode a str strictly, and fail on a name that is not UTF-8.
        with soundfile.SoundFile(os.fsencode(name)) as file:
            yield file
    # soundfile's own errors are RuntimeErrors; the others come of headers that lie.
    except (RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
        reason = str(error).rstrip(".").split(": ")[-1]
        raise DataError(f"{name}: not audio, or damaged ({reason}).") from error


def _read_file(name: str) -> tuple[np.ndarray, int]:
    with _opened(name) as file:
        samples, rate = file.read(dtype="float32"), file.samplerate
        # Of an MP3 without an index the length is a guess.
        missing = 0 if file.format == "MP3" else file.frames - len(samples)
    if missing > 0:
        raise DataError(f"{name}: truncated; {missing} samples are missing.")
    return samples, rate


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Scale integers so that their full scale is 1."""
    if samples.dtype.kind == "f":
        return samples
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = full_scale if samples.dtype.kind == "u" else 0
    return (samples.astype(np.float64) - offset) / full_scale


def check_waveforms(
    audio: tf.Tensor, num_samples: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Find the rows of a batch of audio that can't be used, in the graph.

    Args:
        audio: float32 `(batch, samples)`; what stands past a row's own samples does not count.
        num_samples: int32 `(batch,)`, the samples of each row.

    Returns:
        `audio` with zeros past each row's samples and in all of a row that can't be used, and at
        least one sample wide; `num_samples`, 0 for such a row; `error`, string `(batch,)`, "" when
        good: no samples, more than there are, or samples that are not finite.
    """
    width = tf.shape(audio)[1]
    inside = tf.sequence_mask(num_samples, width)
    # A comparison that is false for NaN too.
    usable = tf.reduce_all((tf.abs(audio) <= MAX_AMPLITUDE) | ~inside, axis=1)
    error = tf.where(usable, "", NOT_FINITE)
    error = tf.where(num_samples > width, "num_samples is more than the samples there are", error)
    error = tf.where(num_samples < 1, NO_SAMPLES, error)
    good = error == ""
    # Chosen, not multiplied: NaN times 0 is NaN.
    audio = tf.where(inside & good[:, tf.newaxis], audio, 0.0)
    missing = tf.cast(width < 1, tf.int32)
    return tf.pad(audio, [[0, 0], [0, missing]]), tf.where(good, num_samples, 0), error


def parse_wav(wav: tf.Tensor, sample_rate: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Read the bytes of WAV files, in the graph; a bad row never fails its batch.

    Integers of 8 (unsigned), 16, 24 and 32 bits and floats of 32 and 64 bits are read, with a plain
    or an extensible header. Chunks before the samples are skipped. A length of the samples that is
    past the end, or 0 where no other chunk follows, as a writer that can't seek leaves it, means
    until the end of the file. Core TensorFlow ops only, so stock TF Serving runs it;
    `tf.audio.decode_wav` would fail the whole batch at its first bad row, and reads 16 bits only.

    Args:
        wav: string `(batch,)`, any bytes.
        sample_rate: the only rate in Hz that is taken; the graph does not resample.

    Returns:
        `audio` float32 `(batch, samples)`, mono, 0 where it is padded and in bad rows, at least one
        sample wide; `num_samples` int32 `(batch,)`, 0 for a bad row; `error` string `(batch,)`,
        what is wrong with the row, "" when good.
    """
    wav = tf.concat([wav, [""]], axis=0)  # a row to drop at the end: map_fn fails on an empty batch
    header = _parse_headers(wav, sample_rate)
    width = tf.reduce_max(header["num_samples"])
    # One file after the other: their formats differ.
    audio = tf.map_fn(
        lambda row: _decode_samples(*row, width),
        (wav, header["start"], header["num_samples"], header["channels"], header["format"]),
        fn_output_signature=tf.TensorSpec([None], tf.float32),
    )
    audio, num_samples, error = check_waveforms(audio, header["num_samples"])
    error = tf.where(header["error"] == "", error, header["error"])
    return audio[:-1], num_samples[:-1], error[:-1]


def _parse_headers(wav: tf.Tensor, sample_rate: int) -> dict[str, tf.Tensor]:
    """Walk the chunks of all files at once, up to the samples of each.

    Returns:
        Tensors `(batch,)`: `start`, the first sample's byte; `num_samples`, 0 in bad rows;
        `channels`; `format`, an index into `_SAMPLE_FORMATS`; `error`.
    """
    size = tf.strings.length(wav)  # (batch,) int32: no string of a tensor is longer than 2 GiB
    is_riff = (tf.strings.substr(wav, 0, 4) == "RIFF") & (_substr(wav, 8 + 0 * size, 4) == "WAVE")
    zeros = tf.zeros_like(size)

    def still_walking(position, format_at, format_size, data_at, data_size):
        return tf.reduce_any((data_at == 0) & (position + 8 <= size))

    def next_chunk(position, format_at, format_size, data_at, data_size):
        walking = (data_at == 0) & (position + 8 <= size)
        name = _substr(wav, position, 4)
        # Up to the end of the file: beyond it no length means anything, and int32 holds the sums.
        room = tf.maximum(size - position - 8, 0)
        declared = _unsigned(wav, position + 4, 4)
        length = tf.cast(tf.minimum(declared, tf.cast(room, tf.int64)), tf.int32)
        is_format = walking & (name == "fmt ")
        is_data = walking & (name == "data")
        format_at = tf.where(is_format, position + 8, format_at)
        format_size = tf.where(is_format, length, format_size)
        data_at = tf.where(is_data, position + 8, data_at)
        end = position + 8 + length
        follows = _is_chunk(wav, end)
        unknown = (length == 0) & ~follows  # else the samples are none indeed
        data_size = tf.where(is_data, tf.where(unknown, room, length), data_size)
        # Chunks begin at even places, but for writers that forget it.
        after = tf.where(follows, end, end + length % 2)
        return tf.where(walking, after, position), format_at, format_size, data_at, data_size

    _, format_at, format_size, data_at, data_size = tf.while_loop(
        still_walking,
        next_chunk,
        (tf.where(is_riff, 12, size), zeros, zeros, zeros, zeros),
        maximum_iterations=MAX_CHUNKS,
    )
    tag = _unsigned(wav, format_at, 2)
    channels = _unsigned(wav, format_at + 2, 2)
    rate = _unsigned(wav, format_at + 4, 4)
    bits = _unsigned(wav, format_at + 14, 2)
    # An extensible header has the tag at the start of a longer name, its subformat.
    extended = (tag == EXTENSIBLE) & (format_size >= 26)
    tag = tf.where(extended, _unsigned(wav, format_at + 24, 2), tag)
    matches = tf.stack([(tag == t) & (bits == b) for t, b in _SAMPLE_FORMATS])
    frame_size = tf.maximum(channels * bits // 8, 1)  # bytes of a sample of all channels
    num_samples = tf.cast(tf.cast(data_size, tf.int64) // frame_size, tf.int32)

    spelled = tf.strings.as_string
    checks = [  # the first that fails is told
        (size > 0, "an empty file; expected the bytes of a WAV file"),
        (is_riff, "not a WAV file: it does not begin with RIFF and WAVE"),
        (format_size >= 16, "no format chunk in the WAV header"),
        (
            tf.reduce_any(matches, axis=0),
            tf.strings.join(
                ["a WAV file of format ", spelled(tag), " with ", spelled(bits), " bits; expected "]
                + ["8, 16, 24 or 32 bit integers (format 1) or 32 or 64 bit floats (format 3)"]
            ),
        ),
        (channels > 0, "a WAV file of 0 channels"),
        (
            rate == sample_rate,
            tf.strings.join(
                ["a sample rate of ", spelled(rate), f" Hz; expected {sample_rate} Hz"]
            ),
        ),
        (num_samples > 0, NO_SAMPLES),
    ]
    error = tf.fill(tf.shape(size), "")
    for passes, message in reversed(checks):
        error = tf.where(passes, error, message)
    return {
        "start": data_at,
        "num_samples": tf.where(error == "", num_samples, 0),
        "channels": tf.cast(channels, tf.int32),
        "format": tf.argmax(matches, axis=0, output_type=tf.int32),
        "error": error,
    }


def _decode_samples(
    wav: tf.Tensor,
    start: tf.Tensor,
    num_samples: tf.Tensor,
    channels: tf.Tensor,
    sample_format: tf.Tensor,
    width: tf.Tensor,
) -> tf.Tensor:
    """Decode the samples of one file, mixed to mono and padded to `width`."""

    def decode(tag: int, bits: int) -> tf.Tensor:
        data = tf.strings.substr(wav, start, num_samples * channels * (bits // 8))
        if tag == FLOAT:
            floats = tf.io.decode_raw(data, tf.float32 if bits == 32 else tf.float64)
            return tf.cast(floats, tf.float32)
        if bits == 8:
            return (tf.cast(tf.io.decode_raw(data, tf.uint8), tf.float32) - 128.0) / 128.0
        if bits == 24:
            low, middle, high = tf.unstack(
                tf.cast(tf.reshape(tf.io.decode_raw(data, tf.uint8), [-1, 3]), tf.int32), axis=1
            )
            signed = (low + 256 * middle + 65_536 * high + 2**23) % 2**24 - 2**23
            return tf.cast(signed, tf.float32) / 2.0**23
        decoded = tf.io.decode_raw(data, tf.int16 if bits == 16 else tf.int32)
        return tf.cast(decoded, tf.float32) / 2.0 ** (bits - 1)

    samples = tf.switch_case(
        sample_format, [lambda tag=t, bits=b: decode(tag, bits) for t, b in _SAMPLE_FORMATS]
    )
    mono = tf.reduce_mean(tf.reshape(samples, [num_samples, channels]), axis=1)
    return tf.pad(mono, [[0, width - num_samples]])


def _is_chunk(wav: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """Tell whether a chunk begins at a place: a name in ASCII, and a length within the file."""
    name = tf.io.decode_raw(_substr(wav, position, 4), tf.uint8, fixed_length=4)
    named = tf.reduce_all((name >= ord(" ")) & (name <= ord("~")), axis=-1)
    end = tf.cast(position, tf.int64) + 8 + _unsigned(wav, position + 4, 4)
    return named & (end <= tf.cast(tf.strings.length(wav), tf.int64))


def _substr(strings: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    """Take bytes of each string; what is past its end is "", where `tf.strings.substr` fails."""
    return tf.strings.substr(
        strings, tf.minimum(start, tf.strings.length(strings)), tf.fill(tf.shape(start), length)
    )


def _unsigned(strings: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    """Read a little-endian integer at a place of each string as int64; 0s stand past the end."""
    places = tf.io.decode_raw(_substr(strings, start, length), tf.uint8, fixed_length=length)
    return tf.reduce_sum(tf.cast(places, tf.int64) * [256**place for place in range(length)], -1)
