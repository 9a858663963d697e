"""The lock of a run: held by a living process, ignored after its end, uncertain from elsewhere."""

import errno
import json
import os
import re
import socket
import subprocess
import sys

import pytest

from lstm_zoo.errors import CallError
from lstm_zoo.runs import lock

HOLD = """
import sys, time
from pathlib import Path
from lstm_zoo.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def write(run, **changes):
    (run / lock.FILE).write_text(json.dumps({**lock._process(), **changes}))


def test_a_lock_is_there_in_its_block_only(tmp_path):
    lock.check(tmp_path)
    with pytest.raises(ZeroDivisionError), lock.locked(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [lock.FILE]
        with pytest.raises(CallError, match=f"is in training, by process {os.getpid()} on "):
            lock.check(tmp_path)
        assert (tmp_path / lock.FILE).exists()
        raise ZeroDivisionError
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_another_process_is_named_until_it_is_killed(tmp_path, holder):
    message = f"{tmp_path} is in training, by process {holder.pid} on {socket.gethostname()}."
    with pytest.raises(CallError, match=re.escape(message)), lock.locked(tmp_path):
        pytest.fail("the block must not run")
    holder.kill()
    holder.wait()
    assert (tmp_path / lock.FILE).exists()
    with lock.locked(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "content",
    [
        {},  # of this host since it was started
        {"boot": "before"},  # this host has been restarted
        {"host": "container"},  # another container's, with the same kernel
    ],
)
def test_the_lock_of_a_process_that_has_ended_is_ignored(tmp_path, content):
    write(tmp_path, **content)
    with lock.locked(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_lock_without_content_is_ignored(tmp_path, text):
    (tmp_path / lock.FILE).write_text(text)
    with lock.locked(tmp_path):
        pass


def test_the_lock_of_another_machine_is_uncertain(tmp_path):
    write(tmp_path, host="elsewhere", boot="another", pid=7)
    message = (
        f"{tmp_path} may be in training, by process 7 on elsewhere, which can't be seen from here; "
        f"if that process has ended, remove {tmp_path / lock.FILE}."
    )
    with pytest.raises(CallError, match=re.escape(message)):
        lock.check(tmp_path)
    assert (tmp_path / lock.FILE).exists()


def test_where_the_file_system_has_no_locks_the_process_and_its_start_decide(tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with lock.locked(tmp_path), pytest.raises(CallError, match=f"by process {os.getpid()} on"):
        lock.check(tmp_path)
    for ended in ({"started": "1"}, {"pid": 2**30}):  # the first: its pid is another process's now
        write(tmp_path, **ended)
        with lock.locked(tmp_path):
            pass
    write(tmp_path, host="container")
    with pytest.raises(CallError, match="may be in training, by process"):
        lock.check(tmp_path)
