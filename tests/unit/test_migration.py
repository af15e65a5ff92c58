"""A migration's journal, the comparison of objects, and the moves of the stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib import migration_compare, placement
from dockerstorage_lib.adapters import migration_journal
from dockerstorage_lib.errors import Incoherent, Refused, Unparsable
from dockerstorage_lib.migration import Plan, plan_line, read_progress

PLAN = Plan("1", "/d", "devicemapper", "overlay2", ("a=b",), "graft", "20.10.24", 5.0, {}, "pool")


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in (plan_line(PLAN), *rows))


def test_a_journal_tells_how_far_it_is() -> None:
    found = read_progress(
        lines({"begin": "stage"}, {"end": "stage", "facts": {"x": 1}}, {"begin": "stop"})
    )
    assert found is not None
    assert (found.plan, found.begun, found.done) == (PLAN, ("stage", "stop"), ("stage",))
    assert found.facts == {"x": 1}
    assert not found.rolling_back
    assert not found.downtime_began


def test_the_way_back_keeps_the_first_reason() -> None:
    rows = [{"rollback": "verify: no"}, {"rollback": ""}, {"outcome": "x"}]
    found = read_progress(lines(*rows))
    assert found is not None
    assert (found.rolling_back, found.failure, found.outcome) == (True, "verify: no", "x")


def test_one_that_is_being_rolled_back_is_not_over() -> None:
    found = read_progress(lines({"outcome": "switched"}, {"rollback": ""}))
    assert found is not None
    assert found.outcome is None


@given(st.integers(0, 400))
def test_a_journal_that_was_cut_anywhere_is_read_up_to_the_last_whole_line(cut: int) -> None:
    text = lines({"begin": "stage"}, {"end": "stage"}, {"begin": "stop"})
    found = read_progress(text[:cut])
    whole = text[:cut].count("\n")
    assert (found is None) == (whole == 0)
    if found is not None:
        assert found.begun == ("stage", "stop")[: (whole > 1) + (whole > 3)]


def test_what_is_no_journal_is_named() -> None:
    with pytest.raises(Unparsable, match="journal"):
        read_progress('{"begin": "stage"}\n')


def test_a_line_that_was_cut_is_written_over(tmp_path: Path) -> None:
    journal = migration_journal.Journal(tmp_path / "migration")
    journal.begin(PLAN)
    with (tmp_path / "migration" / "journal.jsonl").open("a") as file:
        file.write('{"begin": "sta')
    journal.add(begin="stage")
    found = journal.read()
    assert found is not None
    assert found.begun == ("stage",)
    with pytest.raises(Refused, match="not over"):
        journal.begin(PLAN)
    kept = journal.close("id")
    assert journal.read() is None
    assert (kept / "journal.jsonl").exists()
    assert not (kept / migration_journal.RESERVE).exists()


def objects(**kinds: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {kind: dict(kinds.get(kind, {})) for kind in migration_compare.KINDS}


CONTAINER = {
    "Name": "/web",
    "Driver": "devicemapper",
    "GraphDriver": {"Name": "devicemapper"},
    "RestartCount": 3,
    "State": {"Status": "running", "StartedAt": "2"},
    "NetworkSettings": {"Networks": {"net": {"NetworkID": "n", "IPAddress": "10.0.0.2"}}},
}


def test_only_the_driver_and_the_run_may_differ() -> None:
    now = {
        **CONTAINER,
        "Driver": "overlay2",
        "GraphDriver": {"Name": "overlay2"},
        "State": {"Status": "exited", "StartedAt": "9"},
        "NetworkSettings": {"Networks": {"net": {"NetworkID": "n", "IPAddress": "10.0.0.9"}}},
    }
    before, after = objects(containers={"1": CONTAINER}), objects(containers={"1": now})
    assert migration_compare.differences(before, after, {}) == []
    after["containers"]["1"] = {**now, "RestartCount": 0}
    assert migration_compare.differences(before, after, {}) == [
        "container web is not as it was in RestartCount"
    ]
    after["containers"]["1"] = {**now, "NetworkSettings": {"Networks": {}}}
    assert "NetworkSettings.Networks" in migration_compare.differences(before, after, {})[0]


def test_what_is_missing_is_named_unless_it_had_gone_by_then() -> None:
    before = objects(
        images={"i": {"RepoTags": ["a:1"]}}, networks={"b": {"Name": "bridge"}}, volumes={"v": {}}
    )
    found = migration_compare.differences(before, objects(), {})
    assert found == ["image a:1 is not there", "volume v is not there"]
    found = migration_compare.differences(before, objects(), {"images": []})
    assert found == ["volume v is not there"]


def test_new_images_and_containers_are_told_and_what_stays_in_sight_is_not() -> None:
    after = objects(images={"i": {"RepoTags": None}}, volumes={"v": {}}, networks={"n": {}})
    assert migration_compare.new_objects(objects(), after) == [
        {"kind": "image", "id": "i", "name": "i"}
    ]


def test_what_ran_is_started_in_the_order_of_before() -> None:
    def one(status: str, at: str) -> dict[str, Any]:
        return {"State": {"Status": status, "StartedAt": at}}

    before = objects(
        containers={"c": one("running", "3"), "a": one("paused", "1"), "x": one("exited", "0")}
    )
    assert migration_compare.ran(before) == ["a", "c"]


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("target", "leftovers"),
    [("overlay2", ()), ("devicemapper", ()), ("overlay2", ("image/overlay2",))],
)
def test_moves_are_made_from_any_point_and_taken_back(
    tmp_path: Path, target: str, leftovers: tuple[str, ...]
) -> None:
    plan = replace(PLAN, root=str(tmp_path), target=target, leftovers=leftovers)
    stage = placement.stage_folder(plan.root)
    for path in (
        tmp_path / "devicemapper" / "old",
        tmp_path / "image" / "devicemapper" / "old",
        tmp_path / "buildkit" / "cache",
        stage / target / "new",
        stage / "image" / target / "new",
        *(tmp_path / one / "left" for one in leftovers),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    before = tree(tmp_path)
    # Killed after every move, on the way there and on the way back, and begun again.
    for there in range(1, 9):
        for back in range(1, 9):
            _killed(placement.do, plan, there)
            placement.do(plan)
            after = tree(tmp_path)
            assert {f"{target}/new", f"image/{target}/new"} <= after
            assert "buildkit/cache" not in after
            if target == "devicemapper":
                assert "devicemapper/old" not in after
            assert not {f"{one}/left" for one in leftovers} & after
            assert not placement.is_back(plan)
            _killed(placement.undo, plan, back)
            placement.undo(plan)
            assert tree(tmp_path) == before
            assert placement.is_back(plan)


def _killed(act: Callable[[Plan], None], plan: Plan, moves: int) -> None:
    """Call it, and have it end before so many moves are made."""
    rename, left = Path.rename, moves

    def deadly(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt
        return rename(path, target)

    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "rename", deadly)
        act(plan)


def test_nothing_is_moved_onto_something(tmp_path: Path) -> None:
    plan = replace(PLAN, root=str(tmp_path))
    (placement.stage_folder(plan.root) / "overlay2").mkdir(parents=True)
    (tmp_path / "overlay2").mkdir()
    with pytest.raises(Incoherent, match="overlay2"):
        placement.do(plan)


def test_what_the_new_engine_made_goes_aside(tmp_path: Path) -> None:
    plan = replace(PLAN, root=str(tmp_path))
    (tmp_path / "buildkit").mkdir()
    (tmp_path / "buildkit" / "old").touch()
    placement.do(plan)
    (tmp_path / "buildkit").mkdir()
    (tmp_path / "buildkit" / "new").touch()
    placement.undo(plan)
    assert (tmp_path / "buildkit" / "old").exists()
    assert tree(placement.stage_folder(plan.root)) == {"abandoned/buildkit/new"}
