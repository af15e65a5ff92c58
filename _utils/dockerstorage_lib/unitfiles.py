"""Files of systemd's syntax, read so that they can be edited: each character knows its place.

Units as in systemd.unit(5) and systemd.service(5), files of variables as EnvironmentFile= reads
them, systemd.exec(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_KEY = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*)=")
_ESCAPED_IN_QUOTES = '"\\`$'


@dataclass(frozen=True)
class Piece:
    """A part of a file: what it means, and where it stands, quotes and all."""

    value: str
    #: Start and end in the file of each character of the value.
    at: tuple[tuple[int, int], ...]
    start: int
    end: int

    def cut(self, begin: int, end: int | None = None) -> Piece:
        """Some characters of it; none of them stand where the piece ends."""
        at = self.at[begin:end]
        if not at:
            return Piece("", (), self.end, self.end)
        return Piece(self.value[begin:end], at, at[0][0], at[-1][1])


@dataclass(frozen=True)
class Assignment:
    """One ``key=value`` of a file."""

    section: str
    key: str
    value: Piece


def split(text: Piece) -> list[Piece]:
    """The words of a text, as systemd splits a command line: quotes keep blanks, and go."""
    found, at = [], 0
    while at < len(text.value):
        if text.value[at].isspace():
            at += 1
            continue
        word, at = _word(text, at)
        found.append(word)
    return found


def _word(text: Piece, begin: int) -> tuple[Piece, int]:
    chars: list[str] = []
    places: list[tuple[int, int]] = []
    quote, at, value = "", begin, text.value
    while at < len(value) and (quote or not value[at].isspace()):
        char, first = value[at], at
        at += 1
        if char == quote:
            quote = ""
            continue
        if not quote and char in "\"'":
            quote = char
            continue
        if char == "\\" and at < len(value):
            char = value[at]
            at += 1
        chars.append(char)
        places.append((text.at[first][0], text.at[at - 1][1]))
    start, end = text.at[begin][0], text.at[at - 1][1]
    return Piece("".join(chars), tuple(places), start, end), at


def read_unit(text: str) -> list[Assignment]:
    """The assignments of a unit or a drop-in, in their order."""
    found, section = [], ""
    for line in _logical_lines(text):
        value = line.value
        if value.startswith("[") and value.rstrip().endswith("]"):
            section = value.strip()[1:-1]
        elif "=" in value:
            begin = value.index("=") + 1
            while begin < len(value) and value[begin].isspace():
                begin += 1
            found.append(
                Assignment(section, value.partition("=")[0].strip(), line.cut(begin, len(value)))
            )
    return found


def _logical_lines(text: str) -> Iterator[Piece]:
    """Lines with those that a backslash continues joined by a blank, without comments."""
    chars: list[tuple[str, int, int]] = []
    at = 0
    for raw in re.findall("[^\n]*\n|[^\n]+", text):
        begin, at = at, at + len(raw)
        line = raw.rstrip("\r\n")
        # A comment may even stand between a line and its continuation.
        if line.lstrip().startswith(("#", ";")):
            continue
        goes_on = line.endswith("\\")
        if not chars:
            begin += len(line) - len(line.lstrip())
            line = line.lstrip()
        if chars and chars[-1][0] == " " and chars[-1][2] < 0:
            chars[-1] = (" ", chars[-1][1], begin)
        body = line[:-1] if goes_on else line.rstrip()
        chars += [(char, begin + i, begin + i + 1) for i, char in enumerate(body)]
        if goes_on:
            chars.append((" ", begin + len(body), -1))
            continue
        if chars:
            yield _piece(chars)
        chars = []
    if chars:
        yield _piece(chars)


def _piece(chars: list[tuple[str, int, int]]) -> Piece:
    # What ends in a continuation that never came has nothing behind it.
    kept = [one if one[2] >= 0 else (one[0], one[1], one[1] + 1) for one in chars]
    while kept and kept[-1][0].isspace():
        kept.pop()
    if not kept:
        return Piece("", (), chars[0][1], chars[0][1])
    value = "".join(char for char, _, _ in kept)
    return Piece(value, tuple((a, b) for _, a, b in kept), kept[0][1], kept[-1][2])


def read_variables(text: str) -> dict[str, Piece]:
    """The variables of a file for EnvironmentFile=; of one that is set twice the last counts."""
    found, at = {}, 0
    while at < len(text):
        line_end = text.find("\n", at)
        line_end = len(text) if line_end < 0 else line_end
        key = _KEY.match(text, at, line_end)
        if key is None:  # a comment, or what only a shell understands
            at = line_end + 1
            continue
        found[key[1]], at = _value(text, key.end())
        at += 1
    return found


def _value(text: str, at: int) -> tuple[Piece, int]:
    """The value that begins there, and where its line ends."""
    while at < len(text) and text[at] in " \t":
        at += 1
    begin = at
    chars: list[tuple[str, int, int]] = []
    while at < len(text) and text[at] in " \t'\"":
        if text[at] in " \t":
            at += 1
            continue
        quoted, at = _quoted(text, at)
        chars += quoted
    end = at
    bare, at = _bare(text, at)
    if bare:
        end = bare[-1][2]
    chars += bare
    value = "".join(char for char, _, _ in chars)
    end = max(end, begin)
    raw = text[begin:end]
    end -= len(raw) - len(raw.rstrip())
    return Piece(value, tuple((a, b) for _, a, b in chars), begin, end), at


def _quoted(text: str, at: int) -> tuple[list[tuple[str, int, int]], int]:
    quote, chars = text[at], []
    at += 1
    while at < len(text) and text[at] != quote:
        following = text[at + 1 : at + 2]
        if quote == '"' and text[at] == "\\" and following == "\n":
            at += 2
        elif quote == '"' and text[at] == "\\" and following and following in _ESCAPED_IN_QUOTES:
            chars.append((following, at, at + 2))
            at += 2
        else:
            chars.append((text[at], at, at + 1))
            at += 1
    return chars, at + 1


def _bare(text: str, at: int) -> tuple[list[tuple[str, int, int]], int]:
    chars: list[tuple[str, int, int]] = []
    while at < len(text) and text[at] != "\n":
        if text[at] == "\\" and at + 1 < len(text):
            if text[at + 1] != "\n":
                chars.append((text[at + 1], at, at + 2))
            at += 2
        else:
            chars.append((text[at], at, at + 1))
            at += 1
    while chars and chars[-1][0].isspace():
        chars.pop()
    return chars, at
