"""What the caller wants of an import: arguments checked and read into Options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .errors import BadInput
from .policy import texts
from .recreate import BUILT_IN, SHORT_ID

KINDS = ("image", "network", "volume", "container")
ON_CONFLICT = ("fail", "skip", "replace")

#: Names as the engine takes them (``names/names.go`` of moby; distribution/reference).
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)
NETWORK_NAME = re.compile(r"(?!container:)[^/\x00-\x20\x7f]+")
TAG = re.compile(
    r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?(?::\d+(?=/))?"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*:\w[\w.-]{0,127}",
    re.ASCII,
)
_RULES = {"image": TAG, "network": NETWORK_NAME, "volume": NAME, "container": NAME}


@dataclass(frozen=True)
class Pattern:
    """What an element of ``only`` means: names of one kind, or (None) of any."""

    kind: str | None
    text: str

    def matches(self, kind: str, id_: str, names: Iterable[str]) -> bool:
        """Whether it means an object: by name, or by the beginning of its id."""
        if self.kind not in (None, kind):
            return False
        beginning = self.text.removeprefix("sha256:")
        by_id = len(beginning) >= SHORT_ID and id_.removeprefix("sha256:").startswith(beginning)
        return by_id or any(fnmatchcase(name, self.text) for name in names)

    def __str__(self) -> str:
        return self.text if self.kind is None else f"{self.kind}:{self.text}"


@dataclass(frozen=True)
class Options:
    """How a bundle is imported."""

    #: Empty: everything.
    only: tuple[Pattern, ...] = ()
    #: (kind or None for any, old name) to new name.
    rename: Mapping[tuple[str | None, str], str] | None = None
    on_conflict: str = "fail"
    start: bool = False

    def new_name(self, kind: str, name: str) -> str:
        """What an object of the bundle is called here."""
        renamed = self.rename or {}
        return renamed.get((kind, name), renamed.get((None, name), name))


def read_options(
    rename: object = None, only: object = None, on_conflict: object = "fail", start: object = False
) -> Options:
    """Read the arguments of an import; raises BadInput, naming the argument."""
    if on_conflict not in ON_CONFLICT:
        raise BadInput(f"on_conflict: {on_conflict!r} is none of {', '.join(ON_CONFLICT)}")
    if not isinstance(start, bool):
        raise BadInput(f"start: {start!r} is neither True nor False")
    patterns = tuple(_read_pattern(text) for text in texts("only", only))
    return Options(patterns, _read_rename(rename), str(on_conflict), start)


def valid_name(kind: str, name: str) -> bool:
    """Whether the engine takes such a name; one that leads out of a directory it never takes."""
    if kind == "network" and name in BUILT_IN:
        return False
    return len(name) < 256 and bool(_RULES[kind].fullmatch(name))


def _split(text: str) -> tuple[str | None, str]:
    kind, colon, name = text.partition(":")
    # A tag has a colon as well, after a repository that is called like no kind.
    return (kind, name) if colon and kind in KINDS else (None, text)


def _read_pattern(text: str) -> Pattern:
    kind, name = _split(text)
    if not name.strip() or not name.isprintable():
        raise BadInput(f"only: {text!r} is no pattern; write a name with *, ? and [sets]")
    return Pattern(kind, name)


def _read_rename(given: object) -> dict[tuple[str | None, str], str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadInput(f"rename: {given!r} is no mapping; write '{{old: new}}'")
    found = {}
    for old, new in given.items():
        if not isinstance(old, str) or not isinstance(new, str):
            raise BadInput(f"rename: {old!r}: {new!r} are not both texts; quote them")
        kind, name = _split(old)
        kinds = KINDS if kind is None else (kind,)
        if not any(valid_name(one, new) for one in kinds):
            raise BadInput(f"rename: {new!r} is no name for {kind or 'anything'}")
        found[kind, name] = new
    return found
