"""Pages as what a reader does with them: commands to type, with what they show, and files to write.

In a page's fenced blocks

- `bash`: each line is a command (`\\` at its end: goes on in the next);
- `console`: a line that begins with `$ ` is a command, what follows it is shown by it: those lines
  come in this order, others between them, and `…` in a line stands for anything;
- `yaml` whose first line is a comment with a path: a file, written as it is.

All other blocks are only looked at. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^```(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"# (/\S+)")
PROMPT = "$ "
ANYTHING = "…"


@dataclass(frozen=True)
class Command:
    """A command, and the lines that it must show."""

    text: str
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class File:
    """A file to write."""

    path: str
    text: str


def read(page: str) -> list[Command | File]:
    """What a page tells its reader to do, in its order."""
    found: list[Command | File] = []
    for block in FENCE.finditer(page):
        found += BLOCKS.get(block["kind"], lambda _: ())(block["body"])
    return found


def _bash(body: str) -> Iterator[Command]:
    for line in body.replace("\\\n", "").splitlines():
        text = without_comment(line)
        if text:
            yield Command(text)


def _console(body: str) -> Iterator[Command]:
    text, shows = "", []
    for line in [*body.replace("\\\n", "").splitlines(), PROMPT]:
        if not line.startswith(PROMPT):
            shows.append(line)
            continue
        if text:
            yield Command(text, tuple(one for one in shows if one.strip()))
        text, shows = without_comment(line.removeprefix(PROMPT)), []


def _yaml(body: str) -> Iterator[File]:
    path = PATH.fullmatch(body.partition("\n")[0].split(",")[0].strip())
    if path is not None:
        yield File(path[1], body)


Steps = Callable[[str], Iterable[Command | File]]
BLOCKS: dict[str, Steps] = {"bash": _bash, "console": _console, "yaml": _yaml}


def without_comment(line: str) -> str:
    """A command without the comment behind it."""
    return re.sub(r"(^|\s+)#\s.*$", "", line).strip()


def first_missing(shows: tuple[str, ...], output: str) -> str | None:
    """The first of the shown lines that the output does not have behind those before it."""
    lines = iter(output.splitlines())
    for shown in shows:
        parts = (r"\s+".join(map(re.escape, one.split(" "))) for one in _words(shown))
        pattern = re.compile(".*".join(parts))
        if not any(pattern.fullmatch(" ".join(line.split())) for line in lines):
            return shown
    return None


def _words(shown: str) -> list[str]:
    return [" ".join(part.split()) if part.strip() else "" for part in shown.split(ANYTHING)]
