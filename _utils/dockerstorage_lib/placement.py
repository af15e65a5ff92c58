"""Where the parts of a store lie before and after the switch to another one. Moves only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .adapters.durable import sync_folder
from .errors import Incoherent
from .migration import Plan

#: Below the data root, so that a move is one step.
FOLDER = ".dockerstorage-migration"


@dataclass(frozen=True)
class Move:
    """A part and its two places. One that is not there at all is none."""

    here: Path
    there: Path


def stage_folder(root: str) -> Path:
    """The folder of a migration below a data root."""
    return Path(root, FOLDER)


def moves(plan: Plan) -> list[Move]:
    """All moves, in order: what is in the way goes aside, then the new store takes its place."""
    root, stage = Path(plan.root), stage_folder(plan.root)
    # BuildKit's cache names layers that the new store has not got; no engine needs it.
    aside = ["buildkit"]
    if plan.source == plan.target:
        aside += [plan.source, f"image/{plan.source}"]
    new = [plan.target, f"image/{plan.target}"]
    return [Move(root / one, stage / "aside" / one) for one in aside] + [
        Move(stage / one, root / one) for one in new
    ]


def do(plan: Plan) -> None:
    """Make all moves that are not made yet."""
    for move in moves(plan):
        if move.here.exists():
            if move.there.exists():
                raise Incoherent(str(move.there), "nothing there", "something")
            _rename(move.here, move.there)


def undo(plan: Plan) -> None:
    """Take all moves back. What an engine has made anew where something lay goes aside."""
    for move in reversed(moves(plan)):
        if not move.there.exists():
            continue
        if move.here.exists():
            name = move.here.name
            _rename(move.here, stage_folder(plan.root) / "abandoned" / name)
        _rename(move.there, move.here)


def old_store(plan: Plan) -> list[Path]:
    """What a commit removes."""
    root = Path(plan.root)
    if plan.source != plan.target:
        return [root / plan.source, root / "image" / plan.source]
    return []  # it lies in the migration's own folder, which goes as well


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)
