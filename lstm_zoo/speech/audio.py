"""Read audio as mono float32 samples: files, bytes and arrays, and WAV bytes in the graph.

Samples are amplitudes, 1 at full scale. Channels are averaged.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from lstm_zoo.errors import CallError, DataError, FileReadError

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; other rates in a header mean a damaged file
MAX_AMPLITUDE = 1e6  # higher ones could overflow float32 in the power spectrum
NOT_FINITE = f"it has samples that are not numbers, infinite or beyond {MAX_AMPLITUDE:g}"
NO_SAMPLES = "no samples"
MAX_SAMPLES = 2**28  # of a clip, each channel, before and after resampling: 4.7 hours at 16 kHz
MAX_CHANNELS = 1_024  # libsndfile's limit
BLOCK = 2**24  # values that are decoded at once
MAX_PATH = 4_096  # bytes; longer ones are no path
MAX_NAME = 200  # characters of a name in an error
GIVEN = "the given audio"

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # WAV's format tags
MAX_CHUNKS = 256  # searched for the samples of a WAV file
_SAMPLE_FORMATS = ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64))


def read_audio(source: Any, sample_rate: int) -> np.ndarray:
    """Read a clip as mono audio at a sample rate.

    Args:
        source: a path to a file that libsndfile reads (WAV, FLAC, Ogg Vorbis and Opus, MP3, …), the
            bytes of such a file, or a pair (samples, sample_rate); see `as_clip`.
        sample_rate: the rate to resample to (by soxr), in Hz.

    Returns:
        float32 samples `(samples,)`, at least one, all finite.

    Raises:
        CallError: if the source is none of these.
        FileReadError: (a DataError) if the file is missing or can't be read.
        DataError: if the file is empty, damaged or not audio, longer than `MAX_SAMPLES`, or a
            sample is not finite; the message names the file. A truncated FLAC file is an error;
            truncated WAV, Ogg and MP3 files are not, since libsndfile does not detect them.

    Example:

    >>> read_audio((np.array([[0.5, -0.25]] * 4), 8_000), 16_000).shape
    (8,)
    """
    clip = as_clip(source)
    name = _name_of(clip)
    if isinstance(clip, tuple):
        samples, rate = clip
        _check_rate(name, rate)
        _check_length(name, len(samples), rate, sample_rate)
        mono = _mix(name, _scale_integers(samples))
    else:
        mono, rate = _decode(clip, name, sample_rate)
    if not mono.size:
        raise DataError(f"{name}: {NO_SAMPLES}.")
    if rate != sample_rate:
        mono = resample(mono, rate, sample_rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_rate(source: Any) -> int:
    """Return a clip's sample rate in Hz, of a file from its header.

    Args:
        source: as for `read_audio`.

    Raises:
        CallError: if the source is not as for `read_audio`.
        DataError: if the file is missing or not audio; the message names it.

    Example:

    >>> read_rate("call.wav")
    8000
    """
    clip = as_clip(source)
    name = _name_of(clip)
    if isinstance(clip, tuple):
        rate = clip[1]
    else:
        with _open_audio(clip, name) as file:
            rate = file.samplerate
    _check_rate(name, rate)
    return rate


def as_clip(source: Any) -> str | bytes | tuple[np.ndarray, int]:
    """Check what a clip is given as.

    Args:
        source: a path; the bytes of an audio file; or a pair (samples, sample_rate). Its samples
            are `(samples,)` or `(samples, channels)`: floats, or integers of 8 (unsigned), 16 or 32
            bits, which are scaled to 1. Samples `(channels, samples)` are transposed if there are
            more than 1,024, which can't be channels. Bytes are a path if they can be one: without a
            NUL, and not too long.

    Returns:
        A path, bytes, or a pair of samples, `(samples,)` or `(samples, channels)`, and the rate in
        Hz.

    Raises:
        CallError: if it is none of these.

    Example:

    >>> as_clip(([0.5, -0.25], 8_000))
    (array([ 0.5 , -0.25]), 8000)
    >>> as_clip((np.zeros((2, 9_000)), 8_000))[0].shape
    (9000, 2)
    """
    if isinstance(source, (str, os.PathLike)):
        return os.path.expanduser(os.fsdecode(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
        is_path = content and b"\0" not in content and len(content) <= MAX_PATH
        return os.path.expanduser(os.fsdecode(content)) if is_path else content
    received = type(source).__name__
    if hasattr(source, "read"):
        received += "; give the bytes of a file: file.read()"
    elif isinstance(source, (tuple, list)) and len(source) == 2:
        received = " and ".join(type(part).__name__ for part in source)
        if np.isscalar(source[0]) and not np.isscalar(source[1]):
            received += "; the samples come first"
    try:
        if hasattr(source, "read"):
            raise TypeError
        samples, rate = source
        samples, rate = np.asarray(samples), int(rate)
        # Not 64 bits, the type of a list of integers: scaled by 2**63, audio would be silence.
        is_number = samples.dtype.kind == "f" or samples.dtype.kind in "iu" and samples.itemsize < 8
        if samples.ndim not in (1, 2) or not is_number:
            if samples.ndim:
                received = f"an array of shape {samples.shape} and dtype {samples.dtype}"
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise CallError(
            "Audio is a path, the bytes of an audio file, or a pair (samples, sample_rate), the "
            "samples floats or integers of at most 32 bits, of shape (samples,) or "
            f"(samples, channels). Received: {received}"
        ) from None
    return _channels_last(samples), rate


def _channels_last(samples: np.ndarray) -> np.ndarray:
    if samples.ndim == 1 or not samples.size:
        return samples.reshape(-1)
    rows, columns = samples.shape
    if rows <= MAX_CHANNELS < columns:
        return samples.T
    if columns > MAX_CHANNELS or columns > 1 and rows <= columns:
        raise CallError(
            f"Samples of shape {samples.shape}: expected (samples,) or (samples, channels), more "
            "samples than channels; samples.T transposes (channels, samples)."
        )
    return samples


def _name_of(clip: str | bytes | tuple[np.ndarray, int]) -> str:
    """Return what errors call a clip: of a path that is too long, its end."""
    return clip[-MAX_NAME:] if isinstance(clip, str) else GIVEN


def _check_rate(name: str, rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise DataError(
            f"{name}: a sample rate of {rate} Hz; expected {MIN_RATE} to {MAX_RATE} Hz."
        )


def _check_length(name: str, num_samples: int, rate: int, new_rate: int) -> None:
    """Check that a clip fits into memory, also after resampling."""
    if num_samples * max(1, new_rate / rate) > MAX_SAMPLES:
        raise DataError(
            f"{name}: longer than {MAX_SAMPLES:,} samples "
            f"({MAX_SAMPLES / max(rate, new_rate) / 60:,.0f} minutes at {max(rate, new_rate)} Hz)."
        )


def _mix(name: str, samples: np.ndarray) -> np.ndarray:
    """Average the channels of samples, after a check that all are finite."""
    # Not `max() > MAX_AMPLITUDE`: a comparison with NaN is false.
    if not np.abs(samples).max(initial=0) <= MAX_AMPLITUDE:
        raise DataError(f"{name}: {NOT_FINITE}.")
    return samples if samples.ndim == 1 else samples.mean(axis=1)


def resample(samples: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Resample audio with soxr.

    Args:
        samples: float samples `(samples,)`, at least one.
        from_rate: their rate in Hz.
        to_rate: the new rate in Hz.

    Returns:
        float32 samples of the same duration, at least one.

    Example:

    >>> resample(np.zeros(16_000), 16_000, 8_000).shape
    (8000,)
    """
    import soxr

    resampled = soxr.resample(samples.astype(np.float32), from_rate, to_rate)
    # soxr returns none for a clip shorter than one sample at the new rate.
    return resampled if len(resampled) else samples[:1].astype(np.float32)


@contextlib.contextmanager
def _open_audio(clip: str | bytes, name: str) -> Iterator[Any]:
    """Open an audio file, given by its path or as bytes; errors name it."""
    import soundfile

    if isinstance(clip, str):
        if not os.path.isfile(clip):
            raise FileReadError(f"{name or repr(name)}: no such file.")
        empty = not os.path.getsize(clip)
        # As bytes: soundfile encodes a str strictly, which fails for names that are not UTF-8.
        opened = os.fsencode(clip)
    else:
        empty, opened = not clip, io.BytesIO(clip)
    if empty:
        raise DataError(f"{name}: an empty file; expected audio.")
    try:
        with soundfile.SoundFile(opened) as file:
            yield file
    except DataError:
        raise
    # soundfile raises RuntimeErrors; damaged headers also cause the others.
    except (RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
        reason = str(error).rstrip(".").split(": ")[-1]
        raise DataError(f"{name}: not audio, or damaged ({reason}).") from error


def _decode(clip: str | bytes, name: str, new_rate: int) -> tuple[np.ndarray, int]:
    """Decode an audio file to mono samples and their rate."""
    try:
        return _decode_once(clip, name, new_rate)
    except DataError as error:
        if not isinstance(clip, str) or isinstance(error, FileReadError):
            raise
        # libsndfile reports an error of the disk as a damaged file.
        try:
            with open(clip, "rb") as file:
                while file.read(BLOCK):
                    pass
        except OSError as error:
            raise FileReadError(f"{name}: {error.strerror}.") from error
        return _decode_once(clip, name, new_rate)  # the error may have passed


def _decode_once(clip: str | bytes, name: str, new_rate: int) -> tuple[np.ndarray, int]:
    with _open_audio(clip, name) as file:
        rate, num_samples, blocks = file.samplerate, 0, []
        _check_rate(name, rate)
        # libsndfile estimates the length of an MP3 file without an index.
        declared = 0 if file.format == "MP3" else file.frames
        _check_length(name, declared, rate, new_rate)
        # Block by block, since a small file may hold, or declare, more than fits into memory.
        while len(block := file.read(max(1, BLOCK // file.channels), dtype="float32")):
            num_samples += len(block)
            _check_length(name, num_samples, rate, new_rate)
            blocks.append(_mix(name, block))
    if num_samples < declared:
        raise DataError(f"{name}: truncated; {declared - num_samples} samples are missing.")
    return np.concatenate(blocks or [np.zeros(0, np.float32)]), rate


def _scale_integers(samples: np.ndarray) -> np.ndarray:
    """Scale integers to amplitudes, 1 at full scale."""
    if samples.dtype.kind == "f":
        return samples
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = full_scale if samples.dtype.kind == "u" else 0
    return (samples.astype(np.float64) - offset) / full_scale


def check_waveforms(
    audio: tf.Tensor, num_samples: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Find the unusable rows of a batch of audio, in the graph.

    Args:
        audio: float32 `(batch, samples)`; values in the padding are ignored.
        num_samples: int32 `(batch,)`, the valid samples of each row.

    Returns:
        `audio` with zeros in the padding and in unusable rows, at least one sample wide;
        `num_samples`, 0 for an unusable row; `error`, string `(batch,)`, "" for a good row: no
        samples, `num_samples` too large, or samples that are not finite.

    Example:

    >>> audio, num_samples, error = check_waveforms(tf.zeros([2, 9]), tf.constant([9, 0]))
    >>> error.numpy().tolist()
    [b'', b'no samples']
    """
    width = tf.shape(audio)[1]
    valid = tf.sequence_mask(num_samples, width)
    # Not `> MAX_AMPLITUDE`: a comparison with NaN is false.
    usable = tf.reduce_all((tf.abs(audio) <= MAX_AMPLITUDE) | ~valid, axis=1)
    error = tf.where(usable, "", NOT_FINITE)
    error = tf.where(num_samples > width, "num_samples is more than the samples there are", error)
    error = tf.where(num_samples < 1, NO_SAMPLES, error)
    good = error == ""
    # Not a product with the mask: NaN times 0 is NaN.
    audio = tf.where(valid & good[:, tf.newaxis], audio, 0.0)
    missing = tf.cast(width < 1, tf.int32)
    return tf.pad(audio, [[0, 0], [0, missing]]), tf.where(good, num_samples, 0), error


def parse_wav(wav: tf.Tensor, sample_rate: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decode WAV files in the graph; a bad row never fails its batch.

    Formats: integers of 8 (unsigned), 16, 24 and 32 bits and floats of 32 and 64 bits, with a plain
    or an extensible header. Other chunks are skipped. If the data chunk's length is past the end of
    the file, or is 0 and no chunk follows (streaming writers leave such headers), the samples
    extend to the end of the file. All ops are core TensorFlow ops, which stock TF Serving has.
    `tf.audio.decode_wav` fails the whole batch for one bad row, and reads 16 bits only.

    Args:
        wav: string `(batch,)`, any bytes.
        sample_rate: the required rate in Hz; the graph does not resample.

    Returns:
        `audio` float32 `(batch, samples)`, mono, 0 in the padding and in bad rows, at least one
        sample wide; `num_samples` int32 `(batch,)`, 0 for a bad row; `error` string `(batch,)`, ""
        for a good row.

    Example:

    >>> wav = tf.constant([Path("call.wav").read_bytes(), b"RIFF"])
    >>> audio, num_samples, error = parse_wav(wav, 8_000)
    >>> error.numpy().tolist()
    [b'', b'not a WAV file: it does not begin with RIFF and WAVE']
    """
    wav = tf.concat([wav, [""]], axis=0)  # map_fn fails on an empty batch; dropped at the end
    header = _parse_headers(wav, sample_rate)
    width = tf.reduce_max(header["num_samples"])
    # Row by row, since the sample formats differ.
    audio = tf.map_fn(
        lambda row: _decode_samples(*row, width),
        (wav, header["start"], header["num_samples"], header["channels"], header["format"]),
        fn_output_signature=tf.TensorSpec([None], tf.float32),
    )
    audio, num_samples, error = check_waveforms(audio, header["num_samples"])
    error = tf.where(header["error"] == "", error, header["error"])
    return audio[:-1], num_samples[:-1], error[:-1]


def _parse_headers(wav: tf.Tensor, sample_rate: int) -> dict[str, tf.Tensor]:
    """Find the format and the samples of all files at once, by iterating over their chunks.

    Returns:
        Tensors `(batch,)`: `start`, the byte offset of the samples; `num_samples`, 0 in bad rows;
        `channels`; `format`, an index into `_SAMPLE_FORMATS`; `error`.
    """
    size = tf.strings.length(wav)  # (batch,) int32: strings in tensors are at most 2 GiB long
    is_riff = (tf.strings.substr(wav, 0, 4) == "RIFF") & (_substr(wav, 8 + 0 * size, 4) == "WAVE")
    zeros = tf.zeros_like(size)

    def is_searching(position, format_at, format_size, data_at, data_size):
        return tf.reduce_any((data_at == 0) & (position + 8 <= size))

    def next_chunk(position, format_at, format_size, data_at, data_size):
        searching = (data_at == 0) & (position + 8 <= size)
        name = _substr(wav, position, 4)
        # Lengths are clipped to the end of the file, so that sums fit an int32.
        remaining = tf.maximum(size - position - 8, 0)
        declared = _unsigned(wav, position + 4, 4)
        length = tf.cast(tf.minimum(declared, tf.cast(remaining, tf.int64)), tf.int32)
        is_format = searching & (name == "fmt ")
        is_data = searching & (name == "data")
        format_at = tf.where(is_format, position + 8, format_at)
        format_size = tf.where(is_format, length, format_size)
        data_at = tf.where(is_data, position + 8, data_at)
        end = position + 8 + length
        follows = _is_chunk(wav, end)
        unknown = (length == 0) & ~follows  # otherwise the file has no samples
        data_size = tf.where(is_data, tf.where(unknown, remaining, length), data_size)
        # Chunks are padded to even offsets, but not by all writers.
        next_position = tf.where(follows, end, end + length % 2)
        position = tf.where(searching, next_position, position)
        return position, format_at, format_size, data_at, data_size

    _, format_at, format_size, data_at, data_size = tf.while_loop(
        is_searching,
        next_chunk,
        (tf.where(is_riff, 12, size), zeros, zeros, zeros, zeros),
        maximum_iterations=MAX_CHUNKS,
    )
    tag = _unsigned(wav, format_at, 2)
    channels = _unsigned(wav, format_at + 2, 2)
    rate = _unsigned(wav, format_at + 4, 4)
    bits = _unsigned(wav, format_at + 14, 2)
    # In an extensible header the tag is the first two bytes of the subformat's GUID.
    extended = (tag == EXTENSIBLE) & (format_size >= 26)
    tag = tf.where(extended, _unsigned(wav, format_at + 24, 2), tag)
    matches = tf.stack([(tag == t) & (bits == b) for t, b in _SAMPLE_FORMATS])
    frame_size = tf.maximum(channels * bits // 8, 1)  # bytes of a sample of all channels
    num_samples = tf.cast(tf.cast(data_size, tf.int64) // frame_size, tf.int32)

    to_text = tf.strings.as_string
    checks = [  # the first failing check gives the error
        (size > 0, "an empty file; expected the bytes of a WAV file"),
        (is_riff, "not a WAV file: it does not begin with RIFF and WAVE"),
        (format_size >= 16, "no format chunk in the WAV header"),
        (
            tf.reduce_any(matches, axis=0),
            tf.strings.join(
                ["a WAV file of format ", to_text(tag), " with ", to_text(bits), " bits; expected "]
                + ["8, 16, 24 or 32 bit integers (format 1) or 32 or 64 bit floats (format 3)"]
            ),
        ),
        (channels > 0, "a WAV file of 0 channels"),
        (
            rate == sample_rate,
            tf.strings.join(
                ["a sample rate of ", to_text(rate), f" Hz; expected {sample_rate} Hz"]
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
    """Return whether a chunk starts at a position: an ASCII name, and a length within the file."""
    name = tf.io.decode_raw(_substr(wav, position, 4), tf.uint8, fixed_length=4)
    named = tf.reduce_all((name >= ord(" ")) & (name <= ord("~")), axis=-1)
    end = tf.cast(position, tf.int64) + 8 + _unsigned(wav, position + 4, 4)
    return named & (end <= tf.cast(tf.strings.length(wav), tf.int64))


def _substr(strings: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    """Return a substring of each string; "" past its end, where `tf.strings.substr` fails."""
    return tf.strings.substr(
        strings, tf.minimum(start, tf.strings.length(strings)), tf.fill(tf.shape(start), length)
    )


def _unsigned(strings: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    """Decode a little-endian integer from each string as int64, zero-padded past its end."""
    digits = tf.io.decode_raw(_substr(strings, start, length), tf.uint8, fixed_length=length)
    return tf.reduce_sum(tf.cast(digits, tf.int64) * [256**power for power in range(length)], -1)
