"""What a prune keeps, what it removes, in which order and why."""

import pytest

from dockerstorage_lib.objects import Inventory, chain_ids
from dockerstorage_lib.policy import LabelRule, make_policy
from dockerstorage_lib.prune import plan_prune, released_layers, with_bytes
from tests.unit.graphs import NOW, container, image, network, record, volume

DAY = 86400.0
PROTECTED = {"protected": "true"}


def plan(*things, now=NOW, **arguments):
    kinds = {"container": [], "image": [], "volume": [], "network": [], "build_cache": []}
    for thing in things:
        kinds[thing.kind].append(thing)
    inventory = Inventory(*(tuple(found) for found in kinds.values()))
    return plan_prune(inventory, make_policy(**arguments), now)


def removed(*things, **arguments):
    return [removal.seen.id for removal in plan(*things, **arguments).remove]


def kept(*things, **arguments):
    return {one.seen.id: one.reason for one in plan(*things, **arguments).keep}


def test_an_empty_host_needs_nothing():
    assert plan() == plan_prune(Inventory(), make_policy(), NOW)
    assert plan().remove == plan().keep == ()


# What `docker system prune -a --filter label!=protected` destroys.


def test_a_protected_parent_survives_an_unlabelled_child():
    child = image("child", "parent", tags=("child:1",))
    parent = image("parent", labels=PROTECTED)
    assert removed(parent, child) == ["child"]
    assert kept(parent, child) == {"parent": "protected by label protected"}


def test_a_protected_parent_survives_a_child_that_overrides_the_label():
    child = image("child", "parent", tags=("child:1",), labels={"protected": "false"})
    parent = image("parent", labels=PROTECTED)
    assert removed(parent, child, protect="protected=true") == ["child"]


def test_parents_of_a_kept_image_stay_up_to_the_first():
    chain = [
        image("top", "middle", tags=("app:1",), labels=PROTECTED),
        image("middle", "base"),
        image("base", tags=("base:1",)),
    ]
    assert removed(*chain) == []
    assert kept(*chain) == {
        "top": "protected by label protected",
        "middle": "parent of kept image app:1",
        "base": "parent of kept image middle",
    }


def test_untagged_parents_go_when_no_child_stays_and_after_it():
    assert removed(image("base"), image("top", "base", tags=("app:1",))) == ["top", "base"]


def test_an_image_in_use_keeps_every_tag_also_the_one_the_container_was_made_from():
    used = image("app", tags=("app:1", "app:latest", "reg/app:1"))
    running = container("web", "app", image_name="app:1", state="running")
    assert removed(used, running) == []
    assert kept(used, running)["app"] == "used by container web"


def test_a_stopped_protected_container_keeps_image_network_and_volumes():
    things = [
        container("web", "app", labels=PROTECTED, volumes=("data",), networks=("back", "net-back")),
        image("app", tags=("app:1",)),
        network("back"),
        volume("data"),
    ]
    assert removed(*things, volumes="all") == []
    reasons = kept(*things, volumes="all")
    assert {reasons[key] for key in ("app", "net-back", "data")} == {"used by container web"}


def test_a_network_that_was_named_by_the_beginning_of_its_id_is_kept():
    # Seen in dockerd 20.10: what "create --network ceba94a3" leaves until the first start.
    made = container("web", labels=PROTECTED, networks=("ceba94a3",))
    backend = network("back", id="ceba94a39c4467780766d589437b963757dfec2b3b25d3d56dcdd01be2ed1d52")
    assert removed(made, backend) == []


def test_of_networks_with_one_name_none_goes_that_a_kept_container_may_mean():
    web = container("web", labels=PROTECTED, networks=("back",))
    same = [network("back", id="1" * 64), network("back", id="2" * 64)]
    assert removed(web, *same) == []


def test_each_of_several_labels_protects():
    things = [
        image("a", labels={"keep": ""}),
        image("b", labels={"tier": "db"}),
        image("c", labels={"tier": "web"}),
    ]
    assert removed(*things, protect=["keep", "tier=db"]) == ["c"]


@pytest.mark.parametrize("state", ["running", "paused", "restarting", "removing"])
def test_a_container_with_processes_stays(state):
    web = container("web", state=state)
    assert kept(web) == {web.id: state}


@pytest.mark.parametrize("state", ["exited", "created", "dead"])
def test_a_container_without_processes_goes_unless_protected(state):
    assert removed(container("web", state=state)) == ["id-web"]
    assert removed(container("web", state=state, labels=PROTECTED)) == []


@pytest.mark.parametrize("key", ["id-base", "base", "id-b"])
@pytest.mark.parametrize("state", ["exited", "running"])
def test_a_kept_container_keeps_those_it_needs_and_theirs(key, state):
    things = [
        container("user", state=state, labels=PROTECTED, needs=(key,)),
        container("base", needs=("deep",), volumes=("data",)),
        container("deep", "app"),
        container("other"),
        image("app"),
        volume("data"),
    ]
    assert removed(*things, volumes="all") == ["id-other"]
    assert kept(*things, volumes="all")["id-base"] == "needed by container user"


def test_a_container_goes_before_those_that_it_needs_however_it_names_them():
    things = [
        container("user", needs=("base",), used_at=5.0),
        container("base", needs=("id-de",), used_at=3.0),
        container("deep", used_at=1.0),
    ]
    assert removed(*things) == ["id-user", "id-base", "id-deep"]


def test_containers_that_need_one_another_still_go():
    things = [container("a", needs=("b",)), container("b", needs=("a",)), container("c")]
    assert sorted(removed(*things)) == ["id-a", "id-b", "id-c"]


def test_what_a_doomed_container_uses_goes_after_it():
    things = [
        image("app", tags=("app:1",)),
        volume("data"),
        network("back"),
        container("web", "app", volumes=("data",), networks=("back",)),
    ]
    order = removed(*things, volumes="all")
    assert order[0] == "id-web"
    assert sorted(order) == ["app", "data", "id-web", "net-back"]


def test_what_was_not_used_for_longest_goes_first():
    things = [image("new", used_at=30.0), image("old", used_at=10.0), image("mid", used_at=20.0)]
    assert removed(*things) == ["old", "mid", "new"]


# own_labels_only: an object's own labels are those it did not get from what it was made from.


def test_labels_are_inherited_unless_only_own_ones_count():
    base = image("base", tags=("base:1",), labels=PROTECTED)
    child = image("child", "base", tags=("child:1",), labels=PROTECTED)
    web = container("web", "child", labels=PROTECTED)
    assert removed(base, child, web) == []
    assert removed(base, child, web, own_labels_only=True) == ["id-web", "child"]


def test_a_label_that_was_changed_or_added_is_its_own():
    base = image("base", labels={"protected": "no"})
    child = image("child", "base", labels=PROTECTED)
    web = container("web", "base", labels={"protected": "no", "keep": ""})
    arguments = {"protect": ["protected=true", "keep"], "own_labels_only": True}
    assert removed(base, child, web, **arguments) == []


def test_labels_of_an_image_whose_parent_is_unknown_are_its_own():
    assert removed(image("a", "gone", labels=PROTECTED), own_labels_only=True) == []


# Names, tags, age.


def test_name_patterns_protect_every_kind_that_has_names():
    things = [
        container("keep-web"),
        image("i", tags=("reg.local:5000/keep-app:7",)),
        volume("keep-data"),
        network("keep-net"),
        volume("data"),
    ]
    assert removed(*things, protect_names=["keep-*", "*/keep-*"], volumes="all") == ["data"]


@pytest.mark.parametrize("pattern", ["app:1", "app", "a*", "[a-c]pp", "ap?:1"])
def test_an_image_is_protected_by_tag_or_repository(pattern):
    assert removed(image("i", tags=("app:1",)), protect_names=pattern) == []
    assert removed(image("i", tags=("other:1",)), protect_names=pattern) == ["i"]


def test_an_image_without_tag_is_protected_by_its_digest_s_repository():
    assert removed(image("i", digests=("app@sha256:00",)), protect_names="app") == []


def test_the_newest_tags_of_each_repository_stay():
    things = [
        image("a1", tags=("app:1",), created_at=1.0),
        image("a2", tags=("app:2",), created_at=2.0),
        image("a3", tags=("app:3",), created_at=3.0),
        image("b1", tags=("reg:5000/app:1",), created_at=0.0),
        image("none", created_at=9.0),
    ]
    assert sorted(removed(*things, keep_tags=2)) == ["a1", "none"]
    assert kept(*things, keep_tags=2)["b1"] == "among the newest 2 tags of reg:5000/app"


def test_of_tags_created_at_one_time_the_last_arrived_is_the_newest():
    # Reproducible builds are all created at the beginning of 1970.
    things = [
        image("old", tags=("app:9",), used_at=1.0),
        image("new", tags=("app:10",), used_at=2.0),
    ]
    assert removed(*things, keep_tags=1) == ["old"]


def test_age_counts_from_the_last_use():
    used_at = NOW - DAY
    things = [
        container("c", used_at=used_at),
        image("i", used_at=used_at, created_at=0.0),
        volume("v", used_at=used_at),
        network("n", used_at=used_at),
        record("r", used_at=used_at),
    ]
    assert len(removed(*things, min_age="1d", volumes="all")) == 5
    assert removed(*things, min_age=DAY + 1, volumes="all") == []
    assert set(kept(*things, min_age=DAY + 1, volumes="all").values()) == {"younger than 86401 s"}


# Volumes, networks, build cache.

VOLUMES = [
    volume("named"),
    volume("f" * 64),
    volume("marked", labels={"com.docker.volume.anonymous": ""}),
    volume("nfs", has_options=True),
    volume("e" * 64, driver="rexray"),
]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (False, []),
        (True, ["f" * 64, "marked"]),
        ("anonymous", ["f" * 64, "marked"]),
        ("all", ["f" * 64, "marked", "named"]),
    ],
)
def test_only_local_volumes_of_the_asked_kind_go(which, expected):
    assert removed(*VOLUMES, volumes=which) == expected


@pytest.mark.parametrize("state", ["exited", "running"])
def test_an_unprotected_container_s_volume_lives_as_long_as_it(state):
    things = [container("web", state=state, volumes=("f" * 64,)), volume("f" * 64)]
    gone = removed(*things, volumes=True)
    assert gone == ([] if state == "running" else ["id-web", "f" * 64])


@pytest.mark.parametrize(
    "safe",
    [
        network("bridge"),
        network("host"),
        network("none"),
        network("docker_gwbridge"),
        network("mesh", scope="swarm"),
        network("mesh", ingress=True),
        network("settings", config_only=True),
        network("busy", endpoints=("someone",)),
        network("marked", labels=PROTECTED),
    ],
)
def test_networks_that_stay(safe):
    assert removed(safe, network("idle")) == ["net-idle"]


def test_networks_stay_if_not_asked_for():
    assert removed(network("idle"), networks=False) == []


def test_cache_in_use_keeps_what_it_rests_on():
    things = [
        record("base"),
        record("other"),
        record("middle", "base", "gone"),
        record("top", "middle", in_use=True),
    ]
    assert removed(*things) == ["other"]
    assert kept(*things)["base"] == "parent of kept record middle"
    assert removed(*things, build_cache=False) == []


def test_cache_goes_from_the_top():
    things = [record("base", used_at=1.0), record("middle", "base"), record("top", "middle")]
    assert removed(*things) == ["top", "middle", "base"]


# Layers and bytes.


def test_a_shared_layer_is_released_with_the_last_image_that_has_it():
    found = plan(
        image("a", diff_ids=("l1", "l2"), used_at=1.0),
        image("b", diff_ids=("l1", "l3"), used_at=2.0),
        image("c", diff_ids=("l4",), used_at=3.0, labels=PROTECTED),
        image("d", diff_ids=("l4", "l5"), used_at=4.0),
    )
    (l1, l2), (_, l3), (_, l5) = (
        tuple(chain_ids(one)) for one in (["l1", "l2"], ["l1", "l3"], ["l4", "l5"])
    )
    assert [removal.seen.id for removal in found.remove] == ["a", "b", "d"]
    assert released_layers(found) == [(l2,), (l1, l3), (l5,)]
    assert released_layers(found, also_held=[l1]) == [(l2,), (l3,), (l5,)]


def test_a_layer_that_the_build_cache_holds_goes_with_its_record():
    things = [image("a", diff_ids=("l1",)), record("r", chain_id="l1")]
    assert released_layers(plan(*things)) == [(), ("l1",)]
    assert released_layers(plan(*things, build_cache=False)) == [()]


def test_bytes_are_added_in_the_plan_s_order():
    found = with_bytes(plan(image("a"), container("web")), [7, None])
    assert [(one.seen.id, one.bytes) for one in found.remove] == [("id-web", 7), ("a", None)]


def test_the_default_protects_any_value_of_protected():
    assert make_policy().labels == (LabelRule("protected"),)
    assert removed(image("a", labels={"protected": "false"})) == []
