"""Run eSpeak NG as a program: requests on standard input, samples on standard output.

The engine keeps state (oscillator phases, echo, noise) from one utterance to the next, which can't
be reset: only a fresh process is reproducible. A process also keeps a crash of the C library out of
a training.
"""

import ctypes
import json
import struct
import sys
from typing import BinaryIO

# Constants of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
POS_CHARACTER = 1
CHARS_UTF8 = 1
PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}
SAMPLE_RATE = 22_050
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def serve(requests: BinaryIO, responses: BinaryIO) -> None:
    """Synthesize every request.

    Args:
        requests: lines of JSON with `text`, `voice` (such as "en-us+f2"), `rate` (words a minute),
            `pitch` and `range` (0 to 100; 50 is the default).
        responses: for each request the number of samples as uint32, and the samples as int16, all
            little-endian.

    Raises:
        RuntimeError: if the engine does not start, or does not have a voice.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"eSpeak NG did not start at {SAMPLE_RATE} Hz; it returned {rate}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # the default seed is the time
    chunks: list[bytes] = []

    @_CALLBACK
    def collect(samples, count, _events):
        if count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    for line in requests:
        request = json.loads(line)
        if library.espeak_SetVoiceByName(request["voice"].encode()):
            raise RuntimeError(f"eSpeak NG has no voice named {request['voice']}")
        for name, number in PARAMETERS.items():
            library.espeak_SetParameter(number, request[name], 0)
        text = request["text"].encode()
        chunks.clear()
        library.espeak_Synth(
            text, ctypes.c_size_t(len(text) + 1), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None
        )
        samples = b"".join(chunks)
        responses.write(struct.pack("<I", len(samples) // 2) + samples)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
