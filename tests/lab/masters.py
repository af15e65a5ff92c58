"""A real salt-master on this machine, for minions in guests of one network.

with Network() as network, Master(network, directory) as master:
    master.start()
    configure(guest, network)           # the guest's minion, whose id is the guest's name
    master.await_minions(["a", "b"])
    master.run("state.orchestrate", "dockerstorage.orch.migrate", pillar={...})
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab import cache, network, salthost
from tests.lab.errors import LabError
from tests.lab.guest import Guest

START_SECONDS = 240
# The master dies with whoever started it, and all of its processes with the first of them.
CAGE = "setpriv --pdeathsig KILL unshare --pid --fork --kill-child=KILL --mount-proc --".split()

#: Asks minions in one process: reads [[minions, function, args, kwargs], ...].
ASK = """
import json, sys
import salt.client
client = salt.client.LocalClient(sys.argv[1])
found = [
    client.cmd(minions, function, args, kwarg=named, tgt_type="list", timeout=int(sys.argv[2]))
    for minions, function, args, named in json.load(sys.stdin)
]
print("\\n" + json.dumps(found))
"""


class Master:
    """The master, and what an operator calls beside it."""

    def __init__(self, net: network.Network, directory: Path, states: Mapping[str, str]) -> None:
        """`states`: sls by path, served beside the working tree."""
        self._network, self._directory = net, directory
        self._process: subprocess.Popen[bytes] | None = None
        served = directory / "states"
        for path, text in states.items():
            (served / path).parent.mkdir(parents=True, exist_ok=True)
            (served / path).write_text(text)
        settings = {
            **salthost.MASTER,
            "file_roots": {"base": [*_tree(directory), str(served)]},
            "pillar_roots": {"base": [str(directory / "pillar")]},
            "interface": network.HERE,
            "root_dir": str(directory),
            "pki_dir": str(directory / "pki"),
            "cachedir": str(directory / "cache"),
            "sock_dir": str(directory / "sock"),
            "log_file": str(directory / "master.log"),
            "pidfile": str(directory / "master.pid"),
            "user": "root",
            "worker_threads": 3,
        }
        self.config = directory / "master"
        self.config.write_text(json.dumps(settings, indent=2))

    def __enter__(self) -> Master:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; it may need some seconds until it answers."""
        with (self._directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._network.argv(*CAGE, *self._salt("salt-master")),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """SIGKILL to all of its processes at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def await_minions(self, minions: Sequence[str]) -> None:
        """Wait until all of them answer."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                answers = self.ask((minions, "test.ping"), timeout=10)[0]
            except LabError:  # the master is not up yet
                answers = {}
            if all(answers.get(minion) is True for minion in minions):
                return
            if time.monotonic() > until:
                raise LabError(f"no answer of all minions: {answers}\n{self.log()}")
            time.sleep(1)

    def ask(self, *questions: tuple[Any, ...], timeout: int = 60) -> list[dict[str, Any]]:
        """What minions answer: (minions, function, arguments, named arguments)."""
        full = [[*one, *([], {})[len(one) - 2 :]] for one in questions]
        argv = self._network.argv(sys.executable, "-c", ASK, str(self.config), str(timeout))
        done = self._finish(argv, json.dumps(full))
        found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return found

    def run(self, *words: str, **named: Any) -> tuple[int, Any]:
        """A `salt-run`: its status, and what it says of the one thing that was run."""
        done = self._finish(self.run_argv(*words, **named), "", check=False)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            raise LabError(f"salt-run {words}: {done.stdout}{done.stderr}") from None

    def run_argv(self, *words: str, **named: Any) -> list[str]:
        """The command of `run`."""
        given = [f"{key}={json.dumps(value)}" for key, value in named.items()]
        return self._network.argv(*self._salt("salt-run"), "--out=json", *words, *given)

    def log(self) -> str:
        """The end of its log."""
        text = (self._directory / "master.log").read_text(errors="replace")
        return text[-3000:]

    def _salt(self, program: str) -> list[str]:
        path = Path(sys.executable).with_name(program)
        return [str(path), "-c", str(self.config.parent), "-l", "warning"]

    def _finish(
        self, argv: list[str], text: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=600, check=False
        )
        if check and done.returncode != 0:
            raise LabError(f"{' '.join(argv[:8])}: {done.stdout}{done.stderr}\n{self.log()}")
        return done


def _tree(directory: Path) -> list[str]:
    """The working tree as a file server has it: not what runs left behind in it."""
    tree = directory / "tree"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "tests", "benchmarks")
    shutil.copytree(cache.REPO, tree, ignore=ignored)
    return [str(tree), str(tree / "salt/formulas")]


def configure(guest: Guest, net: network.Network) -> None:
    """Put a guest on the network and start its minion, which looks for the master there."""
    net.configure(guest)
    settings = {**salthost.MINION_CONFIG, "id": guest.name, "master": network.HERE}
    guest.push("/etc/salt/minion", json.dumps(settings, indent=2))
    guest.run("systemctl daemon-reload; systemctl start salt-minion")
