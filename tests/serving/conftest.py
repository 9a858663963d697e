"""Exports of all families, and a server that serves them: the test server, or a real one.

To test a `tensorflow_model_server` instead, let it serve `sentiment`, `speech` and `translation`
from a directory (`--model_config_file`), and set TFS_GRPC and TFS_REST to its addresses
(`localhost:8500`, `localhost:8501`) and TFS_MODELS to that directory; the tests export to it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import lstm_zoo
from tests.conftest import READY_RUNS, exported_once

FAMILIES = ("sentiment", "speech", "translation")


class Address(NamedTuple):
    """Where a server listens, and the process id of the test server."""

    grpc: str
    rest: str
    process: int | None


@pytest.fixture(scope="session")
def pipelines():
    """The pipeline of each family, from the ready runs."""
    return {family: lstm_zoo.load(READY_RUNS / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A directory with an export of each family."""
    directory = Path(os.environ.get("TFS_MODELS") or tmp_path_factory.mktemp("models"))
    for family in FAMILIES:
        exported = exported_once(tmp_path_factory, family)
        shutil.copytree(exported, directory / family / exported.name)
    return directory


@pytest.fixture(scope="session")
def server(models):
    """The server's address."""
    if os.environ.get("TFS_GRPC"):
        yield Address(os.environ["TFS_GRPC"], os.environ["TFS_REST"], None)
        return
    program = Path(__file__).with_name("server.py")
    with subprocess.Popen([sys.executable, program, models], stdout=subprocess.PIPE) as process:
        ports = json.loads(process.stdout.readline())
        try:
            yield Address(f"localhost:{ports['grpc']}", f"localhost:{ports['rest']}", process.pid)
        finally:
            process.kill()
