"""A second dockerd beside the one that serves, to fill a store that the host is to use later.

It shares nothing with the first: data root, runtime files, socket, containerd's namespaces and
network namespace are its own. It runs no containers.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput, CommandFailed, EngineRefused, EngineUnreachable
from ..lock import FOLDER, make_folder
from . import dmsetup, hostfiles, processes, shell
from .engine_import import ImportEngine
from .store import DRIVER

#: Short: sockets lie below it, whose paths may have 107 characters (unix(7)).
RUN = FOLDER / "second"
STOP_SECONDS = 300.0
KILL_SECONDS = 30.0
HELP_SECONDS = 30.0
LOG_LINES = 6
#: What only some releases know, and refuse to start with otherwise.
_NEWER_FLAGS = (
    "--ip6tables=false",
    "--containerd-namespace=dockerstorage",
    "--containerd-plugins-namespace=dockerstorage-plugins",
)


@dataclass(frozen=True)
class Settings:
    """How a second engine is started."""

    program: str
    driver: str
    #: As in ``storage-opts``: "dm.basesize=10G".
    options: tuple[str, ...] = ()
    #: Those of the first: files of remapped users have other owners.
    userns_remap: str = ""
    containerd: str = ""


def settings_like(daemon: processes.Process, driver: str, options: Sequence[str] = ()) -> Settings:
    """Settings for another store of the engine that a process runs; raises BadInput if it ended."""
    folder = Path("/proc", str(daemon.pid))
    try:
        # One that was replaced meanwhile has a mark behind its name.
        program = os.readlink(folder / "exe").removesuffix(" (deleted)")  # noqa: PTH115
        argv = (folder / "cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        raise BadInput(f"the engine's process {daemon.pid} has ended: start Docker") from None
    config_file = _flag(argv, "config-file")
    config: dict[str, Any] = hostfiles.daemon_config(*([Path(config_file)] if config_file else []))
    return Settings(
        program,
        driver,
        tuple(options),
        *(_flag(argv, one) or str(config.get(one) or "") for one in ("userns-remap", "containerd")),
    )


def _flag(argv: Sequence[str], name: str) -> str:
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == f"--{name}":
            return following
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return ""


class SecondDaemon:
    """The second engine of a data root, whoever started it: it is found by its command line.

    A process that was killed leaves it running; ``stop`` ends it all the same. With user namespace
    remapping other users must be able to enter the directories above the data root (o+x).
    """

    def __init__(self, data_root: Path, run_folder: Path = RUN) -> None:
        self.data_root, self._run = data_root, run_folder
        self._socket, self._exec = run_folder / "docker.sock", run_folder / "exec"
        self._log = run_folder / "dockerd.log"

    def running(self) -> processes.Process | None:
        """Its process; None if it does not run."""
        for one in processes.with_argument(f"--data-root={self.data_root}"):
            # Between fork and exec it has another name.
            if any(processes.find(one.pid, name) for name in ("dockerd", "unshare")):
                return one
        return None

    def engine(self) -> ImportEngine:
        """A connection to it; raises EngineUnreachable."""
        return ImportEngine(f"unix://{self._socket}")

    def start(self, settings: Settings, timeout_seconds: float) -> ImportEngine:
        """Start it and wait until it serves; one that runs already is stopped first.

        Raises CommandFailed with the end of its log; then nothing of it is left, nor a data root
        that was not there before.
        """
        self.stop()
        new = not self.data_root.exists()
        self.data_root.mkdir(mode=0o711, parents=True, exist_ok=True)
        for folder in (self._run.parent, self._run):
            make_folder(folder)
        (self._run / "daemon.json").write_text("{}")
        try:
            return self._started(self._argv(settings), settings.program, timeout_seconds)
        except BaseException:
            self.stop(KILL_SECONDS)
            if new:
                shutil.rmtree(self.data_root)
            raise

    def _argv(self, settings: Settings) -> list[str]:
        argv = [
            settings.program,
            f"--config-file={self._run / 'daemon.json'}",
            f"--data-root={self.data_root}",
            f"--exec-root={self._exec}",
            f"--pidfile={self._run / 'docker.pid'}",
            f"--host=unix://{self._socket}",
            "--bridge=none",
            "--iptables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            f"--storage-driver={settings.driver}",
            *(f"--storage-opt={one}" for one in settings.options),
        ]
        if settings.userns_remap:
            argv.append(f"--userns-remap={settings.userns_remap}")
        if settings.containerd:
            argv.append(f"--containerd={settings.containerd}")
        known = shell.output([settings.program, "--help"], HELP_SECONDS)
        argv += [flag for flag in _NEWER_FLAGS if flag.partition("=")[0] in known]
        return argv

    def _started(self, argv: list[str], program: str, timeout_seconds: float) -> ImportEngine:
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                # In the host's network namespace --bridge=none would delete the bridge docker0.
                ["unshare", "-n", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Without what may be set for the first one, as DOCKER_DRIVER.
                env={"LC_ALL": "C", "PATH": f"{Path(program).parent}:{shell.SYSTEM_PATH}"},
            )
        deadline = time.monotonic() + timeout_seconds
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(EngineUnreachable, EngineRefused):
                if self._socket.exists():
                    engine = self.engine()
                    engine.info()
                    return engine
            time.sleep(0.05)
        status = process.poll()
        why = f"no answer within {timeout_seconds:g} s" if status is None else "it does not start"
        raise CommandFailed(
            [
                program,
                f"--data-root={self.data_root}",
                f"--storage-driver={_flag(argv, 'storage-driver')}",
            ],
            status,
            f"the second engine: {why}; mend the storage options, or take another driver. Its log "
            f"ends with:\n{self._log_end()}",
        )

    def _log_end(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        # The reason itself comes last, and without a level.
        lines = [line for line in lines if " level=info " not in line] or lines
        return "\n".join(line[:1000] for line in lines[-LOG_LINES:])

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> bool:
        """End it, and what it left mounted or active; whether it ended by itself.

        Nothing is done if it does not run and left nothing. Raises CommandFailed if it cannot be
        ended, or something of it is in use.
        """
        found = self.running()
        left = processes.end([found], signal.SIGTERM, timeout_seconds) if found else set()
        if processes.end(left, signal.SIGKILL, KILL_SECONDS):
            raise CommandFailed(
                ["kill", "-KILL", *(str(one.pid) for one in left)],
                None,
                "the second engine hangs in the kernel: see 'dmesg'; a restart of the host ends it",
            )
        # Its own containerd, where the host has none that runs always.
        own = processes.with_argument(str(self._exec / "containerd" / "containerd.toml"))
        processes.end(own, signal.SIGKILL, KILL_SECONDS)
        for point in sorted(self._mounts(), reverse=True):
            shell.output(["umount", point])
        self._deactivate()
        shutil.rmtree(self._run, ignore_errors=True)
        return not left

    def _mounts(self) -> Iterator[str]:
        """Mount points that one that was killed left."""
        inside = (f"{self.data_root}/", f"{self._run}/")
        for _, point in hostfiles.parse_mountinfo(Path("/proc/self/mountinfo").read_text()):
            if point.startswith(inside):
                yield point

    def _deactivate(self) -> None:
        """Remove thin devices, and the loop pool, that one that was killed left."""
        for folder in (*self.data_root.glob(DRIVER), *self.data_root.glob(f"*/{DRIVER}")):
            prefix = f"docker-{hostfiles.device_and_inode(str(folder))}-"
            names = [name for name in dmsetup.devices() if name.startswith(prefix)]
            # The pool last: the others lie in it.
            for name in sorted(names, key=lambda one: one == f"{prefix}pool"):
                dmsetup.remove(name)
