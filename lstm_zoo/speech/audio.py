"""Read audio as mono float32 samples: files, bytes and arrays. This module imports no TensorFlow.

Samples are amplitudes, 1 at full scale. Channels are averaged.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

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
        mono = _mix(name, _as_amplitudes(samples))
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


def wav_bytes(samples: np.ndarray, sample_rate: int) -> bytes:
    """Return a WAV file of 16 bits.

    Args:
        samples: floats `(samples,)` or `(samples, channels)`, 1 at full scale.
        sample_rate: their rate in Hz.

    Example:

    >>> len(wav_bytes(np.zeros(100), 8_000))
    244
    """
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


@contextlib.contextmanager
def _open_audio(clip: str | bytes, name: str) -> Iterator[Any]:
    """Open an audio file, given by its path or as bytes; errors name it."""
    import soundfile

    if isinstance(clip, str):
        if not os.path.isfile(clip):
            found = "a folder, not a file" if os.path.isdir(clip) else "no such file"
            raise FileReadError(f"{name or repr(name)}: {found}.")
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


def _as_amplitudes(samples: np.ndarray) -> np.ndarray:
    """Return amplitudes as floats of at least 32 bits; integers are scaled, 1 at full scale."""
    if samples.dtype.kind == "f":
        return samples.astype(np.promote_types(samples.dtype, np.float32))
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = full_scale if samples.dtype.kind == "u" else 0
    return (samples.astype(np.float64) - offset) / full_scale
