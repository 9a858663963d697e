"""Python processes that start in a moment, since TensorFlow and the package are imported already.

`python()` and `lstm_zoo()` return programs that are called as `python` and `lstm-zoo` are, with
arguments, streams, environment and exit status, also from a shell. Each call is a fork of a server
process, which has imported the package but run nothing: a process of its own, as fresh as a new
one but for the imports. What depends on those, or on the variables that an interpreter reads when
it starts, needs `sys.executable`. If a program is killed, its fork is too, and all forks end with
the tests.
"""

import atexit
import contextlib
import ctypes
import functools
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

# What trainings import sooner or later. Not librosa, which looks at variables when it is imported.
MODULES = (
    "keras",
    "tensorflow_text",
    "jiwer",
    "sacrebleu.metrics",
    "scipy.optimize",
    "sklearn.linear_model",
    "lstm_zoo.training.train",
    *(
        f"lstm_zoo.{family}.{module}"
        for family in ("sentiment", "speech", "translation")
        for module in ("task", "pipeline")
    ),
)
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h: a signal to a process whose parent has ended
# The program that passes its call on: it must start fast, and needs nothing but the socket.
PROGRAM = """\
#!{executable} -ISB
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
call = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)])
socket.send_fds(server, [len(call.encode()).to_bytes(8, "big")], [0, 1, 2])
server.sendall(call.encode())
for number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda number, _: server.sendall(bytes([number])))
status = int.from_bytes(server.recv(4), "big", signed=True)
if status < 0:
    if -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def python() -> Path:
    """Return a program that stands for `python`: it takes `-c CODE`, `-m MODULE` or a file."""
    return _programs() / "python"


def lstm_zoo() -> Path:
    """Return a program that stands for `lstm-zoo`."""
    return _programs() / "lstm-zoo"


@functools.cache
def _programs() -> Path:
    """Start the server, and return the folder of its programs."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    address = os.path.join(folder.name, "socket")
    for name in ("python", "lstm-zoo"):
        path = Path(folder.name, name)
        path.write_text(PROGRAM.format(executable=sys.executable, address=address, name=name))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    command = [sys.executable, "-m", __name__, address]
    root = Path(__file__).resolve().parents[1]
    server = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)
    atexit.register(server.kill)
    assert server.stdout.readline() == b"ready\n"
    return Path(folder.name)


def serve(address: str) -> None:
    """Fork for each call, until killed."""
    for module in MODULES:
        importlib.import_module(module)

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                _start(listener, selector)
            elif key.data[0] == "client":
                _, client, process = key.data
                number = client.recv(1)
                if number:
                    os.kill(process, number[0])
                else:  # the program was killed
                    selector.unregister(client)
                    os.killpg(process, signal.SIGKILL)
            else:
                _, client, process = key.data
                status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                selector.unregister(key.fileobj)
                os.close(key.fileobj)
                if client in selector.get_map():
                    selector.unregister(client)
                    client.sendall(status.to_bytes(4, "big", signed=True))
                client.close()


def _start(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    client, _ = listener.accept()
    size, streams, _, _ = socket.recv_fds(client, 8, 3)
    call = client.makefile("rb").read(int.from_bytes(size, "big"))
    process = os.fork()
    if not process:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _run(streams, *json.loads(call))
    with contextlib.suppress(PermissionError):  # whichever of the two is first
        os.setpgid(process, process)
    for stream in streams:
        os.close(stream)
    selector.register(client, selectors.EVENT_READ, ("client", client, process))
    selector.register(os.pidfd_open(process), selectors.EVENT_READ, ("end", client, process))


def _run(
    streams: list[int], name: str, arguments: list[str], directory: str, environment: dict[str, str]
) -> None:
    """Become the process that was called."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 256)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        setattr(sys, stream, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115
    sys.path[0] = directory
    main = sys.modules["__main__"] = type(sys)("__main__")
    try:
        if name == "lstm-zoo":
            arguments = ["-m", "lstm_zoo", *arguments]
        kind, *rest = arguments
        sys.argv = [kind, *rest] if kind not in ("-c", "-m") else ["-c", *rest[1:]]
        if kind == "-c":
            exec(compile(rest[0], "<string>", "exec"), main.__dict__)
        elif kind == "-m":
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            path = os.path.abspath(kind)  # also for the processes that it spawns
            sys.path[0] = os.path.dirname(path)
            runpy.run_path(path, run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        for callback in (atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
            callback()
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
