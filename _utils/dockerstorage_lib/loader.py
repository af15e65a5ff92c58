"""Where Salt's loader finds this extension when it is pip-installed."""

from __future__ import annotations

from pathlib import Path

KINDS = ("modules", "states", "beacons", "runners")


def dirs() -> dict[str, list[str]]:
    """Name the loader directories, as the ``salt.loader`` entry point promises.

    A wheel holds them in ``saltext/dockerstorage/<kind>`` beside this library; an editable
    install uses the checkout's ``_<kind>``, two directories above it.
    """
    here = Path(__file__).resolve().parent
    found = {}
    for kind in KINDS:
        for place in (
            here.parent / "saltext" / "dockerstorage" / kind,
            here.parent.parent / f"_{kind}",
        ):
            if place.is_dir():
                found[kind] = [str(place)]
                break
    return found
