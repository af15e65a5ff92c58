"""What minions say, made harmless and short enough for a terminal or a page. Pure functions.

A minion that is taken over may answer anything. Nothing of it may move the cursor, change the order
of letters, break out of a line or fill the screen; markup is the page's own business.
"""

from __future__ import annotations

import unicodedata

#: Stands for a character that is not shown.
HIDDEN = "\N{REPLACEMENT CHARACTER}"
LONGEST = 300
_DAY = 86400
#: Seconds of a unit, its name, and up to how many of it are told in it.
_DURATIONS = ((60, "min", 90), (3600, "h", 48), (_DAY, "d", 60), (30 * _DAY, "months", 24))


def plain(value: object, most: int = LONGEST) -> str:
    """A text of one line, at most ``most`` characters, that no terminal or browser acts on."""
    # Cut before as well: normalising a megabyte takes a while.
    text = unicodedata.normalize("NFC", str(value)[: most * 4])
    words = " ".join("".join(map(_shown, text)).split())
    return clip(words, most)


def _shown(character: str) -> str:
    """The character, or what stands for it: marks would pile up, controls and formats act."""
    if character.isspace():
        return " "
    kind = unicodedata.category(character)
    if kind[0] == "M":
        return ""
    return HIDDEN if kind[0] == "C" else character


def clip(text: str, width: int) -> str:
    """The text in at most so many columns of a terminal, an ellipsis where it was cut."""
    if columns_of(text) <= width:
        return text
    kept = ""
    used = 1
    for character in text:
        used += columns_of(character)
        if used > width:
            break
        kept += character
    return f"{kept.rstrip()}…" if width > 0 else ""


def columns_of(text: str) -> int:
    """How many columns of a terminal a harmless text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def pad(text: str, width: int) -> str:
    """The text, cut or filled up to exactly so many columns."""
    clipped = clip(text, width)
    return clipped + " " * (width - columns_of(clipped))


def duration(seconds: float) -> str:
    """How long something takes, as one says it: ``25 min``, ``14 h``, ``9 d``."""
    if seconds < _DURATIONS[0][0]:
        return "now"
    for unit_seconds, name, most in _DURATIONS:
        if seconds < most * unit_seconds:
            return f"{seconds / unit_seconds:.0f} {name}"
    return "> 2 years"
