"""What a rolling change did, host by host, and what can be done next: a dict, and lines to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .rolling import ACT, CHECK, HEALTH, UNDRAIN, Host, Plan, Progress, begin
from .summary import columns, human_bytes

DONE, STOPPED, PLANNED = "done", "stopped", "planned"
CHANGED = {"migrate": "migrated", "prune": "pruned"}


def report(
    progress: Progress,
    name: str,
    record: str,
    previews: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All of it as plain values. previews: in test mode, what hosts say of their part."""
    plan = progress.plan
    outcome = PLANNED if previews is not None else DONE if progress.over else STOPPED
    found: dict[str, Any] = {
        "action": plan.action,
        "outcome": outcome,
        "batches": [list(batch) for batch in plan.batches],
        "hosts": [
            _host(progress, minion, number, (previews or {}).get(minion))
            for number, batch in enumerate(plan.batches)
            for minion in batch
        ],
        "already": list(plan.already),
        "record": record,
    }
    found["next"] = _next(found, name)
    return {**found, "summary": _lines(found, plan)}


def planned(plan: Plan, previews: Mapping[str, Any], name: str, record: str) -> dict[str, Any]:
    """The report of a plan that is not carried out."""
    return report(begin(plan), name, record, previews)


def _host(progress: Progress, minion: str, number: int, preview: Any) -> dict[str, Any]:
    plan, host = progress.plan, progress.hosts[minion]
    canary = number < plan.canary_batches
    return {
        "minion": minion,
        "batch": number + 1,
        "canary": canary,
        "result": _result(progress, host),
        "failed_step": host.failed,
        "why": host.why,
        "drained": host.drained,
        "seconds": round(host.seconds, 1),
        "preview": None if preview is None else _preview(plan.action, preview),
        **{key: host.facts.get(key) for key in ("downtime_seconds", "bytes_freed", "removed")},
    }


def _result(progress: Progress, host: Host) -> str:
    plan = progress.plan
    if host.skipped:
        return "skipped"
    if host.failed:
        return f"failed at {host.failed.replace('_', ' ')}"
    if progress.finished(host.minion):
        return CHANGED[plan.action]
    if ACT in host.done:
        return f"{CHANGED[plan.action]}, not finished"
    return "drained, to do" if host.drained else "to do"


def _preview(action: str, found: Mapping[str, Any]) -> str:
    if action == "prune":
        count, size = len(found["plan"]["remove"]), human_bytes(found["bytes_predicted"])
        return f"{count} objects, {size}"
    size = human_bytes(found["layer_bytes"] + found["container_bytes"])
    return (
        f"{found['from']} to {found['to']} by {found['method']}, {size}, about "
        f"{found['estimated_downtime_seconds']} s without containers"
    )


def _next(found: Mapping[str, Any], name: str) -> list[str]:
    """What the operator can do now."""
    action = found["action"]
    if found["outcome"] == PLANNED:
        return []
    changed = [one["minion"] for one in found["hosts"] if one["result"] == CHANGED[action]]
    if found["outcome"] == DONE:
        if action == "prune" or not changed:
            return []
        ids = ",".join(changed)
        return [f"when all is well, remove the old stores: salt -L '{ids}' dockerstorage.commit"]
    failed = [one for one in found["hosts"] if one["failed_step"]]
    lines = [f"mend the cause, then go on: {_command(action, name)}"]
    if failed:
        ids = ", ".join(one["minion"] for one in failed)
        lines.append(f"or go on without: {_command(action, name, f', skip: [{ids}]')}")
    if action == "migrate":
        lines += [
            f"or take {one['minion']} back to its old store: "
            f"salt '{one['minion']}' dockerstorage.migrate rollback=True"
            for one in failed
            if one["failed_step"] in (HEALTH, CHECK, UNDRAIN)
        ]
    return lines


def _command(action: str, name: str, more: str = "") -> str:
    named = "" if name == action else f"name: {name}, "
    keys = f"{named}resume: true{more}"
    return (
        f"salt-run state.orchestrate dockerstorage.orch.{action} "
        f"pillar='{{dockerstorage: {{rolling: {{{keys}}}}}}}'"
    )


def _lines(found: Mapping[str, Any], plan: Plan) -> list[str]:
    hosts = found["hosts"]
    lines = [_heading(found, plan)]
    if hosts:
        lines += ["", *columns([_titles(found), *(_row(one, found) for one in hosts)])]
    for one in hosts:
        if one["failed_step"]:
            lines += ["", f"! {one['minion']} failed at {one['failed_step']}: {one['why']}"]
        if one["drained"] and found["outcome"] != PLANNED:
            lines.append(f"! {one['minion']} is out of service: its undrain has not run")
    if found["next"]:
        lines += ["", *(f"> {one}" for one in found["next"])]
    return lines


def _heading(found: Mapping[str, Any], plan: Plan) -> str:
    count, already = len(found["hosts"]), len(found["already"])
    batches = f"{len(plan.batches)} batches" if len(plan.batches) != 1 else "one batch"
    done = f"; {already} were as wanted already: {', '.join(plan.already)}" if already else ""
    words = {DONE: "is done", STOPPED: "was stopped", PLANNED: "would be done"}
    return f"rolling {plan.action} of {count} hosts in {batches} {words[found['outcome']]}{done}"


def _titles(found: Mapping[str, Any]) -> tuple[str, ...]:
    if found["outcome"] == PLANNED:
        return ("minion", "batch", "plan")
    last = "downtime" if found["action"] == "migrate" else "freed"
    return ("minion", "batch", "result", "seconds", last)


def _row(one: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    batch = f"{one['batch']}{' canary' if one['canary'] else ''}"
    if found["outcome"] == PLANNED:
        return (one["minion"], batch, one["preview"] or one["result"])
    if found["action"] == "prune":
        last = human_bytes(one["bytes_freed"])
    else:
        seconds = one["downtime_seconds"]
        last = "-" if seconds is None else f"{seconds:g} s"
    seconds = f"{one['seconds']:g}" if one["seconds"] else "-"
    return (one["minion"], batch, one["result"], seconds, last)
