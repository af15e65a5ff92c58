"""Whose a thin device is, and where it is mounted."""

from pathlib import Path

from dockerstorage_lib.adapters.hostfiles import parse_mountinfo
from dockerstorage_lib.devices import Device, Owner, as_list, find_owners
from dockerstorage_lib.objects import chain_ids
from tests.unit.graphs import container, image

DATA = Path(__file__).parent / "data"
LOW, HIGH = chain_ids(["l1", "l2"])


def owners():
    return find_owners(
        layers={LOW: "hash-low", HIGH: "hash-high", "sha256:lost": "hash-lost"},
        images=[
            image("sha256:a", tags=("app:2", "app:1"), diff_ids=("l1", "l2")),
            image("sha256:b", diff_ids=("l1",)),
        ],
        mounted={"id-web": ("hash-rw", "hash-init"), "id-gone": ("hash-left",)},
        containers=[container("web")],
    )


def test_a_layer_belongs_to_every_image_above_it():
    assert owners()["hash-low"] == Owner("image layer", LOW, ("app:1", "app:2", "sha256:b"))
    assert owners()["hash-high"] == Owner("image layer", HIGH, ("app:1", "app:2"))
    assert owners()["hash-lost"] == Owner("image layer", "sha256:lost", ())


def test_a_container_has_a_device_and_an_init_layer():
    assert owners()["hash-rw"] == Owner("container", "id-web", ("web",))
    assert owners()["hash-init"] == Owner("container init", "id-web", ("web",))


def test_a_container_that_the_engine_no_longer_knows_has_no_name():
    assert owners()["hash-left"] == Owner("container", "id-gone", ())


def test_the_base_device_is_named():
    assert owners()["base"] == Owner("base")
    assert "unknown" not in owners()


def test_devices_are_plain_values():
    device = Device(3, "hash", Owner("container", "id", ("web",)), 1, 2, 3, False, ("/mnt",))
    assert as_list([device]) == [
        {
            "device_id": 3,
            "hash": "hash",
            "owner": {"kind": "container", "id": "id", "names": ["web"]},
            "size_bytes": 1,
            "mapped_bytes": 2,
            "exclusive_bytes": 3,
            "deleted": False,
            "mounts": ["/mnt"],
        }
    ]


def test_mounts_of_a_docker_host():
    found = parse_mountinfo((DATA / "mountinfo.txt").read_text())
    layer = "b45fa2033f131d055b8e243bce406c4963ee6dee3170b94cd614394713ff3855"
    assert ("254:1", f"/var/lib/docker/devicemapper/mnt/{layer}") in found
    assert ("0:35", "/tmp/a b\\c") in found


def test_escaped_names_are_read_once():
    line = r"1 2 8:1 / /a\011b\012c\134040d rw - ext4 /dev/sda rw"
    assert parse_mountinfo(line + "\n\nshort line\n") == [("8:1", "/a\tb\nc\\040d")]
