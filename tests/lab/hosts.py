"""A guest seen as a Docker host: its dockerd, its objects, its pool.

`hostkinds.py` sets such hosts up, `prepared.py` keeps populated ones ready to be copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.errors import LabError
from tests.lab.guest import Guest

DOCKERD = {"20.10": "/usr/sbin", "26": "/opt/docker26"}
DROP_IN = "/etc/systemd/system/docker.service.d/lab.conf"
DAEMON_JSON = "/etc/docker/daemon.json"
DATA_ROOT = "/var/lib/docker"
VG = "docker"
POOL = "thinpool"
POOL_DEVICE = f"/dev/mapper/{VG}-{POOL}"
START_TIMEOUT = 90
VERSIONS = {"newer": "26"}
SPARES = {"direct": "/dev/ubde"}


@dataclass
class Host:
    """A guest with Docker. `spare` is an empty disk, for a VG to grow by."""

    guest: Guest
    kind: str
    spare: str | None = None

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write daemon.json; takes effect when dockerd starts."""
        self.guest.push(DAEMON_JSON, json.dumps(settings, indent=2))

    def start_docker(self, version: str = "20.10", timeout: float = START_TIMEOUT) -> float:
        """Start that dockerd and wait until it serves; the seconds that took."""
        wait = f"until test -b {POOL_DEVICE}; do sleep 0.05; done" if self.kind == "direct" else ""
        script = f"""
            cat > /run/lab-drop-in
            cmp -s /run/lab-drop-in {DROP_IN} || {{
                install -D -m 644 /run/lab-drop-in {DROP_IN}; systemctl daemon-reload; }}
            {wait}
            systemctl reset-failed docker.socket docker.service 2>/dev/null
            systemctl start docker.socket docker.service && exit
            # or the socket would take calls that nobody answers, and start it again and again
            systemctl stop docker.socket docker.service
            exit 1"""
        result = self.guest.run(script, timeout=timeout, input=drop_in(version), check=False)
        if result.status != 0:
            journal = self.guest.run("journalctl -q -u docker --no-pager | tail -30").stdout
            raise LabError(f"dockerd {version} does not start:\n{result.stderr}\n{journal}")
        return result.seconds

    def stop_docker(self) -> None:
        """Stop dockerd and its socket, or a client's next call would start it again."""
        self.guest.run("systemctl stop docker.socket docker.service", timeout=START_TIMEOUT)

    def docker(self, *words: str, timeout: float = 60, check: bool = True) -> str:
        """The output of a docker command, without the last newline."""
        return self.guest.run(["docker", *words], timeout=timeout, check=check).stdout.rstrip("\n")

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """`docker KIND inspect NAME`: container, image, volume, network."""
        found: list[dict[str, Any]] = json.loads(self.docker(kind, "inspect", name))
        return found[0]

    def state(self) -> dict[str, Any]:
        """All that the engine knows, to compare before and after; no clocks in it."""
        return {
            "images": _rows(self.docker("images", "-a", "--no-trunc", "--format", IMAGE_ROW)),
            "containers": _rows(self.docker("ps", "-a", "--no-trunc", "--format", CONTAINER_ROW)),
            "volumes": sorted(self.docker("volume", "ls", "-q").splitlines()),
            "networks": sorted(self.docker("network", "ls", "-q", "--no-trunc").splitlines()),
            "pool": self.pool_status(),
        }

    def pool_status(self) -> str:
        """The kernel's line for the thin pool Docker uses; empty without one."""
        command = "dmsetup status --target thin-pool --noflush"
        lines = self.guest.run(command, check=False).stdout.splitlines()
        return next((line for line in lines if " thin-pool " in line), "")

    def extend_vg(self) -> None:
        """Give the spare disk to the pool's VG."""
        if self.spare is None:
            raise LabError(f"a {self.kind} host has no spare disk")
        self.guest.run(f"vgextend -q -y {VG} {self.spare}", timeout=30)


IMAGE_ROW = "{{.ID}} {{.Repository}}:{{.Tag}}"
CONTAINER_ROW = "{{.ID}} {{.Names}} {{.Image}} {{.State}} {{.Networks}} {{.Mounts}}"


def _rows(text: str) -> list[str]:
    return sorted(text.splitlines())


def drop_in(version: str) -> str:
    """Which dockerd the unit runs; Debian's limit of three starts a minute is too low for tests."""
    directory = DOCKERD[version]
    return f"""[Unit]
StartLimitBurst=12
[Service]
Environment=PATH={directory}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=
ExecStart={directory}/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
"""


def resume(guest: Guest, kind: str) -> Host:
    """The host of a booted guest that was made by `KINDS[kind]` before; dockerd is started."""
    host = Host(guest, kind, SPARES.get(kind))
    host.start_docker(VERSIONS.get(kind, "20.10"))
    return host
