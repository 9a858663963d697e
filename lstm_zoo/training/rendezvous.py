"""Waiting for the workers of a training to start, with a limit.

TensorFlow's server waits for the others too, but the first worker's waits without a limit, and
without letting Ctrl-C through.
"""

import contextlib
import socket
import time
from collections.abc import Sequence

from lstm_zoo.errors import TrainingError

ANSWER = b"all are here\n"
SILENCE = 5  # seconds after which a connection that says nothing is not a worker's
RETRY = 0.5  # seconds between attempts to reach the first worker


def wait_for_all(addresses: Sequence[str], number: int, seconds: float) -> None:
    """Wait until all workers have called this function.

    The first worker listens at its own address, which is free again afterwards.

    Args:
        addresses: `host:port` of each worker.
        number: the number of this worker, from 0.
        seconds: the limit.

    Raises:
        TrainingError: if a worker does not start in time.
    """
    deadline = time.monotonic() + seconds
    try:
        if number == 0:
            _gather(addresses, deadline)
        else:
            _report(addresses[0], number, deadline)
    except TimeoutError as error:
        missing = error.args[0]
        raise TrainingError(
            f"Not all of the {len(addresses)} workers have started within {seconds:.0f} seconds. "
            f"Missing: {', '.join(f'worker {i} ({addresses[i]})' for i in missing)}"
        ) from error


def _gather(addresses: Sequence[str], deadline: float) -> None:
    """Wait for the other workers' connections, and answer all of them once all are there."""
    port = int(addresses[0].rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("", port), backlog=len(addresses)))
        waiting: dict[int, socket.socket] = {}
        while missing := sorted({*range(1, len(addresses))} - {*waiting}):
            try:
                server.settimeout(_left(deadline))
                connection = stack.enter_context(server.accept()[0])
            except TimeoutError as error:
                raise TimeoutError(missing) from error
            connection.settimeout(min(SILENCE, _left(deadline)))
            with contextlib.suppress(ValueError, OSError):  # of another program
                waiting[int(connection.makefile("rb").readline(16))] = connection
        for connection in waiting.values():
            with contextlib.suppress(OSError):  # a worker that has ended since
                connection.sendall(ANSWER)


def _report(address: str, number: int, deadline: float) -> None:
    """Report to the first worker, and wait for its answer; try again while there is none."""
    host, _, port = address.rpartition(":")
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _left(deadline)) as link:
                link.settimeout(_left(deadline))
                link.sendall(f"{number}\n".encode())
                if link.makefile("rb").readline() == ANSWER:
                    return
        except OSError as error:  # not started yet, or ended
            if deadline - time.monotonic() < RETRY:
                raise TimeoutError([0]) from error
        time.sleep(RETRY)


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())
