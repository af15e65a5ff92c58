"""Networks and volumes made anew from what dockerd 20.10.24 says of them."""

import json
from pathlib import Path

import pytest

from dockerstorage_lib.recreate_others import (
    equal_networks,
    network_request,
    overlapping,
    same_place,
    volume_request,
)

DATA = Path(__file__).parent / "data"
NETWORKS = {one["Name"]: one for one in json.loads((DATA / "networks.json").read_text())}
VOLUMES = {one["Name"]: one for one in json.loads((DATA / "volumes.json").read_text())["Volumes"]}
BACKEND = NETWORKS["backend"]


def subnet(text, **more):
    return {"Name": text, "IPAM": {"Config": [{"Subnet": text, **more}]}}


def test_a_network_with_its_addresses_and_labels():
    assert network_request(BACKEND, "new") == {
        "Name": "new",
        "CheckDuplicate": True,
        "Driver": "bridge",
        "EnableIPv6": False,
        "Internal": False,
        "Attachable": False,
        "Options": {},
        "Labels": {"team": "a"},
        "IPAM": {
            "Driver": "default",
            "Options": {},
            "Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}],
        },
    }
    assert network_request(BACKEND, "new", with_addresses=False)["IPAM"]["Config"] == []


def test_all_of_a_subnet_but_what_is_empty():
    config = {"Subnet": "10.0.0.0/8", "IPRange": "10.1.0.0/16", "Gateway": "10.0.0.1/8",
              "AuxiliaryAddresses": {"router": "10.0.0.2"}, "Odd": 1}  # fmt: skip
    made = network_request({**BACKEND, "IPAM": {"Config": [config]}}, "x")
    assert made["IPAM"]["Config"] == [
        {"Subnet": "10.0.0.0/8", "IPRange": "10.1.0.0/16", "Gateway": "10.0.0.1",
         "AuxiliaryAddresses": {"router": "10.0.0.2"}}
    ]  # fmt: skip


def test_a_network_that_takes_its_settings_from_another_has_none_of_its_own():
    made = network_request({**BACKEND, "ConfigFrom": {"Network": "settings"}}, "x")
    assert made["ConfigFrom"] == {"Network": "settings"}
    assert not {"IPAM", "Options", "Labels", "EnableIPv6"} & made.keys()
    settings = network_request({**BACKEND, "ConfigOnly": True, "Driver": "null"}, "x")
    assert settings["ConfigOnly"] is True
    assert not {"Driver", "Internal", "Attachable"} & settings.keys()


@pytest.mark.parametrize(
    ("changes", "equal"),
    [
        ({"Id": "x", "Created": "now", "Containers": {"a": {}}, "Name": "other"}, True),
        ({"Options": None}, True),
        ({"Labels": {}}, False),
        ({"Internal": True}, False),
        ({"Driver": "macvlan"}, False),
        ({"EnableIPv6": True}, False),
        ({"IPAM": subnet("172.19.0.0/16")["IPAM"]}, False),
    ],
)
def test_equal_but_for_names_ids_and_times(changes, equal):
    assert equal_networks(BACKEND, {**BACKEND, **changes}) is equal


@pytest.mark.parametrize(
    ("mine", "theirs", "overlaps"),
    [
        ("10.0.0.0/8", "10.5.0.0/16", True),
        ("10.5.0.0/16", "10.0.0.0/8", True),
        ("10.0.0.0/24", "10.0.1.0/24", False),
        ("10.0.0.1/24", "10.0.0.0/24", True),
        ("fd00::/64", "10.0.0.0/8", False),
        ("fd00::/64", "fd00::/48", True),
        ("nonsense", "10.0.0.0/8", False),
        (None, "10.0.0.0/8", False),
    ],
)
def test_overlapping(mine, theirs, overlaps):
    other = subnet(theirs)
    assert overlapping(subnet(mine), [NETWORKS["host"], other]) is (other if overlaps else None)


def test_volumes():
    assert volume_request(VOLUMES["opts"], "new") == {
        "Name": "new", "Driver": "local", "DriverOpts": {"device": "tmpfs", "type": "tmpfs"},
        "Labels": {},
    }  # fmt: skip
    data = VOLUMES["data"]
    assert same_place(data, {**data, "Labels": None, "Options": None})
    assert not same_place(data, VOLUMES["opts"])
    assert not same_place(data, {**data, "Driver": "nfs"})
