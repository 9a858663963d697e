"""Exports of all families, and a server that has them: ours, or a real one.

A `tensorflow_model_server` that serves `sentiment`, `speech` and `translation` from a directory
(`--model_config_file`) is tested in place of ours where TFS_GRPC and TFS_REST hold its addresses
(`localhost:8500`, `localhost:8501`) and TFS_MODELS that directory, to which the tests export.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

FAMILIES = ("sentiment", "speech", "translation")


class Address(NamedTuple):
    """Where a server listens, and the process of ours."""

    grpc: str
    rest: str
    process: int | None


@pytest.fixture(scope="session")
def pipelines(request):
    """The pipeline of each family, trained where it is first asked for."""
    fixtures = {"sentiment": "small_pipeline", "speech": "recognizer", "translation": "translator"}
    return {family: request.getfixturevalue(fixtures[family]) for family in FAMILIES}


@pytest.fixture(scope="session")
def models(pipelines, tmp_path_factory):
    """A directory with an export of each family."""
    directory = Path(os.environ.get("TFS_MODELS") or tmp_path_factory.mktemp("models"))
    for family, pipeline in pipelines.items():
        pipeline.export(directory / family)
    return directory


@pytest.fixture(scope="session")
def server(models):
    """The server's address."""
    if os.environ.get("TFS_GRPC"):
        yield Address(os.environ["TFS_GRPC"], os.environ["TFS_REST"], None)
        return
    program = Path(__file__).with_name("server.py")
    with subprocess.Popen([sys.executable, program, models], stdout=subprocess.PIPE) as process:
        said = json.loads(process.stdout.readline())
        try:
            yield Address(f"localhost:{said['grpc']}", f"localhost:{said['rest']}", process.pid)
        finally:
            process.kill()
