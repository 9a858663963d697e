"""Audio in the graph, as a server receives it: WAV bytes, and samples."""

import tensorflow as tf

from lstm_zoo.speech.audio import MAX_AMPLITUDE, NO_SAMPLES, NOT_FINITE

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # WAV's format tags
MAX_CHUNKS = 256  # searched for the samples of a WAV file
_SAMPLE_FORMATS = ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64))


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
