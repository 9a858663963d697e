"""Learning of SentencePiece models, in a process of its own.

SentencePiece keeps all its texts in memory, and runs on one processor if its result is not to
depend on timing. In a process of its own, its memory is given back, and two models are learned at
the same time.
"""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from typing import Any


def learn(lines: Iterable[str], seed: int, **options: Any) -> bytes:
    """Learn a SentencePiece model.

    Args:
        lines: the texts, without line breaks.
        seed: the seed of SentencePiece.
        **options: those of `sentencepiece.SentencePieceTrainer.train`.

    Returns:
        The bytes of the model.

    Raises:
        RuntimeError: if SentencePiece can't learn from these texts; the message is its own.

    Example:

    >>> model = learn(["a good film", "a bad film"] * 9, 0, vocab_size=30, hard_vocab_limit=False)
    >>> b"film" in model
    True
    """
    # Isolated: a module in the current directory must not be taken for one of Python's.
    call = json.dumps([[*filter(None, sys.path)], {"seed": seed, **options}])
    command = [sys.executable, "-I", __file__, call]
    with tempfile.TemporaryFile() as file:
        file.writelines(line.encode() + b"\n" for line in lines)
        file.seek(0)
        done = subprocess.run(command, stdin=file, capture_output=True)
    if done.returncode:
        *_, reason = [f"it ended with {done.returncode}", *done.stderr.decode().split("\n")[:-1]]
        raise RuntimeError(reason)
    return done.stdout


def _main() -> None:
    sys.path[:], options = json.loads(sys.argv[1])
    import sentencepiece

    sentencepiece.set_random_generator_seed(options.pop("seed"))
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line.rstrip(b"\n").decode() for line in sys.stdin.buffer),
            model_writer=model,
            **options,
        )
    except (RuntimeError, OSError) as error:
        sys.exit(" ".join(str(error).split()))
    sys.stdout.buffer.write(model.getvalue())


if __name__ == "__main__":
    _main()
