"""The environment of a training: versions, machine, time and memory."""

import os
import platform
from importlib import metadata

from lstm_zoo.runs import environment
from tests.conftest import READY_RUNS


def test_versions_are_those_of_python_and_of_the_packages():
    versions = environment.versions()
    assert list(versions) == ["python", *environment.PACKAGES]
    assert versions["python"] == platform.python_version()
    assert versions["keras"] == metadata.version("keras")


def test_a_package_that_is_not_installed_is_marked(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("keras", "no-such-package-of-anyone"))
    assert environment.versions()["no-such-package-of-anyone"] == "not installed"
    assert environment.versions()["keras"] == metadata.version("keras")


def test_what_is_written_is_read(tmp_path):
    environment.write_environment(tmp_path, threads=3, seconds=12.345)
    found = environment.read_environment(tmp_path)
    assert set(found) == {
        "versions", "platform", "processors", "threads", "gpus", "training_seconds",
        "peak_memory_bytes",
    }  # fmt: skip
    assert found["versions"] == environment.versions()
    assert (found["threads"], found["training_seconds"]) == (3, 12.3)
    assert found["processors"] == os.cpu_count()
    assert found["platform"] == platform.platform()
    # With TensorFlow loaded, the process takes more than 100 MB.
    assert 1e8 < found["peak_memory_bytes"] < 1e12
    environment.write_environment(tmp_path, threads=None, seconds=0)
    assert environment.read_environment(tmp_path)["threads"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["environment.json"]


def test_the_environment_of_an_old_run_is_read():
    assert environment.read_environment(READY_RUNS / "speech")["versions"]["lstm_zoo"] == "0.1.0"
