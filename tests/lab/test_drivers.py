"""The same prune on hosts without a thin pool: overlay2, Docker 20.10 and 26."""

from __future__ import annotations

import pytest

from tests.lab import world
from tests.lab.hosts import Host
from tests.lab.salthost import salt_call


@pytest.fixture(params=["overlay", "newer"])
def host(request: pytest.FixtureRequest) -> Host:
    return request.getfixturevalue(f"fresh_{request.param}_host")


def test_prune_protect_and_report_on_overlay2(host: Host) -> None:
    report = salt_call(host.guest, "dockerstorage.report")
    assert report["engine"]["driver"] == "overlay2"
    assert report["pool"] is None
    assert report["hidden_store"] is None
    assert report["unseen"] == []

    before = world.state(host)
    planned = salt_call(host.guest, "dockerstorage.prune", volumes="all", test=True)
    assert world.state(host) == before
    assert planned["bytes_source"] == "engine's estimate"
    # The blobs of the unused images; with BuildKit they belong to its cache in the end. That of
    # lab/app:1, which runs, is in the cache as well, and stays.
    blobs = {"a": 8, "b": 4, "c": 6, "d": 2, "g": 1, "i": 1}
    assert sum(blobs.values()) - blobs["a"] <= planned["bytes_predicted"] >> 20 < 25

    protected = salt_call(host.guest, "dockerstorage.protect", "lab/unused:1")[0]
    assert protected["changed"]
    done = salt_call(host.guest, "dockerstorage.prune", volumes="all")
    assert done["skipped"] == []
    left = world.names(host)
    assert {"lab/unused:1", "lab/kept:1", "lab/used:1", "lab/used:latest"} <= left["image"]
    assert {"web", "kept-web", "kept-done", "kept-new"} == left["container"]
    assert {"vol-used", "vol-kept", "vol-labelled"} == left["volume"]
    assert {"net-used", "net-stopped", "net-labelled"} <= left["network"]
    assert "net-plain" not in left["network"]
    again = salt_call(host.guest, "dockerstorage.prune", volumes="all", test=True)
    assert again["plan"]["remove"] == []


# A manifest list of one platform with two tags, a labelled image, and one that nobody wants.
CONTAINERD = r"""
set -e
work=$(mktemp -d); cd $work
mkdir -p root/bin; cp /bin/busybox root/bin/sleep
tar -C root -c . | docker import -c 'CMD ["sleep", "1000000"]' - c/base:1
for name in kept raised used unused run; do
    printf 'FROM c/base:1\nCOPY root/bin/sleep /%s\n' $name > Dockerfile
    test $name != kept || echo 'LABEL protected=true' >> Dockerfile
    DOCKER_BUILDKIT=1 docker build -q -t c/$name:1 .
done
docker tag c/unused:1 c/unused:2; docker tag c/run:1 other.test/run:2
docker create --name stopped --label protected=true --net none c/used:1
docker run -d --name running --net none c/run:1
docker create --name loose --net none c/unused:1
"""


def test_images_in_containerds_store(fresh_newer_host: Host) -> None:
    host = fresh_newer_host
    host.stop_docker()
    host.configure(
        {
            "iptables": False,
            "data-root": "/var/lib/c8d",
            "features": {"containerd-snapshotter": True},
        }
    )
    host.start_docker("26")
    assert "io.containerd.snapshotter.v1" in host.docker("info", "-f", "{{json .DriverStatus}}")
    host.guest.run(CONTAINERD, timeout=180)
    assert salt_call(host.guest, "dockerstorage.report")["pool"] is None
    raised = salt_call(host.guest, "dockerstorage.protect", "c/raised:1")[0]
    before = world.state(host)
    planned = salt_call(host.guest, "dockerstorage.prune", volumes="all", test=True)
    assert world.state(host) == before
    done = salt_call(host.guest, "dockerstorage.prune", volumes="all")
    assert done["plan"] == planned["plan"]
    assert done["skipped"] == []
    (unused,) = [item for item in done["removed"] if item["name"] == "c/unused:1"]
    assert unused["bytes"] is None  # not known there; 0 would be wrong
    left = world.names(host)
    tags = {"c/kept:1", "c/raised:1", "c/used:1", "c/run:1", "other.test/run:2"}
    assert left["image"] == {*tags, raised["old_id"]}
    lowered = salt_call(host.guest, "dockerstorage.unprotect", "c/raised:1")[0]
    assert (lowered["changed"], lowered["new_id"]) == (True, raised["old_id"])
    assert left["container"] == {"running", "stopped"}
    host.docker("start", "stopped")
    again = salt_call(host.guest, "dockerstorage.prune", volumes="all", test=True)
    assert [item["name"] for item in again["plan"]["remove"]] == ["c/raised:1"]


def test_what_needs_a_pool_says_so(host: Host) -> None:
    for call in ("devices", "pool", "prune until_percent=50"):
        refused = host.guest.run(f"salt-call --local dockerstorage.{call}", check=False)
        assert refused.status != 0, call
        assert "storage driver is overlay2" in refused.stderr, call
