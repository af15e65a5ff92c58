"""A container that was made anew beside the document that it was made from. Pure functions."""

from __future__ import annotations

from typing import Any

from .recreate import Document, Names, Recreation, request_link


def address_key(document: Document) -> tuple[tuple[int, ...], str]:
    """Sorts containers by the addresses that they had, so that new ones come out alike."""
    ends = ((document.get("NetworkSettings") or {}).get("Networks") or {}).values()
    addresses = [end["IPAddress"] for end in ends if end and end.get("IPAddress")]
    numbers = [tuple(int(part) for part in one.split(".")) for one in addresses if _dotted(one)]
    return min(numbers, default=(256,)), str(document.get("Created") or "")


def _dotted(text: str) -> bool:
    return all(part.isdecimal() for part in text.split("."))


def deviations(made: Recreation, found: Document) -> list[tuple[str, Any, Any]]:
    """Fields that a new container has otherwise than asked: field, asked, got."""
    asked = {key: value for key, value in made.body.items() if not isinstance(value, dict)}
    config, host = found.get("Config") or {}, dict(found.get("HostConfig") or {})
    host["Links"] = [request_link(one, Names()) for one in host.get("Links") or ()]
    pairs = [("Config", key, value, config.get(key)) for key, value in asked.items()]
    for key in ("Labels", "Volumes", "ExposedPorts", "Healthcheck"):
        if key in made.body:
            pairs.append(("Config", key, made.body[key], config.get(key)))
    pairs += [
        ("HostConfig", key, value, host.get(key)) for key, value in made.body["HostConfig"].items()
    ]
    return [
        (f"{part}.{key}", one, other)
        for part, key, one, other in sorted(pairs, key=lambda pair: pair[:2])
        if one != other and (one or other)
    ]


def moved_addresses(document: Document, found: Document, names: Names) -> list[str]:
    """Sentences for the networks on which a started container has another address than it had."""
    ends = (found.get("NetworkSettings") or {}).get("Networks") or {}
    moved = []
    for key, end in ((document.get("NetworkSettings") or {}).get("Networks") or {}).items():
        network, old = names.network(key), (end or {}).get("IPAddress")
        new = (ends.get(network) or {}).get("IPAddress")
        if old and new != old:
            moved.append(f"its address on {network} is {new or 'none'} and was {old}")
    return moved
