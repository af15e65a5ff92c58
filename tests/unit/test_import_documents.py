"""Inspect documents from elsewhere: refused, or good for all that an import asks of them."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib import recreate, recreate_compare
from dockerstorage_lib.bundle import ContainerRecord, NetworkRecord, VolumeRecord
from dockerstorage_lib.errors import Damaged
from dockerstorage_lib.import_choice import choose
from dockerstorage_lib.import_documents import check_document
from dockerstorage_lib.import_options import read_options
from dockerstorage_lib.recreate_others import network_request, overlapping, volume_request
from tests.unit import importing as i

DATA = Path(__file__).parent / "data"
CONTAINERS = json.loads((DATA / "containers.json").read_text())
NETWORKS = json.loads((DATA / "networks.json").read_text())
VOLUMES = json.loads((DATA / "volumes.json").read_text())["Volumes"]


def container_record(document):
    files = i.file(f"containers/{document['Id']}.json"), i.file("x.tar.zst")
    name, image = document["Name"].lstrip("/"), document["Image"]
    return ContainerRecord(document["Id"], name, image, "exited", *files)


def network_record(document):
    return NetworkRecord(document["Id"], document["Name"], i.file("networks/x.json"))


def volume_record(document):
    return VolumeRecord(document["Name"], i.file("volumes/x.json"), None)


KNOWN = [
    *((container_record(one), one) for one in CONTAINERS),
    *((network_record(one), one) for one in NETWORKS),
    *((volume_record(one), one) for one in VOLUMES),
]


@pytest.mark.parametrize(("record", "document"), KNOWN)
def test_the_engine_s_own_documents_are_good(record, document):
    check_document(record, document)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("Id", "0" * 64, "its document is that of Id"),
        ("Name", "/other", "its document is that of Name"),
        ("Image", "sha256:0", "its document is that of Image"),
        ("HostConfig.Binds", ["ok", 5], "its document.HostConfig.Binds is no text"),
        ("HostConfig.Binds", "/:/host", "its document.HostConfig.Binds is no list"),
        ("HostConfig.VolumesFrom", [None], "its document.HostConfig.VolumesFrom is no list"),
        ("NetworkSettings.Networks", {"x": []}, "Networks.x is no object"),
        ("Config.Labels", {"a": 1}, "its document.Config.Labels.a is no text"),
        ("State", None, "not the engine's"),
        ("Created", "yesterday", "not the engine's"),
        ("Mounts", [{"Type": "volume"}], "not the engine's"),
    ],
)
def test_a_document_that_is_not_s_refused(path, value, why):
    document = copy.deepcopy(CONTAINERS[-1])
    place = document
    *above, last = path.split(".")
    for key in above:
        place = place[key]
    place[last] = value
    with pytest.raises(Damaged, match=why) as raised:
        check_document(container_record(CONTAINERS[-1]), document)
    assert "container web" in str(raised.value)


def paths(value, so_far=()):
    """Every place in a document."""
    yield so_far
    for key, inner in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    ):
        yield from paths(inner, (*so_far, key))


LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(":/")


def nested(inner):
    return st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)


JSON = st.recursive(LEAF, nested, max_leaves=4)


@given(st.sampled_from(KNOWN), st.data())
def test_whatever_stands_in_it_it_is_refused_or_good(known, data):
    record, document = known
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 2))):
        places = sorted(filter(None, paths(document)), key=str)
        *above, last = data.draw(st.sampled_from(places))
        place = document
        for key in above:
            place = place[key]
        if data.draw(st.booleans()):
            place[last] = data.draw(JSON)
        else:
            del place[last]
    try:
        check_document(record, document)
    except Damaged:
        return
    if isinstance(record, ContainerRecord):
        found = i.contents([(record, document)], containers=(record,))
        choice = choose(found, read_options())
        names = recreate.Names(named_volumes=frozenset({"data"}))
        made = recreate.recreate(document, "x", names, "h", False)
        json.dumps(made.body)
        recreate_compare.deviations(made, document)
        recreate_compare.moved_addresses(document, document, names)
        i.plan(found, i.world())
        assert choice.containers == (record,)
    elif isinstance(record, NetworkRecord):
        network_request(document, "x")
        overlapping(document, [document])
    else:
        volume_request(document, "x")
