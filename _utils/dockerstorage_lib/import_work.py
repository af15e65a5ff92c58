"""What the parts of an import share while it is under way, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .adapters import volumedir
from .adapters.engine_import import ImportEngine
from .errors import Incoherent
from .import_choice import Contents
from .import_journal import Journal, Line
from .import_options import Options
from .import_plan import ImportPlan, Step
from .import_source import Source
from .import_world import World
from .jobs import Job
from .recreate import Known, Names


@dataclass(frozen=True)
class Note:
    """Something that is skipped, or not as it was."""

    kind: str
    name: str
    what: str


@dataclass
class Outcome:
    """What became of an import."""

    #: Steps with the id of what was made.
    imported: list[tuple[Step, str]] = field(default_factory=list)
    different: list[Note] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    not_started: list[Note] = field(default_factory=list)


@dataclass
class Work:
    """An import under way."""

    plan: ImportPlan
    contents: Contents
    options: Options
    world: World
    engine: ImportEngine
    source: Source
    journal: Journal
    job: Job
    outcome: Outcome = field(default_factory=Outcome)
    networks: list[Known] = field(default_factory=list)
    containers: list[Known] = field(default_factory=list)
    #: Old name to new name.
    volumes: dict[str, str] = field(default_factory=dict)
    named_volumes: frozenset[str] = frozenset()

    @property
    def bundle_id(self) -> str:
        return self.contents.manifest.id

    def names(self) -> Names:
        """What names in documents stand for, as far as the import has come."""
        return Names(
            containers=tuple(self.containers),
            networks=tuple(self.networks),
            volumes=dict(self.volumes),
            named_volumes=self.named_volumes,
            readdressed=frozenset(one.name for one in self.plan.steps if one.readdressed),
        )

    def begin(self, step: Step, temporary: str = "") -> None:
        """Say on disk, and to who watches, that an object is begun."""
        self.job.turn_to(f"{step.kind} {step.name}")
        self.journal.add(Line("begun", step.kind, step.id, "", temporary or step.new_name))

    def finish(self, step: Step, new_id: str, new_name: str = "") -> None:
        """Say on disk that an object is here, whole."""
        self.journal.add(Line("done", step.kind, step.id, new_id, new_name or step.new_name))
        self.outcome.imported.append((step, new_id))

    def note(self, step: Step, what: str) -> None:
        """Something is not as it was."""
        self.outcome.different.append(Note(step.kind, step.name, what))

    def volume_folder(self, name: str) -> Path:
        """The directory of a volume of the local driver."""
        found = self.engine.document("volume", name)
        if found is None:
            raise Incoherent(f"volume {name}", "to be there", "nothing")
        return volumedir.folder(self.world.site.root, name, found["Mountpoint"])

    def expect(self, what: str, is_so: bool) -> None:
        """Raise Incoherent if the host is not as it was when the plan was made."""
        if not is_so:
            raise Incoherent(what, "as it was when the import was planned", "it changed since")
