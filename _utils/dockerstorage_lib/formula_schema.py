"""The keys of the formula's pillar, and the parsers of this library that each goes to. Pure.

This is loaded before the Python packages that the formula installs: no adapter may be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import declaration, driveroptions, export_options, policy, remedy, selection, watch_settings
from .bundle import read_path
from .errors import BadInput
from .migration import METHODS

#: Of a key and its value; raises BadInput with a message that begins with the key.
Reader = Callable[[str, Any], object]
INTERVALS = ("seconds", "minutes", "hours", "days")
TIMES = (*INTERVALS, "when", "cron")


@dataclass(frozen=True)
class Section:
    """A mapping of the pillar: its keys, and what they must be together once each is right."""

    keys: Mapping[str, Reader | Section]
    rule: Callable[[Mapping[str, Any]], object] = lambda _: None


def _text(key: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise BadInput(f"{key}: {value!r} is no text; quote it")


def _path(key: str, value: Any) -> None:
    if not isinstance(value, str) or not value.startswith("/"):
        raise BadInput(f"{key}: {value!r} is no absolute path")


def _count(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{key}: {value!r} is no whole number, 1 or more")


def _method(key: str, value: Any) -> None:
    if value not in METHODS:
        raise BadInput(f"{key}: {value!r} is none of {', '.join(METHODS)}")


def _cron(key: str, value: Any) -> None:
    if not isinstance(value, str) or len(value.split()) != 5:
        raise BadInput(f"{key}: {value!r} has not five fields; write as '30 3 * * *'")


def _when(key: str, value: Any) -> None:
    # YAML reads 3:30 as the number 210.
    if not policy.texts(key, value):
        raise BadInput(f"{key}: {value!r} names no time; write as '3:30am', or a list of such")


def _splay(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadInput(f"{key}: {value!r} is no number of seconds, 0 or more")


def _prune_argument(key: str, value: Any) -> None:
    policy.make_policy(**{key: value})


def _pool_property(key: str, value: Any) -> None:
    declaration.read_declaration("vg/pool", None, {key: value})


def _chosen(key: str, value: Any) -> None:
    selection.read_wanted(**{key: value})


def _export_option(key: str, value: Any) -> None:
    export_options.read_options(**{"consistent": True, "logs": False, "level": 1, key: value})


def _watched(key: str, value: Any) -> None:
    given = {"pools": None, "levels": None, "hysteresis": 5, "realert": 60, "timeout": 3}
    watch_settings.read(**{**given, key: value}, memory=None)


def _with_the_rest(key: str, value: Any) -> None:
    """Is read by the rule of its section."""


def _one_time(values: Mapping[str, Any]) -> None:
    kinds = {"an interval" if key in INTERVALS else key for key in values if key in TIMES}
    if len(kinds) != 1:
        raise BadInput(
            f"{' and '.join(sorted(kinds)) or 'no time'} given; allowed: either of "
            f"{', '.join(INTERVALS)} (they add up), when, cron"
        )


def _needs(key: str, example: str) -> Callable[[Mapping[str, Any]], None]:
    """A rule: the concern cannot do without this key."""

    def rule(values: Mapping[str, Any]) -> None:
        if values.get("enabled") and not values.get(key):
            raise BadInput(f"{key}: is needed, as {example}")

    return rule


def _pool(values: Mapping[str, Any]) -> None:
    _needs("name", "docker/thinpool")(values)
    if values.get("name") is not None:
        declaration.read_declaration(values["name"], values.get("vg"), {})


def _driver(values: Mapping[str, Any]) -> None:
    _needs("name", "overlay2")(values)
    if values.get("name") is not None:
        name = driveroptions.check_driver(values["name"], "name")
        driveroptions.check_options(name, policy.texts("options", values.get("options")))


def _remedies(values: Mapping[str, Any]) -> None:
    remedy.read_policy({key: value for key, value in values.items() if key != "prune"})


_SCHEDULE = Section(
    {**dict.fromkeys(INTERVALS, _count), "when": _when, "cron": _cron, "splay": _splay},
    _one_time,
)


def _concern(keys: Mapping[str, Reader | Section], rule: Any = lambda _: None) -> Section:
    return Section({"enabled": policy.read_flag, **keys}, rule)


PILLAR = Section(
    {
        "docker_url": _text,
        "data_root": _path,
        "protect": _prune_argument,
        "protect_names": _prune_argument,
        "remediate": Section(
            {
                **dict.fromkeys(sorted(remedy.KEYS), _with_the_rest),
                "prune": Section(dict.fromkeys(sorted(remedy.PRUNE_ARGUMENTS), _prune_argument)),
            },
            _remedies,
        ),
        "dependencies": _concern(
            {
                "os_packages": policy.texts,
                "python_packages": policy.texts,
                "index_url": _text,
                "find_links": _text,
            }
        ),
        "thinpool": _concern(
            {
                "name": _with_the_rest,
                "vg": _with_the_rest,
                **dict.fromkeys(sorted(declaration.ARGUMENTS), _pool_property),
            },
            _pool,
        ),
        "driver": _concern(
            {
                "name": _with_the_rest,
                "options": policy.texts,
                "migrate": policy.read_flag,
                "method": _method,
            },
            _driver,
        ),
        "protection": _concern(
            {"images": policy.texts, "label": lambda key, value: policy.read_label(value, key)},
            _needs("images", "[postgres:13]"),
        ),
        "prune": _concern(
            {"schedule": _SCHEDULE, **dict.fromkeys(policy.ARGUMENTS, _prune_argument)}
        ),
        "export": _concern(
            {
                "schedule": _SCHEDULE,
                "dest": read_path,
                **dict.fromkeys((*selection.KINDS, "labels"), _chosen),
                **dict.fromkeys(("consistent", "logs", "level"), _export_option),
                "inside_data_root": policy.read_flag,
                "check_room": policy.read_flag,
            },
            _needs("dest", "/srv/backup/docker"),
        ),
        "beacon": _concern(
            {
                "interval": _count,
                **dict.fromkeys(("pools", "levels", "hysteresis", "realert", "timeout"), _watched),
            }
        ),
        "reactor": _concern({"file": _path}),
        # Of orchestrations, which check it on the master; hooks are told in it what they are for.
        "rolling": lambda _key, _value: None,
        "remediation": _concern({"schedule": _SCHEDULE, "pool": _text}),
        "metrics": _concern({"schedule": _SCHEDULE, "path": _path}),
    }
)
