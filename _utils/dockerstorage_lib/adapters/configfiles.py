"""The files that configure the engine: read, changed atomically, put back, and checked."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from .. import driverconfig
from ..driverchange import Change, FileChange, changed
from ..driversettings import Configuration
from ..errors import CommandFailed, DockerstorageError, Refused
from . import services, shell
from .durable import sync_folder

TIMEOUT_SECONDS = 30
UNIT = "docker.service"
#: Files of packages are never written, whatever links lead to them.
_PACKAGED = ("/usr/", "/lib/")
_NEW_FILE_MODE = 0o644


def read() -> Configuration:
    """All that the engine is told by its unit, the files that the unit uses, and daemon.json."""
    try:
        unit, manager, running = _unit(), _manager_variables(), _running_command()
    except DockerstorageError:  # no systemd: daemon.json counts alone
        unit, manager, running = {}, {}, []
    # The unit and its drop-ins, in the order in which systemd reads them.
    units = unit.get("FragmentPath", "").split() + unit.get("DropInPaths", "").split()
    found = driverconfig.read(_load, units, manager, running)
    if unit.get("NeedDaemonReload") == "yes":
        # Drop-ins that it does not know yet are not among those that were read.
        why = f"systemd has not read {UNIT} as it is now (run 'systemctl daemon-reload')"
        found = replace(found, unresolved=(*found.unresolved, why))
    return found


def _load(path: str) -> str | None:
    content = _content(path)
    return None if content is None else content.decode("utf-8", "surrogateescape")


def _content(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None


def _unit() -> dict[str, str]:
    names = ("FragmentPath", "DropInPaths", "NeedDaemonReload")
    return _assignments("show", *(f"--property={name}" for name in names), UNIT)


def _manager_variables() -> dict[str, str]:
    return _assignments("show-environment")


def _assignments(*words: str) -> dict[str, str]:
    text = shell.output(["systemctl", *words], TIMEOUT_SECONDS)
    rows = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in rows}


def _running_command() -> list[str]:
    daemon = services.daemon()
    if daemon is None:
        return []
    try:
        words = Path(f"/proc/{daemon.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile
        return []
    return [os.fsdecode(word) for word in words[:-1]]


def apply(change: Change, keep: Path) -> None:
    """Carry a change out; a repeat after a kill goes on from where it was.

    Copies of all files are below keep, on disk, before the first one is replaced. Raises Refused,
    naming the file and with nothing changed, if one is neither as planned from nor as planned.
    """
    for one in change.files:
        _whether_done(one, "changed")
    _keep(change, keep)
    for one in change.files:
        if _content(one.path) != one.after:
            _put(one.path, one.after)
    reload(change)


def undo(change: Change) -> None:
    """Put back what was before; idempotent, and Refused as in ``apply``."""
    for one in change.files:
        _whether_done(one, "put back")
    for one in reversed(change.files):
        if _content(one.path) != one.before:
            _put(one.path, one.before)
    reload(change)


def reload(change: Change) -> None:
    """Have systemd read its units again, if the change is of one."""
    if change.reloads_systemd:
        shell.output(["systemctl", "daemon-reload"], TIMEOUT_SECONDS)


def _whether_done(one: FileChange, doing: str) -> None:
    if _content(one.path) not in (one.before, one.after):
        raise Refused(
            f"{one.path} was edited meanwhile, and so is not {doing}: look at it, and plan again"
        )
    target = os.path.realpath(one.path)
    if target.startswith(_PACKAGED):
        raise Refused(f"{one.path} is a link to {target}, a file of a package: it is not {doing}")


def _keep(change: Change, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in change.files:
        if one.before is not None:
            copy = folder / one.path.strip("/").replace("/", "_")
            copy.touch(0o600)
            _write(copy, one.before)
    sync_folder(folder)
    sync_folder(folder.parent)


def _put(path: str, content: bytes | None) -> None:
    """Replace a file as a whole, or remove it; on disk when this returns."""
    target = Path(os.path.realpath(path))
    if content is None:
        target.unlink(missing_ok=True)
        sync_folder(target.parent)
        return
    if not target.parent.is_dir():
        target.parent.mkdir(mode=0o755, parents=True)
        sync_folder(target.parent.parent)
    new = target.with_name(f".{target.name}.dockerstorage-new")
    new.unlink(missing_ok=True)  # a kill left it
    new.touch(0o600)
    if target.exists():
        _like(new, target)
    else:
        new.chmod(_NEW_FILE_MODE)  # whatever the umask
    _write(new, content)
    new.replace(target)
    sync_folder(target.parent)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _like(new: Path, old: Path) -> None:
    """Owner, mode and extended attributes (SELinux) of another file."""
    stat = old.stat()
    os.chown(new, stat.st_uid, stat.st_gid)
    new.chmod(stat.st_mode & 0o7777)
    for name in os.listxattr(old):
        os.setxattr(new, name, os.getxattr(old, name))


def validate(configuration: Configuration, change: Change) -> str:
    """Have dockerd itself check what a change makes of its configuration; who checked.

    Releases before 23 cannot: then it is what the plan has checked. Raises Refused, in dockerd's
    own words, if it would not start. Nothing of the host is changed.
    """
    after = changed(configuration, change)
    words = [word.value for word in after.command]
    with tempfile.TemporaryDirectory(prefix="dockerstorage-") as folder:
        copy = Path(folder) / "daemon.json"
        copy.write_bytes(
            (after.files.get(after.config_file) or "{}").encode("utf-8", "surrogateescape")
        )
        argv = [*_without_config_file(words), "--validate", f"--config-file={copy}"]
        done = shell.run(argv, TIMEOUT_SECONDS)
    if done.status == 0:
        return "dockerd"
    if re.search(r"unknown flag:? -?-?validate|not defined: -?-validate", done.stderr):
        return "own checks"
    message = done.stderr.strip().replace(str(copy), after.config_file)
    raise Refused(
        f"dockerd would not start with {change.driver}: {message or f'status {done.status}'}"
    )


def _without_config_file(words: list[str]) -> list[str]:
    kept, at = [], 0
    while at < len(words):
        if words[at] == "--config-file":
            at += 2
            continue
        if not words[at].startswith("--config-file="):
            kept.append(words[at])
        at += 1
    return kept


def engine_version(configuration: Configuration) -> str | None:
    """The version of the daemon's program, which need not run; None if there is none."""
    program = configuration.program or "dockerd"
    try:
        text = shell.output([program, "--version"], TIMEOUT_SECONDS)
    except CommandFailed:
        return None
    found = re.search(r"version (\d+\.\d+[^\s,]*)", text)
    return found[1] if found else None
