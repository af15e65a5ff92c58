"""Change some keys of a JSON file and leave all the rest of its text as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from .errors import Incoherent, Refused

_INDENT = "\n    "
_BLANK = " \t\r\n"


@dataclass(frozen=True)
class _Member:
    key: str
    start: int
    value_start: int
    end: int


def read(text: str, path: str) -> dict[str, Any]:
    """The object that a file holds, an empty file an empty one; raises Refused, saying where."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Refused(
            f"{path} is no valid JSON: line {error.lineno}, column {error.colno}: {error.msg}. "
            f"Correct it by hand first"
        ) from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: {error}. Correct it by hand first") from None
    if not isinstance(found, dict):
        raise Refused(f"{path} holds no JSON object. Correct it by hand first")
    return found


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twin!r} is there twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def change(text: str, path: str, values: Mapping[str, Any]) -> str:
    """The text with these keys set, or removed where the value is None."""
    expected = read(text, path)
    for key, value in values.items():
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    for key, value in values.items():
        text = _remove(text, key) if value is None else _set(text, key, value)
    found = read(text, path)
    if found != expected or list(found) != list(expected):
        raise Incoherent(f"the edited text of {path}", expected, found)
    return text


def _set(text: str, key: str, value: Any) -> str:
    if not text.strip():
        text = "{}\n"
    members = _members(text)
    lead = _lead(text, members)
    shown = _shown(value, lead)
    for member in members:
        if member.key == key:
            return text[: member.value_start] + shown + text[member.end :]
    if not members:
        opening, closing = text.index("{"), text.rindex("}")
        inner = f"{lead}{json.dumps(key)}: {shown}\n"
        return text[: opening + 1] + inner + text[closing:]
    last = members[-1]
    added = f",{lead or ' '}{json.dumps(key)}: {shown}"
    return text[: last.end] + added + text[last.end :]


def _remove(text: str, key: str) -> str:
    members = _members(text) if text.strip() else []
    for at, member in enumerate(members):
        if member.key != key:
            continue
        if at:
            return text[: members[at - 1].end] + text[member.end :]
        if len(members) > 1:
            return text[: member.start] + text[members[1].start :]
        return text[: text.index("{") + 1] + text[text.rindex("}") :]
    return text


def _lead(text: str, members: list[_Member]) -> str:
    """What stands before a key: a line's break and its indentation, if keys have lines."""
    if not members:
        return _INDENT
    start = members[-1].start
    blank = text[:start].rstrip(_BLANK)
    return text[len(blank) : start]


def _shown(value: Any, lead: str) -> str:
    if not isinstance(value, list) or not value or "\n" not in lead:
        return json.dumps(value)
    newline = "\r\n" if "\r\n" in lead else "\n"
    indentation = lead.rpartition("\n")[2]
    unit = indentation or "    "
    inner = ",".join(f"{newline}{indentation}{unit}{json.dumps(one)}" for one in value)
    return f"[{inner}{newline}{indentation}]"


def _members(text: str) -> list[_Member]:
    """The members of the object that is all of a valid text."""
    decoder = json.JSONDecoder()
    at = _skip(text, text.index("{") + 1)
    found = []
    while text[at] != "}":
        key, key_end = decoder.raw_decode(text, at)
        value_start = _skip(text, _skip(text, key_end) + 1)
        _, end = decoder.raw_decode(text, value_start)
        found.append(_Member(key, at, value_start, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in _BLANK:
        at += 1
    return at
