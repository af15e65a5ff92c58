"""What contradicts what in the engine's configuration, and the way out: pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from . import driveroptions
from .driversettings import (
    DRIVER,
    NO_UNIT,
    OPTIONS,
    Configuration,
    Conflict,
    given_twice,
    read_flags,
    running_words,
)


def find_conflicts(configuration: Configuration, running_driver: str = "") -> list[Conflict]:
    """All that will keep dockerd from starting, or make it start with something unexpected.

    running_driver is the driver that the engine says it uses, if it answers.
    """
    return [
        *_unresolved(configuration),
        *_given_twice(configuration),
        *_said_differently(configuration),
        *_unknown_options(configuration),
        *_setup_disagrees(configuration),
        *_not_in_effect(configuration, running_driver),
    ]


def _unresolved(configuration: Configuration) -> Iterator[Conflict]:
    for one in configuration.unresolved:
        if one == NO_UNIT:
            continue
        yield Conflict(
            "configuration_unresolved",
            f"A part of the engine's configuration cannot be read: {one}.",
            "Correct it if it is wrong; dockerstorage does not change the storage driver as long "
            "as it does not understand where all settings come from.",
        )


def _given_twice(configuration: Configuration) -> Iterator[Conflict]:
    for name, place in given_twice(configuration):
        yield Conflict(
            "configured_twice",
            f"{name} is set both in {configuration.config_file} and by a flag in {place}: dockerd "
            f"refuses to start, even if the values are equal.",
            f"Remove it from one of them, best the flag in {place.path}.",
        )


def _said_differently(configuration: Configuration) -> Iterator[Conflict]:
    """Several flags, or a variable that beats flag and file: the last one counts in silence."""
    said = [one for one in configuration.settings if one.name == DRIVER]
    others = {one.value: one.place for one in said[:-1] if one.value != said[-1].value}
    # What stands in the file and in a flag is told as that.
    if not others or (len(said) == 2 and DRIVER in dict(given_twice(configuration))):
        return
    shown = " and ".join(f"{value} in {place}" for value, place in others.items())
    yield Conflict(
        "driver_set_twice",
        f"The storage driver is {shown}, and what counts is {said[-1].value} in {said[-1].place}.",
        "Remove all but one.",
    )


def _unknown_options(configuration: Configuration) -> Iterator[Conflict]:
    for one in configuration.settings:
        why = one.name == OPTIONS and driveroptions.refusal(configuration.driver or "", one.value)
        if why:
            yield Conflict(
                "storage_option_refused",
                f"{one.place}: {why}; dockerd will not start.",
                f"Remove {one.value.partition('=')[0]} there.",
            )


def _setup_disagrees(configuration: Configuration) -> Iterator[Conflict]:
    setup, driver = configuration.setup, configuration.driver
    if setup is not None and driver and setup.value not in ("", driver):
        yield Conflict(
            "storage_setup_disagrees",
            f"{setup.place.path} says STORAGE_DRIVER={setup.value}, and what counts is {driver} in "
            f"{_driver_place(configuration)}: docker-storage-setup will change nothing, or fail.",
            "Set both to the same driver.",
        )


def _driver_place(configuration: Configuration) -> str:
    found = configuration.find(DRIVER)
    return str(found.place) if found else "no file"


def _not_in_effect(configuration: Configuration, running_driver: str) -> Iterator[Conflict]:
    wanted = configuration.driver
    # containerd's image store calls overlay2 by another name.
    if running_driver and wanted and running_driver not in (wanted, "overlayfs"):
        yield Conflict(
            "driver_not_in_effect",
            f"The engine runs on {running_driver}, and {_driver_place(configuration)} says "
            f"{wanted}: after its next start, images and containers of {running_driver} will be "
            f"invisible.",
            f"Set it back to {running_driver} before anything restarts Docker, and then migrate.",
        )
    elif configuration.running and _storage_flags(configuration) != _running_flags(configuration):
        yield Conflict(
            "flags_not_in_effect",
            "The engine runs with other storage flags than its unit gives: after its next start, "
            "it may have another storage driver or other options.",
            "Compare 'systemctl cat docker' with the command line of dockerd (ps -fC dockerd).",
        )


def _storage_flags(configuration: Configuration) -> list[tuple[str, str]]:
    flags = read_flags(configuration.command)
    return [(one.name, one.value) for one in flags if one.name in (DRIVER, OPTIONS)]


def _running_flags(configuration: Configuration) -> list[tuple[str, str]]:
    flags = read_flags(running_words(configuration.running))
    return [(one.name, one.value) for one in flags if one.name in (DRIVER, OPTIONS)]
