"""eSpeak NG as a program of its own: requests on standard input, samples on standard output.

The engine keeps the phases of its oscillators, its echo and its noise from one utterance to the
next, and has no way to forget them: only a fresh process says the same in the same way. It also
keeps a fault in the engine, which is C, out of a training.
"""

import ctypes
import json
import struct
import sys
from typing import BinaryIO

# Of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
POS_CHARACTER = 1
CHARS_UTF8 = 1
PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}
SAMPLE_RATE = 22_050
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Speak every request.

    Args:
        requests: lines of JSON with `text`, `voice` (such as "en-us+f2"), `rate` (words a minute),
            `pitch` and `range` (0 to 100, 50 is usual).
        answers: gets for each the number of its samples, 4 bytes, and its samples of 16 bits, all
            little-endian.

    Raises:
        RuntimeError: if the engine does not start, or lacks a voice.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"eSpeak NG did not start at {SAMPLE_RATE} Hz; it returned {rate}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # it would begin with the time of day
    spoken: list[bytes] = []

    @_CALLBACK
    def collect(samples, count, _events):
        if count > 0:
            spoken.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    for line in requests:
        request = json.loads(line)
        if library.espeak_SetVoiceByName(request["voice"].encode()):
            raise RuntimeError(f"eSpeak NG has no voice named {request['voice']}")
        for name, number in PARAMETERS.items():
            library.espeak_SetParameter(number, request[name], 0)
        text = request["text"].encode()
        spoken.clear()
        library.espeak_Synth(
            text, ctypes.c_size_t(len(text) + 1), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None
        )
        samples = b"".join(spoken)
        answers.write(struct.pack("<I", len(samples) // 2) + samples)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
