"""An import's plan and outcome as plain values and as lines to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .bundle import Manifest
from .import_plan import ImportPlan, Step
from .import_work import Note, Outcome, Work
from .summary import human_bytes


def as_dict(
    path: Path, manifest: Manifest, plan: ImportPlan, work: Work | None = None
) -> dict[str, Any]:
    """An import as plain values; without work it was planned only."""
    result: dict[str, Any] = {
        "test": work is None,
        "bundle": str(path),
        "id": manifest.id,
        "host": manifest.host,
        "plan": [_step(one) for one in plan.steps],
        "bytes": sum(one.bytes for one in plan.steps),
        "skipped": [
            {"kind": one.kind, "name": one.name, "why": one.why}
            for one in plan.steps
            if one.action in ("exists", "skip")
        ],
        "not_taken": [asdict(one) for one in manifest.not_taken],
        **_outcome(work),
    }
    result["summary"] = import_lines(result)
    return result


def _step(step: Step) -> dict[str, Any]:
    fields = ("kind", "name", "new_name", "action", "why", "bytes")
    return {field: getattr(step, field) for field in fields}


def _outcome(work: Work | None) -> dict[str, Any]:
    outcome = Outcome() if work is None else work.outcome
    return {
        "imported": [
            {"kind": step.kind, "name": step.name, "new_name": step.new_name, "id": new_id}
            for step, new_id in outcome.imported
        ],
        "different": _notes(outcome.different),
        "started": outcome.started,
        "not_started": _notes(outcome.not_started),
        "mapping": {} if work is None else _mapping(work),
    }


def _notes(notes: list[Note]) -> list[dict[str, str]]:
    return [asdict(one) for one in notes]


def _mapping(work: Work) -> dict[str, dict[str, Any]]:
    """What names and ids of the bundle became: by kind, by old name."""
    return {
        "containers": {
            one.name: {"old_id": one.id, "id": one.new_id, "name": one.new_name}
            for one in work.containers
        },
        "networks": {
            one.name: {"old_id": one.id, "id": one.new_id, "name": one.new_name}
            for one in work.networks
        },
        "volumes": dict(work.volumes),
    }


def import_lines(result: Mapping[str, Any]) -> list[str]:
    """What an import made, or would make."""
    steps = [one for one in result["plan"] if one["action"] in ("create", "replace")]
    counts = ", ".join(
        f"{sum(one['kind'] == kind for one in steps)} {kind}s"
        for kind in ("image", "network", "volume", "container")
    )
    verb = "would import" if result["test"] else "imported"
    lines = [f"{verb} {counts} from {result['bundle']}: {human_bytes(result['bytes'])}"]
    signs = {"create": "+", "replace": "!", "exists": "=", "skip": "~", "conflict": "x"}
    for one in result["plan"]:
        new = f" as {one['new_name']}" if one["new_name"] != one["name"] else ""
        line = f"{signs[one['action']]} {one['kind']} {one['name']}{new}: {one['why']}"
        if result["test"] or one["action"] not in ("create", "exists"):
            lines.append(line)
    lines += [f"# {one['kind']} {one['name']}: {one['what']}" for one in result["different"]]
    lines += [f"started {name}" for name in result["started"]]
    lines += [f"x not started: {one['name']}: {one['what']}" for one in result["not_started"]]
    return lines
