"""What is damaged, kept beside the bundle: never taken for whole, and not lost either.

<bundle>.damaged/layers/<diff id>.tar            a layer's stream, with zeros for what is lost
<bundle>.damaged/containers/<id>/                files of a container whose layer cannot be read
"""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path

from . import tarsplit
from .adapters import store
from .adapters.rooted import Root
from .bundle import NotTaken
from .cold_trees import ColdTrees
from .errors import DockerstorageError
from .export_plan import ExportPlan

#: So many files of a layer are named.
MAX_NAMED = 20
#: Of a container, beside its logs.
_FILES = ("config.v2.json", "hostconfig.json")


class Apart:
    """Writes what is damaged; ``found`` names it."""

    def __init__(self, dest: Path, plan: ExportPlan) -> None:
        self.folder = dest.with_name(f"{dest.name}.damaged")
        self.found: list[NotTaken] = []
        self._plan = plan

    def layers(self, lost: Mapping[str, str], trees: ColdTrees) -> None:
        """Damaged layers, by diff id, and why they are; within ``run_private``."""
        for diff_id, why in lost.items():
            chain, image = self._plan.layers[diff_id]
            bad: list[str] = []
            try:
                self._layer(diff_id, chain, trees, bad)
            except (DockerstorageError, OSError, EOFError, zlib.error) as error:
                bad += [] if str(error) in why else [f"its stream ends there: {error}"]
            named = "; ".join(bad[:MAX_NAMED]) + (" ..." if len(bad) > MAX_NAMED else "")
            text = f"{why}; {named}" if named else why
            self.found.append(NotTaken("layer", diff_id, image.name, text))

    def _layer(self, diff_id: str, chain: str, trees: ColdTrees, bad: list[str]) -> None:
        root, driver = self._plan.site.root, self._plan.site.driver
        hash_ = store.layer_hash(root, chain, driver)
        split = store.tar_split(root, driver, chain)
        if hash_ is None or not split.exists():
            return
        path = self._folder("layers") / f"{diff_id.partition(':')[2]}.tar"
        with (
            trees.image_layer(hash_) as folder,
            Root(folder) as files,
            gzip.open(split) as lines,
            path.open("wb") as target,
        ):

            def tell(name: str, why: str) -> None:
                bad.append(f"{name}: {why}")

            for chunk in tarsplit.assemble_rest(lines, files.open, tell):
                target.write(chunk)

    def containers(self, ids: set[str]) -> None:
        """Configurations and logs of containers whose layer could not be read."""
        for id_ in sorted(ids):
            source = Path(self._plan.site.root, "containers", id_)
            for path in store.entries(source):
                if path.name in _FILES or path.name.startswith(f"{id_}-json.log"):
                    shutil.copy2(path, self._folder(f"containers/{id_}") / path.name)

    def _folder(self, name: str) -> Path:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path
