"""Lines of output: UTF-8, and nothing in them that controls a terminal."""

import json
import os
import subprocess
import sys

import pytest

from lstm_zoo.printing import escape, write_line


def test_what_controls_a_terminal_or_breaks_utf8_is_escaped():
    assert escape("a\tb\nc") == "a\tb\nc"
    assert escape("\x1b]0;title\x07\r\x9b31m\x7f") == r"\u001b]0;title\u0007\u000d\u009b31m\u007f"
    assert escape("\u202eevil\u2066\u2028\udcff\ud800") == r"\u202eevil\u2066\u2028\udcff\ud800"
    for text in ("naïve фильм 日本語 🎬", "می\u200cخواهم \u200fשלום", "👩\u200d👧"):
        assert escape(text) == text


def test_json_keeps_its_value():
    value = {"label": 'a\x1b[2J\x85\u202e\ud800 \\u001b " é'}
    line = escape(json.dumps(value, ensure_ascii=False))
    assert json.loads(line) == value
    assert line.isprintable()


def test_a_line_goes_to_the_stream_asked_for(capsys):
    write_line("out\x1b")
    write_line("error", err=True)
    assert capsys.readouterr() == ("out\\u001b\n", "error\n")


@pytest.mark.slow
def test_the_command_line_writes_utf8_whatever_the_locale():
    done = subprocess.run(
        [sys.executable, "-m", "lstm_zoo", "sentiment", "фильм"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert "No such command 'фильм'" in done.stderr.decode()
