"""README and tutorials, typed as written, one after the other on one host with its master."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import pages, reader, salthost
from tests.lab.cache import REPO

#: In the handbook's order; the last takes the thin pool away.
TUTORIALS = ("first-prune", "watched-pool", "another-host", "leave-devicemapper")
README = (REPO / "README.md").read_text()
#: Calls that cost little, and all that they return is to be described in the reference.
RESULTS: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    ("report", (), {}),
    ("drivers", (), {}),
    ("pool", (), {}),
    ("devices", (), {}),
    ("history", (), {}),
    ("metrics", (), {"path": "-"}),
    ("health", (), {}),
    ("prune", (), {"test": True}),
    ("remediate", (), {"test": True}),
    ("recover", (), {"test": True}),
    ("orphans", (), {}),
    ("protect", ("postgres:13",), {"test": True}),
    ("extend", (), {"to_percent": 1, "test": True}),
    ("export", ("/srv/backup/fields",), {"test": True}),
    ("set_driver", ("devicemapper",), {"test": True}),
    ("migrate", ("overlay2",), {"test": True}),
)
TEXTS = {name: (REPO / "docs/tutorials" / f"{name}.md").read_text() for name in TUTORIALS}


@pytest.fixture(scope="module")
def one() -> Iterator[reader.Reader]:
    with reader.reading(README, *TEXTS.values()) as opened:
        yield opened


def test_the_readme_works_as_written(one: reader.Reader) -> None:
    later = [step for text in TEXTS.values() for step in pages.read(text)]
    assert one.read(README, later) > 10


def test_every_field_of_a_result_is_in_its_description(one: reader.Reader) -> None:
    tree = ast.parse((REPO / "_modules/dockerstorage.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    described = {node.name: ast.get_docstring(node) or "" for node in functions}
    calls = [(f"dockerstorage.{name}", list(words), kwargs) for name, words, kwargs in RESULTS]
    for (name, *_), result in zip(RESULTS, salthost.salt_calls(one.guest, *calls), strict=True):
        rows = result if isinstance(result, list) else [result]
        fields = {field for row in rows if row is not None for field in row}
        assert fields not in (set(), {"error"}), f"{name}: {result}"
        missing = {one for one in fields if not re.search(rf"\b{one}\b", described[name])}
        assert not missing, f"{name}: {missing}"


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_works_as_written(one: reader.Reader, name: str) -> None:
    assert one.read(TEXTS[name]) > 5


def test_all_tutorials_are_typed() -> None:
    assert {path.stem for path in (REPO / "docs/tutorials").glob("*.md")} == set(TUTORIALS)
