"""Docker's objects made short, and arbitrary graphs of them for hypothesis."""

from hypothesis import strategies as st

from dockerstorage_lib.objects import (
    ANONYMOUS_LABEL,
    CacheRecord,
    Container,
    Image,
    Inventory,
    Network,
    Object,
    Volume,
)
from dockerstorage_lib.policy import LabelRule, Policy

NOW = 1000.0


def container(name, image="", **more) -> Container:
    made = {
        "id": f"id-{name}",
        "name": name,
        "image_id": image,
        "image_name": image,
        "state": "exited",
        "used_at": 0.0,
        "labels": {},
    }
    return Container(**(made | more))


def image(name, parent="", **more) -> Image:
    made = {
        "id": name,
        "tags": (),
        "digests": (),
        "parent_id": parent,
        "created_at": 0.0,
        "used_at": 0.0,
        "labels": {},
    }
    return Image(**(made | more))


def volume(name, **more) -> Volume:
    return Volume(**({"name": name, "driver": "local", "used_at": 0.0, "labels": {}} | more))


def network(name, **more) -> Network:
    made = {"id": f"net-{name}", "name": name, "scope": "local", "used_at": 0.0, "labels": {}}
    return Network(**(made | more))


def record(name, *parents, **more) -> CacheRecord:
    made = {
        "id": name,
        "name": "a step",
        "rests_on": parents,
        "in_use": False,
        "shared": False,
        "size_bytes": 1,
        "used_at": 0.0,
    }
    return CacheRecord(**(made | more))


def everything(inventory: Inventory) -> tuple[Object, ...]:
    return (
        *inventory.containers,
        *inventory.images,
        *inventory.volumes,
        *inventory.networks,
        *inventory.cache,
    )


def without(inventory: Inventory, gone: set[tuple[str, str]]) -> Inventory:
    """The inventory after the removal of objects, given as (kind, id)."""

    def left(things):
        return tuple(one for one in things if (one.kind, one.id) not in gone)

    return Inventory(
        left(inventory.containers),
        left(inventory.images),
        left(inventory.volumes),
        left(inventory.networks),
        left(inventory.cache),
    )


def rests_on(inventory: Inventory) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """What each object needs in order to exist or to start, as (kind, id)."""
    edges: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for one in inventory.containers:
        below = {("image", one.image_id), *(("volume", name) for name in one.volumes)}
        below |= {("network", n.id) for n in inventory.networks if _names(one.networks, n)}
        below |= {("container", c.id) for c in inventory.containers if _names(one.needs, c)}
        edges["container", one.id] = below
    for thing in (*inventory.images, *inventory.cache):
        parents = [thing.parent_id] if isinstance(thing, Image) else thing.rests_on
        edges[thing.kind, thing.id] = {(thing.kind, parent) for parent in parents}
    return edges


def _names(keys, thing) -> bool:
    return any(key == thing.name or thing.id.startswith(key) for key in keys)


# Few keys and few values, so that objects agree and differ often.
own_labels = st.sampled_from(
    [{}, {}, {"protected": "true"}, {"protected": "false"}, {"keep": "true"}, {"keep": "false"}]
)
times = st.sampled_from([0.0, 250.0, 501.0, NOW])
rarely = st.sampled_from([False, False, False, True])
TAGS = ("app:1", "app:2", "app:3", "lib:1", "reg:5000/app:1")


@st.composite
def inventories(draw) -> Inventory:
    images = draw(_images())
    volumes = tuple(
        volume(
            f"{number:064x}" if draw(st.booleans()) else f"volume{number}",
            driver="nfs" if draw(rarely) else "local",
            used_at=draw(times),
            labels=draw(own_labels) | draw(st.sampled_from([{}, {ANONYMOUS_LABEL: ""}])),
            has_options=draw(rarely),
        )
        for number in range(draw(st.sampled_from([3, 1, 0])))
    )
    networks = tuple(
        network(
            name,
            id=f"{number}{'e' * 12}",
            scope="swarm" if draw(rarely) else "local",
            used_at=draw(times),
            labels=draw(own_labels),
            endpoints=("someone",) if draw(rarely) else (),
            ingress=draw(rarely),
        )
        for number, name in enumerate(
            draw(st.sampled_from([["front", "back"], ["back", "bridge", "back"], []]))
        )
    )
    return Inventory(
        draw(_containers(images, volumes, networks)), images, volumes, networks, draw(_cache())
    )


@st.composite
def _images(draw) -> tuple[Image, ...]:
    owners = {tag: draw(st.integers(0, 7)) for tag in TAGS}
    made: list[Image] = []
    for number in range(draw(st.sampled_from([5, 3, 1, 0]))):
        parent = draw(st.sampled_from([None, None, *made]))
        layers = draw(st.lists(st.sampled_from(["la", "lb", "lc"]), max_size=2))
        made.append(
            image(
                f"sha256:{number}",
                parent.id if parent else draw(st.sampled_from(["", "sha256:gone"])),
                tags=tuple(sorted(tag for tag, owner in owners.items() if owner == number)),
                created_at=draw(times),
                used_at=draw(times),
                labels=(dict(parent.labels) if parent else {}) | draw(own_labels),
                diff_ids=(*(parent.diff_ids if parent else ()), *layers),
            )
        )
    return tuple(draw(st.permutations(made)))


@st.composite
def _containers(draw, images, volumes, networks) -> tuple[Container, ...]:
    made: list[Container] = []
    for number in range(draw(st.sampled_from([4, 2, 1, 0]))):
        origin = draw(st.sampled_from([None, *images]))
        needed = [draw(_key(one)) for one in made[-1:] if not draw(rarely)]
        needed += [draw(_key(one)) for one in draw(_some(made[:-1], at_most=1))]
        made.append(
            container(
                f"name{number}",
                origin.id if origin else "sha256:gone",
                id=f"{number}{'c' * 12}",
                state=draw(
                    st.sampled_from(
                        ["exited", "created", "dead", "exited", "exited", "running", "paused"]
                    )
                ),
                used_at=draw(times),
                labels=(dict(origin.labels) if origin else {}) | draw(own_labels),
                volumes=tuple(one.name for one in draw(_some(volumes, at_most=2))),
                networks=tuple(draw(_key(one)) for one in draw(_some(networks, at_most=2))),
                needs=tuple(needed),
            )
        )
    return tuple(draw(st.permutations(made)))


@st.composite
def _cache(draw) -> tuple[CacheRecord, ...]:
    made: list[CacheRecord] = []
    for number in range(draw(st.sampled_from([4, 2, 0]))):
        parents = [one.id for one in made[-1:] if not draw(rarely)]
        parents += [one.id for one in draw(_some(made[:-1], at_most=1))]
        chain = draw(st.sampled_from(["", "la", "lb"]))
        made.append(
            record(
                f"step{number}",
                *parents,
                in_use=draw(rarely),
                used_at=draw(times),
                chain_id=chain,
            )
        )
    return tuple(draw(st.permutations(made)))


def _some(things, at_most: int | None = None):
    things = list(things)
    if not things:
        return st.just([])
    return st.lists(st.sampled_from(things), max_size=at_most or len(things), unique_by=id)


def _key(thing):
    """As operators and the engine name an object: id, name, or the beginning of its id."""
    return st.sampled_from([thing.id, thing.name, thing.id[:6]])


@st.composite
def policies(draw, **fixed: object) -> Policy:
    made = {
        "labels": draw(
            st.sampled_from(
                [
                    (LabelRule("protected"),),
                    (LabelRule("protected", "true"),),
                    (LabelRule("protected"), LabelRule("keep", "false")),
                    (LabelRule("keep", "true"), LabelRule("protected", "false")),
                    (),
                ]
            )
        ),
        "name_patterns": draw(
            st.sampled_from([(), (), ("app:2", "volume?"), ("reg:*", "name[01]", "back")])
        ),
        "min_age_seconds": 500.0 if draw(rarely) else 0.0,
        "keep_tags": draw(st.sampled_from([0, 0, 1, 2])),
        "volumes": draw(st.sampled_from(["all", "all", "anonymous", "none"])),
        "networks": not draw(rarely),
        "build_cache": not draw(rarely),
        "own_labels_only": draw(st.booleans()),
    }
    return Policy(**(made | fixed))
