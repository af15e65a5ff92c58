"""For any graph of objects and any policy: what a prune's plan promises."""

from fnmatch import fnmatchcase

from hypothesis import event, given, settings

from dockerstorage_lib.objects import Container, Image, held_chains
from dockerstorage_lib.prune import plan_prune, released_layers
from tests.unit.graphs import NOW, everything, inventories, policies, rests_on, without

few = settings(deadline=None, max_examples=60)
many = settings(deadline=None, max_examples=200)


def keys(entries):
    return [(entry.seen.kind, entry.seen.id) for entry in entries]


def protected_by_operator(inventory, policy):
    """Objects that a label or a name protects, worked out by hand."""
    images = {one.id: one for one in inventory.images}
    for thing in everything(inventory):
        if thing.kind == "build_cache":
            continue
        labels = dict(thing.labels)
        if policy.own_labels_only and isinstance(thing, (Container, Image)):
            below = thing.image_id if isinstance(thing, Container) else thing.parent_id
            inherited = images[below].labels if below in images else {}
            labels = dict(labels.items() - inherited.items())
        labelled = any(
            labels.get(rule.key) is not None and rule.value in (None, labels[rule.key])
            for rule in policy.labels
        )
        names = thing.tags if isinstance(thing, Image) else [thing.name]
        named = any(fnmatchcase(name, each) for name in names for each in policy.name_patterns)
        if labelled or named:
            yield thing.kind, thing.id


@given(inventories(), policies())
@many
def test_nothing_protected_nor_alive_nor_what_it_needs_is_planned(inventory, policy):
    below = rests_on(inventory)
    safe = set(protected_by_operator(inventory, policy))
    safe |= {("container", c.id) for c in inventory.containers if c.state in ("running", "paused")}
    waiting = list(safe)
    while waiting:
        fresh = below.get(waiting.pop(), set()) - safe
        safe |= fresh
        waiting += fresh
    plan = plan_prune(inventory, policy, NOW)
    event(f"removals: {min(len(plan.remove), 4)}, safe: {bool(safe)}")
    assert safe.isdisjoint(keys(plan.remove))


@given(inventories(), policies())
@many
def test_nothing_that_stays_lacks_what_it_needs(inventory, policy):
    plan = plan_prune(inventory, policy, NOW)
    below = rests_on(inventory)
    gone = set(keys(plan.remove))
    for key in keys(plan.keep):
        assert below.get(key, set()).isdisjoint(gone)


@given(inventories(), policies())
@few
def test_after_a_plan_there_is_nothing_left_to_do(inventory, policy):
    plan = plan_prune(inventory, policy, NOW)
    rest = without(inventory, set(keys(plan.remove)))
    again = plan_prune(rest, policy, NOW)
    assert again.remove == ()
    assert set(keys(again.keep)) == set(keys(plan.keep))


@given(inventories(), policies())
@few
def test_nothing_goes_before_what_rests_on_it(inventory, policy):
    order = keys(plan_prune(inventory, policy, NOW).remove)
    gone = set()
    below = rests_on(inventory)
    for key in order:
        assert gone.isdisjoint(below.get(key, set()))
        gone.add(key)


@given(inventories(), policies())
@few
def test_every_object_is_decided_once_and_with_a_reason(inventory, policy):
    plan = plan_prune(inventory, policy, NOW)
    decided = keys((*plan.remove, *plan.keep))
    assert sorted(decided) == sorted((one.kind, one.id) for one in everything(inventory))
    assert all(one.reason for one in (*plan.remove, *plan.keep))


def docker_keeps_for_its_label(labels, filters):
    """moby's matchLabels and MatchKVList: a repeated ``label!`` asks for all of the labels."""
    for asked in filters:
        key, equals, value = asked.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


@given(inventories(), policies(own_labels_only=False))
@few
def test_nothing_goes_that_docker_system_prune_keeps_for_its_label(inventory, policy):
    filters = [str(rule) for rule in policy.labels]
    gone = set(keys(plan_prune(inventory, policy, NOW).remove))
    for thing in everything(inventory):
        if (
            filters
            and thing.kind != "build_cache"
            and docker_keeps_for_its_label(thing.labels, filters)
        ):
            assert (thing.kind, thing.id) not in gone


@given(inventories(), policies())
@few
def test_each_layer_is_released_once_with_its_last_holder_and_none_that_is_held(inventory, policy):
    plan = plan_prune(inventory, policy, NOW)
    released = released_layers(plan)
    held = {chain for one in plan.keep for chain in held_chains(one.seen)}
    last = {}
    for removal in plan.remove:
        last |= dict.fromkeys(held_chains(removal.seen), removal.seen.id)
    expected = {chain: holder for chain, holder in last.items() if chain not in held}
    pairs = [
        (chain, removal.seen.id)
        for removal, chains in zip(plan.remove, released, strict=True)
        for chain in chains
    ]
    assert len(pairs) == len(expected)
    assert dict(pairs) == expected
