"""Minions without Docker, with the extension installed in each way. Nothing of Salt is mocked."""

from __future__ import annotations

import ast
import functools
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional import installs

# What Salt logs, in its file and in a failed test's report.
QUIET = {
    "log_level_logfile": "warning",
    "pytest-minion": {"log": {"level": "error"}},
    "pytest-master": {"log": {"level": "error"}},
}
WAYS = ("synced", "wheel", "editable")
PROBE = Path(__file__).with_name("probe.py")


@dataclass
class Host:
    """A minion's configuration and Python, for calls without a daemon."""

    way: str
    factory: Any
    python: Path

    def cli(self, *args: str) -> Any:
        """``salt-call --local``, as an operator would type it."""
        return self.factory.salt_call_cli(timeout=60).run("--local", *args)

    def ask(self, *questions: tuple[str, list[Any], dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers of the minion's loader, see probe.py."""
        answers = Path(self.factory.config["root_dir"]) / "answers.json"
        argv = [str(self.python), str(PROBE), self.factory.config["conf_file"], str(answers)]
        done = subprocess.run(
            argv, input=json.dumps(questions), capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(answers.read_text())

    def value(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What one function returns; an error fails the test."""
        (answer,) = self.ask((name, list(args), kwargs))
        assert "error" not in answer, answer
        return answer["return"]


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A short path: sockets lie below it, and a socket's path has at most 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="ds-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def salt_factories_config(scratch: Path) -> dict[str, Any]:
    return {
        "root_dir": str(scratch / "salt"),
        "start_timeout": 120,
        "code_dir": None,
        "coverage_rc_path": None,
        "coverage_db_path": None,
        "inject_sitecustomize": False,
        "log_server_level": "error",
    }


@pytest.fixture(scope="session")
def tree(scratch: Path) -> Path:
    """A copy of the working tree that no test changes."""
    return installs.copy_tree(scratch / "tree")


@pytest.fixture(scope="session")
def wheel(scratch: Path) -> Path:
    return installs.build_wheel(installs.copy_tree(scratch / "build"), scratch / "wheels")


@pytest.fixture(scope="session")
def install(scratch: Path, wheel: Path) -> Callable[..., Path]:
    """A function that makes a Python with the extension installed in a way; synced is no way."""

    def make(name: str, way: str) -> Path:
        python = installs.make_python(scratch / f"py-{name}")
        if way == "wheel":
            installs.pip_install(python, str(wheel))
        if way == "editable":
            source = installs.copy_tree(scratch / f"src-{name}")
            installs.pip_install(python, "--editable", str(source))
        return python

    return make


@pytest.fixture(scope="session")
def no_docker(scratch: Path) -> dict[str, Any]:
    """Configuration that finds no engine, whatever runs on this machine."""
    return {"docker_url": f"unix://{scratch}/no.sock", "data_root": str(scratch / "no-docker")}


@pytest.fixture(scope="session")
def make_host(salt_factories, install, no_docker) -> Callable[..., Host]:
    """A function that makes a Host; without ``file_roots`` its file server is empty."""

    def make(name: str, way: str, **settings: Any) -> Host:
        overrides = {**QUIET, "file_client": "local", "dockerstorage": no_docker, **settings}
        factory = salt_factories.salt_minion_daemon(name, overrides=overrides)
        python = install(name, way)
        factory.python_executable = str(python)
        return Host(way, factory, python)

    return make


@pytest.fixture(scope="session")
def installed_host(make_host, tree) -> Callable[[str], Host]:
    """A function that gives the one host with the extension installed in a way."""

    @functools.cache
    def get(way: str) -> Host:
        if way != "synced":
            return make_host(way, way)
        host = make_host(way, way, file_roots={"base": [str(tree)]})
        synced = host.cli("saltutil.sync_all")
        assert synced.returncode == 0, synced
        return host

    return get


@pytest.fixture(scope="session", params=WAYS)
def host(request, installed_host) -> Host:
    """A host for each way: synced from a file root into an empty cache, or pip-installed."""
    return installed_host(request.param)


def public_functions(path: Path) -> dict[str, ast.FunctionDef]:
    """The functions that a loader file means to offer, by the name they are called with."""
    module = ast.parse(path.read_text())
    alias: dict[str, str] = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__func_alias__":
            alias = ast.literal_eval(node.value)
    return {
        alias.get(node.name, node.name): node
        for node in module.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def salt_version() -> str:
    """The Salt that these tests run with."""
    from importlib.metadata import version

    return version("salt")


def pytest_report_header() -> str:
    return f"Salt {salt_version()}, Python {sys.version.split()[0]}"


def pytest_sessionfinish() -> None:
    # At exit Salt flushes a log handler of its own to a stream that pytest has closed by then.
    logging.raiseExceptions = False
