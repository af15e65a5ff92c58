"""The fleet as a real master gathers it: a minion that answers, a silent one, the mine, errors.

One master and one minion serve all tests. The master runs in two Pythons in turn: one that has the
extension synced, one that has it installed by pip.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.functional.conftest import QUIET

#: How long a live minion may take on a loaded machine; it is waited for no longer than it takes.
PATIENCE = 100
#: What does not depend on how the extension was installed.
ONCE = pytest.mark.parametrize("master", ["synced"], indirect=True)


class Master:
    """The master's salt-run, as an operator types it."""

    def __init__(self, factory, python: Path) -> None:
        self.factory = factory
        self.python = python

    def run(
        self, *args: str, terminal: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        code = "from salt.scripts import salt_run; salt_run()"
        folder = self.factory.config_dir
        argv = [str(self.python), "-c", code, "-c", str(folder), "--log-level=error", *args]
        if terminal:
            argv = ["script", "--quiet", "--return", "--command", shlex.join(argv), "/dev/null"]
        return subprocess.run(
            argv,
            capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        )  # fmt: skip

    def json(self, *args: str) -> dict:
        """What it returns as data; nothing else may stand on standard output."""
        done = self.run("--out=json", *args)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"no JSON in\n{done.stdout}\n{done.stderr}") from None


@pytest.fixture(scope="module")
def salt_master(salt_factories, tree):
    factory = salt_factories.salt_master_daemon(
        "fleet-master",
        overrides={**QUIET, "file_roots": {"base": [str(tree)]}, "publish_session": 86400},
    )
    with factory.started():
        yield factory


@pytest.fixture(scope="module")
def minion(salt_master, install, no_docker):
    """A minion with the extension and no Docker, whose mine holds its report."""
    factory = salt_master.salt_minion_daemon(
        "fleet-minion",
        overrides={
            **QUIET,
            "dockerstorage": no_docker,
            "mine_functions": {"dockerstorage.report": []},
            "mine_interval": 60,
        },
    )
    factory.python_executable = str(install("fleet-minion", "wheel"))
    with factory.started():
        keys = Path(salt_master.config["pki_dir"]) / "minions"
        shutil.copy(keys / factory.id, keys / "gone")
        yield factory


@pytest.fixture(scope="module", params=["synced", "wheel"])
def master(request, salt_master, minion, install):
    way = request.param
    found = Master(salt_master, install(f"fleet-master-{way}", way))
    if way == "synced":
        synced = found.json("saltutil.sync_all")
        assert "runners.dockerstorage" in synced["runners"], synced
    yield found
    shutil.rmtree(salt_master.config["extension_modules"], ignore_errors=True)


@pytest.fixture(scope="module")
def live(master, minion):
    """What the fleet looks like, once the minion has answered."""
    return master.json("dockerstorage.fleet", minion_glob(minion), f"timeout={PATIENCE}")


def minion_glob(minion) -> str:
    return f"{minion.id}*"


def test_a_live_minion_is_shown(live, minion):
    (host,) = live["hosts"]
    assert (host["name"], host["state"]) == (minion.id, "no docker")
    assert live["counts"]["hosts"] == 1
    assert any(minion.id in line for line in live["summary"])


@ONCE
def test_a_silent_minion_is_named_and_waited_for_no_longer_than_told(master, live):
    started = time.monotonic()
    found = master.json("dockerstorage.fleet", "gone", "timeout=2")
    took = time.monotonic() - started
    (host,) = found["hosts"]
    assert (host["name"], host["state"]) == ("gone", "silent")
    assert host["why"] == "no answer within 2 s"
    assert took < PATIENCE


@ONCE
def test_the_mine_needs_no_answer(master, live, minion):
    end = time.monotonic() + PATIENCE
    while True:
        found = master.json("dockerstorage.fleet", "source=mine")
        states = {host["name"]: (host["state"], host["why"]) for host in found["hosts"]}
        if states[minion.id][0] != "silent" or time.monotonic() > end:
            break
        time.sleep(2)
    assert states[minion.id][0] == "no docker"
    assert states["gone"] == ("silent", "its mine holds no report")


@ONCE
def test_the_terminal_gets_a_table(master, live, minion):
    for columns in ("80", "160"):
        done = master.run("dockerstorage.fleet", "source=mine", COLUMNS=columns)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].startswith("2 hosts: "), done.stdout + done.stderr
        assert "\033" not in done.stdout
        assert max(map(len, lines)) <= int(columns)
        (gone,) = (line for line in lines if " gone " in line)
        assert "silent: its mine holds no report" in gone


@ONCE
def test_a_terminal_gets_colours(master, live):
    done = master.run("dockerstorage.fleet", "gone", "source=mine", terminal=True)
    assert done.returncode == 0, done.stdout
    assert "\033[35msilent: its mine holds no report\033[0m" in done.stdout


@ONCE
def test_a_target_that_matches_nothing(master, live):
    assert master.json("dockerstorage.fleet", "nobody*")["hosts"] == []
    done = master.run("dockerstorage.fleet", "nobody*")
    assert done.stdout == "no minion matches the target\n"
    found = master.json("dockerstorage.fleet", "nobody,nowhere", "list", "timeout=1")
    assert [host["why"] for host in found["hosts"]] == ["the master knows no such minion"] * 2


@ONCE
@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("sort=size", "sort: 'size' is no order; write one of state, host"),
        ("timeout=soon", "timeout: 'soon' is no time to wait"),
        ("source=cache", "source: 'cache' is no source; write live or mine"),
        ("tgt_type=all", "tgt_type: 'all' is none that Salt knows"),
    ],
)
def test_bad_input_is_told_without_a_traceback(master, live, argument, says):
    done = master.run("dockerstorage.fleet", argument)
    assert done.returncode == 1
    assert says in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_page_is_written_for_its_reader_alone(master, live, minion, tmp_path):
    page = tmp_path / "fleet.html"
    found = master.json("dockerstorage.fleet_page", str(page), "source=mine")
    assert found["path"] == str(page)
    assert found["bytes"] == page.stat().st_size
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = page.read_text()
    assert "2 hosts" in text
    assert minion.id in text
    done = master.run(
        "dockerstorage.fleet_page", str(page), minion_glob(minion), f"timeout={PATIENCE}",
        "mode=0640",
    )  # fmt: skip
    assert done.stdout.startswith(f"wrote {page}: "), done.stdout + done.stderr
    assert stat.S_IMODE(page.stat().st_mode) == 0o640
    assert '"state":"no docker"' in page.read_text()
    assert [one.name for one in tmp_path.iterdir()] == ["fleet.html"]


@ONCE
def test_a_page_without_a_place_leaves_all_as_it_was(master, live, tmp_path):
    found = master.json("dockerstorage.fleet_page", str(tmp_path / "no" / "fleet.html"))
    assert found["error"] == f"dest: there is no directory {tmp_path}/no; make it first"
    assert list(tmp_path.iterdir()) == []
