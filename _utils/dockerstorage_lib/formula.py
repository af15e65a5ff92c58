"""The formula's pillar, checked as a whole before anything is rendered of it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .errors import BadInput
from .formula_schema import PILLAR, Reader, Section

KEY = "dockerstorage"


def settings(pillar: Any, *defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What the formula goes by: the pillar's keys over the defaults, later ones over earlier.

    Raises BadInput that names all that is wrong with its path.
    """
    merged = merge(*defaults, pillar)
    wrong = problems(merged)
    if wrong:
        told = "\n".join(f"- {one}" for one in wrong)
        raise BadInput(f"the pillar cannot be used, and nothing was changed:\n{told}")
    return merged


def merge(*layers: Any) -> Any:
    """Mappings of sections put over each other, key by key of a section and no deeper.

    So a list, and a job's times, are replaced and never mixed. What is no mapping stays, to be
    told of.
    """
    found: dict[str, Any] = {}
    for layer in layers:
        if not isinstance(layer, Mapping):
            return layer
        for key, value in layer.items():
            below = found.get(key)
            if isinstance(below, Mapping) and isinstance(value, Mapping):
                value = {**below, **value}
            found[key] = value
    return found


def problems(pillar: Any) -> list[str]:
    """All that is wrong with what lies under the pillar's key, each with its path."""
    return list(_section(KEY, pillar, PILLAR))


def _section(path: str, value: Any, section: Section) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: {value!r} is no mapping; its keys are {', '.join(section.keys)}"
        return
    wrong = [told for key in value for told in _key(path, key, value[key], section)]
    yield from wrong
    if not wrong:
        yield from _reading(path, lambda: section.rule(value), section)


def _key(path: str, key: Any, value: Any, section: Section) -> Iterator[str]:
    known = section.keys.get(key)
    if known is None:
        yield f"{path}:{key}: there is no such key{_nearest(str(key), section)}"
    elif isinstance(known, Section):
        yield from _section(f"{path}:{key}", value, known)
    else:
        reader: Reader = known
        yield from _reading(path, lambda: reader(key, value), section)


def _nearest(key: str, section: Section) -> str:
    near = difflib.get_close_matches(key, section.keys, 2)
    hint = f"; the nearest: {' or '.join(near)}" if near else ""
    return f"{hint}; allowed: {', '.join(section.keys)}"


def _reading(path: str, read: Callable[[], object], section: Section) -> Iterator[str]:
    """What a parser of the library objects to; its message begins with the key, if it is of one."""
    try:
        read()
    except BadInput as error:
        names_a_key = str(error).partition(":")[0] in section.keys
        yield f"{path}:{error}" if names_a_key else f"{path}: {error}"
