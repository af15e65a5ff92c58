"""Salt in a guest: masterless calls, and a master with one minion, both in the same guest.

This project is installed editable in the venvs, so a masterless call always runs the live tree.
`start` syncs the modules as a master does: what the daemons then run is a copy of that moment.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab import front
from tests.lab.errors import LabError
from tests.lab.guest import Guest

MINION = "host1"
RELEASES = ("3008", "3006")
#: Before the words of a masterless call, or a program of the lab: what its start costs is shared.
FRONT = ["/usr/bin/python3", "-ISB", "/src/tests/lab/front.py"]
FILE_ROOTS = ["/src", "/src/salt/formulas"]
COMMON = {
    "file_roots": {"base": FILE_ROOTS},
    "pillar_roots": {"base": ["/srv/pillar"]},
    "ipv6": False,
    "grains_cache": True,  # a master loads them a dozen times while it starts: 20 s of forks
}
MASTER = {
    **COMMON,
    "id": "lab",  # 3008 names the master's key by it; the default is the host's name
    "interface": "127.0.0.1",
    "auto_accept": True,
    "worker_threads": 2,
    "timeout": 30,
    "gather_job_timeout": 20,
}
MINION_CONFIG = {
    **COMMON,
    "id": MINION,
    "master": "127.0.0.1",
    "acceptance_wait_time": 1,
    "random_startup_delay": 0,
    "enable_gpu_grains": False,
    "enable_fqdns_grains": False,
}
UNIT = """[Unit]
After=network.target
[Service]
ExecStart=/opt/salt/{release}/bin/{name} -l info
KillMode=mixed
LimitNOFILE=8192
"""

# A ping that comes too early costs its time-out and more, so the minion's own word is awaited.
AWAIT = """
systemctl daemon-reload
systemctl start salt-master salt-minion
id=$(systemctl show -P InvocationID salt-minion)
grep -q -m1 'ready to receive requests' < <(journalctl -q -f -n all _SYSTEMD_INVOCATION_ID=$id)
exec "$1" -
"""
HOLD = """
import sys, time; from dockerstorage_lib import lock
with lock.held(sys.argv[1], 60): time.sleep(600)  # whoever looks for the lock has it for a moment
"""
SYNC = """
import salt.client
client = salt.client.LocalClient()
assert client.cmd("MINION", "test.ping", timeout=30) == {"MINION": True}, "no answer"
synced = client.cmd("MINION", "saltutil.sync_all", timeout=60)
assert isinstance(synced.get("MINION"), dict), synced
"""


def config_files(release: str = RELEASES[0], minion: str = MINION) -> dict[str, str]:
    """Path and text of the daemons' configuration and of their units."""
    files = {
        "/etc/salt/master": json.dumps(MASTER, indent=2),
        "/etc/salt/minion": json.dumps({**MINION_CONFIG, "id": minion}, indent=2),
    }
    for name in ("salt-master", "salt-minion"):
        text = UNIT.format(name=name, release=release)
        files[f"/etc/systemd/system/{name}.service"] = text
    return files


def configure(guest: Guest, release: str = RELEASES[0], minion: str = MINION) -> None:
    """Write the configuration of both daemons and their units; nothing is started."""
    for path, text in config_files(release, minion).items():
        guest.push(path, text)
    guest.run("mkdir -p /srv/pillar")


def start(
    guest: Guest, release: str = RELEASES[0], timeout: float = 240, minion: str = MINION
) -> float:
    """Start master and minion, wait until the minion answers, sync all; the seconds that took."""
    if (release, minion) != (RELEASES[0], MINION):
        configure(guest, release, minion)
    python = f"/opt/salt/{release}/bin/python"
    argv = ["timeout", str(timeout), "bash", "-c", AWAIT, "bash", python]
    sync = SYNC.replace("MINION", minion)
    result = guest.run(argv, input=sync, timeout=timeout + 10, check=False)
    if result.status != 0:
        journal = guest.run("journalctl -q -u salt-master -u salt-minion --no-pager | tail -40")
        raise LabError(f"Salt does not come up:\n{result.stderr}\n{journal.stdout}")
    return result.seconds


def stop(guest: Guest) -> None:
    """Stop both daemons."""
    guest.run("systemctl stop salt-minion salt-master", timeout=60)


@contextmanager
def at_work(guest: Guest, name: str) -> Iterator[None]:
    """Another process has the library's lock of that name while the context lasts."""
    python = f"/opt/salt/{RELEASES[0]}/bin/python"
    holder = guest.start([python, "-c", HOLD, name])
    guest.run(f"until ! flock -n /run/dockerstorage/{name}.lock true; do sleep 0.1; done")
    try:
        yield
    finally:
        holder.kill()


def salt_call(
    guest: Guest,
    function: str,
    *args: Any,
    release: str = RELEASES[0],
    timeout: float = 120,
    **kwargs: Any,
) -> Any:
    """What a function returns, masterless; `SaltFailed` when the command's status is not 0.

    Of the first release the command's start is shared, see `front.py`.
    """
    words = [*FRONT, "call"]
    if release != RELEASES[0]:
        words = [f"/opt/salt/{release}/bin/salt-call", *front.OPTIONS]
    return _parsed(guest, [*words, function, *_words(args, kwargs)], timeout)["local"]


def salt_calls(
    guest: Guest, *calls: tuple[str, list[Any], dict[str, Any]], seconds_each: float = 30
) -> list[Any]:
    """What several functions return, masterless, one after the other, whatever their status.

    Of one that returns nothing: a dict with the `error` alone.
    """
    found = []
    for function, args, kwargs in calls:
        # Quoted, or YAML would read some texts as something else.
        words = [*map(json.dumps, args), *(f"{key}={json.dumps(kwargs[key])}" for key in kwargs)]
        argv = [*FRONT, "call", function, *words]
        result = guest.run(argv, timeout=60 + seconds_each, check=False)
        try:
            found.append(json.loads(result.stdout)["local"])
        except ValueError:  # nothing, or how it is used
            found.append({"error": result.stderr})
    return found


def salt(
    guest: Guest,
    target: str,
    function: str,
    *args: Any,
    release: str = RELEASES[0],
    timeout: float = 180,
    options: tuple[str, ...] = (),
    **kwargs: Any,
) -> dict[str, Any]:
    """What each minion returns, through the master; `start` must have been called."""
    words = [f"/opt/salt/{release}/bin/salt", "--static", "--out=json", "-l", "warning"]
    words += [f"--timeout={timeout - 10:.0f}"]
    words += [*options, target, function, *_words(args, kwargs)]
    found: dict[str, Any] = _parsed(guest, words, timeout)
    return found


class SaltFailed(LabError):
    """A Salt command ended with another status than 0; `text` is all it wrote."""

    def __init__(self, command: str, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(f"{command}\nended with {status}:\n{text[-6000:]}")


def _words(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Arguments as on the command line, where Salt reads YAML; JSON is YAML."""
    named = [f"{name}={_word(value)}" for name, value in kwargs.items()]
    return [*(_word(value) for value in args), *named]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parsed(guest: Guest, words: list[str], timeout: float) -> Any:
    result = guest.run(words, timeout=timeout, check=False)
    if result.status != 0:
        raise SaltFailed(shlex.join(words), result.status, result.stdout + result.stderr)
    try:
        return json.loads(result.stdout)
    except ValueError as error:
        text = result.stdout + result.stderr
        raise SaltFailed(shlex.join(words), result.status, f"no JSON: {error}\n{text}") from error
