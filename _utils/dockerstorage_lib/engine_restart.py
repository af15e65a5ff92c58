"""End the host's engine in order, start it again, and with it the containers that ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import driverplan
from .adapters import (
    container_files,
    dmioctl,
    dmsetup,
    hostfiles,
    processes,
    services,
    shell,
    store,
)
from .adapters.engine_import import ImportEngine
from .errors import CommandFailed, DockerstorageError, EngineUnreachable, Incoherent, Refused
from .import_start import RAN

#: Opens the engine; with seconds, no call waits longer.
Connect = Callable[..., ImportEngine]

#: How long the daemon may take to end beyond its containers' time, and to answer.
END_SECONDS, ANSWER_SECONDS = 60, 90
#: Of a call to an engine that has only just started.
CALL_SECONDS = 5
#: How often systemd may start it again by itself.
TRIES = 3
#: How long an engine that serves may take to start what its restart policies say.
RESTART_SECONDS = 15


def end(root: str) -> None:
    """Stop daemon and socket: with the socket a client's call would start it again.

    Raises Incoherent if it does not end.
    """
    daemon = services.daemon()
    services.stop()
    if daemon is None:
        return
    patience = max((one.stop_seconds for one in container_files.read_all(root)), default=0)
    if processes.wait([daemon], END_SECONDS + min(patience, END_SECONDS)):
        raise Incoherent("the engine", "ended", f"process {daemon.pid} is still there")


def end_wholly(root: str, drivers: Iterable[str]) -> None:
    """No daemon, no container, no mount and no thin device of the stores is left.

    The pool itself aside. Raises Incoherent.
    """
    end(root)
    container_files.end_survivors(root)
    for driver in drivers:
        _unmount_below(f"{root}/{driver}")
    middle = hostfiles.device_and_inode(f"{root}/{store.DRIVER}")
    for name in list(dmioctl.active_names()):
        if name.startswith(f"docker-{middle}-") and not name.endswith("-pool"):
            try:
                dmsetup.remove(name)
            except CommandFailed as error:
                raise Incoherent(f"device {name}", "unused", error.stderr) from None


def _unmount_below(folder: str) -> None:
    """Unmount what an ended daemon left mounted below a folder; raises CommandFailed."""
    rows = hostfiles.parse_mountinfo((processes.PROC / "self/mountinfo").read_text())
    for _, point in reversed(rows):
        if point.startswith(f"{folder}/"):
            argv = ["umount", point]
            done = shell.run(argv)
            if done.status != 0:
                raise CommandFailed(argv, done.status, done.stderr)


def start(connect: Connect, driver: str | None, was_reset: bool = False) -> None:
    """Start it and wait until it serves, on that driver; raises Incoherent with its log's end.

    was_reset: as for ``services.start``.
    """
    services.start(was_reset)
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            # With a socket unit it waits until the daemon takes it up, or in vain for a daemon
            # that ends again and again.
            found = str(connect(CALL_SECONDS).info()["Driver"])
            break
        except EngineUnreachable as error:
            state = services.state()
            is_over = state == "failed" or services.restarts() >= TRIES
            if is_over or time.monotonic() > deadline:
                why = f"docker.service is {state}: {error}. Its log ends: {services.log_tail()}"
                raise Incoherent("the engine", "started", why) from None
        time.sleep(0.1)
    if driver is not None and not driverplan.is_same(found, driver):
        raise Incoherent("the engine's storage driver", driver, found)


def running(engine: ImportEngine, root: str, driver: str) -> list[dict[str, Any]]:
    """Containers that run, to start them again after a stop.

    Raises Refused for what a stop would break, or remove.
    """
    work = store.work_under_way(root, driver)
    if work:
        raise Refused(f"the engine must be stopped: {'; '.join(work)}")
    if not engine.info().get("LiveRestoreEnabled"):
        doomed = [one.name for one in container_files.read_all(root)
                  if one.auto_remove and one.pid]  # fmt: skip
        if doomed:
            raise Refused(
                f"the engine must be stopped, and would remove {', '.join(doomed)} with it "
                "(started with --rm): stop them yourself first"
            )
    found = []
    for one in engine.containers():
        document = engine.document("container", one.id)
        if document is not None and document["State"]["Status"] in RAN:
            found.append(ran(document))
    return found


def ran(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of a running container's document tells later whether it was started again."""
    policy = ((document.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "no"
    return {
        "id": document["Id"],
        "name": str(document["Name"]).lstrip("/"),
        "started_at": document["State"]["StartedAt"],
        "paused": document["State"]["Paused"],
        "restarts": policy != "no",
    }


def run_again(engine: ImportEngine, wanted: Iterable[Mapping[str, Any]]) -> list[str]:
    """Start what ran and no restart policy has started; what cannot be, and why."""
    failed = []
    for one in wanted:
        try:
            if not _is_started(engine, one):
                engine.start(one["id"])
            if one["paused"]:
                _pause(engine, one["id"])
        except DockerstorageError as error:
            failed.append(f"{one['name']} ({error})")
    return failed


def _is_started(engine: ImportEngine, one: Mapping[str, Any]) -> bool:
    """Whether the engine has started a container by itself; waits where it is about to."""
    deadline = time.monotonic() + (RESTART_SECONDS if one["restarts"] else 0)
    while True:
        now = engine.document("container", one["id"])
        if now is None:
            return True  # it went with its end
        # Another time: it was started, and may have ended since.
        if now["State"]["Running"] or now["State"]["StartedAt"] != one["started_at"]:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)


def _pause(engine: ImportEngine, id_: str) -> None:
    now = engine.document("container", id_)
    if now is not None and not now["State"]["Paused"]:
        engine.pause(id_)
