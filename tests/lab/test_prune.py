"""The prune on real hosts: what stays, what goes, and what the pool gets back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab import world
from tests.lab.hosts import Host
from tests.lab.salthost import FRONT, at_work, salt_call


@pytest.fixture(params=["loop", "direct"])
def host(request: pytest.FixtureRequest) -> Host:
    """A populated devicemapper host that the test may spoil."""
    return request.getfixturevalue(f"fresh_{request.param}_host")


def between(host: Host, command: str, **policy: object) -> dict:
    """Plan a prune, let a command run, carry the plan out; the result."""
    argv = [*FRONT, "/src/tests/lab/between.py", command, json.dumps(policy)]
    return json.loads(host.guest.run(argv, timeout=180).stdout)


def reasons(result: dict) -> dict[str, str]:
    return {item["name"]: item["why"] for item in result["skipped"]}


def id_of(host: Host, name: str) -> str:
    return host.inspect("image", name)["Id"]


def test_the_run_does_what_the_test_said_and_nothing_protected_goes(host: Host) -> None:
    before, blocks = world.state(host), world.used_blocks(host)
    options: dict[str, Any] = {"volumes": "all", "protect": ["absent", "protected"]}
    planned = salt_call(host.guest, "dockerstorage.prune", **options, test=True)
    assert world.state(host) == before
    assert world.used_blocks(host) == blocks
    assert planned["removed"] == []

    done = salt_call(host.guest, "dockerstorage.prune", **options)
    assert done["plan"] == planned["plan"]
    assert done["removed"] == planned["plan"]["remove"]
    assert done["skipped"] == []
    assert done["bytes_source"] == "pool blocks"
    freed_bytes = (blocks - world.used_blocks(host)) * done["pool"]["before"]["block_bytes"]
    assert done["bytes_freed"] == done["bytes_predicted"] == freed_bytes > 0

    after, kept = world.state(host), {item["id"] for item in planned["plan"]["keep"]}
    keys = {"containers": "Id", "images": "Id", "volumes": "Name", "networks": "Id"}
    for kind, key in keys.items():
        assert after[kind] == [one for one in before[kind] if one[key] in kept]
    again = salt_call(host.guest, "dockerstorage.prune", **options, test=True)
    assert again["plan"]["remove"] == []

    # What "docker system prune -a --filter label!=protected" gets wrong, see population.py.
    left = world.names(host)
    assert {"kept-web", "kept-done", "kept-new", "web"} == left["container"]
    assert {"lab/used:1", "lab/used:latest", "lab/app:1", "lab/kept:1"} <= left["image"]
    assert {"lab/overridden:1", "lab/child-overriding:1"} <= left["image"]
    assert not {"lab/child-unlabelled:1", "lab/unused:1", "lab/app:2"} & left["image"]
    untagged = [one for one in after["images"] if not one["RepoTags"]]
    assert any(one["Config"]["Labels"] == {"protected": "true"} for one in untagged)
    assert {"vol-used", "vol-kept", "vol-labelled"} == left["volume"]
    assert {"net-used", "net-stopped", "net-labelled"} <= left["network"]
    assert "net-plain" not in left["network"]
    assert host.inspect("container", "kept-done")["Config"]["Image"] == "lab/used:1"
    host.docker("start", "-a", "kept-done")


def test_what_changed_since_the_plan_is_left_and_named(host: Host) -> None:
    host.docker("network", "create", "net-idle")
    tags = (
        "lab/unused:1",
        "lab/unused:2",
        "lab/app:2",
        "lab/app:latest",
        "registry.test/app:stable",
    )
    kept = {tag: id_of(host, tag) for tag in tags}
    result = between(
        host,
        """
        docker start -a new
        docker rm done
        docker tag lab/unused:1 precious:1
        docker create --name late --network net-plain lab/base:1
        docker create --name later --network $(docker network ls -qf name=net-idle) lab/base:1
        printf 'FROM lab/app:2\nLABEL a=b\n' | DOCKER_BUILDKIT=0 docker build -q -t kid:1 -
        """,
    )
    skipped = reasons(result)
    assert skipped.pop("new") == "it changed since the plan: it is exited"
    assert skipped.pop("done") == "it was already gone"
    assert skipped.pop("lab/unused:1") == (
        "it changed since the plan: its names are lab/unused:1, precious:1"
    )
    assert skipped.pop("lab/unused:2") == "a container uses it since the plan"
    assert skipped.pop("net-plain") == "a container uses it since the plan"
    assert skipped.pop("net-idle") == "a container uses it since the plan"
    # Refused with its last tag still in place; the others were taken away by then, and put back.
    assert "dependent child" in skipped.pop("lab/app:2")
    assert skipped == {}
    left = world.names(host)
    assert {"new", "late", "later"} <= left["container"]
    assert {"precious:1", "kid:1"} <= left["image"]
    assert {"net-plain", "net-idle"} <= left["network"]
    assert {tag: id_of(host, tag) for tag in kept} == kept


NEEDING = r"""
set -e
docker volume create by-path; docker volume create by-other
docker network create by-id
run() { name=$1; shift; docker create --name $name --label protected "$@" true; }
docker create --name base -v by-other:/data --net none lab/unused:2 true
run from-base --volumes-from base --net none lab/base:1
run path --net none -v /var/lib/docker/volumes/by-path/_data:/data lab/base:1
run short --net $(docker network ls -q --filter name=by-id | cut -c 1-6) lab/base:1
run id --net none $(docker image inspect -f '{{.Id}}' lab/buildkit:1)
run moved --net none lab/app:2
docker tag lab/base:1 lab/app:2
docker run -d --name sleeper --net none lab/unused:1 sleep 1000000
run beside --net container:sleeper lab/base:1
docker kill sleeper
"""


def test_protected_containers_can_start_after_a_prune_whatever_they_need(
    fresh_direct_host: Host,
) -> None:
    host = fresh_direct_host
    host.guest.run(NEEDING, timeout=120)
    done = salt_call(host.guest, "dockerstorage.prune", volumes="all")
    assert done["skipped"] == []
    assert {"container done", "container new"} <= {
        f"{item['kind']} {item['name']}" for item in done["removed"]
    }
    assert {"by-path", "by-other"} <= world.names(host)["volume"]
    for name in ("from-base", "path", "short", "id", "moved"):
        host.docker("start", "-a", name)
    host.docker("start", "sleeper")
    host.docker("start", "-a", "beside")


# Digests come with a pull from a registry; here they are written where the engine keeps them.
DIGESTS = r"""
set -e
systemctl stop docker.socket docker.service
cd /var/lib/docker/image/devicemapper
jq --arg id $1 --arg d sha256:$(printf '%064d' 7) '.Repositories += {
    "reg.test/one": {"reg.test/one:1": $id, ("reg.test/one@" + $d): $id},
    "reg.test/two": {("reg.test/two@" + $d): $id},
    "reg.test/three": {("reg.test/three@" + $d): $id}}' repositories.json > new
mv new repositories.json
systemctl start docker
"""


def test_an_image_with_digests_of_several_repositories_goes(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    image_id = id_of(host, "lab/unused:2")
    host.guest.run(["bash", "-c", DIGESTS, "bash", image_id], timeout=120)
    assert len(host.inspect("image", image_id)["RepoDigests"]) == 3
    host.docker("rm", "new")
    done = salt_call(host.guest, "dockerstorage.prune")
    assert done["skipped"] == []
    assert image_id in {item["id"] for item in done["removed"]}
    assert salt_call(host.guest, "dockerstorage.prune", test=True)["plan"]["remove"] == []


def test_it_stops_at_the_percent_asked_for(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    pool = salt_call(host.guest, "dockerstorage.pool")
    now = max(pool["data"]["percent"], pool["metadata"]["percent"])
    satisfied = salt_call(host.guest, "dockerstorage.prune", until_percent=now + 1)
    assert satisfied["removed"] == []
    assert "at or below" in satisfied["stopped"]
    some = salt_call(host.guest, "dockerstorage.prune", until_percent=now - 0.01)
    assert 0 < len(some["removed"]) < len(some["plan"]["remove"])
    after = max(some["pool"]["after"][part]["percent"] for part in ("data", "metadata"))
    assert after <= now - 0.01


def test_an_engine_killed_midway_leaves_a_host_that_a_second_prune_finishes(host: Host) -> None:
    parent = host.inspect("image", "lab/child-overriding:1")["Parent"]
    host.guest.run("for n in $(seq 12); do docker create --name many-$n lab/used:1; done")
    # Or systemd would keep a request that nobody took yet for the next daemon.
    host.guest.run("systemctl stop --job-mode=ignore-dependencies docker.socket")
    prune = host.guest.start("salt-call --local dockerstorage.prune")
    # Stopped first: the prune then waits for an answer, which the kill takes away.
    host.guest.run(
        """
        count() { find /var/lib/docker/containers -mindepth 1 -maxdepth 1 | wc -l; }
        all=$(count)
        until [ $(count) -lt $all ]; do sleep 0.02; done
        systemctl kill -s STOP docker; sleep 1; systemctl kill -s KILL docker
        """,
        timeout=60,
    )
    first = prune.wait(timeout=90, check=False)
    assert first.status != 0
    assert "Run the prune again when the engine is back" in first.stderr
    host.guest.run("systemctl reset-failed docker; systemctl start docker", timeout=90)

    second = salt_call(host.guest, "dockerstorage.prune", protect="protected=true")
    assert second["skipped"] == []
    left = world.names(host)
    assert {"kept-web", "kept-done", "kept-new"} <= left["container"]
    assert not any(name.startswith("many-") for name in left["container"])
    # Its label was overridden by its child; the child goes, and the protected parent stays.
    assert "lab/child-overriding:1" not in left["image"]
    assert parent in left["image"]
    last = salt_call(host.guest, "dockerstorage.prune", protect="protected=true", test=True)
    assert last["plan"]["remove"] == []


def test_an_engine_stopped_midway_takes_its_loop_pool_along(fresh_loop_host: Host) -> None:
    host = fresh_loop_host
    host.guest.run("for n in $(seq 30); do docker create --name many-$n lab/used:1; done")
    prune = host.guest.start("salt-call --local dockerstorage.prune")
    host.guest.run(
        """
        count() { find /var/lib/docker/containers -mindepth 1 -maxdepth 1 | wc -l; }
        all=$(count)
        until [ $(count) -lt $all ]; do sleep 0.02; done
        systemctl stop docker.socket docker.service
        """,
        timeout=90,
    )
    first = prune.wait(timeout=90, check=False)
    assert first.status != 0
    assert "Removed: container " in first.stderr
    assert "Run the prune again when the engine is back" in first.stderr
    host.start_docker()
    assert salt_call(host.guest, "dockerstorage.prune")["skipped"] == []
    assert salt_call(host.guest, "dockerstorage.prune", test=True)["plan"]["remove"] == []


def test_a_second_prune_is_told_who_runs(direct_host: Host) -> None:
    with at_work(direct_host.guest, "prune"):
        before = world.state(direct_host)
        refused = direct_host.guest.run("salt-call --local dockerstorage.prune", check=False)
    assert refused.status != 0
    assert "prune is already running, since " in refused.stderr
    assert "pid " in refused.stderr
    assert world.state(direct_host) == before
    assert salt_call(direct_host.guest, "dockerstorage.prune", test=True)["plan"]["remove"]


# The pool's metadata device becomes another one, and the kernel is made to write to it.
BREAK_METADATA = """
    set -- $(dmsetup table {pool}_tmeta)
    dmsetup suspend --noflush {pool}; dmsetup suspend --noflush {pool}_tmeta
    dmsetup load {pool}_tmeta --table "0 $2 TARGET"
    dmsetup resume {pool}_tmeta; dmsetup resume {pool}
    dmsetup message {pool} 0 "create_thin 4000" || true
    timeout 10 dmsetup status {pool}
"""
SICK = {
    "read_only": """
        dmsetup suspend --noflush {pool}
        dmsetup load {pool} --table "{table_read_only}"
        dmsetup resume {pool}
    """,
    # Every write of metadata fails: the kernel falls back to read-only and asks for a check.
    "needs_check": BREAK_METADATA.replace("TARGET", "flakey $4 $5 0 1000 1 error_writes"),
    "failed": BREAK_METADATA.replace("TARGET", "error"),
}


@pytest.mark.parametrize("health", sorted(SICK))
def test_a_sick_pool_is_left_alone(fresh_direct_host: Host, health: str) -> None:
    host = fresh_direct_host
    pool = salt_call(host.guest, "dockerstorage.pool")["name"]
    table = host.guest.run(f"dmsetup table {pool}").stdout.split()
    read_only = " ".join([*table[:7], "2", "skip_block_zeroing", "read_only"])
    host.guest.run("modprobe dm-flakey")
    before = world.state(host)
    host.guest.run(SICK[health].format(pool=pool, table_read_only=read_only), timeout=60)
    assert salt_call(host.guest, "dockerstorage.pool")["health"] == health
    refused = host.guest.run("salt-call --local dockerstorage.prune", check=False, timeout=90)
    assert refused.status != 0
    assert f"is {health}" in refused.stderr
    remedied = salt_call(host.guest, "dockerstorage.remediate")
    assert "prune" not in [one["remedy"] for one in remedied["done"]]
    assert not remedied["solved"]
    assert world.state(host) == before
    report = salt_call(host.guest, "dockerstorage.report")
    assert report["pool"]["health"] == health
    assert f"pool_{health}" in {warning["code"] for warning in report["warnings"]}


def test_a_held_metadata_snapshot_is_named_and_left(direct_host: Host) -> None:
    host = direct_host
    pool = salt_call(host.guest, "dockerstorage.pool")["name"]
    host.guest.run(f"dmsetup message {pool} 0 reserve_metadata_snap")
    refused = host.guest.run("salt-call --local dockerstorage.prune", check=False)
    assert "release_metadata_snap" in refused.stderr
    assert salt_call(host.guest, "dockerstorage.pool")["metadata_snapshot_held"] is True
    host.guest.run(f"dmsetup message {pool} 0 release_metadata_snap")
    assert salt_call(host.guest, "dockerstorage.prune", test=True)["plan"]["remove"]
    assert salt_call(host.guest, "dockerstorage.pool")["metadata_snapshot_held"] is False


def test_the_build_cache_goes_with_exact_bytes_or_stays_whole(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    kept = salt_call(host.guest, "dockerstorage.prune", build_cache=False)
    assert kept["bytes_source"] == "pool blocks, without layers that BuildKit may hold"
    assert kept["bytes_freed"] >= kept["bytes_predicted"] > 0
    owners = [device["owner"]["kind"] for device in salt_call(host.guest, "dockerstorage.devices")]
    assert "buildkit" in owners
    gone = salt_call(host.guest, "dockerstorage.prune")
    assert {item["kind"] for item in gone["removed"]} == {"build_cache"}
    assert gone["bytes_source"] == "pool blocks"
    assert gone["bytes_freed"] == gone["bytes_predicted"] > 0
    usage = host.docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}")
    assert "Build Cache 0" in usage
    owners = [device["owner"]["kind"] for device in salt_call(host.guest, "dockerstorage.devices")]
    assert "buildkit" not in owners


BAD = {
    "frobnicate=1": "frobnicate",
    "min_age=-1": "min_age",
    "until_percent=101": "until_percent",
    "protect_names='db-['": "protect_names",
    "protect='=x'": "protect",
    "keep_tags=-2": "keep_tags",
    "volumes=some": "volumes",
}


def test_bad_input_is_named_and_changes_nothing(direct_host: Host) -> None:
    before = world.state(direct_host)
    for argument, name in BAD.items():
        refused = direct_host.guest.run(
            f"salt-call --local dockerstorage.prune {argument}", check=False
        )
        assert refused.status != 0, argument
        assert name in refused.stderr, argument
        assert "Traceback" not in refused.stderr + refused.stdout
    assert world.state(direct_host) == before


def test_no_permission_for_the_socket_is_said(direct_host: Host) -> None:
    script = (
        "from dockerstorage_lib.adapters.engine import Engine\n"
        "from dockerstorage_lib.errors import EngineUnreachable\n"
        "try: Engine()\n"
        "except EngineUnreachable as error: print(error)"
    )
    argv = ["setpriv", "--reuid=65534", "--clear-groups", "/opt/salt/3008/bin/python", "-c", script]
    said = direct_host.guest.run(argv).stdout
    assert "no permission for the engine's socket: run the minion as root" in said
