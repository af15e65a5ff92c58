"""JSON that may have been made to do harm, read strictly: complaints name object and field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterable
from typing import Any, NoReturn

from .errors import Damaged

#: One line, without what a terminal or a file would take for something else.
TEXT = re.compile("[^\\x00-\\x1f\\x7f\\ud800-\\udfff]{0,4096}")
SOME_TEXT = re.compile("[^\\x00-\\x1f\\x7f\\ud800-\\udfff]{1,4096}")
_UNFIT = re.compile("[\\x00-\\x1f\\x7f\\ud800-\\udfff]+")
_MOST_BYTES = 2**62


def one_line(text: str) -> str:
    """A text that TEXT fits, as near as can be."""
    return _UNFIT.sub(" ", text)[:4096]


def read_object(text: str | bytes, file: str) -> StrictObject:
    """The object that is all of a text; raises Damaged, naming ``file``, if it is none."""
    return StrictObject(read_json(text, file), file)


def read_json(text: str | bytes, file: str) -> object:
    """A text's JSON; raises Damaged if it is none, or has a field twice."""
    try:
        return json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Damaged(file, f"it is not JSON: {error}") from None


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def once(file: str, what: str, all_: Iterable[Hashable]) -> None:
    """Raise Damaged if any is there twice."""
    seen = set()
    for one in all_:
        if one in seen:
            raise Damaged(file, f"{what} {one}: it is there twice")
        seen.add(one)


class StrictObject:
    """A JSON object that has just the fields that are taken from it; else Damaged is raised."""

    def __init__(self, found: object, file: str, what: str = "") -> None:
        self._file = file
        self._what = what
        if not isinstance(found, dict):
            self.complain("", "no object")
        self._left: dict[str, Any] = dict(found)

    def complain(self, field: str, why: str) -> NoReturn:
        """Say what is wrong with a field."""
        shown = ", ".join(one_line(one)[:200] for one in (self._what, field) if one)
        raise Damaged(self._file, f"{shown}: {why}" if shown else why)

    def end(self) -> None:
        """No field may be left."""
        for field in self._left:
            self.complain(field, "unknown field")

    def fields(self) -> list[str]:
        """The fields that were not taken yet."""
        return list(self._left)

    def take(self, field: str, *, keep: bool = False) -> Any:
        """A field's value, whatever it is."""
        if field not in self._left:
            self.complain(field, "it is missing")
        return self._left[field] if keep else self._left.pop(field)

    def text(self, field: str, pattern: re.Pattern[str] = TEXT) -> str:
        """A text that the pattern fits."""
        return self._fit(field, self.take(field), pattern)

    def _fit(self, field: str, value: object, pattern: re.Pattern[str]) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.complain(field, f"it cannot be {str(value)[:200]!r}")
        return value

    def named(self, field: str, pattern: re.Pattern[str], kind: str) -> str:
        """The text that identifies this object; complaints name it from now on."""
        value = self.text(field, pattern)
        self._what = f"{kind} {value}"
        return value

    def texts(self, field: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
        """A list of such texts."""
        return tuple(self._fit(field, one, pattern) for one in self._list(field))

    def _list(self, field: str) -> list[object]:
        value = self.take(field)
        if not isinstance(value, list):
            self.complain(field, "no list")
        return value

    def objects(self, field: str) -> list[StrictObject]:
        """A list of objects."""
        return [
            StrictObject(one, self._file, f"{field}[{at}]")
            for at, one in enumerate(self._list(field))
        ]

    def inner(self, field: str) -> StrictObject:
        """A field's object."""
        return StrictObject(self.take(field), self._file, f"{self._what}, {field}".lstrip(", "))

    def count(self, field: str) -> int:
        """A number of bytes."""
        value = self.take(field)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_BYTES:
            self.complain(field, f"no number of bytes: {str(value)[:200]!r}")
        return value

    def time(self, field: str) -> float:
        """Seconds since the epoch."""
        value = self.take(field)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.complain(field, "no number")
        if not math.isfinite(value) or not 0 <= value < 2**40:
            self.complain(field, "no time")
        return float(value)
