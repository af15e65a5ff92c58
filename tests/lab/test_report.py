"""The report, the pool and the devices, against what Docker and the kernel say themselves."""

from __future__ import annotations

import json

import pytest

from tests.lab.guest import Guest
from tests.lab.hosts import POOL_DEVICE, Host
from tests.lab.salthost import RELEASES, salt_call, salt_calls


def codes(report: dict) -> set[str]:
    return {warning["code"] for warning in report["warnings"]}


def unseen(report: dict) -> dict[str, str]:
    return {item["what"]: item["why"] for item in report["unseen"]}


def engine_says(host: Host) -> dict[str, str]:
    info = json.loads(host.docker("info", "--format", "{{json .}}"))
    return {**dict(info["DriverStatus"]), **info}


def check_pool_figures(host: Host, pool: dict) -> None:
    """The figures are those of the kernel's own line."""
    words = host.pool_status().split()
    at = words.index("thin-pool")
    used_metadata, total_metadata = map(int, words[at + 2].split("/"))
    used_data, total_data = map(int, words[at + 3].split("/"))
    assert pool["data"]["used_bytes"] == used_data * pool["block_bytes"]
    assert pool["data"]["total_bytes"] == total_data * pool["block_bytes"]
    assert pool["data"]["percent"] == pytest.approx(100 * used_data / total_data, abs=0.01)
    assert pool["metadata"]["used_bytes"] == used_metadata * 4096
    assert pool["metadata"]["total_bytes"] == total_metadata * 4096
    assert (pool["mode"], pool["health"], pool["needs_check"]) == ("rw", "ok", False)


def test_a_loop_lvm_host(loop_host: Host) -> None:
    report = salt_call(loop_host.guest, "dockerstorage.report")
    info = engine_says(loop_host)
    pool = report["pool"]
    assert report["engine"] == {
        "running": True,
        "version": info["ServerVersion"],
        "driver": "devicemapper",
        "data_root": "/var/lib/docker",
    }
    assert pool["name"] == info["Pool Name"]
    assert pool["kind"] == "loop-lvm"
    check_pool_figures(loop_host, pool)
    for name, key in (("data", "Data loop file"), ("metadata", "Metadata loop file")):
        stat = loop_host.guest.run(["stat", "-c", "%s %b", info[key]]).stdout.split()
        file = pool["loop_files"][name]
        assert file["path"] == info[key]
        assert file["apparent_bytes"] == int(stat[0])
        assert file["allocated_bytes"] == pytest.approx(int(stat[1]) * 512, rel=0.05)
    assert report["counts"]["containers"] == info["Containers"]
    assert report["counts"]["images"] == info["Images"]
    assert codes(report) == {"loop_lvm"}
    assert all(w["text"] and w["remedy"] for w in report["warnings"])
    assert report["unseen"] == []


def test_a_direct_lvm_host(direct_host: Host) -> None:
    report = salt_call(direct_host.guest, "dockerstorage.report")
    pool = report["pool"]
    assert (pool["name"], pool["kind"]) == ("docker-thinpool", "direct-lvm")
    check_pool_figures(direct_host, pool)
    vg = json.loads(
        direct_host.guest.run(
            "vgs --reportformat json --units b --nosuffix -o vg_free docker"
        ).stdout
    )
    assert pool["vg"]["free_bytes"] == int(vg["report"][0]["vg"][0]["vg_free"]) > 0
    assert pool["when_full"] == "queue"
    assert codes(report) == {"no_autoextension"}  # no profile, so LVM never extends
    assert report["unseen"] == []


def test_the_pool_is_seen_without_the_engine(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    host.stop_docker()
    report = salt_call(host.guest, "dockerstorage.report")
    assert report["engine"]["running"] is False
    assert report["engine"]["driver"] == "devicemapper"
    assert "start Docker" in unseen(report)["engine"]
    assert report["pool"]["name"] == "docker-thinpool"
    check_pool_figures(host, report["pool"])
    assert "engine_silent" in codes(report)
    assert salt_call(host.guest, "dockerstorage.pool")["data"] == report["pool"]["data"]


#: As a minion looks, in one process; its thread has a second to find that it cannot write.
LOOKS = """
import json, time
import salt.client, salt.config
opts = {**salt.config.minion_config("/etc/salt/minion"), "file_client": "local"}
caller = salt.client.Caller(mopts=opts)
found = []
for _ in range(2):
    found.append(caller.cmd("dockerstorage.watch", memory="lab-ro"))
    time.sleep(1)
print(json.dumps([*found, caller.cmd("dockerstorage.history")]))
"""


def test_history_forecast_metrics_and_what_a_prune_would_free(fresh_direct_host: Host) -> None:
    host, guest = fresh_direct_host, fresh_direct_host.guest
    words = host.pool_status().split()
    metadata, data = (
        list(map(int, words[words.index("thin-pool") + at].split("/"))) for at in (2, 3)
    )
    now = int(float(guest.run("date +%s").stdout))
    # Two days in which 5 blocks an hour were used.
    rows = [
        [now - hours * 3600, data[0] - 5 * hours, data[1], *metadata] for hours in range(48, 0, -1)
    ]
    kept = {"format": 1, "pools": {"docker-thinpool": rows}}
    guest.push("/var/lib/dockerstorage/history.json", json.dumps(kept))
    file = "/srv/dockerstorage.prom"
    _, _, history, report, metrics = salt_calls(
        guest,
        ("dockerstorage.watch", [], {"memory": "lab-history"}),
        ("test.sleep", [1], {}),
        ("dockerstorage.history", [], {"days": 1}),
        ("dockerstorage.report", [], {"reclaimable": True}),
        ("dockerstorage.metrics", [file], {"reclaimable": True}),
    )
    found = history["pools"]["docker-thinpool"]
    assert history["unseen"] == []
    assert len(found["samples"]) == 24
    assert found["samples"][-1][0] >= now
    assert found["samples"][-1][1:] == [report["pool"][n]["percent"] for n in ("data", "metadata")]
    hours = (data[1] - data[0]) / 5
    assert report["forecast"]["seconds_to_data_full"] == pytest.approx(hours * 3600, rel=0.01)
    assert report["forecast"]["seconds_to_metadata_full"] is None
    told = f"data full in about {hours / 24:.0f} days at the rate of the last 2 days"
    assert told in "".join(report["summary"])

    text = guest.run(["cat", file]).stdout
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert metrics == {"path": file, "series": len(figures)}
    pool = '{pool="docker-thinpool"}'
    assert int(figures[f"dockerstorage_pool_data_used_bytes{pool}"]) == data[0] * 1024 * 512
    assert int(figures[f"dockerstorage_pool_metadata_size_bytes{pool}"]) == metadata[1] * 4096
    assert float(figures[f"dockerstorage_pool_data_used_ratio{pool}"]) == data[0] / data[1]

    # A disk that takes nothing stops no look, and is told.
    guest.run("mount -t tmpfs -o ro tmpfs /var/lib/dockerstorage")
    try:
        argv = [f"/opt/salt/{RELEASES[0]}/bin/python", "-c", LOOKS]
        first, _, blocked = json.loads(guest.run(argv).stdout)
    finally:
        guest.run("umount /var/lib/dockerstorage; rm /run/dockerstorage/watch-*lab-*")
    assert first == []
    assert "Read-only file system" in blocked["unseen"][0]["why"]

    pruned, after = salt_calls(
        guest, ("dockerstorage.prune", [], {}), ("dockerstorage.report", [], {"reclaimable": True})
    )
    assert report["reclaimable_bytes"] == pruned["bytes_freed"] > 0
    assert int(figures["dockerstorage_reclaimable_bytes"]) == pruned["bytes_freed"]
    assert after["reclaimable_bytes"] == 0
    assert after["forecast"]["seconds_to_data_full"] is None, "what lay before the prune is past"


def test_options_given_as_flags(fresh_direct_host: Host) -> None:
    """As in the seed: dockerd --storage-driver=devicemapper --storage-opt=dm.thinpooldev=..."""
    host = fresh_direct_host
    host.stop_docker()
    host.configure({"iptables": False})
    options = f"dm.thinpooldev={POOL_DEVICE} dm.use_deferred_deletion=false "
    options += "dm.use_deferred_removal=false dm.basesize=1G"
    flags = " ".join(f"--storage-opt={option}" for option in options.split())
    host.guest.push("/etc/default/docker", f'DOCKER_OPTS="--storage-driver=devicemapper {flags}"')
    host.start_docker()
    report = salt_call(host.guest, "dockerstorage.report")
    assert codes(report) == {"no_autoextension", "deferred_removal_off", "deferred_deletion_off"}
    host.stop_docker()
    report = salt_call(host.guest, "dockerstorage.report")
    assert report["engine"]["driver"] == "devicemapper"
    assert report["pool"]["name"] == "docker-thinpool"
    assert unseen(report).keys() == {"engine"}


def test_the_loop_files_are_seen_without_the_engine(fresh_loop_host: Host) -> None:
    host = fresh_loop_host
    host.stop_docker()
    report = salt_call(host.guest, "dockerstorage.report")
    files = (report["pool"] or report)["loop_files"]
    assert files["data"]["apparent_bytes"] == 4 << 30
    assert 0 < files["data"]["allocated_bytes"] < 4 << 30


def test_a_newer_engine_on_the_same_host(fresh_loop_host: Host) -> None:
    """Docker 26 starts empty on overlay2 and hides the old store: said, and nothing is pruned."""
    host = fresh_loop_host
    images = len(set(host.docker("images", "-aq").split()))
    containers = len(host.docker("ps", "-aq").split())
    host.docker("volume", "create", "precious")
    host.stop_docker()
    host.configure({"iptables": False})
    host.start_docker("26")
    assert host.docker("info", "--format", "{{.Driver}}") == "overlay2"
    report = salt_call(host.guest, "dockerstorage.report")
    assert report["engine"]["version"].startswith("26.")
    assert "hidden_store" in codes(report)
    assert report["hidden_store"]["images"] == images
    assert report["hidden_store"]["containers"] == containers
    refused = host.guest.run(
        "salt-call --local dockerstorage.prune volumes=all", check=False, timeout=90
    )
    assert refused.status != 0
    assert "devicemapper store" in refused.stderr
    assert "precious" in host.docker("volume", "ls", "-q")

    # An engine that is told to use the store does not start at all; the report still tells.
    host.stop_docker()
    host.configure({"iptables": False, "storage-driver": "devicemapper"})
    host.guest.run("systemctl start docker", check=False, timeout=90)
    host.stop_docker()
    report = salt_call(host.guest, "dockerstorage.report")
    assert report["engine"] | {"version": None} == {
        "running": False,
        "version": None,
        "driver": "devicemapper",
        "data_root": "/var/lib/docker",
    }
    assert report["loop_files"]["data"]["allocated_bytes"] > 0


def test_no_docker_at_all() -> None:
    with Guest("bare") as guest:
        guest.boot()
        report = salt_call(guest, "dockerstorage.report")
    assert report["engine"]["running"] is False
    assert report["pool"] is None
    assert "does not exist" in unseen(report)["engine"]
    assert "there is no directory" in unseen(report)["data root"]


def test_every_device_has_its_owner(direct_host: Host) -> None:
    devices = salt_call(direct_host.guest, "dockerstorage.devices")
    by_hash = {device["hash"]: device for device in devices}
    pool_ids = direct_host.guest.run(
        "dmsetup message docker-thinpool 0 reserve_metadata_snap; "
        "thin_ls --no-headers -m -o DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS "
        "/dev/mapper/docker-thinpool_tmeta; "
        "dmsetup message docker-thinpool 0 release_metadata_snap"
    ).stdout
    block = salt_call(direct_host.guest, "dockerstorage.pool")["block_bytes"]
    expected = {int(d): (int(m), int(e)) for d, m, e in map(str.split, pool_ids.splitlines())}
    seen = {
        d["device_id"]: (d["mapped_bytes"] // block, d["exclusive_bytes"] // block) for d in devices
    }
    assert seen == expected

    for name in direct_host.docker("ps", "-a", "--format", "{{.Names}}").split():
        graph = direct_host.inspect("container", name)["GraphDriver"]["Data"]
        owner = next(d for d in devices if d["device_id"] == int(graph["DeviceId"]))["owner"]
        assert (owner["kind"], owner["names"]) == ("container", [name])
    for tag in direct_host.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        graph = direct_host.inspect("image", tag)["GraphDriver"]["Data"]
        owner = next(d for d in devices if d["device_id"] == int(graph["DeviceId"]))["owner"]
        assert owner["kind"] == "image layer"
        assert tag in owner["names"]
    kinds = {device["owner"]["kind"] for device in devices}
    assert {"base", "container init", "buildkit"} <= kinds
    assert "nobody" not in kinds
    files = direct_host.guest.run("ls /var/lib/docker/devicemapper/metadata").stdout.split()
    assert set(by_hash) == set(files) - {"deviceset-metadata", "transaction-metadata"}


def test_a_device_of_nobody_is_found(direct_host: Host) -> None:
    """As a power cut leaves one: in the pool, and unknown to Docker."""
    guest = direct_host.guest
    salt_call(guest, "dmsetup.message", "docker-thinpool", "create_thin 4242")
    devices = salt_call(guest, "dockerstorage.devices")
    salt_call(guest, "dmsetup.message", "docker-thinpool", "delete 4242")
    (found,) = [d for d in devices if d["owner"]["kind"] == "nobody"]
    assert (found["device_id"], found["hash"], found["mapped_bytes"]) == (4242, None, 0)
    later = salt_call(guest, "dockerstorage.devices")
    assert "nobody" not in {device["owner"]["kind"] for device in later}


def test_mounts_of_running_containers_are_found(direct_host: Host) -> None:
    devices = salt_call(direct_host.guest, "dockerstorage.devices")
    running = set(direct_host.docker("ps", "--format", "{{.Names}}").split())
    mounted = {d["owner"]["names"][0] for d in devices if d["mounts"]}
    assert mounted == running
    web = next(d for d in devices if d["owner"]["names"] == ["web"] and d["mounts"])
    assert f"/var/lib/docker/devicemapper/mnt/{web['hash']}" in web["mounts"]


def test_dmsetup_module(direct_host: Host) -> None:
    kernel = direct_host.pool_status().split()
    status = salt_call(direct_host.guest, "dmsetup.status", target="thin-pool")["docker-thinpool"][
        0
    ]
    assert f"{status['used_data_blocks']}/{status['total_data_blocks']}" in kernel
    assert status["health"] == "ok"
    table = salt_call(direct_host.guest, "dmsetup.table", "docker-thinpool")[0]
    line = direct_host.guest.run("dmsetup table docker-thinpool").stdout.split()
    assert [table["metadata_device"], table["data_device"]] == line[3:5]
    assert salt_call(direct_host.guest, "dmsetup.deps", "docker-thinpool") == sorted(
        line[3:5], reverse=True
    )
    names = direct_host.guest.run("dmsetup ls").stdout.split("\n")
    assert salt_call(direct_host.guest, "dmsetup.ls") == sorted(
        n.split("\t")[0] for n in names if n
    )
    info = salt_call(direct_host.guest, "dmsetup.info", "docker-thinpool")
    number = direct_host.guest.run("dmsetup info -c --noheadings -o major,minor docker-thinpool")
    assert f"{info['major']}:{info['minor']}" == number.stdout.strip()
    assert salt_call(direct_host.guest, "dmsetup.wait", "docker-thinpool", "timeout=1") is False
    wrong = direct_host.guest.run("salt-call --local dmsetup.info nope", check=False)
    assert "there is no device nope" in wrong.stderr


def test_a_pool_that_docker_made_by_itself() -> None:
    with Guest("managed", disks=[8 << 30]) as guest:
        guest.boot()
        host = Host(guest, "managed")
        options = ["dm.directlvm_device=/dev/ubdc", "dm.directlvm_device_force=true"]
        host.configure(
            {"storage-driver": "devicemapper", "storage-opts": options, "iptables": False}
        )
        host.start_docker()
        report = salt_call(guest, "dockerstorage.report")
        pool = report["pool"]
        assert (pool["name"], pool["kind"]) == ("docker-thinpool", "managed direct-lvm")
        assert pool["autoextend_threshold"] == 80  # Docker's own profile
        check_pool_figures(host, pool)

        # The state adopts it: Docker's profile, size and chunks stay, and watching becomes real.
        table = guest.run("dmsetup table docker-thinpool").stdout.split()
        lines = "lvs --noheadings -o lv_size,chunk_size,lv_profile,lv_metadata_size docker/thinpool"
        before = guest.run(lines).stdout
        wanted = {"name": "docker/thinpool"}
        planned, adopted, again = (
            next(iter(one.values()))
            for one in salt_calls(
                guest,
                ("state.single", ["dockerstorage.thinpool"], {**wanted, "test": True}),
                ("state.single", ["dockerstorage.thinpool"], wanted),
                ("state.single", ["dockerstorage.thinpool"], wanted),
            )
        )
        assert planned["changes"] == adopted["changes"]
        assert adopted["result"] is True
        assert (again["result"], again["changes"]) == (True, {})
        assert guest.run(lines).stdout == before
        assert "docker-thinpool" in before
        after = guest.run("dmsetup table docker-thinpool").stdout.split()
        assert (after[:6], int(after[6])) == (table[:6], int(table[1]) // int(table[5]) * 20 // 100)
        host.stop_docker()
        assert salt_call(guest, "dockerstorage.pool")["name"] == "docker-thinpool"
