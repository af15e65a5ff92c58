"""What a declared storage driver asks for, on every kind of host."""

import json
from dataclasses import replace

import pytest

from dockerstorage_lib import migration
from dockerstorage_lib.adapters import pending_change
from dockerstorage_lib.adapters.pending_change import Pending
from dockerstorage_lib.driverchange import changed, plan_change
from dockerstorage_lib.driverplan import Contents, Sight, as_dict, before, devices, plan
from dockerstorage_lib.drivers import Facts, FileSystem
from dockerstorage_lib.errors import BadInput, Refused, Unparsable
from tests.unit.configurations import JSON, configuration, plain

POOL = "dm.thinpooldev=/dev/mapper/docker-thinpool"
FACTS = Facts(
    "6.1.0", "debian", frozenset({"overlay", "dm_thin_pool"}), frozenset(), True,
    FileSystem("/var/lib/docker", "ext4", "/dev/sda1", True), "20.10.24",
)  # fmt: skip
FULL = Contents(("app:1", "base:1"), ("web",), ("data",), ("x",))


def daemon_json(driver=None, options=()):
    settings = {"iptables": False}
    settings |= {"storage-driver": driver} if driver else {}
    return json.dumps(settings | ({"storage-opts": list(options)} if options else {}), indent=4)


def sight(driver="devicemapper", options=(), contents=FULL, says=True, **more):
    text = daemon_json(driver if says else None, options)
    return replace(
        Sight(
            configuration(plain("/usr/bin/dockerd", json=text)),
            "/var/lib/docker",
            driver,
            True,
            contents,
            FACTS,
        ),
        **more,
    )


def decided(found):
    return found.action, found.restart, [one.path for one in found.change.files]


def test_as_declared_nothing_is_done():
    for options in ([POOL, "dm.fs=xfs"], None):
        found = plan(sight(options=[POOL, "dm.fs=xfs"]), "devicemapper", options)
        assert decided(found) == ("nothing", False, [])
    assert "as declared" in found.why
    assert decided(plan(sight("overlayfs", says=False), "overlay2", [])) == (
        "configure", False, [JSON],
    )  # fmt: skip


def test_an_empty_host_is_configured_and_restarted():
    found = plan(sight("overlay2", contents=Contents()), "devicemapper", [POOL])
    assert decided(found) == ("configure", True, [JSON])
    assert found.other_store
    assert JSON in found.why
    assert "restarted" in found.why


def test_a_host_with_anything_must_migrate():
    for one in (Contents(images=("a",)), Contents(containers=("a",)), Contents(volumes=("a",)),
                Contents(cache_records=("a",))):  # fmt: skip
        assert plan(sight(contents=one), "overlay2", None).action == "migrate"
    found = plan(sight(contents=FULL), "overlay2", None)
    for told in ("2 images (app:1, base:1)", "1 container (web)", "1 volume (data)",
                 "1 records of the build cache", "on devicemapper", "an engine on overlay2",
                 "migrate: True", "dockerstorage.migrate overlay2"):  # fmt: skip
        assert told in found.why
    many = Contents(images=tuple(f"i{number}" for number in range(12)))
    assert "12 images (i0" in plan(sight(contents=many), "vfs", None).why
    assert "i9 and 2 more)" in plan(sight(contents=many), "vfs", None).why


@pytest.mark.parametrize(
    "option",
    ["dm.blocksize=512K", "dm.loopdatasize=200G", "dm.fs=ext4", "dm.datadev=/dev/sdc",
     "DM.ThinPoolDev=/dev/mapper/other"],
)  # fmt: skip
def test_options_of_another_store(option):
    options = [POOL] if "thinpool" not in option.lower() else []
    found = plan(sight(options=[POOL]), "devicemapper", [*options, option])
    assert found.action == "migrate"
    assert f"devicemapper with another {option.partition('=')[0].lower()}" in found.why


@pytest.mark.parametrize(
    "options",
    [[POOL, "dm.min_free_space=5%"], [POOL, "dm.use_deferred_removal=true"], [POOL],
     ["dm.thinpooldev=docker-thinpool", "dm.min_free_space=20%"]],
)  # fmt: skip
def test_options_that_the_same_store_can_have_are_a_restart(options):
    found = plan(sight(options=[POOL, "dm.min_free_space=20%", "dm.basesize=1G"]), "devicemapper",
                 options)  # fmt: skip
    assert decided(found) == ("configure", True, [JSON])
    assert not found.other_store


def test_a_driver_that_the_engine_chose_is_only_written_down():
    assert decided(plan(sight("overlay2", says=False), "overlay2", None)) == (
        "configure", False, [JSON],
    )  # fmt: skip


def test_a_configuration_that_is_not_in_effect_yet():
    found = sight("overlay2")
    text = daemon_json("devicemapper", [POOL])
    edited = replace(found, configuration=configuration(plain("/usr/bin/dockerd", json=text)))
    assert plan(edited, "devicemapper", [POOL]).action == "migrate"
    empty = replace(edited, contents=Contents())
    assert decided(plan(empty, "devicemapper", [POOL])) == ("configure", True, [])
    assert decided(plan(edited, "overlay2", None)) == ("configure", False, [JSON])


@pytest.mark.parametrize("files", [{}, plain("/usr/bin/dockerd")])
def test_before_docker_is_installed_or_started(files):
    host = replace(
        sight(contents=Contents()), configuration=configuration(files), driver=None, runs=False
    )
    found = plan(host, "devicemapper", [POOL])
    assert decided(found) == ("configure", False, [JSON])
    assert "the engine does not run, and is not started" in found.notes
    then = replace(host, configuration=changed(host.configuration, found.change))
    assert decided(plan(then, "devicemapper", [POOL])) == ("nothing", False, [])


def test_what_cannot_be():
    with pytest.raises(BadInput, match="the nearest is overlay2"):
        plan(sight(), "overlay22", None)
    with pytest.raises(BadInput, match=r"dm\.basesize"):
        plan(sight(), "devicemapper", ["dm.basesze=1G"])
    newer = sight("overlay2", contents=Contents(), facts=replace(FACTS, engine_version="26.1.0"))
    with pytest.raises(Refused, match="Docker has no devicemapper since 25"):
        plan(newer, "devicemapper", [POOL])
    broken = sight(configuration=configuration(plain("/usr/bin/dockerd", json="{")))
    without_unit = sight(configuration=configuration({}))
    for host in (broken, without_unit):
        with pytest.raises(Refused, match="not understood"):
            plan(host, "overlay2", None)


MOVE = migration.Plan(
    "id", "/r", "devicemapper", "overlay2", (), "graft", "20.10", 0.0, {}, None, None
)


def test_a_migration_that_is_not_over():
    cut = migration.Progress(MOVE, begun=("stage",))
    with pytest.raises(Refused, match="resume=True"):
        plan(sight(migration=cut), "overlay2", None)
    switched = replace(cut, outcome=migration.SWITCHED)
    found = plan(sight("overlay2", migration=switched), "overlay2", None)
    assert decided(found) == ("nothing", False, [])
    assert any("waits for its commit" in one for one in found.notes)
    with pytest.raises(Refused, match="no way back"):
        plan(sight("overlay2", migration=switched), "overlay2", ["overlay2.size=1G"])


def test_a_change_that_was_cut_is_seen_as_not_made(tmp_path):
    old = sight("overlay2", contents=Contents()).configuration
    change = plan_change(old, "devicemapper", [POOL])
    pending = Pending(change, ({"id": "1", "name": "web", "started_at": "", "paused": False},))
    file = tmp_path / "new" / "change.json"
    assert pending_change.read(file) is None
    pending_change.write(pending, file)
    assert pending_change.read(file) == pending

    for now in (old, changed(old, change)):
        then = before(now, change)
        assert (then.driver, then.options) == ("overlay2", ())
        cut = replace(
            sight(contents=Contents()), configuration=then, driver=None, runs=False, cut=change
        )
        found = plan(cut, "devicemapper", [POOL])
        assert found.change.files == change.files
        assert found.restart
    edited = configuration(plain("/usr/bin/dockerd", json=daemon_json("vfs")))
    assert before(edited, change) is None

    pending_change.remove(file)
    pending_change.remove(file)
    assert pending_change.read(file) is None
    file.write_text("{")
    with pytest.raises(Unparsable):
        pending_change.read(file)


def test_plain_values():
    found = as_dict(plan(sight(), "overlay2", None), FULL, ["more"], test=True)
    assert json.loads(json.dumps(found)) == found
    assert found["from"] == {"driver": "devicemapper", "options": []}
    assert found["contents"]["containers"] == ["web"]
    assert found["summary"] == [found["why"], *(f"~ {one}" for one in found["notes"])]


def test_devices_that_options_name():
    assert devices([POOL, "dm.datadev=x", "dm.fs=xfs"]) == [
        "/dev/mapper/docker-thinpool", "/dev/mapper/x",
    ]  # fmt: skip
