"""Networks' and volumes' inspect documents turned into requests, and compared. Pure functions."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What the engine tells of a subnet that a request may hold.
_SUBNET_KEYS = ("Subnet", "IPRange", "Gateway", "AuxiliaryAddresses")


def network_request(document: Document, name: str, with_addresses: bool = True) -> dict[str, Any]:
    """The request for a network (API reference, NetworkCreate)."""
    made = {
        "Name": name,
        "CheckDuplicate": True,  # before API 1.44 the engine makes two of one name without it
        "Driver": document.get("Driver") or "bridge",
        "Internal": bool(document.get("Internal")),
        "Attachable": bool(document.get("Attachable")),
    }
    source = (document.get("ConfigFrom") or {}).get("Network")
    if source:  # all else comes from that network, and is refused beside it
        return {**made, "ConfigFrom": {"Network": source}}
    ipam = document.get("IPAM") or {}
    made |= {
        "EnableIPv6": bool(document.get("EnableIPv6")),
        "Options": dict(document.get("Options") or {}),
        "Labels": dict(document.get("Labels") or {}),
        "IPAM": {
            "Driver": ipam.get("Driver") or "default",
            "Options": dict(ipam.get("Options") or {}),
            "Config": [_subnet(one) for one in ipam.get("Config") or ()] if with_addresses else [],
        },
    }
    if document.get("ConfigOnly"):
        keep = {"Name", "CheckDuplicate", "EnableIPv6", "Options", "Labels", "IPAM"}
        made = {key: value for key, value in made.items() if key in keep} | {"ConfigOnly": True}
    return made


def _subnet(config: Document) -> dict[str, Any]:
    found = {key: config[key] for key in _SUBNET_KEYS if config.get(key)}
    if "Gateway" in found:  # some engines show it with the length of its prefix
        found["Gateway"] = str(found["Gateway"]).partition("/")[0]
    return found


def equal_networks(one: Document, other: Document) -> bool:
    """Whether two networks are the same but for names, ids and times."""
    return network_request(one, "") == network_request(other, "")


def subnets(document: Document) -> list[Subnet]:
    """A network's subnets; what is no subnet is left out."""
    found = []
    for config in (document.get("IPAM") or {}).get("Config") or ():
        try:
            found.append(ipaddress.ip_network(str(config.get("Subnet")), strict=False))
        except ValueError:
            continue
    return found


def overlapping(document: Document, others: list[Document]) -> Document | None:
    """The first of other networks whose addresses a network would take."""
    mine = subnets(document)
    for other in others:
        for theirs in subnets(other):
            if any(one.version == theirs.version and one.overlaps(theirs) for one in mine):
                return other
    return None


def volume_request(document: Document, name: str) -> dict[str, Any]:
    """The request for a volume (API reference, VolumeCreate)."""
    return {
        "Name": name,
        "Driver": document.get("Driver") or "local",
        "DriverOpts": document.get("Options"),
        "Labels": document.get("Labels"),
    }


def same_place(one: Document, other: Document) -> bool:
    """Whether two volumes have their data in the same way: driver and options."""
    mine, theirs = volume_request(one, ""), volume_request(other, "")
    options = (mine["DriverOpts"] or {}) == (theirs["DriverOpts"] or {})
    return options and mine["Driver"] == theirs["Driver"]
