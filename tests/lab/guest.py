"""A disposable Debian with a real device mapper: boot it, run commands, cut its power, reset it.

    with Guest(disks=[8 << 30]) as guest:
        guest.boot()
        print(guest.run("lsblk /dev/ubdc").stdout)

`/dev/ubda` is the root (copy-on-write over the shared image), `/dev/ubdb` the Salt image, data
disks begin with `/dev/ubdc`. The working tree is seen at /src, read-only and live.
"""

from __future__ import annotations

import atexit
import shutil
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import build, cache, disks, uml
from tests.lab.channel import Channel
from tests.lab.commands import Background, Commands, Result
from tests.lab.disks import Disks
from tests.lab.errors import BootFailed, GuestGone, LabError

BOOT_TIMEOUT = 120.0
TAIL_LINES = 40
_open_guests: weakref.WeakSet[Guest] = weakref.WeakSet()


class Guest:
    """One guest: its working directory, its disks and, when booted, its process."""

    def __init__(
        self,
        name: str = "guest",
        *,
        disks: Sequence[int] = (),
        memory: str = "1G",
        cpu: int | None = None,
        images: build.Images | None = None,
        root: Path | None = None,
        source: Path | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        """Powered off at first. `disks`: sizes in bytes; `cpu`: the host CPU to stay on (None:
        at each boot the least busy one); `source`: a saved guest (`save`) to start from;
        `root`: another root image; `devices`: as `network.plug` gives them."""
        self.name, self.memory, self._cpu, self._devices = name, memory, cpu, tuple(devices)
        self.images = images or build.ensure()
        self.directory = uml.make_directory()
        self._holds = [cache.hold(self.directory), cache.hold(self.images.directory)]
        self._disks = Disks(self.directory, root or self.images.base, self.images.salt)
        self._machine: uml.Machine | None = None
        self._commands: Commands | None = None
        _open_guests.add(self)
        if source is not None:
            self.load(source)
        for size in disks:
            self.add_disk(size)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- power

    def boot(self, timeout: float = BOOT_TIMEOUT) -> float:
        """Start it and wait until its agent answers; the seconds that took."""
        if self.is_running():
            raise LabError(f"{self.name} is running already")
        self.cut_power()
        started = time.monotonic()
        (self.directory / "console.log").write_bytes(b"")
        channel = Channel(self.directory / "share")
        self._commands = Commands(channel, self.name, self.console_tail)
        parameters = [f"lab.share={channel.share}", f"lab.src={cache.REPO}"]
        parameters += [f"systemd.hostname={self.name}", *self._devices]
        drives, port = self._disks.drives(), channel.port.fileno()
        cpu = uml.choose_cpu(self.directory) if self._cpu is None else self._cpu
        images = self.images
        self._machine = uml.Machine(
            self.directory, drives, parameters, port, self.memory, cpu, images.kernel, images.xstate
        )
        channel.connect()
        try:
            answer = channel.wait("ready", timeout)
        except GuestGone:
            answer = None
        seconds = time.monotonic() - started
        if answer is None:
            self.cut_power()
            raise BootFailed(f"{self.name} did not come up in {seconds:.1f} s{self._tail()}")
        return seconds

    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._machine is not None and self._machine.is_running()

    def poweroff(self, timeout: float = 40) -> float:
        """Shut it down in order; cuts the power and raises if that takes too long."""
        started = time.monotonic()
        machine = self._machine
        if machine is not None and machine.is_running():
            self.start(["systemctl", "poweroff"])
            ended = machine.wait(timeout)
            self.cut_power()
            if not ended:
                raise LabError(f"{self.name} was not off after {timeout} s{self._tail()}")
        return time.monotonic() - started

    def cut_power(self) -> None:
        """Kill it; what it had not written to its disks is lost."""
        if self._machine is not None:
            self._machine.kill()
            self._machine = None
        if self._commands is not None:
            self._commands.close()
            self._commands = None

    def close(self) -> None:
        """End it and remove all that is its own."""
        self.cut_power()
        for held in self._holds:
            held.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        _open_guests.discard(self)

    # -- commands

    def run(
        self,
        command: str | Sequence[str],
        timeout: float = 60,
        check: bool = True,
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run it to its end: text by bash, a list as it is. After `timeout` seconds it is killed
        in the guest and `CommandTimeout` raised; with `check`, `CommandFailed` on a status."""
        return self._running().run(command, timeout, check, input, env)

    def start(
        self,
        command: str | Sequence[str],
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Background:
        """Run it without waiting."""
        return self._running().start(command, input, env)

    def push(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file in the guest, with its directories."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self.run(["bash", "-c", script, "bash", path, f"{mode:o}"], input=content)

    def pull(self, path: str) -> bytes:
        """The content of a file in the guest."""
        target = self.directory / "share" / "pulled"
        self.run(["cp", "--", path, "/run/lab/pulled"], timeout=300)
        content = target.read_bytes()
        target.unlink()
        return content

    def _running(self) -> Commands:
        if self._commands is None:
            raise GuestGone(f"{self.name} is not running")
        return self._commands

    # -- disks and snapshots

    def add_disk(self, size_bytes: int) -> str:
        """A new empty (sparse) disk, plugged in at once when it runs; its device."""
        number, path = self._disks.add(size_bytes)
        device = disks.device(number)
        if self._machine is not None:
            self._machine.command(f"config ubd{number}={path}")
            self.run(f"until test -b {device}; do sleep 0.02; done", timeout=10)
        return device

    def disk_path(self, device: str) -> Path:
        """The file on the host behind a data disk."""
        return self._disks.path(device)

    def snapshot(self, name: str) -> None:
        """Keep root and disks as they are now under `name`; it must be powered off."""
        self.save(self.directory / "snapshots" / name)

    def reset(self, name: str | None = None) -> None:
        """Cut the power and go back to a snapshot, or (None) to an untouched root, disks kept."""
        if name is None:
            self.cut_power()
            self._disks.drop_root()
        else:
            self.load(self.directory / "snapshots" / name)

    def save(self, target: Path) -> None:
        """Copy root and disks to a directory that another guest can start from."""
        if self.is_running():
            raise LabError(f"{self.name} is running: power it off before a snapshot")
        self._disks.save(target)

    def load(self, source: Path) -> None:
        """Take root and disks from a directory made by `save`; cuts the power."""
        self.cut_power()
        self._disks.load(source)

    # -- console

    def console_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of the kernel's console."""
        log = self.directory / "console.log"
        text = log.read_bytes().decode(errors="replace") if log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _tail(self) -> str:
        return f"\n-- console of {self.name}\n{self.console_tail()}"


@atexit.register
def close_all() -> None:
    """Close every guest still open."""
    for guest in list(_open_guests):
        guest.close()
