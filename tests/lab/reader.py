"""A reader who does in a guest what a page says, command by command, and looks at what it shows.

README and tutorials are written for hosts called db1 and db2, with disks /dev/sdb to /dev/sdd, the
checkout in /srv/dockerstorage, file roots in /srv/salt and pillar in /srv/pillar. The guest is such
a db1 and its master. db2 is there from where a page first speaks of it to the page's end: a second
minion of the guest, whose engine is another one, on overlay2, with a network of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.lab import front, pages, prepared, salthost
from tests.lab.commands import Result
from tests.lab.errors import LabError
from tests.lab.guest import Guest
from tests.lab.hosts import Host, resume

#: Commands of README and tutorials that are not run, and why not. There are no others.
NOT_RUN = {
    "apt-get install -y git make": "the machine that runs this test did it",
    "make demo": "tests/lab/test_demo.py",
    "make test": "this is it",
    "salt '*' pip.install pkgs='[docker, sh, zstandard]'": "needs a package index; the packages "
    "are in the guest's Salt",
    "salt-pip install ./dockerstorage": "needs a package index; tests/functional installs so",
    "systemctl restart salt-master": "costs half a minute until the minion is back: files below "
    "/etc/salt are there before the daemons start",
}
#: Shows the world as it becomes: asked again until it shows what it must.
ASKED_AGAIN = ("dockerstorage.pool", "state.event")
PATIENCE_SECONDS = 60.0
COMMAND_SECONDS = 240.0
PATH = f"{front.FOLDER}:/opt/salt/3008/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

SET_UP = """set -e
mkdir -p /srv/backup /srv/salt /srv/pillar
ln -s /src /srv/dockerstorage
docker tag lab/base:1 busybox
docker tag lab/app:1 postgres:13
docker run -d --name db --stop-signal KILL --net none postgres:13 sleep 1000000
"""
SECOND = """set -e
mkdir -p /etc/salt/db2
systemctl daemon-reload
systemctl start docker-db2 salt-minion-db2
until docker -H unix:///run/docker-db2.sock info >/dev/null 2>&1; do sleep 0.2; done
id=$(systemctl show -P InvocationID salt-minion-db2)
grep -q -m1 'ready to receive requests' < <(journalctl -q -f -n all _SYSTEMD_INVOCATION_ID=$id)
"""
SECOND_MINION = {
    **salthost.MINION_CONFIG,
    "id": "db2",
    "pki_dir": "/etc/salt/db2/pki",
    "cachedir": "/var/cache/salt/db2",
    "sock_dir": "/run/salt/db2",
    "pidfile": "/run/salt-db2.pid",
    "log_file": "/var/log/salt/db2",
    "multiprocessing": False,
    "dockerstorage": {"docker_url": "unix:///run/docker-db2.sock"},
}
# A network of its own, but the host's mounts: its files are written from outside of it.
SECOND_ENGINE = """[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/bin/unshare -n /usr/sbin/dockerd --config-file /etc/docker/db2.json \\
    --host unix:///run/docker-db2.sock --storage-driver overlay2 --iptables=false \\
    --data-root /var/lib/docker-db2 --exec-root /run/docker-db2 --pidfile /run/docker-db2.pid \\
    --containerd /run/containerd/containerd.sock --containerd-namespace db2 \\
    --containerd-plugins-namespace db2-plugins
Delegate=yes
KillMode=process
"""


class Disagrees(LabError):
    """What happens is not what the page says."""


class Reader:
    """Reads pages in one guest, one after the other."""

    def __init__(self, host: Host) -> None:
        self.guest = host.guest
        self._second = False

    def read(self, page: str, later: Sequence[pages.Command | pages.File] = ()) -> int:
        """Do what a page says; raises Disagrees at the first difference. How much was done.

        later: steps of pages that are read after this one. What is typed there again, be it with
        its output cut to what matters, is not typed twice.
        """
        again = [step.text for step in later if isinstance(step, pages.Command)]
        done = 0
        for step in pages.read(page):
            if isinstance(step, pages.File):
                self.guest.push(step.path, step.text)
            elif step.text in NOT_RUN or any(_same(step.text, text) for text in again):
                continue
            else:
                self._type(step)
            done += 1
        if self._second:
            self.guest.run("systemctl stop salt-minion-db2 docker-db2", timeout=60)
            self._second = False
        return done

    def _type(self, command: pages.Command) -> None:
        if "'db2'" in command.text and not self._second:
            second_host(self.guest)
            self._second = True
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            result = self.run(command.text)
            output = result.stdout + result.stderr
            missing = pages.first_missing(command.shows, output)
            if result.status == 0 and missing is None:
                return
            again = any(one in command.text for one in ASKED_AGAIN)
            if not again or time.monotonic() > until:
                why = f"no line {missing!r}" if result.status == 0 else f"status {result.status}"
                raise Disagrees(f"$ {command.text}\n{output[-6000:]}\n-- {why}")

    def run(self, command: str) -> Result:
        """Type a command, as root in the guest, and tell how long it took."""
        result = self.guest.run(
            ["bash", "-o", "pipefail", "-c", command],
            timeout=COMMAND_SECONDS,
            check=False,
            env={"PATH": PATH},
        )
        print(f"{result.seconds:6.1f} s  {command}", flush=True)
        return result


def _same(command: str, other: str) -> bool:
    """Whether the other is the command, shown by a program of its own or not."""
    return other == command or other.startswith(f"{command} --out=json | jq ")


@contextmanager
def reading(*texts: str) -> Iterator[Reader]:
    """A reader in a new guest: a populated devicemapper host and its master, called db1.

    texts: pages whose files below /etc/salt are there before the daemons start.
    """
    with Guest("db1", memory="2G", source=prepared.path("direct")) as guest:
        guest.boot()
        host = resume(guest, "direct")
        guest.run(SET_UP)
        disks = (host.spare, guest.add_disk(2 << 30), guest.add_disk(1 << 30))
        for disk, name in zip(disks, ("sdb", "sdc", "sdd"), strict=True):
            guest.run(f"ln -s {disk} /dev/{name}")
        for step in (step for text in texts for step in pages.read(text)):
            if isinstance(step, pages.File) and step.path.startswith("/etc/salt/"):
                guest.push(step.path, step.text)
        server = guest.start([front.PYTHON, "/src/tests/lab/front.py", "serve"])
        # Jobs in threads: what one has imported serves the next.
        guest.push("/etc/salt/minion.d/threads.conf", "multiprocessing: false")
        salthost.start(guest, minion="db1")
        guest.run(f"until test -S {front.COMMAND_LINE}; do sleep 0.2; done", timeout=120)
        try:
            yield Reader(host)
        finally:
            server.kill()


def second_host(guest: Guest) -> None:
    """Make db2, and wait until it is reached."""
    guest.push("/etc/docker/db2.json", "{}")
    guest.push("/etc/salt/db2/minion", json.dumps(SECOND_MINION))
    guest.push("/etc/systemd/system/docker-db2.service", SECOND_ENGINE)
    command = "salt-minion -c /etc/salt/db2"
    unit = salthost.UNIT.format(release="3008", name=command)
    guest.push("/etc/systemd/system/salt-minion-db2.service", unit)
    guest.run(SECOND, timeout=120)
    guest.run(f"PATH={PATH} salt db2 saltutil.sync_all", timeout=120)
