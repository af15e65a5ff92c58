"""Containers made anew from the inspect documents of dockerd 20.10.24."""

import copy
import json
from pathlib import Path

import pytest

from dockerstorage_lib import recreate as r
from dockerstorage_lib import recreate_compare
from dockerstorage_lib.recreate import Known, Names

DOCUMENTS = json.loads((Path(__file__).parent / "data" / "containers.json").read_text())
BY_NAME = {one["Name"].lstrip("/"): one for one in DOCUMENTS}
IDS = {name: one["Id"] for name, one in BY_NAME.items()}
BACKEND = "ceba94a39c4467780766d589437b963757dfec2b3b25d3d56dcdd01be2ed1d52"
ANONYMOUS = "b6bde65cda61bf5adfb454a06f0ed8d17000761849936b50ba5f5874abfc2b57"
NAMES = Names(
    containers=tuple(Known(id_, name, f"new-{name}", f"{name}2") for name, id_ in IDS.items()),
    networks=(Known(BACKEND, "backend", "new-backend", "backend2"),),
    volumes={"data": "data2"},
    named_volumes=frozenset({"data"}),
)


def made(name, names=NAMES, host="old-host", same_driver=True, **changes):
    document = copy.deepcopy(BY_NAME[name])
    for path, value in changes.items():
        place = document
        *above, last = path.split("__")
        for key in above:
            place = place[key]
        place[last] = value
    return r.recreate(document, "lab/app:1", names, host, same_driver)


def ends(recreation):
    return (recreation.body.get("NetworkingConfig") or {}).get("EndpointsConfig")


def test_what_the_operator_said_is_kept_as_it_is():
    found = made("web")
    config = BY_NAME["web"]["Config"]
    for key in config.keys() - {"Hostname", "Image"}:
        assert found.body[key] == config[key]
    assert found.body["Image"] == "lab/app:1"
    assert "Hostname" not in found.body  # it was the short id
    assert found.notes == ("its host name was made by the engine, and is made anew",)
    assert found.body["HostConfig"]["Binds"] == ["data2:/data"]
    assert found.body["HostConfig"]["NetworkMode"] == "backend2"
    assert ends(found) == {"backend2": {}}
    assert (found.connect, found.disconnect) == ((), ())


def test_the_document_itself_is_left_alone():
    before = copy.deepcopy(BY_NAME["side"])
    r.recreate(BY_NAME["side"], "x", NAMES, "", True)
    assert BY_NAME["side"] == before


def test_a_host_name_that_was_given_is_kept():
    found = made("web", Config__Hostname="db.example")
    assert found.body["Hostname"] == "db.example"
    assert found.notes == ()


@pytest.mark.parametrize("hostname", ["cec3d9facc93", "set-by-the-engine"])
def test_shared_namespaces_follow_and_refuse_what_the_engine_refuses_beside_them(hostname):
    found = made("shortns", Config__Hostname=hostname, Config__ExposedPorts={"80/tcp": {}})
    host = found.body["HostConfig"]
    assert host["NetworkMode"] == host["PidMode"] == "container:new-db"
    assert host["IpcMode"] == "private"
    assert "Hostname" not in found.body
    assert "ExposedPorts" not in found.body
    assert found.notes == ()


def test_the_host_s_own_name_is_the_new_host_s():
    changes = {"HostConfig__NetworkMode": "host", "NetworkSettings__Networks": {"host": {}}}
    assert "Hostname" not in made("db", Config__Hostname="old-host", **changes).body
    assert made("db", Config__Hostname="given", **changes).body["Hostname"] == "given"
    assert "Hostname" not in made("db", Config__Hostname="given", HostConfig__UTSMode="host").body


def test_volumes_from_follow_in_the_way_they_were_written():
    assert made("side").body["HostConfig"]["VolumesFrom"] == ["web2:ro"]
    assert made("shortnet").body["HostConfig"]["VolumesFrom"] == ["new-web"]


def test_links_are_written_as_a_request_has_them():
    assert made("linked").body["HostConfig"]["Links"] == ["db2:database"]


def test_a_container_that_the_bundle_lacks_keeps_its_name():
    found = made("linked", names=Names())
    assert found.body["HostConfig"]["Links"] == ["db:database"]


def test_a_network_known_by_the_beginning_of_its_id_is_named():
    found = made("shortnet")
    assert found.body["HostConfig"]["NetworkMode"] == "backend2"
    assert ends(found) == {"backend2": {"Aliases": ["x"]}}


def test_the_default_bridge_needs_no_endpoint():
    found = made("linked")
    assert ends(found) is None
    assert found.connect == ()


def test_addresses_and_aliases_but_not_the_engine_s_own_alias():
    end = {
        "Aliases": ["friend", IDS["web"][:12]],
        "IPAMConfig": {"IPv4Address": "172.18.0.9", "IPv6Address": ""},
        "IPAddress": "172.18.0.9",
        "Links": ["db:database"],
        "DriverOpts": {"a": "b"},
        "MacAddress": "02:42:ac:12:00:09",
    }
    found = made("web", NetworkSettings__Networks={"backend": end})
    assert ends(found) == {
        "backend2": {
            "Aliases": ["friend"],
            "IPAMConfig": {"IPv4Address": "172.18.0.9"},
            "Links": ["db2:database"],
            "DriverOpts": {"a": "b"},
        }
    }
    elsewhere = Names(
        networks=(Known(BACKEND, "backend", "n", "backend"),), readdressed=frozenset({"backend"})
    )
    moved = made("web", names=elsewhere, NetworkSettings__Networks={"backend": end})
    assert "IPAMConfig" not in ends(moved)["backend"]
    assert "without its address on backend: that network has others here" in moved.notes


def test_one_network_in_the_request_and_the_others_after_it():
    networks = {"other": {"Aliases": ["a"]}, "backend": {"Aliases": ["b"]}, "bridge": {}}
    found = made("web", NetworkSettings__Networks=networks)
    assert ends(found) == {"backend2": {"Aliases": ["b"]}}
    assert found.connect == (("other", {"Aliases": ["a"]}), ("bridge", {}))
    assert found.disconnect == ()


def test_a_container_that_left_its_first_network_leaves_it_again():
    found = made("web", NetworkSettings__Networks={"other": {}})
    assert ends(found) is None
    assert found.connect == (("other", {}),)
    assert found.disconnect == ("backend2",)


def test_on_the_default_bridge_and_another_network():
    networks = {"bridge": {}, "backend": {}}
    for mode in ("default", "bridge"):
        found = made("linked", HostConfig__NetworkMode=mode, NetworkSettings__Networks=networks)
        assert found.connect == (("backend2", {}),)
        assert found.disconnect == ()


def test_anonymous_volumes_stay_anonymous():
    assert made("web").body["HostConfig"]["Binds"] == ["data2:/data"]
    assert r.own_volumes(BY_NAME["web"]) == {"/anon": ANONYMOUS}
    assert r.explicit_volumes(BY_NAME["web"]) == {"/data": "data"}
    assert r.own_volumes(BY_NAME["side"]) == {}  # they come from web


def test_an_anonymous_volume_that_another_container_names_is_bound_by_name():
    names = Names(named_volumes=frozenset({ANONYMOUS}))
    found = made("web", names=names)
    assert found.body["HostConfig"]["Binds"] == ["data:/data", f"{ANONYMOUS}:/anon"]
    assert any("/anon" in note for note in found.notes)


def test_mounts_of_the_longer_form_follow():
    mounts = [
        {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True},
        {"Type": "bind", "Source": "/srv", "Target": "/srv"},
        {"Type": "volume", "Target": "/anon"},
        {"Type": "tmpfs", "Target": "/t"},
    ]
    found = made("web", HostConfig__Mounts=mounts, HostConfig__Binds=["/etc:/host:ro", "data:/d"])
    assert found.body["HostConfig"]["Mounts"][0] == {**mounts[0], "Source": "data2"}
    assert found.body["HostConfig"]["Mounts"][1:] == mounts[1:]
    assert found.body["HostConfig"]["Binds"] == ["/etc:/host:ro", "data2:/d"]


def test_storage_options_are_another_driver_s():
    options = {"size": "20G"}
    assert made("web", HostConfig__StorageOpt=options).body["HostConfig"]["StorageOpt"] == options
    moved = made("web", HostConfig__StorageOpt=options, same_driver=False)
    assert moved.body["HostConfig"]["StorageOpt"] is None
    assert moved.notes[0].startswith("without its storage options (size=20G)")


def test_nothing_deviates_from_a_container_made_as_asked():
    found = made("linked")
    answer = copy.deepcopy(BY_NAME["linked"])
    answer["Config"]["Image"] = "lab/app:1"
    answer["HostConfig"]["Links"] = ["/db2:/linked/database"]
    assert recreate_compare.deviations(found, answer) == []
    answer["HostConfig"]["IpcMode"] = "shareable"
    answer["Config"]["Labels"] = {}
    assert recreate_compare.deviations(found, answer) == [
        ("Config.Labels", {"protected": "false"}, {}),
        ("HostConfig.IpcMode", "private", "shareable"),
    ]


def test_addresses_order_containers_by_number():
    def at(address):
        return {"NetworkSettings": {"Networks": {"a": {"IPAddress": address}}}, "Created": "1"}

    ordered = sorted(map(at, ["172.18.0.10", "172.18.0.9", ""]), key=recreate_compare.address_key)
    assert ordered == [at("172.18.0.9"), at("172.18.0.10"), at("")]


def test_an_address_that_moved_is_told():
    old = {"NetworkSettings": {"Networks": {"backend": {"IPAddress": "172.18.0.9"}, "b": {}}}}
    new = {"NetworkSettings": {"Networks": {"backend2": {"IPAddress": "172.18.0.3"}}}}
    assert recreate_compare.moved_addresses(old, new, NAMES) == [
        "its address on backend2 is 172.18.0.3 and was 172.18.0.9"
    ]
