"""The settings of a rolling change, read and checked: each error names the key and what may be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import BadInput
from .policy import read_age, read_flag, texts
from .rolling import ACT, CHECK, DRAIN, HEALTH, STEPS, UNDRAIN

ROOT = "dockerstorage:rolling"
ACTIONS = ("migrate", "prune")
HOOKS = (DRAIN, CHECK, UNDRAIN)
TGT_TYPES = (
    "glob pcre list grain grain_pcre pillar pillar_pcre pillar_exact nodegroup ipcidr compound"
).split()
HOOK_KEYS = ("sls", "tgt", "tgt_type", "pillar", "saltenv")
MIGRATE_KEYS = ("driver", "options", "method", "force")
#: What a resume takes from the record: another value would be another change.
FIXED = ("tgt", "tgt_type", "canary", "batch", *ACTIONS)
KEYS = (*FIXED, "name", "pause", *HOOKS, "health", "timeout", "wait", "resume", "skip", "forget")


@dataclass(frozen=True)
class Hook:
    """States to apply, on other minions or (tgt None) on the one that is changed."""

    step: str
    sls: tuple[str, ...]
    tgt: str | tuple[str, ...] | None = None
    tgt_type: str = "glob"
    pillar: Mapping[str, Any] = field(default_factory=dict)
    saltenv: str = "base"


@dataclass(frozen=True)
class Settings:
    """What to change, how many at a time, and what to do around it."""

    action: str
    #: Under which the record is kept.
    name: str
    tgt: str | tuple[str, ...]
    tgt_type: str
    #: Their names, or how many.
    canary: int | tuple[str, ...]
    #: A number of hosts, or a percentage of all.
    batch: int | str
    #: Arguments of ``dockerstorage.migrate`` or ``prune``.
    arguments: Mapping[str, Any]
    hooks: tuple[Hook, ...]
    pause_seconds: float
    health_seconds: float
    timeout_seconds: int
    wait_seconds: float
    resume: bool
    skip: tuple[str, ...]
    forget: bool
    #: As they were given, but for what is meant for one run only.
    given: Mapping[str, Any]

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps that there are: those without a hook are none."""
        hooked = {hook.step for hook in self.hooks}
        return tuple(step for step in STEPS if step in (ACT, HEALTH) or step in hooked)

    def hooks_of(self, step: str) -> tuple[Hook, ...]:
        return tuple(hook for hook in self.hooks if hook.step == step)


def read(action: str, given: Any) -> Settings:
    """Read the settings; raises BadInput, naming the key and what is allowed."""
    values = _mapping(ROOT, given, KEYS)
    _required(values, "tgt")
    _required(values, action)
    return Settings(
        action=action,
        name=read_name(action, values),
        tgt=_read_target(f"{ROOT}:tgt", values["tgt"]),
        tgt_type=_read_type(ROOT, values),
        canary=_read_canary(values.get("canary", 1)),
        batch=_read_batch(values.get("batch", 1)),
        arguments=_read_arguments(action, values[action]),
        hooks=tuple(hook for step in HOOKS for hook in _read_hooks(step, values.get(step))),
        pause_seconds=read_age(values.get("pause", 0), f"{ROOT}:pause"),
        health_seconds=read_age(values.get("health", "2m"), f"{ROOT}:health"),
        timeout_seconds=_read_timeout(values.get("timeout", 30)),
        wait_seconds=read_age(values.get("wait", "1h"), f"{ROOT}:wait"),
        resume=read_flag(f"{ROOT}:resume", values.get("resume", False)),
        skip=texts(f"{ROOT}:skip", values.get("skip")),
        forget=read_flag(f"{ROOT}:forget", values.get("forget", False)),
        given={k: v for k, v in values.items() if k not in ("resume", "skip", "forget")},
    )


def read_name(action: str, given: Any) -> str:
    """Under which name the record is kept: the one thing to know before the record is read."""
    name = _mapping(ROOT, given, KEYS).get("name", action)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise BadInput(f"{ROOT}:name: {name!r} is no name; write letters, digits, '_', '.', '-'")
    return name


def merge(recorded: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """The settings of a resume: those of the record, corrected by those that are given."""
    values = _mapping(ROOT, given, KEYS)
    for key in FIXED:
        if key in values and values[key] != recorded.get(key):
            raise BadInput(
                f"{ROOT}:{key}: {values[key]!r} is not what the record has "
                f"({recorded.get(key, 'the default')!r}); leave it out to resume, or begin anew "
                "with forget: True"
            )
    return {**recorded, **values}


def _required(values: Mapping[str, Any], key: str) -> None:
    if key not in values:
        raise BadInput(f"{ROOT}:{key} is missing")


def _mapping(path: str, value: Any, allowed: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadInput(f"{path}: {value!r} is no mapping; allowed are {', '.join(allowed)}")
    unknown = [key for key in value if key not in allowed]
    if unknown:
        raise BadInput(f"{path}:{unknown[0]} is no key; allowed are {', '.join(allowed)}")
    return dict(value)


def _read_target(path: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str) and value.strip():
        return value
    found = () if isinstance(value, str) else texts(path, value)
    if not found:
        raise BadInput(f"{path}: {value!r} is no target; write a text, or a list of minion ids")
    return found


def _read_type(path: str, values: Mapping[str, Any]) -> str:
    default = "glob" if isinstance(values.get("tgt"), str) else "list"
    kind = values.get("tgt_type", default)
    if kind not in TGT_TYPES:
        raise BadInput(f"{path}:tgt_type: {kind!r}; allowed are {', '.join(TGT_TYPES)}")
    if kind != "list" and default == "list":
        raise BadInput(
            f"{path}:tgt_type: {kind!r}; a list of ids has the type list, or leave it out"
        )
    return str(kind)


def _read_canary(value: Any) -> int | tuple[str, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    names = texts(f"{ROOT}:canary", value) if isinstance(value, (str, list, tuple)) else ()
    if not names or len(set(names)) != len(names) or not all(names):
        raise BadInput(
            f"{ROOT}:canary: {value!r}; write how many (0 or more), or the ids of the minions"
        )
    return names


def _read_batch(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if match and 0 < float(match[1]) <= 100:
        return text
    raise BadInput(f"{ROOT}:batch: {value!r}; write how many (1 or more), or a percentage as '25%'")


def _read_timeout(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 3600:
        return value
    raise BadInput(f"{ROOT}:timeout: {value!r}; write whole seconds, 1 to 3600")


def _read_arguments(action: str, value: Any) -> dict[str, Any]:
    """What is wrong with their values the minions say, before anything is changed."""
    path = f"{ROOT}:{action}"
    if action == "migrate":
        found = _mapping(path, value, MIGRATE_KEYS)
        if not isinstance(found.get("driver"), str):
            raise BadInput(f"{path}:driver: write the storage driver to move to, as overlay2")
        return found
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise BadInput(f"{path}: {value!r} is no mapping of arguments of dockerstorage.prune")
    wrong = [key for key in value if key == "test" or key.startswith("__")]
    if wrong:
        raise BadInput(f"{path}:{wrong[0]} is not yours to set; a test is test=True of the run")
    return dict(value)


def _read_hooks(step: str, value: Any) -> list[Hook]:
    """One hook, or a list of hooks, or none."""
    given = [] if value is None else value if isinstance(value, (list, tuple)) else [value]
    return [_read_hook(step, f"{ROOT}:{step}", one) for one in given]


def _read_hook(step: str, path: str, value: Any) -> Hook:
    found = _mapping(path, value, HOOK_KEYS)
    sls = texts(f"{path}:sls", found.get("sls"))
    if not sls or not all(re.fullmatch(r"[^\s,/]+", name) for name in sls):
        raise BadInput(f"{path}:sls: {found.get('sls')!r}; write names of sls, as lb.drain")
    if "tgt_type" in found and "tgt" not in found:
        raise BadInput(f"{path}:tgt_type: without tgt the states run on the minion that is changed")
    pillar, saltenv = found.get("pillar", {}), found.get("saltenv", "base")
    if not isinstance(pillar, Mapping) or "dockerstorage" in pillar:
        raise BadInput(f"{path}:pillar: write a mapping; its key 'dockerstorage' is taken")
    if not isinstance(saltenv, str):
        raise BadInput(f"{path}:saltenv: {saltenv!r} is no text")
    return Hook(
        step,
        sls,
        _read_target(f"{path}:tgt", found["tgt"]) if "tgt" in found else None,
        _read_type(path, found) if "tgt" in found else "list",
        json.loads(json.dumps(pillar)),  # plain values: pillars come in dicts of many kinds
        saltenv,
    )
