"""What the caller wants kept: arguments checked and read into a Policy."""

from __future__ import annotations

import fnmatch
import inspect
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import BadInput
from .objects import Container, Image, Labels, Network, Volume

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class LabelRule:
    """A label that protects: a key with any value, or with one value."""

    key: str
    value: str | None = None

    def matches(self, labels: Labels) -> bool:
        return self.key in labels and self.value in (None, labels[self.key])

    def __str__(self) -> str:
        return self.key if self.value is None else f"{self.key}={self.value}"


@dataclass(frozen=True)
class Policy:
    """What a prune keeps, and how far it goes."""

    labels: tuple[LabelRule, ...] = (LabelRule("protected"),)
    name_patterns: tuple[str, ...] = ()
    min_age_seconds: float = 0
    keep_tags: int = 0
    #: "none", "anonymous" or "all".
    volumes: str = "none"
    networks: bool = True
    build_cache: bool = True
    until_percent: float | None = None
    own_labels_only: bool = False

    def protecting_label(self, labels: Labels) -> LabelRule | None:
        return next((rule for rule in self.labels if rule.matches(labels)), None)

    def protecting_pattern(self, thing: Container | Image | Volume | Network) -> str | None:
        names = _names(thing)
        return next(
            (
                pattern
                for pattern in self.name_patterns
                if any(fnmatch.fnmatchcase(name, pattern) for name in names)
            ),
            None,
        )


def _names(thing: Container | Image | Volume | Network) -> tuple[str, ...]:
    if isinstance(thing, Image):
        return (*thing.tags, *map(repository, (*thing.tags, *thing.digests)))
    return (thing.name,)


def repository(name: str) -> str:
    """The repository of an image's tag or digest; a port's colon ends no repository."""
    name = name.partition("@")[0]
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def make_policy(
    protect: str | Iterable[str] = ("protected",),
    protect_names: str | Iterable[str] = (),
    min_age: float | str = 0,
    keep_tags: int = 0,
    volumes: bool | str = False,
    networks: bool = True,
    build_cache: bool = True,
    until_percent: float | None = None,
    own_labels_only: bool = False,
) -> Policy:
    """Check the arguments of a prune and read them; raises BadInput, naming the argument."""
    return Policy(
        labels=tuple(read_label(text) for text in texts("protect", protect)),
        name_patterns=tuple(_read_pattern(text) for text in texts("protect_names", protect_names)),
        min_age_seconds=read_age(min_age),
        keep_tags=_read_count("keep_tags", keep_tags),
        volumes=_read_volumes(volumes),
        networks=read_flag("networks", networks),
        build_cache=read_flag("build_cache", build_cache),
        until_percent=None if until_percent is None else read_percent(until_percent),
        own_labels_only=read_flag("own_labels_only", own_labels_only),
    )


#: Names of the arguments of make_policy.
ARGUMENTS = tuple(inspect.signature(make_policy).parameters)


def read_label(text: str, name: str = "protect") -> LabelRule:
    """Read ``key`` or ``key=value``."""
    if not isinstance(text, str):
        raise BadInput(f"{name}: {text!r} is no text; quote it")
    key, equals, value = text.partition("=")
    if not key.strip() or key != key.strip() or not text.isprintable():
        raise BadInput(f"{name}: {text!r} is no label; write 'key' or 'key=value'")
    # Slips that would protect nothing.
    if "," in key:
        raise BadInput(f"{name}: {text!r} is no label; write several as a list: [a, b=c]")
    if value.startswith("="):
        raise BadInput(f"{name}: {text!r} has two '='; write 'key' or 'key=value'")
    if key.endswith("!"):
        raise BadInput(f"{name}: {text!r} is a filter; name the label to protect: {key[:-1]!r}")
    return LabelRule(key, value if equals else None)


def read_age(value: float | str, name: str = "min_age") -> float:
    """Seconds of a number (seconds) or of a number with a unit: s, m, h, d or w."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*", str(value))
    if isinstance(value, bool) or match is None:
        raise BadInput(
            f"{name}: {value!r} is no age; write seconds (0 or more) or a number with a unit, "
            "as 90m, 12h, 7d, 2w"
        )
    return float(match[1]) * _UNITS[match[2] or "s"]


def read_percent(value: float, name: str = "until_percent") -> float:
    """A percent between 0 and 100."""
    try:
        percent = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        percent = math.nan
    if not 0 <= percent <= 100:
        raise BadInput(f"{name}: {value!r} is no percent; write a number from 0 to 100")
    return percent


def read_flag(name: str, value: bool) -> bool:
    """True or False, and nothing that merely counts as one of them."""
    if not isinstance(value, bool):
        raise BadInput(f"{name}: {value!r} is neither True nor False")
    return value


def texts(name: str, value: object) -> tuple[str, ...]:
    """One text, or a list of texts, or None for none; raises BadInput, naming the argument."""
    given = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) for one in given):
        raise BadInput(f"{name}: {value!r} is neither a text nor a list of texts; quote it")
    return tuple(given)


def _read_pattern(text: str) -> str:
    outside = re.sub(r"\[!?\]?[^]]*\]", "", text)  # what is left when all whole [sets] are gone
    if not text or not text.isprintable() or "[" in outside:
        raise BadInput(
            f"protect_names: {text!r} is no pattern; write a name with *, ? and [sets], every "
            "set closed"
        )
    if re.search(r"[,\s]", outside):  # no name holds these: a slip that would protect nothing
        raise BadInput(
            f"protect_names: {text!r} is no pattern; write several as a list: ['a*', 'b*']"
        )
    return text


def _read_count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadInput(f"{name}: {value!r} is no count; write a whole number, 0 or more")
    return value


def _read_volumes(value: bool | str) -> str:
    # As in Docker 23 and later, pruning volumes means the anonymous ones unless told otherwise.
    meanings = {False: "none", True: "anonymous", "anonymous": "anonymous", "all": "all"}
    if not isinstance(value, (bool, str)) or value not in meanings:
        raise BadInput(f"volumes: {value!r} is none of False, True, 'anonymous', 'all'")
    return meanings[value]
