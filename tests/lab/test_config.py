"""The engine's configuration on real hosts: who says the driver, and another one planned, applied
and taken back; which drivers a host can run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.errors import LabError
from tests.lab.hosts import DAEMON_JSON, DROP_IN, Host
from tests.lab.salthost import RELEASES, salt_call

DEFAULT = "/etc/default/docker"
OPTIONS = """DOCKER_OPTS="--debug -s overlay2 --label 'a=b  c' \\
  --label=d=\\"e f\\""
"""
#: A migration's use of the library: plan, validate, apply or undo.
ACT = """
import json, pathlib, sys
from dockerstorage_lib import driverchange, errors
from dockerstorage_lib.adapters import configfiles
act, driver = sys.argv[1:]
journal = pathlib.Path("/run/change.json")
configuration = configfiles.read()
if act == "undo":
    configfiles.undo(driverchange.from_dict(json.loads(journal.read_text())))
    sys.exit()
change = driverchange.plan_change(configuration, driver)
try:
    checked = configfiles.validate(configuration, change)
except errors.Refused as error:
    checked = str(error)
if act == "apply":
    journal.write_text(json.dumps(driverchange.as_dict(change)))
    for _ in range(2):
        configfiles.apply(change, pathlib.Path("/run/kept"))
files = [one.path for one in change.files]
# What was made of the files, and what systemd made of them.
same = [word.value for word in configuration.command] == list(configuration.running)
print(json.dumps({"checked": checked, "files": files, "same": same}))
"""
PACKAGED = r"""set -e
folder=/usr/lib/systemd/system/docker.service.d
mkdir -p $folder
sed 's,dockerd -H,dockerd -s overlay2 \\\n  -H,' $DROP_IN > $folder/package.conf
mv $DROP_IN /run/lab.conf
systemctl daemon-reload
"""
UNPACKAGED = """
rm -r /usr/lib/systemd/system/docker.service.d
mv /run/lab.conf $DROP_IN
systemctl daemon-reload
"""
OLD_XFS = """set -e
truncate -s 400M /var/tmp/old.img
mkfs.xfs -q -m crc=0 -n ftype=0 /var/tmp/old.img
mkdir -p /srv/old
mount -o loop /var/tmp/old.img /srv/old
"""
FACTS = """
import dataclasses, json
from dockerstorage_lib.adapters import kernelfacts
print(json.dumps(dataclasses.asdict(kernelfacts.facts("/srv/old/docker", None).file_system)))
"""


def python(host: Host, script: str, *words: str) -> Any:
    argv = [f"/opt/salt/{RELEASES[0]}/bin/python", "-c", script, *words]
    text = host.guest.run(argv, timeout=90).stdout
    return json.loads(text) if text else None


def codes(report: dict) -> set[str]:
    return {warning["code"] for warning in report["warnings"]}


def verdicts(found: dict) -> dict[str, dict]:
    return {one["name"]: one for one in found["drivers"]}


def test_what_a_devicemapper_host_can_run(direct_host: Host) -> None:
    before = direct_host.guest.run("ls -A /var/lib/docker").stdout
    found = salt_call(direct_host.guest, "dockerstorage.drivers")
    version = direct_host.docker("version", "--format", "{{.Server.Version}}")
    assert (found["current"], found["engine_version"]) == ("devicemapper", version)
    assert found["recommended"] == "overlay2"
    assert {name for name, one in verdicts(found).items() if one["supported"]} >= {
        "overlay2", "devicemapper", "vfs",
    }  # fmt: skip
    assert "must be on zfs" in " ".join(verdicts(found)["zfs"]["why_not"])
    at = found["file_system"]
    assert (at["type"], at["source"], at["d_type"]) == ("ext4", "/dev/ubdc", True)
    assert direct_host.guest.run("ls -A /var/lib/docker").stdout == before

    configured = salt_call(direct_host.guest, "dockerstorage.report")["configuration"]
    assert (configured["driver"], configured["file"]) == ("devicemapper", DAEMON_JSON)
    assert (configured["says"], configured["unresolved"]) == ("storage-driver", [])
    assert "dm.use_deferred_removal=true" in configured["options"]


def test_an_xfs_without_types_of_files(direct_host: Host) -> None:
    try:
        direct_host.guest.run(OLD_XFS, timeout=60)
        found = python(direct_host, FACTS)
    finally:
        direct_host.guest.run("umount /srv/old; rm /var/tmp/old.img", check=False)
    assert (found["type"], found["d_type"]) == ("xfs", False)


def test_docker_26_checks_by_itself(newer_host: Host) -> None:
    host = newer_host
    found = verdicts(salt_call(host.guest, "dockerstorage.drivers"))
    assert "Docker has no devicemapper since 25" in found["devicemapper"]["why_not"][0]
    assert found["overlay2"]["supported"]
    good = python(host, ACT, "plan", "vfs")
    assert good == {"checked": "dockerd", "files": [DAEMON_JSON], "same": True}
    settings = host.guest.run(["cat", DAEMON_JSON]).stdout
    try:
        host.configure({**json.loads(settings), "hosts": ["fd://"]})
        bad = python(host, ACT, "plan", "vfs")
    finally:
        host.guest.push(DAEMON_JSON, settings)
    assert "specified both as a flag and in the configuration file: hosts" in bad["checked"]
    assert DAEMON_JSON in bad["checked"]


def test_a_flag_in_the_unit_of_a_package(newer_host: Host) -> None:
    host = newer_host
    settings = host.guest.run(["cat", DAEMON_JSON]).stdout
    try:
        host.guest.run(PACKAGED, env={"DROP_IN": DROP_IN})
        host.configure({"iptables": False})
        done = python(host, ACT, "apply", "vfs")
        ours = "/etc/systemd/system/docker.service.d/zz-dockerstorage.conf"
        assert done == {"checked": "dockerd", "files": [DAEMON_JSON, ours], "same": False}
        command = host.guest.run("systemctl show -p ExecStart docker").stdout
        assert "--containerd=/run/containerd/containerd.sock" in command
        assert "overlay2" not in command
        again = python(host, ACT, "plan", "vfs")
        assert again["files"] == []
        python(host, ACT, "undo", "vfs")
        assert "-s overlay2" in host.guest.run("systemctl show -p ExecStart docker").stdout
        assert host.guest.run(f"ls {ours}", check=False).status != 0
    finally:
        host.guest.push(DAEMON_JSON, settings)
        host.guest.run(UNPACKAGED, env={"DROP_IN": DROP_IN})


def test_a_conflict_and_another_driver_by_the_file_of_flags(overlay_host: Host) -> None:
    host = overlay_host
    settings = host.guest.run(["cat", DAEMON_JSON]).stdout
    default = host.guest.run(f"cat {DEFAULT}", check=False).stdout
    try:
        host.stop_docker()
        host.guest.push(DEFAULT, f"# ours\n{OPTIONS}")
        with pytest.raises(LabError, match="both as a flag and in the configuration file"):
            host.start_docker()
        report = salt_call(host.guest, "dockerstorage.report")
        assert {"configured_twice", "engine_silent"} <= codes(report)
        assert report["engine"]["driver"] == "overlay2"

        # In a data root of its own, the flag alone.
        host.configure({"iptables": False, "data-root": "/srv/other"})
        host.start_docker()
        report = salt_call(host.guest, "dockerstorage.report")
        said = report["configuration"]
        assert (said["driver"], said["file"], said["says"]) == ("overlay2", DEFAULT, "DOCKER_OPTS")
        assert not {"configured_twice", "flags_not_in_effect"} & codes(report)

        done = python(host, ACT, "apply", "vfs")
        assert done == {"checked": "own checks", "files": [DEFAULT], "same": True}
        changed = OPTIONS.replace("overlay2", "vfs")
        assert host.guest.run(["cat", DEFAULT]).stdout == f"# ours\n{changed}"
        assert "driver_not_in_effect" in codes(salt_call(host.guest, "dockerstorage.report"))
        host.stop_docker()
        host.start_docker()
        found = json.loads(host.docker("info", "--format", "{{json .}}"))
        assert (found["Driver"], found["Debug"]) == ("vfs", True)
        assert sorted(found["Labels"]) == ["a=b  c", "d=e f"]  # it gives them in any order

        python(host, ACT, "undo", "vfs")
        assert host.guest.run(["cat", DEFAULT]).stdout == f"# ours\n{OPTIONS}"
        host.stop_docker()
    finally:
        host.guest.push(DAEMON_JSON, settings)
        host.guest.push(DEFAULT, default)
        host.guest.run("systemctl stop docker.socket docker; rm -rf /srv/other", check=False)
        host.start_docker()
