"""What an import does with each object, on hosts that have some of them already."""

import pytest

from dockerstorage_lib.errors import BadInput, Refused
from dockerstorage_lib.import_choice import choose, needed_first
from dockerstorage_lib.import_journal import Line
from dockerstorage_lib.import_options import read_options
from dockerstorage_lib.import_plan import named_volumes, refuse_conflicts
from dockerstorage_lib.import_room import refuse_without_room, weigh
from dockerstorage_lib.import_world import Mark, refuse_other_owners
from dockerstorage_lib.objects import Inventory
from tests.unit import graphs
from tests.unit import importing as i

BASE, APP = i.image("base", "l1"), i.image("app", "l1", "l2", parent="sha256:base")
OTHER, UNTAGGED = i.image("other", "l3"), i.image("b" * 64, tags=())
NET, DATA, ANON = i.network("net"), i.volume("data"), i.volume("f" * 64)
DANGLING = i.volume("e" * 64)
WEB, SIDE = i.container("web", state="running"), i.container("side")
DOCUMENTS = [
    (WEB, i.container_document(WEB, [("data", "/data")], [(ANON.name, "/anon")], ["net"])),
    (SIDE, i.container_document(SIDE, NetworkMode=f"container:{WEB.id}", VolumesFrom=["web"])),
    (NET, i.network_document(NET)),
    *((one, i.volume_document(one.name)) for one in (DATA, ANON, DANGLING)),
]
BUNDLE = i.contents(
    DOCUMENTS,
    layers=[("l1", 100), ("l2", 20), ("l3", 3)],
    images=(APP, BASE, OTHER, UNTAGGED),
    networks=(NET,),
    volumes=(DATA, ANON, DANGLING),
    containers=(SIDE, WEB),
)
KINDS = {"container": "web", "volume": "data", "network": "net"}


def here(name="web", **more):
    return Inventory(containers=(graphs.container(name, **more),))


def test_everything_on_an_empty_host_and_what_is_needed_first():
    made = i.plan(BUNDLE, i.world())
    assert set(i.actions(made).values()) == {"create"}
    assert [one.name for one in made.steps if one.kind == "container"] == ["web", "side"]
    own = {one.name: one.with_container for one in made.steps if one.kind == "volume"}
    assert own == {"data": False, "f" * 64: True, "e" * 64: False}


def test_a_chosen_container_brings_what_it_needs():
    made = i.plan(BUNDLE, i.world(), only="side")
    assert set(i.actions(made)) == {
        ("image", "app:1"), ("image", "base:1"), ("network", "net"), ("volume", "data"),
        ("volume", "f" * 64), ("container", "web"), ("container", "side"),
    }  # fmt: skip
    assert i.why(made, "container", "side") == "chosen"
    assert i.why(made, "container", "web") == "needed by container side"
    assert i.why(made, "network", "net") == "needed by container web"
    assert i.why(made, "image", "base:1") == "parent of image app:1"


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("image:other", {"other:1"}),
        ("other:1", {"other:1"}),
        (["volume:d*", "network:*"], {"data", "net"}),
        ("[do]*", {"data", "other:1"}),
        ("net-id" + "0" * 6, {"net"}),
        ("image:" + "b" * 64, {"b" * 12}),
    ],
)
def test_patterns(only, names):
    assert {name for _, name in i.actions(i.plan(BUNDLE, i.world(), only=only))} == names


@pytest.mark.parametrize("only", ["nothing", "volume:web", ["web", "x*"]])
def test_a_pattern_that_matches_nothing_is_refused(only):
    with pytest.raises(BadInput, match=r"^only: the bundle has nothing called"):
        i.plan(BUNDLE, i.world(), only=only)


@pytest.mark.parametrize(
    ("rename", "text"),
    [
        ({"nothing": "x1"}, "the bundle has no object called 'nothing'"),
        ({"volume:web": "x1"}, "the bundle has no volume called 'web'"),
        ({"web": "side"}, "two objects of kind container would be called 'side'"),
        ({"app:1": "other:1"}, "two objects of kind image would be called 'other:1'"),
    ],
)
def test_names_that_cannot_be_are_refused(rename, text):
    with pytest.raises(BadInput, match=text):
        i.plan(BUNDLE, i.world(), rename=rename)


def test_renamed_objects_stand_beside_those_of_their_old_names():
    host = i.world(here(), [], [i.volume_document("data")])
    made = i.plan(BUNDLE, host, rename={"container:web": "web2", "data": "data2"})
    assert made.conflicts == ()
    new = {(one.kind, one.name): one.new_name for one in made.steps}
    assert new["container", "web"] == "web2"
    assert new["volume", "data"] == "data2"


def crowded(**more):
    """A host on which something else has each of the names."""
    other = i.network("net")
    return i.world(
        Inventory(
            containers=(graphs.container("web", id="other-web", volumes=("data",), **more),),
            images=(graphs.image("sha256:x", tags=("app:1",)),),
            networks=(graphs.network("net", id="other-net"),),
        ),
        [i.network_document(other, "10.9.0.0/16") | {"Id": "other-net"}],
        [i.volume_document("data")],
    )


def test_conflicts_are_all_listed_and_nothing_is_begun():
    made = i.plan(BUNDLE, crowded())
    assert {(one.kind, one.name) for one in made.conflicts} == {
        ("image", "app:1"), ("network", "net"), ("volume", "data"), ("container", "web"),
    }  # fmt: skip
    with pytest.raises(Refused, match=r"4 objects cannot be imported.*rename=.*on_conflict=skip"):
        refuse_conflicts(made)


def test_skip_leaves_what_is_here_and_uses_it():
    made = i.plan(BUNDLE, crowded(), on_conflict="skip")
    found = i.actions(made)
    assert found["container", "web"] == found["volume", "data"] == found["network", "net"] == "skip"
    # It comes with web, and web is not made.
    assert found["volume", "f" * 64] == "skip"
    # The tag stays where it is, the image comes without.
    assert (found["image", "app:1"], made.step("image", APP.id).tags) == ("create", ())
    assert found["container", "side"] == "create"
    assert made.step("container", WEB.id).here == "other-web"


def test_replace_takes_the_place_of_what_is_named():
    made = i.plan(BUNDLE, crowded(), on_conflict="replace")
    for kind, name in KINDS.items():
        assert i.actions(made)[kind, name] == "replace"
    assert i.actions(made)["image", "app:1"] == "replace"
    assert made.step("image", APP.id).tags == ("app:1",)


def test_replace_is_refused_where_a_container_would_lose_its_ground():
    inventory = Inventory(
        containers=(
            graphs.container("runs", volumes=("data",), state="running"),
            graphs.container("linked", needs=("web",), networks=("net",)),
            graphs.container("web", id="other-web"),
        )
    )
    networks = [i.network_document(i.network("net"), "10.9.0.0/16")]
    host = i.world(inventory, networks, [i.volume_document("data")])
    made = i.plan(BUNDLE, host, on_conflict="replace")
    reasons = {one.kind: one.why for one in made.conflicts}
    assert "container runs runs with it" in reasons["volume"]
    assert "container linked uses it" in reasons["network"]
    assert "container linked needs it" in reasons["container"]


def test_an_equal_network_is_no_conflict_whatever_its_id():
    host = i.world(networks=[i.network_document(NET) | {"Id": "elsewhere", "Created": "now"}])
    made = i.plan(BUNDLE, host)
    assert i.actions(made)["network", "net"] == "exists"
    assert made.step("network", NET.id).here == "elsewhere"


def test_taken_addresses():
    taken = i.network_document(i.network("bridge"), "10.1.128.0/17")
    host = i.world(networks=[taken])
    refused = i.plan(BUNDLE, host, on_conflict="replace")
    assert i.why(refused, "network", "net") == "the network bridge has its addresses here"
    assert refused.conflicts
    skipped = i.plan(BUNDLE, host, on_conflict="skip")
    assert i.actions(skipped)["network", "net"] == "create"
    assert skipped.step("network", NET.id).readdressed


def test_the_same_image_is_no_conflict():
    images = (graphs.image("sha256:app", tags=("app:1",), diff_ids=("l1", "l2")),
              graphs.image("sha256:base", diff_ids=("l1",)))  # fmt: skip
    made = i.plan(BUNDLE, i.world(Inventory(images=images)))
    assert i.actions(made)["image", "app:1"] == "exists"
    assert made.step("image", BASE.id).tags == ("base:1",)
    assert i.why(made, "image", "base:1") == "the same image is here, and lacks tags"


def imported(**changes):
    lines = [Line("done", "container", WEB.id, "new-web", "web")]
    inventory = here(id="new-web", state="running")
    more = {"marks": {"data": Mark("done", False)}, "volumes": [i.volume_document("data")]}
    return i.world(**{"inventory": inventory, "lines": lines, **more, **changes})


def test_what_was_imported_before_is_left():
    made = i.plan(BUNDLE, imported(), only="web")
    found = i.actions(made)
    assert found["container", "web"] == found["volume", "data"] == "exists"
    assert found["volume", "f" * 64] == "exists"
    assert made.step("container", WEB.id).here == "new-web"


def test_what_was_imported_and_then_removed_is_imported_anew():
    made = i.plan(BUNDLE, imported(inventory=Inventory(), volumes=[], marks={}), only="web")
    assert i.actions(made)["container", "web"] == i.actions(made)["volume", "data"] == "create"


def test_a_volume_of_the_same_name_that_somebody_else_made_since_is_a_conflict():
    lines = [Line("done", "volume", "data", "data", "data")]
    host = i.world(
        volumes=[i.volume_document("data")], lines=lines, marks={"data": Mark("", False)}
    )
    assert [one.name for one in i.plan(BUNDLE, host).conflicts] == ["data"]


@pytest.mark.parametrize(
    ("mark", "action"),
    [
        (Mark("begun", False), "create"),
        (Mark("", True), "create"),  # cut between making it and marking it
        (Mark("", False), "conflict"),  # somebody else's, with data
    ],
)
def test_a_volume_that_was_begun(mark, action):
    lines = [Line("begun", "volume", "data", "", "data")]
    host = i.world(volumes=[i.volume_document("data")], marks={"data": mark}, lines=lines)
    assert i.actions(i.plan(BUNDLE, host))["volume", "data"] == action


def test_a_container_that_was_begun():
    def world(name):
        lines = [Line("begun", "container", WEB.id, "new-web", "dockerstorage-import-1")]
        return i.world(here(name, id="new-web"), lines=lines)

    unfinished = i.plan(BUNDLE, world("dockerstorage-import-1"))
    assert i.actions(unfinished)["container", "web"] == "create"
    # It got its name; only the journal's last word is missing.
    assert i.actions(i.plan(BUNDLE, world("web")))["container", "web"] == "exists"


def test_what_the_bundle_lacks_must_be_here():
    lacking = i.contents(
        [(WEB, i.container_document(WEB, [("nfs", "/data")], networks=["gone"]))],
        containers=(WEB,),
    )
    made = i.plan(lacking, i.world())
    assert i.why(made, "container", "web") == (
        "the image sha256:app is neither in the bundle nor on this host; "
        "the volume nfs is neither in the bundle nor on this host; "
        "the network gone is neither in the bundle nor on this host"
    )
    assert i.actions(made)["container", "web"] == "conflict"
    assert i.actions(i.plan(lacking, i.world(), on_conflict="skip"))["container", "web"] == "skip"
    has = i.world(
        Inventory(images=(graphs.image("sha256:app"),), networks=(graphs.network("gone"),)),
        volumes=[i.volume_document("nfs")],
    )
    assert i.actions(i.plan(lacking, has))["container", "web"] == "create"


def test_a_container_without_the_one_that_it_needs_is_not_made():
    documents = [
        (WEB, i.container_document(WEB, [("nfs", "/data")])),
        (SIDE, i.container_document(SIDE, VolumesFrom=["web"])),
    ]
    found = i.contents(documents, images=(APP,), layers=[("l1", 1), ("l2", 1)],
                       containers=(SIDE, WEB))  # fmt: skip
    made = i.plan(found, i.world(), on_conflict="skip")
    assert i.actions(made)["container", "web"] == i.actions(made)["container", "side"] == "skip"
    assert "the container web, which it needs, is not imported" in i.why(made, "container", "side")


@pytest.mark.parametrize("more", [{"Scope": "swarm"}, {"Ingress": True}])
def test_networks_of_a_swarm_are_never_made(more):
    bundle = i.contents([(NET, i.network_document(NET, **more))], networks=(NET,))
    assert i.actions(i.plan(bundle, i.world())) == {("network", "net"): "skip"}


def test_a_volume_that_another_container_names_is_made_by_name():
    documents = [
        (WEB, i.container_document(WEB, [], [(ANON.name, "/anon")])),
        (SIDE, i.container_document(SIDE, [(ANON.name, "/x")])),
        (ANON, i.volume_document(ANON.name)),
    ]
    found = i.contents(documents, images=(APP,), volumes=(ANON,), containers=(WEB, SIDE))
    assert named_volumes(choose(found, read_options()), found) == {ANON.name}


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".hidden", "-x", "x", "", "a\n", "ä1"])
def test_hostile_names_are_refused(name):
    record = i.volume(name)
    found = i.contents([(record, i.volume_document(name))], volumes=(record,))
    with pytest.raises(Refused, match="the engine takes no such name"):
        i.plan(found, i.world())


def test_bytes_are_what_is_read_and_shared_layers_count_once():
    images = (graphs.image("sha256:other", diff_ids=("l3",)),)
    host = i.world(Inventory(images=images))
    made = weigh(i.plan(BUNDLE, host), BUNDLE, host)
    sizes = {one.name: one.bytes for one in made.steps}
    assert sizes["app:1"] + sizes["base:1"] == 120
    assert sizes["other:1"] == 0
    assert (sizes["data"], sizes["web"], sizes["net"]) == (1000, 10, 0)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        # all layers once in the engine's own form, once unpacked for it; containers; volumes
        ({"free_bytes": 123 + 123 + 20 + 3000 - 1}, "file system of /var/lib/docker has 3265"),
        ({"pool_free_bytes": 142, "free_bytes": 1 << 40}, "the thin pool None has room for 142"),
        ({"pool_free_bytes": 143, "free_bytes": 3000 + 122}, "file system"),
    ],
)
def test_without_room_nothing_is_begun(more, text):
    host = i.world(**more)
    with pytest.raises(Refused, match=text):
        refuse_without_room(weigh(i.plan(BUNDLE, host), BUNDLE, host), BUNDLE, host)


def test_with_just_enough_room_it_goes():
    for more in ({"free_bytes": 3266}, {"free_bytes": 3123, "pool_free_bytes": 143}):
        host = i.world(**more)
        refuse_without_room(weigh(i.plan(BUNDLE, host), BUNDLE, host), BUNDLE, host)


def test_a_long_line_of_containers_in_a_circle_has_an_end():
    records = [i.container(f"c{n}") for n in range(3000)]
    documents = [
        (one, i.container_document(one, VolumesFrom=[records[(n + 1) % 3000].name]))
        for n, one in enumerate(records)
    ]
    found = i.contents(documents, containers=tuple(records))
    assert set(needed_first(records, found)) == set(records)


@pytest.mark.parametrize(
    ("path", "root", "fits"),
    [
        ("/var/lib/docker/volumes/x/_data", "/var/lib/docker", True),
        ("/var/lib/docker/volumes/x/_data", "/data/docker", True),
        ("/var/lib/docker/100000.100000/volumes/x/_data", "/data/100000.100000", True),
        ("/var/lib/docker/100000.100000/volumes/x/_data", "/var/lib/docker", False),
        ("/var/lib/docker/volumes/x/_data", "/var/lib/docker/100000.100000", False),
        ("", "/var/lib/docker/100000.100000", True),
    ],
)
def test_owners_must_mean_the_same(path, root, fits):
    for document in ({"Mountpoint": path}, {"LogPath": path}):
        if fits:
            refuse_other_owners([{}, document], root)
        else:
            with pytest.raises(Refused, match="userns-remap"):
                refuse_other_owners([document], root)
