"""Read where dockerd's settings are written. Pure: files come through a function that reads one.

Only what the unit really hands to dockerd counts: a file of variables that no ExecStart uses
changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import jsonedit
from .driversettings import (
    DRIVER,
    DRIVER_VARIABLE,
    KEYS,
    NO_UNIT,
    OPTIONS,
    Configuration,
    Place,
    Setting,
    Variable,
    Word,
    read_flags,
    running_words,
)
from .errors import Refused
from .unitfiles import Piece, read_unit, read_variables, split

DAEMON_JSON = "/etc/docker/daemon.json"
#: What generates /etc/sysconfig/docker-storage on Red Hat, and where it is told how.
STORAGE_SETUP, GENERATED = "/etc/sysconfig/docker-storage-setup", "/etc/sysconfig/docker-storage"

Load = Callable[[str], "str | None"]

_DAEMON = re.compile(r"dockerd(-[a-z]+)?")
_CLIENT = re.compile(r"docker(-[a-z]+)?")
_BRACED = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BARE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def read(
    load: Load,
    units: Sequence[str],
    manager: Mapping[str, str] | None = None,
    running: Sequence[str] = (),
) -> Configuration:
    """Read all that dockerd is told.

    load returns a file's text, None if there is none; units are the paths of the unit and its
    drop-ins in the order in which systemd reads them; manager holds systemd's own variables;
    running is the command line of the daemon that runs, which fills in where the unit's own is
    not understood.
    """
    reader = _Reader(load, manager or {})
    command = reader.read_units(units) or running_words(running)
    flags = tuple(read_flags(command))
    config_file = next((one.value for one in flags if one.name == "config-file"), DAEMON_JSON)
    settings = [*reader.read_json(config_file), *flags, *reader.driver_variable()]
    setup = reader.storage_setup(command)
    return Configuration(
        command, config_file, tuple(settings), setup, tuple(reader.unresolved), reader.files,
        tuple(units), manager or {}, reader.variables, tuple(running),
    )  # fmt: skip


class _Reader:
    """Remembers every file it read, and what it did not understand."""

    def __init__(self, load: Load, manager: Mapping[str, str]) -> None:
        self._load = load
        self.files: dict[str, str | None] = {}
        self.unresolved: list[str] = []
        self.variables = {
            name: Variable(Place("systemctl show-environment", name, "systemd"), _loose(value))
            for name, value in manager.items()
        }

    def _text(self, path: str) -> str | None:
        if path not in self.files:
            self.files[path] = self._load(path)
        return self.files[path]

    def read_units(self, units: Sequence[str]) -> tuple[Word, ...]:
        start: list[tuple[str, Piece]] = []
        environment: list[tuple[str, Piece]] = []
        files: list[str] = []
        # An empty value takes back what was said before.
        for path in units:
            for one in read_unit(self._text(path) or ""):
                if one.section != "Service":
                    continue
                if one.key == "ExecStart":
                    start = [*start, (path, one.value)] if one.value.value else []
                elif one.key == "Environment":
                    words = [(path, word) for word in split(one.value)]
                    environment = [*environment, *words] if words else []
                elif one.key == "EnvironmentFile":
                    files = [*files, one.value.value] if one.value.value else []
        self._read_environment(environment, files)
        if len(start) != 1:
            count = "no ExecStart" if not start else "more than one ExecStart"
            self.unresolved.append(f"docker.service has {count}" if units else NO_UNIT)
            return ()
        return self._expand(*start[0])

    def _read_environment(self, words: Iterable[tuple[str, Piece]], files: Iterable[str]) -> None:
        for path, word in words:
            name, equals, _ = word.value.partition("=")
            if equals:
                value = word.cut(len(name) + 1)
                self.variables[name] = Variable(Place(path, name, "unit variable"), value)
        for named in files:
            path = named.removeprefix("-").strip("\"'")
            if re.search(r"[*?\[%]", path):
                self.unresolved.append(f"EnvironmentFile={named}: a pattern of files")
                continue
            for name, value in read_variables(self._text(path) or "").items():
                self.variables[name] = Variable(Place(path, name, "variable"), value)

    def _expand(self, path: str, line: Piece) -> tuple[Word, ...]:
        """The words of an ExecStart, variables put in."""
        place = Place(path, "ExecStart", "unit")
        found: list[Word] = []
        for piece in split(line):
            bare = _BARE.fullmatch(piece.value)
            if bare is None:
                value = _BRACED.sub(self._braced, piece.value).replace("%%", "%")
                found.append(Word(value, place, piece.start, piece.end))
            elif bare[1] in self.variables:
                found += _words(self.variables[bare[1]])
        return self._daemon_of(found, path)

    def _braced(self, match: re.Match[str]) -> str:
        variable = self.variables.get(match[1]) if match[1] else None
        return variable.value.value if variable else "$" if not match[1] else ""

    def _daemon_of(self, words: list[Word], path: str) -> tuple[Word, ...]:
        """The command, if it is dockerd that runs and not a script about it."""
        prefix = re.match(r"[@:+!|-]*", words[0].value)[0] if words else ""  # type: ignore[index]
        if words and prefix:
            words[0] = replace(words[0], value=words[0].value[len(prefix) :])
            if "@" in prefix:  # the next word is only the name it is shown by
                del words[1:2]
        name = words[0].value.rpartition("/")[2] if words else ""
        old = _CLIENT.fullmatch(name) and [one.value for one in words[1:2]] in (["daemon"], ["-d"])
        if _DAEMON.fullmatch(name) or old:
            return tuple(words)
        shown = words[0].value if words else "nothing"
        self.unresolved.append(f"the ExecStart of {path} runs {shown}, not dockerd itself")
        return ()

    def read_json(self, path: str) -> list[Setting]:
        try:
            found = jsonedit.read(self._text(path) or "", path)
        except Refused as error:
            self.unresolved.append(str(error))
            return []
        wrong = _wrong_type(found)
        if wrong:
            self.unresolved.append(f"{path}: {wrong}")
            return []
        return [
            Setting(KEYS.get(key, key), _text(value), Place(path, key, "json"))
            for key, held in found.items()
            for value in (held if isinstance(held, list) else [held])
        ]

    def driver_variable(self) -> list[Setting]:
        variable = self.variables.get(DRIVER_VARIABLE)
        if variable is None or not variable.value.value:
            return []
        value = variable.value
        word = Word(value.value, variable.place, value.start, value.end)
        return [Setting(DRIVER, value.value, variable.place, (word,))]

    def storage_setup(self, command: tuple[Word, ...]) -> Setting | None:
        if GENERATED not in {word.place.path for word in command}:
            return None
        text = self._text(STORAGE_SETUP)
        if text is None:
            return None
        place = Place(STORAGE_SETUP, "STORAGE_DRIVER", "variable")
        found = read_variables(text).get("STORAGE_DRIVER")
        if found is None:
            return Setting(DRIVER, "", place)
        if "$" in found.value:
            self.unresolved.append(f"{STORAGE_SETUP}: STORAGE_DRIVER={found.value}")
        word = Word(found.value, place, found.start, found.end)
        return Setting(DRIVER, found.value, place, (word,))


def _words(variable: Variable) -> list[Word]:
    # In a unit, systemd takes % for the start of a specifier.
    in_unit = variable.place.kind == "unit variable"
    return [
        Word(
            one.value.replace("%%", "%") if in_unit else one.value,
            variable.place,
            one.start,
            one.end,
        )
        for one in split(variable.value)
    ]


def _loose(value: str) -> Piece:
    """A value that stands in no file."""
    return Piece(value, tuple((at, at + 1) for at in range(len(value))), 0, len(value))


def _wrong_type(found: Mapping[str, Any]) -> str:
    if not isinstance(found.get(DRIVER, ""), str):
        return f"{DRIVER} is no text"
    options = found.get(OPTIONS, [])
    if not isinstance(options, list) or not all(isinstance(one, str) for one in options):
        return f"{OPTIONS} is no list of texts"
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
