"""``manifest.json``: what was written is read; what was altered is refused by name."""

import copy
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib.bundle import (
    ContainerRecord,
    ImageRecord,
    Manifest,
    NetworkRecord,
    NotTaken,
    VolumeRecord,
)
from dockerstorage_lib.errors import Damaged
from dockerstorage_lib.manifest import files, manifest_text, read_manifest
from dockerstorage_lib.needs import missing
from tests.unit.bundles import record

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)

MANIFEST = Manifest(
    id="0123456789abcdef" * 2,
    created_at=1700000000.25,
    host="host-1",
    engine_version="24.0.9",
    driver="devicemapper",
    images=(
        ImageRecord(
            f"sha256:{A}",
            ("app:1", "app:latest"),
            f"sha256:{B}",
            record(f"images/{A}.json", A),
            (f"sha256:{C}", f"sha256:{D}"),
        ),
        ImageRecord(f"sha256:{B}", (), "", record(f"images/{B}.json", B), (f"sha256:{C}",)),
    ),
    layers={f"sha256:{one}": record(f"layers/{one}.tar.zst", one) for one in (C, D)},
    containers=(
        ContainerRecord(
            D,
            "web",
            f"sha256:{A}",
            "running",
            record(f"containers/{D}.json"),
            record(f"containers/{D}.tar.zst"),
            (record(f"containers/{D}.log.1.zst"), record(f"containers/{D}.log.0.zst")),
        ),
    ),
    volumes=(
        VolumeRecord("data", record("volumes/data.json"), record("volumes/data.tar.zst")),
        VolumeRecord("nfs", record("volumes/nfs.json"), None),
    ),
    networks=(NetworkRecord(A, "front", record(f"networks/{A}.json")),),
    not_taken=(NotTaken("volume", "x", "x", "another driver"),),
)
FIELDS = json.loads(manifest_text(MANIFEST))


def test_what_is_written_is_read():
    assert read_manifest(manifest_text(MANIFEST)) == MANIFEST
    empty = Manifest("0" * 32, 0, "", "", "")
    assert read_manifest(manifest_text(empty)) == empty


def test_reasons_become_one_line():
    manifest = replace(MANIFEST, not_taken=(NotTaken("volume", "x", "x", "one\n\x1b[31mtwo"),))
    assert read_manifest(manifest_text(manifest)).not_taken[0].why == "one [31mtwo"


def test_what_could_not_be_read_again_is_not_written():
    with pytest.raises(Damaged, match="volume"):
        manifest_text(replace(MANIFEST, volumes=(VolumeRecord("../x", record("x.json"), None),)))


def test_files_are_named_by_their_object():
    assert [(name, one.path) for name, one in files(MANIFEST)][-5:-3] == [
        ("volume nfs", "volumes/nfs.json"),
        ("container web", f"containers/{D}.json"),
    ]
    assert len(list(files(MANIFEST))) == 12


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (["version"], 2, "version: 2 is unknown"),
        (["version"], True, "version: True"),
        (["format"], "tar", "format"),
        (["id"], "../../x", "id: it cannot be '../../x'"),
        (["created_at"], float("inf"), "Infinity"),
        (["created_at"], "now", "created_at: no number"),
        (["surprise"], 1, "surprise: unknown field"),
        (["images", 0, "id"], f"sha256:{'A' * 64}", "images[0], id"),
        (["images", 0, "config", "path"], "images/../../etc/passwd", f"image sha256:{A}, config"),
        (["images", 0, "config", "sha256"], C, "not packed"),
        (["images", 0, "layers"], "sha256:x", "layers: no list"),
        (["images", 0, "parent_id"], f"sha256:{A}", "its own ancestor"),
        (["images", 1, "parent_id"], f"sha256:{A}", "its own ancestor"),
        (["images", 1, "tags"], ["app:1"], "tag app:1: it is there twice"),
        (["layers", f"sha256:{C}", "plain_sha256"], D, "not its diff id"),
        (["layers", f"sha256:{C}", "path"], f"layers/{D}.tar.zst", "path"),
        (["layers", "sha256:.."], {}, "sha256:..: it is no diff id"),
        (["containers", 0, "name"], "a b", f"container {D}, name"),
        (["containers", 0, "name"], "web\n", f"container {D}, name"),
        (["containers", 0, "changes", "bytes"], -1, f"container {D}, changes, bytes"),
        (["containers", 0, "changes", "bytes"], 1.5, "no number of bytes"),
        (["containers", 0, "changes", "bytes"], True, "no number of bytes"),
        (["containers", 0, "changes", "plain_bytes"], 2**80, "no number of bytes"),
        (["containers", 0, "logs", 0, "path"], f"containers/{D}.log.0.zst", "there twice"),
        (["containers", 0, "logs", 0, "path"], f"containers/{D}.log.00.zst", "path"),
        (["containers", 0, "document"], None, "document: no object"),
        (["volumes", 0, "name"], "..", "volumes[0], name"),
        (["volumes", 0, "name"], "nfs", "path"),
        (["volumes", 0, "data", "path"], "/etc/shadow.tar.zst", "volume data, data, path"),
        (["networks", 0, "id"], "a/b", "networks[0], id"),
        (["networks", 0, "document", "path"], f"networks/{A}.json\n", "path"),
        (["host"], "\x1b[2J", "host"),
        (["host"], "\ud800", "host"),
    ],
)
def test_what_was_altered_is_refused_by_name(where, value, said):
    fields = copy.deepcopy(FIELDS)
    inner = fields
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(Damaged) as raised:
        read_manifest(json.dumps(fields))
    assert raised.value.what == "manifest.json"
    assert said in str(raised.value)


def test_a_field_that_is_there_twice_is_refused():
    text = manifest_text(MANIFEST)
    assert read_manifest(text.replace('"host":', '"host" :')) == MANIFEST
    with pytest.raises(Damaged, match="there twice"):
        read_manifest(text.replace('"host":', '"host": "host-2", "host":'))


def test_an_image_s_id_is_the_digest_of_its_configuration():
    fields = copy.deepcopy(FIELDS)
    fields["images"][0]["config"] |= {"sha256": C, "plain_sha256": C}
    with pytest.raises(Damaged, match=f"image sha256:{A}, config: its digest is not"):
        read_manifest(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "null", "[" * 100_000, '{"format": 1, "format": 2}', "{"])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(Damaged):
        read_manifest(text)


def nodes(value, path=()):
    """The paths of all values in a JSON document."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from nodes(value[key], (*path, key))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["..", "/etc/passwd", f"sha256:{A}", f"images/{B}.json", A, "data", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(list(nodes(FIELDS))[1:]), st.integers(0, 3), json_values),
                min_size=1, max_size=3))  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_any_mutation_is_read_as_it_says_or_refused(mutations):
    fields = copy.deepcopy(FIELDS)
    for path, how, value in mutations:
        mutate(fields, path, how, value)
    text = json.dumps(fields)
    try:
        manifest = read_manifest(text)
    except Damaged:
        return
    assert json.loads(manifest_text(manifest)) == json.loads(text)


def mutate(fields, path, how, value):
    """Replace, remove or double a value, or exchange it for its neighbour."""
    try:
        for key in path[:-1]:
            fields = fields[key]
        if how == 0:
            fields[path[-1]] = value
        elif how == 1:
            del fields[path[-1]]
        elif how == 2 and isinstance(fields, list):
            fields.append(copy.deepcopy(fields[path[-1]]))
        else:
            keys = list(fields) if isinstance(fields, dict) else range(len(fields))
            fields[path[-1]] = copy.deepcopy(fields[keys[0]])
    except (KeyError, IndexError, TypeError):  # an earlier mutation took it away
        return


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_text_is_refused(text):
    with pytest.raises(Damaged):
        read_manifest(text)


DOCUMENTS = {
    f"containers/{D}.json": {
        "Mounts": [{"Type": "volume", "Name": "data"}],
        "NetworkSettings": {"Networks": {"front": {"NetworkID": A}, "bridge": {"NetworkID": B}}},
        "HostConfig": {"NetworkMode": "front"},
    }
}


def test_nothing_is_missing():
    assert missing(MANIFEST, DOCUMENTS) == []


def test_what_is_missing_is_told():
    bare = replace(MANIFEST, images=MANIFEST.images[:1], layers={}, volumes=(), networks=())
    assert missing(bare, DOCUMENTS) == [
        f"image app:1: layer sha256:{C} is not in the bundle",
        f"image app:1: layer sha256:{D} is not in the bundle",
        f"image app:1: image sha256:{B} is not in the bundle",
        "container web: volume data is not in the bundle",
        "container web: network front is not in the bundle",
    ]
    assert missing(replace(MANIFEST, images=()), DOCUMENTS) == [
        f"container web: image sha256:{A} is not in the bundle"
    ]


def test_what_was_not_taken_on_purpose_is_not_missing():
    notes = NotTaken("volume", "data", "data", "x"), NotTaken("network", A, "front", "x")
    bare = replace(MANIFEST, volumes=(), networks=(), not_taken=notes)
    assert missing(bare, DOCUMENTS) == []


def test_a_container_whose_network_is_anothers_needs_it():
    documents = {f"containers/{D}.json": {"HostConfig": {"NetworkMode": f"container:{C}"}}}
    assert missing(MANIFEST, documents) == [f"container web: container {C} is not in the bundle"]


@given(st.dictionaries(st.sampled_from(["Mounts", "NetworkSettings", "HostConfig"]), json_values))
def test_odd_documents_do_no_harm(document):
    assert isinstance(missing(MANIFEST, {f"containers/{D}.json": document}), list)
