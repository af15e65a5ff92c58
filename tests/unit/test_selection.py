"""What an export takes."""

from __future__ import annotations

import pytest

from dockerstorage_lib.errors import BadInput
from dockerstorage_lib.export_plan import groups_of
from dockerstorage_lib.objects import Container, Image, Inventory, Network, Volume
from dockerstorage_lib.selection import choose, read_wanted


def image(id_: str, *tags: str, parent: str = "", **labels: str) -> Image:
    return Image(id_, tags, (), parent, 0, 0, labels)


def container(
    name: str, image_id: str = "i1", state: str = "running", needs: tuple[str, ...] = (),
    volumes: tuple[str, ...] = (), networks: tuple[str, ...] = (), **labels: str,
) -> Container:  # fmt: skip
    return Container(f"id-{name}", name, image_id, "", state, 0, labels, volumes, networks, needs)


HOST = Inventory(
    containers=(
        container("web", "i3", volumes=("data",), networks=("front",), team="a"),
        container("side", needs=("web",)),
        container("db", volumes=("pg",)),
    ),
    images=(image("i1", "base:1"), image("i2", parent="i1"), image("i3", "app:1", parent="i2")),
    volumes=tuple(Volume(name, "local", 0, {}) for name in ("data", "pg", "unused")),
    networks=tuple(Network(f"n-{n}", n, "local", 0, {}) for n in ("bridge", "front", "back")),
)


def names(found: Inventory) -> dict[str, set[str]]:
    kinds = ("containers", "images", "volumes", "networks")
    return {kind: {one.id for one in getattr(found, kind)} for kind in kinds}


def test_everything_but_what_every_engine_has() -> None:
    found = names(choose(HOST, read_wanted()))
    assert found["networks"] == {"n-front", "n-back"}
    assert {kind: len(ids) for kind, ids in found.items()} == {
        "containers": 3, "images": 3, "volumes": 3, "networks": 2
    }  # fmt: skip


def test_a_chosen_container_brings_all_that_it_needs() -> None:
    found = names(choose(HOST, read_wanted(containers="si*")))
    assert found == {
        "containers": {"id-side", "id-web"},
        "images": {"i1", "i2", "i3"},
        "volumes": {"data"},
        "networks": {"n-front"},
    }


def test_names_patterns_and_labels_add_up() -> None:
    wanted = read_wanted(["team"], volumes=["un*"], images="base:1", networks=["back"])
    found = names(choose(HOST, wanted))
    assert found["containers"] == {"id-web"}
    assert found["volumes"] == {"unused", "data"}
    assert found["networks"] == {"n-back", "n-front"}


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"containers": "wob"}, "containers: nothing here is called 'wob'"),
        ({"labels": "team=b"}, "labels: nothing here carries 'team=b'"),
        ({"images": 5}, "images: 5 is neither a text nor a list"),
        ({"labels": "="}, "labels: '=' is no label"),
    ],
)
def test_a_slip_is_told(wanted: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        choose(HOST, read_wanted(**wanted))  # type: ignore[arg-type]


def test_containers_that_run_and_share_a_volume_are_read_together() -> None:
    containers = (
        container("a", volumes=("x",)),
        container("b", volumes=("y",)),
        container("c", volumes=("x", "y")),
        container("d", volumes=("x",), state="exited"),
        container("e"),
    )
    found = {frozenset(one.name for one in group) for group in groups_of(containers)}
    assert found == {frozenset("abc"), frozenset("d"), frozenset("e")}
