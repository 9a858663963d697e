"""Learning of SentencePiece models in another process."""

import contextlib
import io
import os
import signal
import threading
from pathlib import Path

import pytest
import sentencepiece

from lstm_zoo.text import pieces

OPTIONS = {"vocab_size": 300, "hard_vocab_limit": False, "byte_fallback": True, "num_threads": 1}
LINES = ["a good film", "una película 𝔾ood\x85", "映画", " ", "x" * 900] * 5


def test_learns_what_this_process_would():
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(3)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, minloglevel=2, **OPTIONS
    )
    assert pieces.learn(iter(LINES), 3, minloglevel=2, **OPTIONS) == model.getvalue()


def test_reports_what_sentencepiece_reports():
    with pytest.raises(RuntimeError, match="[Vv]ocabulary size"):
        pieces.learn(["good"] * 9, 0, **{**OPTIONS, "vocab_size": 9})


def test_reports_no_lines():
    with pytest.raises(RuntimeError, match="[Ss]entences|empty"):
        pieces.learn([], 0, **OPTIONS)


def test_takes_no_module_from_the_current_directory(tmp_path, monkeypatch):
    for name in ("sentencepiece", "json", "random"):
        (tmp_path / f"{name}.py").write_text(
            "raise SystemExit('a module of the current directory')"
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert pieces.learn(LINES, 0, **OPTIONS)


def test_reports_that_the_process_was_killed():
    tests, learned = os.getpid(), []

    def kill():
        while not learned:
            for child in Path(f"/proc/{tests}/task/{tests}/children").read_text().split():
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                    if b"pieces.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                        os.kill(int(child), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="-9"):
            pieces.learn(["good film"] * 100_000, 0, **OPTIONS)
    finally:
        learned.append(True)
        thread.join()
