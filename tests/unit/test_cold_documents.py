"""What is made of the engine's files is what the engine says: real files, its real answers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dockerstorage_lib import bolt, cold_documents
from dockerstorage_lib.errors import Unparsable
from dockerstorage_lib.objects import read_container, read_network, read_volume

DATA = Path(__file__).with_name("data")
CONTAINER = json.loads((DATA / "cold-container.json").read_text())
DATABASE = bolt.read_database(gzip.decompress((DATA / "local-kv.db.gz").read_bytes()))
#: What an engine has in memory alone, or tells of where it keeps things.
UNKNOWN = {"ResolvConfPath", "HostnamePath", "HostsPath", "GraphDriver"}


def test_a_container_is_what_the_engine_said() -> None:
    found = cold_documents.container_document(CONTAINER["config"], CONTAINER["host"])
    said: dict[str, Any] = CONTAINER["inspect"]
    assert set(said) - set(found) == UNKNOWN
    for key in set(found) - {"NetworkSettings"}:
        assert found[key] == said[key], key
    assert found["NetworkSettings"]["Networks"] == said["NetworkSettings"]["Networks"]
    read, wanted = read_container(found), read_container(said)
    assert read == wanted


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"Running": True}, "running"),
        ({"Running": True, "Paused": True}, "paused"),
        ({"Running": True, "Restarting": True}, "restarting"),
        ({"RemovalInProgress": True}, "removing"),
        ({"Dead": True}, "dead"),
        ({"StartedAt": "0001-01-01T00:00:00Z"}, "created"),
        ({"StartedAt": "2026-11-25T00:34:40Z"}, "exited"),
    ],
)
def test_a_containers_status_is_summed_up_as_the_engine_does(
    state: dict[str, Any], status: str
) -> None:
    config = {**CONTAINER["config"], "State": state}
    found = cold_documents.container_document(config, CONTAINER["host"])
    assert found["State"]["Status"] == status


@pytest.mark.parametrize("key", ["State", "ID", "Created", "Image", "Name", "Config"])
@pytest.mark.parametrize("value", [None, 7, [], "x"])
def test_a_configuration_of_another_shape_is_refused(key: str, value: object) -> None:
    if isinstance(value, str) and key not in ("State", "Config"):
        return
    with pytest.raises(Unparsable, match="a container's configuration"):
        cold_documents.container_document({**CONTAINER["config"], key: value}, {})


def test_networks_are_what_the_engine_said() -> None:
    found, lost = cold_documents.network_documents(DATABASE)
    assert lost == []
    names = {one["Name"] for one in found.values()}
    assert names == {
        "bridge",
        "host",
        "none",
        "net-used",
        "net-stopped",
        "net-labelled",
        "net-plain",
    }
    for said in json.loads((DATA / "cold-networks.json").read_text()):
        one = found[said["Id"]]
        # Who is attached just now is not written there.
        assert {**one, "Containers": said["Containers"]} == said
        read_network(one)


def test_a_network_that_cannot_be_read_is_named_and_the_others_are_read() -> None:
    rows = DATABASE[b"libnetwork"]
    assert isinstance(rows, dict)
    key = b"docker/network/v1.0/network/"
    damaged = {
        **rows,
        key + b"a" * 64 + b"/": b"\0" * 8 + b"{",
        key + b"b" * 64 + b"/": b"\0" * 8 + b'{"id": 7}',
        key + b"c" * 64 + b"/": b"\0",
    }
    found, lost = cold_documents.network_documents({b"libnetwork": damaged})
    assert sorted(lost) == ["a" * 64, "b" * 64, "c" * 64]
    assert len(found) == 7


def test_ranges_that_were_asked_for_come_before_those_that_were_given() -> None:
    row = {
        "name": "n", "id": "i", "networkType": "bridge",
        "ipamV4Config": json.dumps([
            {"PreferredPool": "10.1.0.0/16", "SubPool": "10.1.2.0/24", "Gateway": "10.1.2.9",
             "AuxAddresses": {"router": "10.1.2.1"}},
        ]),
        "ipamV4Info": json.dumps([{"IPAMData": json.dumps({"Pool": "10.1.0.0/16"})}]),
        "ipamV6Info": json.dumps([
            {"IPAMData": json.dumps({"Pool": "fd00::/64", "Gateway": "fd00::1/64"})},
        ]),
    }  # fmt: skip
    key = b"docker/network/v1.0/network/i/"
    rows: bolt.Bucket = {b"libnetwork": {key: b"\0" * 8 + json.dumps(row).encode()}}
    found, _ = cold_documents.network_documents(rows)
    assert found["i"]["IPAM"]["Config"] == [
        {
            "Subnet": "10.1.0.0/16",
            "IPRange": "10.1.2.0/24",
            "Gateway": "10.1.2.9",
            "AuxiliaryAddresses": {"router": "10.1.2.1"},
        },
        {"Subnet": "fd00::/64", "Gateway": "fd00::1"},
    ]


def test_a_volume_with_options_lies_elsewhere() -> None:
    text = b'{"MountType":"tmpfs","MountOpts":"size=1m","MountDevice":"tmpfs","Quota":{"Size":0}}'
    options = cold_documents.mount_options(text)
    assert options == {"type": "tmpfs", "o": "size=1m", "device": "tmpfs"}
    record = {"Driver": "local", "Labels": {"a": "b"}, "Options": options}
    found = cold_documents.volume_document("v", "/x", "2026-11-25T07:09:50Z", record)
    volume = read_volume(found)
    assert (volume.has_options, volume.labels) == (True, {"a": "b"})


def test_names_of_images() -> None:
    text = json.dumps(
        {"Repositories": {"a": {"a:1": "sha256:x", "a@sha256:y": "sha256:x"}, "b": {"b:2": "z"}}}
    ).encode()
    assert cold_documents.image_names(text) == {"sha256:x": ["a:1", "a@sha256:y"], "z": ["b:2"]}
    config = json.dumps({"rootfs": {"diff_ids": ["d"]}, "created": "2026-11-25T07:09:50Z"})
    row = cold_documents.image_row("sha256:x", config.encode(), "", ["a:1", "a@sha256:y"])
    assert (row["RepoTags"], row["RepoDigests"]) == (["a:1"], ["a@sha256:y"])
