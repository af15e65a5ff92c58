"""The engine's documents become values; the samples are those of dockerd 20.10.24."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dockerstorage_lib import bolt
from dockerstorage_lib.errors import Unparsable
from dockerstorage_lib.objects import (
    CacheRecord,
    Container,
    Image,
    Network,
    Volume,
    chain_ids,
    held_chains,
    read_cache_record,
    read_container,
    read_image,
    read_network,
    read_snapshots,
    read_time,
    read_volume,
    real_names,
)
from tests.unit.graphs import container, image, record, volume

DATA = Path(__file__).parent / "data"
ANONYMOUS = "b6bde65cda61"


def documents(name):
    return json.loads((DATA / name).read_text())


@pytest.fixture(scope="module")
def containers():
    found = map(read_container, documents("containers.json"))
    return {one.name: one for one in found}


def test_a_created_container(containers):
    web = containers["web"]
    anonymous = next(name for name in web.volumes if name.startswith(ANONYMOUS))
    assert web == Container(
        id="4dabc6065114f217210345e64e105b35eaf81df51257392d7d3f9a75eb802551",
        name="web",
        image_id="sha256:6d5827ec530a3d2963554716edaad022483889e152b2a0f83857db0879005286",
        image_name="lab/app:1",
        state="created",
        used_at=read_time("2026-11-23T23:05:37.002913412Z"),
        labels={"protected": "true", "tier": "web"},
        volumes=(anonymous, "data"),
        networks=("backend",),
    )


def test_a_running_container_was_used_when_it_started(containers):
    db = containers["db"]
    assert (db.state, db.used_at) == ("running", read_time("2026-11-23T23:05:39.333341572Z"))
    # The network's name, and its id since it is attached.
    assert db.networks == (
        "9cf850c05b39de9477ea598e823a1fcafc55f885590f2721a2eb6cc50f1d8c72",
        "none",
    )


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("side", ("db", "web")),  # --network and --ipc container:db, --volumes-from web:ro
        ("linked", ("db",)),  # --link db:database
        ("shortns", ("db",)),  # --network and --pid container:<begin of db's id>
        ("web", ()),
    ],
)
def test_containers_that_another_needs(containers, name, needs):
    names = {one.id: one.name for one in containers.values()}
    assert tuple(sorted(names.get(key, key) for key in containers[name].needs)) == needs


def test_what_the_operator_abbreviated_stays_so(containers):
    assert containers["shortnet"].networks == ("ceba94a3",)
    assert containers["shortnet"].needs == ("4dabc606",)


@pytest.mark.parametrize(
    ("source", "volumes"),
    [
        ("/var/lib/docker/volumes/data/_data", ("data",)),
        ("/srv/docker/volumes/data/_data/deep", ("data",)),
        ("/var/lib/docker/volumes", ()),
        ("/var/lib/docker/volumes/data/_database", ()),
        ("", ()),
    ],
)
def test_a_volume_mounted_by_its_path_is_in_use(source, volumes):
    found = documents("containers.json")[0]
    mounts = [{"Type": "bind", "Source": source, "Destination": "/data"}, {"Type": "tmpfs"}]
    assert read_container({**found, "Mounts": mounts}).volumes == volumes


def test_a_container_with_hardly_any_fields():
    found = read_container(
        {
            "Id": "1",
            "Created": "2020-01-01T00:00:00Z",
            "Name": "/bare",
            "Image": "sha256:0",
            "State": {"Status": "dead"},
            "Config": {"Image": "x", "Labels": None},
            "HostConfig": {},
            "Mounts": None,
        }
    )
    assert (found.labels, found.volumes, found.networks, found.needs) == ({}, (), (), ())


def test_images_of_the_engine_s_list():
    listed = documents("images.json")
    images = [read_image(row, used_at=5.0, diff_ids=["l1"]) for row in listed]
    assert [one.tags for one in images] == [
        ("lab/bk:latest",),
        ("lab/child:latest",),
        (),
        ("lab/app:1", "reg.local:5000/app:latest"),
        (),
        ("base:1",),
    ]
    child = images[1]
    assert child == Image(
        id="sha256:32d9f3e08244892c75254af6e007340e06bb5a7560ea1c3692db0924ae31b5a1",
        tags=("lab/child:latest",),
        digests=(),
        parent_id="sha256:2f5b207885826576d89562b9686a2bab0484d6432e90cda9c03209e1ed69f373",
        created_at=1795475308.0,
        used_at=5.0,
        labels={"protected": "false"},
        diff_ids=("l1",),
    )


def test_an_image_is_called_by_its_first_tag_or_by_its_short_id():
    assert image("sha256:" + "ab" * 32, tags=("app:1", "app:2")).name == "app:1"
    assert image("sha256:" + "ab" * 32).name == "abababababab"


def test_an_image_from_before_the_epoch():
    listed = {"Id": "sha256:0", "Created": -62135596800, "RepoTags": None}
    assert read_image(listed, 0.0, ()).created_at == 0.0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, ()),
        ([], ()),
        (["<none>:<none>"], ()),
        (["<none>@<none>"], ()),
        (["<none>@sha256:00"], ()),
        (["app:<none>", "b:1", "a:1"], ("a:1", "b:1")),
        (["app@sha256:00"], ("app@sha256:00",)),
        (["app@sha256:00", "app@sha256:00"], ("app@sha256:00",)),  # of containerd's store
    ],
)
def test_stand_ins_are_no_names(names, expected):
    assert real_names(names) == expected


def test_volumes():
    anonymous, named, mounted = map(read_volume, documents("volumes.json")["Volumes"])
    assert anonymous.anonymous
    assert named == Volume("data", "local", read_time("2026-11-23T23:08:32Z"), {"keep": "yes"})
    assert not named.anonymous
    assert mounted.has_options


@pytest.mark.parametrize(
    ("name", "labels", "anonymous"),
    [
        ("0" * 64, {}, True),
        ("data", {"com.docker.volume.anonymous": ""}, True),
        ("0" * 63, {}, False),
        ("G" * 64, {}, False),
    ],
)
def test_a_volume_is_anonymous_by_its_name_or_label(name, labels, anonymous):
    assert volume(name, labels=labels).anonymous is anonymous


def test_networks():
    networks = {one.name: one for one in map(read_network, documents("networks.json"))}
    assert networks["backend"] == Network(
        id="ceba94a39c4467780766d589437b963757dfec2b3b25d3d56dcdd01be2ed1d52",
        name="backend",
        scope="local",
        used_at=read_time("2026-11-23T23:05:36.717933188Z"),
        labels={"team": "a"},
    )
    assert networks["none"].endpoints[0].startswith("2053d84679f1")


def test_cache_records_know_the_layers_they_hold():
    rows = documents("build-cache.json")
    snapshots = {rows[0]["ID"]: "sha256:1"}
    records = [read_cache_record(row, snapshots) for row in rows]
    assert records[0] == CacheRecord(
        id="h0gizrelp1z5fal40jlvu5lhc",
        name="from local ",
        rests_on=(),
        in_use=False,
        shared=True,
        size_bytes=0,
        used_at=read_time("2026-11-23T23:08:32.006959734Z"),
        chain_id="sha256:1",
    )
    assert records[3].rests_on == ("h0gizrelp1z5fal40jlvu5lhc",)
    assert records[3].chain_id == ""


@pytest.mark.parametrize("key", ["Parents", " Parents"])  # the latter is what Docker 26 sent
def test_cache_records_of_newer_engines_have_several_parents(key):
    row = documents("build-cache.json")[0] | {key: ["a", "b"], "LastUsedAt": None}
    assert read_cache_record(row, {}).rests_on == ("a", "b")


def test_snapshots_of_buildkit_name_layers_or_stand_for_themselves():
    database = bolt.read_database(gzip.decompress((DATA / "snapshots.db.gz").read_bytes()))
    snapshots = read_snapshots(database)
    assert len(snapshots) == 11
    assert snapshots["at8lod016zqiad1vqi5ykmb79"] == (
        "sha256:74cb5d8f0a7c32a83c9ac56a9a90be219b301aab34f736b67e2fc16c86355648"
    )
    assert snapshots["cdsk8wtvm1hkzb24kyhyzdcxq"] == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("2021-06-01T12:00:00Z", 1622548800),
        ("2021-06-01T12:00:00.5Z", 1622548800.5),
        ("2021-06-01T12:00:00.123456789Z", 1622548800.123456789),
        ("2021-06-01T14:00:00+02:00", 1622548800),
        ("2021-06-01T06:30:00-05:30", 1622548800),
        ("2021-06-01 12:00:00.5 +0000 UTC", 1622548800.5),
        ("2021-06-01 14:00:00 +0200 CEST", 1622548800),
        ("0001-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00+01:00", 0),
        ("9999-12-31T23:59:59-23:59", 253402387139),
        ("", 0),
        (None, 0),
    ],
)
def test_times_of_go(text, seconds):
    assert read_time(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "text", ["yesterday", "2021-06-01", "2021-13-01T00:00:00Z", "2021-06-01T12:00:00"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(Unparsable) as caught:
        read_time(text)
    assert (caught.value.field, caught.value.line) == ("time", text)


def test_chain_ids_are_those_of_docker_s_own_layer_store():
    layers = [line.split() for line in (DATA / "layerdb.txt").read_text().splitlines()]
    diff_ids = [
        "sha256:13b23f8bc9721fce352b56cc708bf57d6be12030954535d0541a212294c8bffc",
        "sha256:e56d47e05b7de82318527cc11f5d7e8676dd71c004fd7f0e3a7216c44a011afb",
        "sha256:b98b94102846845d079b3105ce479494a459f1053ba5cf9cd4345706318250d9",
        "sha256:6e1b7f4a887e6906f0d59c37ffccf087fd238fd6de4d5ae6c50686454f3ac3b6",
    ]
    chains = {diff: f"sha256:{chain}" for chain, _, diff in layers}
    assert list(chain_ids(diff_ids)) == [chains[diff] for diff in diff_ids]
    assert list(chain_ids([])) == []


def test_images_and_cache_hold_layers_and_nothing_else_does():
    assert held_chains(image("a", diff_ids=("l1", "l2"))) == tuple(chain_ids(["l1", "l2"]))
    assert held_chains(record("r", chain_id="c")) == ("c",)
    assert held_chains(record("r")) == held_chains(container("c")) == ()


def test_a_changed_container_is_another_value(containers):
    # The recheck before a removal rests on this.
    web = containers["web"]
    assert replace(web) == web
    assert replace(web, state="running") != web
