"""The fleet as a table for a terminal of any width, with or without colours. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from . import fleet
from .fleet import Fill, Host
from .fleet_text import clip, columns_of, duration, pad
from .levels import level
from .summary import human_bytes

#: What stands before a host, by its state.
MARKS = {
    "emergency": "!!!",
    "critical": "!!",
    "warning": "!",
    "failed": "x",
    "silent": "?",
    "ok": "",
    "no docker": "-",
}
_COLOURS = {
    "emergency": "1;31",
    "critical": "31",
    "warning": "33",
    "failed": "35",
    "silent": "35",
    "ok": "32",
    "no docker": "2",
    "head": "1",
    "dim": "2",
}
#: What is narrower gets lines of this width all the same.
NARROWEST = 76
#: From here on warnings stand beside the figures, else below them.
WIDE = 116
LONGEST_BAR = 12
SHORTEST_BAR = 4
SHORTEST_TEXT = 32
_GAP = "  "
_EIGHTHS = "▏▎▍▌▋▊▉"
_ASCII = str.maketrans("█░–…" + _EIGHTHS, "#.-~" + "...####")


@dataclass(frozen=True)
class Look:
    """What the terminal can show."""

    width: int = 80
    colours: bool = False
    blocks: bool = True

    def paint(self, text: str, colour: str) -> str:
        """The text in the colour of a state."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self.colours and text.strip() else text


@dataclass(frozen=True)
class _Column:
    head: str
    #: Text and colour of a cell that is exactly so wide, or narrower.
    cell: Callable[[Host, int], tuple[str, str]]
    width: int


def table(hosts: Collection[Host], look: Look, sort: str = "state") -> list[str]:
    """The hosts as lines, the worst first, with a headline and what the marks mean."""
    lines = headline(hosts, look)
    if not hosts:
        return lines
    columns = _columns(hosts, max(look.width, NARROWEST))
    head = _joined(pad(column.head, column.width) for column in columns)
    lines += ["", look.paint(head, "head")]
    for host in fleet.ordered(hosts, sort):
        lines += _rows(host, columns, look)
    return lines + _notes(hosts, look)


def headline(hosts: Collection[Host], look: Look) -> list[str]:
    """How many hosts there are in each state, with the marks of the table."""
    if not hosts:
        return ["no minion matches the target"]
    found = fleet.counts(hosts)
    start = "1 host: " if len(hosts) == 1 else f"{len(hosts)} hosts: "
    lines, used = [start], len(start)
    for state, count in found["states"].items():
        if not count:
            continue
        told = f"{count} {state} {MARKS[state]}".rstrip()
        if used + len(told) > max(look.width, NARROWEST):
            lines.append(" " * len(start))
            used = len(start)
        lines[-1] += look.paint(told, state) + _GAP
        used += len(told) + len(_GAP)
    if found["reclaimable_bytes"] is not None:
        lines.append(f"{human_bytes(found['reclaimable_bytes'])} could be pruned")
    return [line.rstrip() for line in lines]


def _columns(hosts: Collection[Host], width: int) -> list[_Column]:
    """The columns that fit: names, bars and texts share what the others leave."""
    wide = width >= WIDE
    columns = [
        _natural("DRIVER", _driver, hosts),
        _natural("POOL", _kind, hosts),
        _natural("FULL IN", _full, hosts),
    ]
    if wide and any(host.reclaimable_bytes is not None for host in hosts):
        columns.append(_natural("PRUNABLE", _reclaimable, hosts))
    percent = len(" 100%")
    left = width - 4 - sum(len(_GAP) + column.width for column in columns)
    left -= 2 * (len(_GAP) + percent) + (len(_GAP) + SHORTEST_TEXT if wide else 0)
    longest = max(4, *(columns_of(host.name) for host in hosts))
    bar = max(SHORTEST_BAR, min(LONGEST_BAR, (left - longest) // 2))
    shares = [
        _Column("DATA", lambda host, size: _share(host.data, size), bar + percent),
        _Column("METADATA", lambda host, size: _share(host.metadata, size), bar + percent),
    ]
    name = _Column("HOST", _name, min(longest, max(8, left - 2 * bar)))
    found = [_Column("", _mark, 3), name, *columns[:2], *shares, *columns[2:]]
    if wide:
        used = sum(column.width + len(_GAP) for column in found) - 1
        found.append(_Column("WARNINGS", _warning, width - used))
    return found


def _natural(
    head: str, cell: Callable[[Host, int], tuple[str, str]], hosts: Iterable[Host]
) -> _Column:
    """A column as wide as its widest cell."""
    return _Column(head, cell, max([len(head), *(columns_of(cell(one, 14)[0]) for one in hosts)]))


def _joined(cells: Iterable[str]) -> str:
    first, *rest = cells
    return f"{first} {_GAP.join(rest)}".rstrip()


def _rows(host: Host, columns: Sequence[_Column], look: Look) -> Iterator[str]:
    """The line of a host, and on a narrow terminal one below for what it warns of."""
    if host.why is not None:
        head = [(column, *column.cell(host, column.width)) for column in columns[:2]]
        room = look.width - sum(column.width + 2 for column in columns[:2]) + 1
        why = look.paint(clip(f"{host.state}: {host.why}", room), host.state)
        yield _joined([*_painted(head, look), why])
        return
    yield _joined(_painted([(one, *one.cell(host, one.width)) for one in columns], look))
    if look.width < WIDE:
        yield from _below(host, look)


def _below(host: Host, look: Look) -> Iterator[str]:
    room = max(look.width, NARROWEST) - 6
    prunable = (
        "" if host.reclaimable_bytes is None else f"{human_bytes(host.reclaimable_bytes)} prunable"
    )
    text, _ = _warning(host, room - len(prunable) - len(_GAP) * bool(prunable))
    if text or prunable:
        yield look.paint(f"      {_GAP.join(filter(None, (prunable, text)))}", "dim")


def _painted(cells: Iterable[tuple[_Column, str, str]], look: Look) -> list[str]:
    return [
        look.paint(pad(_drawn(text, look), column.width), colour) if colour else
        pad(_drawn(text, look), column.width)
        for column, text, colour in cells
    ]  # fmt: skip


def _drawn(text: str, look: Look) -> str:
    """A cell as the terminal can show it."""
    return text if look.blocks else text.translate(_ASCII)


def _mark(host: Host, width: int) -> tuple[str, str]:
    return MARKS[host.state].rjust(width), host.state


def _name(host: Host, width: int) -> tuple[str, str]:
    return clip(host.name, width), host.state if host.state in fleet.AT_RISK else ""


def _driver(host: Host, width: int) -> tuple[str, str]:
    return clip(host.driver or "–", width) if host.why is None else "", ""


def _kind(host: Host, width: int) -> tuple[str, str]:
    kind = clip((host.pool_kind or "–").replace("managed direct", "managed"), width)
    if host.why is not None:
        return "", ""
    return (f"{kind} *", "warning") if host.loop_lvm else (kind, "")


def _full(host: Host, width: int) -> tuple[str, str]:
    if host.full_next is None:
        return ("–" if host.data else ""), ""
    seconds, what = host.full_next
    colour = next((state for limit, state in fleet.SOON if seconds < limit), "")
    return duration(seconds) + (" (m)" if what == "metadata" else ""), colour


def _reclaimable(host: Host, width: int) -> tuple[str, str]:
    return human_bytes(host.reclaimable_bytes).rjust(10), ""


def _share(part: Fill | None, width: int) -> tuple[str, str]:
    if part is None:
        return "–", ""
    return f"{bar(part.percent, width - 5)}{part.percent:4.0f}%", level(part.percent)


def bar(percent: float, width: int) -> str:
    """A bar that is exact to the eighth of a column; what is in use is never shown as nothing."""
    eighths = round(percent * width * 8 / 100)
    if percent > 0:
        eighths = max(eighths, 1)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest - 1] if rest else "")).ljust(width, "░")


def _warning(host: Host, width: int) -> tuple[str, str]:
    """The worst of what has no column of its own, and how many more there are."""
    texts = [one.text for one in host.warnings if one.code != "loop_lvm"]
    if not texts:
        return "", ""
    more = f" (+{len(texts) - 1} more)" if len(texts) > 1 else ""
    return clip(texts[0], width - len(more)) + more, ""


def _notes(hosts: Collection[Host], look: Look) -> list[str]:
    """What the marks in the table mean, where they occur."""
    notes = []
    if any(host.loop_lvm for host in hosts):
        notes.append("* loop-lvm: the pool lives in sparse files. Move to overlay2 or direct-lvm")
    if any(host.full_next and host.full_next[1] == "metadata" for host in hosts):
        notes.append("(m) the metadata is full before the data")
    return ["", *(look.paint(note, "dim") for note in notes)] if notes else []
