"""The populated hosts are what `population.py` says, and survive what tests do to them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.lab import population, prepared, salthost
from tests.lab.hosts import Host
from tests.lab.population import CONTAINERS, IMAGES, NETWORKS, UNLABELLED, UNTAGGED, VOLUMES

DRIVERS = {
    "loop": ("devicemapper", "20.10"),
    "direct": ("devicemapper", "20.10"),
    "overlay": ("overlay2", "20.10"),
    "newer": ("overlay2", "26."),
}


@pytest.mark.parametrize("kind", prepared.KINDS)
def test_engine_and_driver(kind: str, shared_host: Callable[[str], Host]) -> None:
    host = shared_host(kind)
    driver, version = DRIVERS[kind]
    info = json.loads(host.docker("info", "--format", "{{json .}}"))
    assert info["Driver"] == driver
    assert info["ServerVersion"].startswith(version)
    assert bool(host.pool_status()) == (driver == "devicemapper")


@pytest.mark.parametrize("kind", prepared.KINDS)
def test_population(kind: str, shared_host: Callable[[str], Host]) -> None:
    host = shared_host(kind)
    tags = {tag for image in IMAGES for tag in image.tags} - {UNTAGGED}
    assert set(population.images_by_tag(host)) == {*tags, population.BASE}
    states = host.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
    assert dict(line.split() for line in states) == {
        name: container.state for name, container in CONTAINERS.items()
    }
    volumes = host.docker("volume", "ls", "-q").splitlines()
    assert set(volumes) >= set(VOLUMES)
    assert len(volumes) == len(VOLUMES) + population.ANONYMOUS_VOLUMES
    networks = host.docker("network", "ls", "--format", "{{.Name}}").splitlines()
    assert set(networks) == {*NETWORKS, "bridge", "host", "none"}


def test_labels_and_parents(loop_host: Host) -> None:
    def labels(name: str) -> dict[str, str]:
        return loop_host.inspect("image", name)["Config"]["Labels"] or {}

    assert labels("lab/kept:1") == {"protected": "true"}
    assert labels("lab/overridden:1") == {"protected": "false"}
    assert labels(UNLABELLED) == {}
    parent = loop_host.inspect("image", UNLABELLED)["Parent"]
    assert labels(parent) == {"protected": "true"}
    assert loop_host.inspect("image", parent)["RepoTags"] == []
    assert loop_host.inspect("image", "lab/child-overriding:1")["Parent"] == parent


def test_a_running_container_is_in_its_network(loop_host: Host) -> None:
    found = loop_host.inspect("container", "web")["NetworkSettings"]["Networks"]
    assert found["net-used"]["IPAddress"]


def image_ids(host: Host) -> set[str]:
    return set(host.docker("images", "-aq", "--no-trunc").splitlines())


def test_renewal_brings_everything_back(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    before = image_ids(host)
    host.docker("system", "prune", "-af", "--volumes", timeout=120)
    assert image_ids(host) != before
    prepared.renew(host)
    assert image_ids(host) == before


def test_a_power_cut_leaves_a_host_that_starts(fresh_loop_host: Host) -> None:
    host = fresh_loop_host
    before = image_ids(host)
    host.guest.cut_power()
    host.guest.boot()
    host.start_docker()
    assert image_ids(host) == before


def test_the_pool_grows_by_the_spare_disk(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    assert "/8192 " in host.pool_status()
    host.extend_vg()
    host.guest.run("lvextend -q -L +6G docker/thinpool", timeout=30)
    assert "/20480 " in host.pool_status()


def test_salt_both_releases_masterless(loop_host: Host) -> None:
    for release, version in (("3008", "3008.5"), ("3006", "3006.30")):
        found = salthost.salt_call(loop_host.guest, "test.version", release=release)
        assert found == version
    with pytest.raises(salthost.SaltFailed, match="is not available"):
        salthost.salt_call(loop_host.guest, "no.such_function")


def test_salt_through_the_master(salt_host: Host) -> None:
    assert salthost.salt(salt_host.guest, "*", "test.ping") == {"host1": True}
