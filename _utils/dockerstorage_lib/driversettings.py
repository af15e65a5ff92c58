"""The settings that dockerd is started with, and where each of them is written. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import jsonedit
from .errors import Refused
from .unitfiles import Piece

DRIVER, OPTIONS = "storage-driver", "storage-opts"
#: It beats the flag and the file.
DRIVER_VARIABLE = "DOCKER_DRIVER"
#: In ``unresolved`` where systemd knows no Docker, which is nothing to warn of.
NO_UNIT = "there is no docker.service"
#: Names of flags that differ from the keys of daemon.json.
KEYS = {
    "-s": DRIVER, "-g": "data-root", "--graph": "data-root", "graph": "data-root",
    "-H": "hosts", "-p": "pidfile", "-G": "group", "-l": "log-level",
    "--storage-opt": OPTIONS, "--host": "hosts", "--label": "labels",
    "--insecure-registry": "insecure-registries", "--registry-mirror": "registry-mirrors",
    "--exec-opt": "exec-opts", "--dns-opt": "dns-opts", "--log-opt": "log-opts",
    "--authorization-plugin": "authorization-plugins", "--default-ulimit": "default-ulimits",
    "--default-address-pool": "default-address-pools", "--cluster-store-opt": "cluster-store-opts",
}  # fmt: skip
#: dockerd adds up what flags and file say of these.
_ADDED_UP = {"runtimes", "add-runtime"}


@dataclass(frozen=True)
class Place:
    """What says something: a key of a file, a variable of a file, a unit's ExecStart."""

    path: str
    name: str
    #: "json", "unit" (ExecStart), "unit variable" (Environment=), "variable" (of a file), "systemd"
    #: (systemctl set-environment), "process" (a daemon that the unit did not start).
    kind: str

    def __str__(self) -> str:
        return f"{self.path} ({self.name})"


@dataclass(frozen=True)
class Word:
    """A word that dockerd is started with, and where in a file it stands."""

    value: str
    place: Place
    start: int
    end: int


@dataclass(frozen=True)
class Setting:
    """One setting, by the name that it has in daemon.json."""

    name: str
    value: str
    place: Place
    #: Empty for a key of daemon.json.
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """Settings that contradict each other, and the way out."""

    code: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Variable:
    """A variable that systemd gives to dockerd."""

    place: Place
    value: Piece


@dataclass(frozen=True)
class Configuration:
    """All settings that dockerd gets when it is started the next time."""

    #: What it is started with; empty if that is not known.
    command: tuple[Word, ...]
    config_file: str
    settings: tuple[Setting, ...]
    #: STORAGE_DRIVER of docker-storage-setup, where it writes what the unit uses.
    setup: Setting | None
    #: What could not be understood; nothing is changed as long as there is any.
    unresolved: tuple[str, ...]
    #: Every file that was looked for, None for one that is not there.
    files: Mapping[str, str | None]
    units: tuple[str, ...]
    #: The variables of systemd itself.
    manager: Mapping[str, str]
    #: All that Environment= and the files of variables set.
    variables: Mapping[str, Variable]
    #: The command line of the daemon that runs; empty if none does.
    running: tuple[str, ...] = ()

    def find(self, name: str) -> Setting | None:
        """The setting that counts, by its name in daemon.json; None if nothing says it."""
        return next((one for one in reversed(self.settings) if one.name == name), None)

    def value(self, name: str) -> str | None:
        """What counts for a name, as in ``value("data-root")``; None if nothing says it."""
        found = self.find(name)
        return found.value if found else None

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a name that may be given several times, as in ``values("hosts")``."""
        return tuple(one.value for one in self.settings if one.name == name)

    @property
    def driver(self) -> str | None:
        """The configured storage driver; None if the engine chooses."""
        return self.value(DRIVER) or None

    @property
    def options(self) -> tuple[str, ...]:
        return self.values(OPTIONS)

    @property
    def data_root(self) -> str | None:
        return self.value("data-root")

    @property
    def live_restore(self) -> bool:
        return self.value("live-restore") == "true"

    @property
    def program(self) -> str | None:
        """The daemon's program; None if it is not known."""
        return self.command[0].value if self.command else None


def running_words(command_line: Sequence[str]) -> tuple[Word, ...]:
    """The words of a process, which stand in no file."""
    place = Place("the running daemon", "its command line", "process")
    return tuple(Word(value, place, 0, 0) for value in command_line)


def read_flags(words: Sequence[Word]) -> list[Setting]:
    """The flags of a command; dockerd takes no other arguments, so what follows is a value."""
    found: list[Setting] = []
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if not word.value.startswith("-"):
            continue
        name, equals, value = word.value.partition("=")
        taken: tuple[Word, ...] = (word,)
        # The short form takes its value without a blank, too: -sdevicemapper.
        if not name.startswith("--") and len(name) > 2 and name[:2] in KEYS:
            name, equals, value = name[:2], "=", word.value[2:].removeprefix("=")
        if not equals:
            following = words[at : at + 1]
            if following and not following[0].value.startswith("-"):
                taken, value, at = (word, following[0]), following[0].value, at + 1
            else:
                value = "true"
        key = KEYS.get(name, name.lstrip("-"))
        found.append(Setting(key, value, word.place, taken))
    return found


def given_twice(configuration: Configuration) -> list[tuple[str, Place]]:
    """Names in the file that a flag, there, gives as well: dockerd refuses to start with them."""
    try:
        text = configuration.files.get(configuration.config_file) or ""
        keys = {KEYS.get(key, key) for key in jsonedit.read(text, configuration.config_file)}
    except Refused:  # said elsewhere
        return []
    flags = {one.name: one.place for one in read_flags(configuration.command)}
    return [(name, flags[name]) for name in sorted(keys & flags.keys() - _ADDED_UP)]
