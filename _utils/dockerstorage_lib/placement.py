"""Where the parts of a store lie before and after the switch to another one. Moves only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .adapters.durable import sync_folder
from .errors import Incoherent
from .migration import Plan

#: Below the data root, so that a move is one step.
FOLDER = ".dockerstorage-migration"


def stage_folder(root: str) -> Path:
    """The folder of a migration below a data root."""
    return Path(root, FOLDER)


@dataclass(frozen=True)
class Part:
    """A directory of the data root, and where it lies else; what is not there at all is none."""

    root: Path
    #: Of the new store, before the switch; None for what only goes.
    stage: Path | None
    #: Of the old store, after it; None where it stays.
    aside: Path | None
    #: Where what the new engine made anew goes on the way back.
    abandoned: Path


def parts(plan: Plan) -> list[Part]:
    """All parts that move."""
    root, stage = Path(plan.root), stage_folder(plan.root)
    again = plan.source == plan.target

    def part(name: str, comes: bool, goes: bool) -> Part:
        return Part(
            root / name,
            stage / name if comes else None,
            stage / "aside" / name if goes else None,
            stage / "abandoned" / name,
        )

    return [
        # BuildKit's cache names layers that the new store has not got; no engine needs it.
        part("buildkit", comes=False, goes=True),
        *(
            part(name, comes=True, goes=again or name in plan.leftovers)
            for name in new_parts(plan.target)
        ),
    ]


def new_parts(driver: str) -> tuple[str, str]:
    """Where a store lies below the data root."""
    return driver, f"image/{driver}"


def do(plan: Plan) -> None:
    """Make all moves that are not made yet: what is in the way goes aside, the new comes."""
    for part in parts(plan):
        # Once it is aside, what lies in the data root is the new one.
        if part.aside is not None and part.root.exists() and not part.aside.exists():
            _rename(part.root, part.aside)
        if part.stage is not None and part.stage.exists():
            _rename(part.stage, part.root)


def undo(plan: Plan) -> None:
    """Take back all moves that are made; what an engine has made anew meanwhile goes away."""
    for part in reversed(parts(plan)):
        if part.aside is not None:
            # As long as it is aside, what lies in the data root is the new one; else the old.
            if part.aside.exists():
                if part.root.exists():
                    _rename(part.root, part.stage or part.abandoned)
                _rename(part.aside, part.root)
        elif part.stage is not None and part.root.exists():
            _rename(part.root, part.stage)


def is_back(plan: Plan) -> bool:
    """Whether no part of the old store lies in the migration's folder."""
    return not any(part.aside is not None and part.aside.exists() for part in parts(plan))


def old_store(plan: Plan) -> list[Path]:
    """What a commit removes."""
    root = Path(plan.root)
    if plan.source != plan.target:
        return [root / plan.source, root / "image" / plan.source]
    return []  # it lies in the migration's own folder, which goes as well


def _rename(source: Path, target: Path) -> None:
    if target.exists():
        raise Incoherent(str(target), "nothing there", "something")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)
