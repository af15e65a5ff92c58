"""Which storage driver counts, who says so, and what contradicts it."""

import pytest

from dockerstorage_lib.driverconfig import read
from dockerstorage_lib.driverconflicts import find_conflicts
from dockerstorage_lib.driversettings import DRIVER
from tests.unit.configurations import (
    DEBIAN,
    DEFAULT,
    DM,
    JSON,
    RHEL,
    RHEL_UNIT_PATH,
    SETUP,
    STORAGE,
    UNIT,
    configuration,
    plain,
)


def codes(files, running_driver="", **more):
    return [one.code for one in find_conflicts(configuration(files, **more), running_driver)]


def place(found):
    setting = found.find(DRIVER)
    return (setting.place.path, setting.place.name)


def test_debian_s_file_of_flags():
    found = configuration(DEBIAN)
    assert (found.driver, found.options) == ("devicemapper", ("dm.fs=xfs",))
    assert place(found) == (DEFAULT, "DOCKER_OPTS")
    assert found.values("hosts") == ("fd://",)
    assert found.value("containerd") == "/run/containerd/containerd.sock"
    assert (found.live_restore, found.data_root, found.unresolved) == (True, None, ())
    assert find_conflicts(found) == []


def test_red_hat_s_files():
    found = configuration(RHEL)
    assert (found.driver, found.options) == ("devicemapper", DM)
    assert place(found) == (STORAGE, "DOCKER_STORAGE_OPTIONS")
    assert found.program == "/usr/bin/dockerd-current"
    assert found.value("log-driver") == "journald"
    assert found.setup.value == "devicemapper"
    assert codes(RHEL) == []


def test_a_file_that_no_unit_uses_says_nothing():
    unit = DEBIAN[UNIT].replace("EnvironmentFile", "#EnvironmentFile")
    assert configuration({**DEBIAN, UNIT: unit}).driver is None
    unit = DEBIAN[UNIT].replace(" $DOCKER_OPTS", "")
    assert configuration({**DEBIAN, UNIT: unit}).driver is None
    assert configuration({**RHEL, RHEL_UNIT_PATH: DEBIAN[UNIT]}).setup is None


def test_no_file_at_all():
    found = configuration({})
    assert (found.driver, found.options, found.data_root) == (None, (), None)
    assert found.unresolved == ("there is no docker.service",)
    assert find_conflicts(found) == []
    assert codes({JSON: "{"}) == ["configuration_unresolved"]


@pytest.mark.parametrize(
    "flags",
    [
        "-s overlay2", "-s=overlay2", "-soverlay2", "--storage-driver overlay2",
        "--storage-driver=overlay2", '--storage-driver="overlay2"', "'--storage-driver=overlay2'",
        "-D -s overlay2 --debug", "--debug --storage-driver overlay2 --live-restore",
    ],
)  # fmt: skip
def test_every_way_to_write_the_flag(flags):
    assert configuration(plain(f"/usr/bin/dockerd {flags}")).driver == "overlay2"


@pytest.mark.parametrize(
    ("exec_start", "name", "value"),
    [
        ("/usr/bin/dockerd -g /d", "data-root", "/d"),
        ("/usr/bin/dockerd --graph=/d", "data-root", "/d"),
        ("/usr/bin/dockerd --data-root /d", "data-root", "/d"),
        ("/usr/bin/docker daemon -g /d", "data-root", "/d"),
        ("-/usr/bin/dockerd --exec-root=/x", "exec-root", "/x"),
        ("@/usr/bin/dockerd docker -p /p", "pidfile", "/p"),
        ("/usr/bin/dockerd --userns-remap default", "userns-remap", "default"),
        ("/usr/bin/dockerd --live-restore", "live-restore", "true"),
        ("/usr/bin/dockerd --live-restore=false", "live-restore", "false"),
        ("/usr/bin/dockerd --storage-opt dm.x=5%%", "storage-opts", "dm.x=5%"),
    ],
)  # fmt: skip
def test_other_settings(exec_start, name, value):
    found = configuration(plain(exec_start))
    assert found.unresolved == ()
    assert found.value(name) == value


def test_daemon_json():
    text = (
        '{"storage-driver": "zfs", "storage-opts": ["zfs.fsname=a/b"], "graph": "/d", '
        '"hosts": ["a", "b"], "live-restore": true}'
    )
    found = configuration(plain("/usr/bin/dockerd", json=text))
    assert (found.driver, found.options, found.data_root) == ("zfs", ("zfs.fsname=a/b",), "/d")
    assert (found.values("hosts"), found.live_restore) == (("a", "b"), True)
    assert place(found) == (JSON, "storage-driver")


def test_another_configuration_file():
    files = {
        **plain("/usr/bin/dockerd --config-file /srv/d.json", json='{"storage-driver": "vfs"}'),
        "/srv/d.json": '{"storage-driver": "overlay2"}',
    }
    assert place(configuration(files)) == ("/srv/d.json", "storage-driver")


def test_drop_ins_take_back_and_add():
    drop_in = "/etc/systemd/system/docker.service.d/{}.conf"
    files = {
        **DEBIAN,
        drop_in.format("10-a"): "[Service]\nExecStart=\n"
        "ExecStart=/usr/sbin/dockerd -s aufs $X $Y ${Z}\n",
        drop_in.format("20-b"): '[Service]\nEnvironment="X=--label a=1" Y=-D\n'
        "Environment=Z=-g/${Q}\n",
    }
    found = configuration(files)
    assert place(found) == (drop_in.format("10-a"), "ExecStart")
    assert [word.value for word in found.command] == [
        "/usr/sbin/dockerd", "-s", "aufs", "--label", "a=1", "-D", "-g/${Q}",
    ]  # fmt: skip
    files[drop_in.format("15")] = "[Service]\nEnvironmentFile=\n"
    files[drop_in.format("30")] = "[Service]\nEnvironment=\n"
    words = [word.value for word in configuration(files).command]
    assert words == ["/usr/sbin/dockerd", "-s", "aufs", ""]


def test_a_file_of_variables_beats_the_unit_s():
    unit = DEBIAN[UNIT] + "Environment=DOCKER_OPTS=-Dsaufs\n"
    assert place(configuration({**DEBIAN, UNIT: unit})) == (DEFAULT, "DOCKER_OPTS")


def test_the_variable_beats_flag_and_file():
    files = {**DEBIAN, DEFAULT: DEBIAN[DEFAULT] + "DOCKER_DRIVER=overlay2\n"}
    assert place(configuration(files)) == (DEFAULT, "DOCKER_DRIVER")
    assert codes(files) == ["driver_set_twice", "storage_option_refused"]
    assert configuration(DEBIAN, manager={"DOCKER_DRIVER": "vfs"}).driver == "vfs"


@pytest.mark.parametrize(
    ("exec_start", "why"),
    [
        ("/usr/local/bin/start-docker", "runs /usr/local/bin/start-docker"),
        ("/bin/sh -c '/usr/bin/docker-current daemon $OPTIONS 2>&1'", "runs /bin/sh"),
        ("/usr/bin/docker run x", "runs /usr/bin/docker"),
        ("/usr/bin/dockerd\nExecStart=/usr/bin/dockerd -s vfs", "more than one ExecStart"),
        ("/usr/bin/dockerd\nEnvironmentFile=/etc/docker/*.env", "pattern of files"),
        ("", "no ExecStart"),
    ],
)
def test_places_that_are_not_understood(exec_start, why):
    found = configuration(plain(exec_start))
    assert any(why in one for one in found.unresolved)
    assert [one.code for one in find_conflicts(found)] == ["configuration_unresolved"]


def test_the_running_daemon_fills_in_for_a_script():
    running = ["/usr/bin/dockerd", "--storage-driver=devicemapper", "-g", "/d"]
    found = configuration(plain("/usr/local/bin/start-docker"), running=running)
    assert (found.driver, found.data_root) == ("devicemapper", "/d")
    assert found.find(DRIVER).place.kind == "process"
    assert found.unresolved


@pytest.mark.parametrize(
    "text", ["{", '{"storage-driver": 5}', '{"storage-opts": "dm.fs=xfs"}', "[]"]
)
def test_a_broken_file_is_said(text):
    files = plain("/usr/bin/dockerd -s vfs", json=text)
    assert configuration(files).driver == "vfs"
    assert codes(files)[0] == "configuration_unresolved"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (plain("/usr/bin/dockerd -s vfs", json='{"storage-driver": "vfs"}'), ["configured_twice"]),
        (plain("/usr/bin/dockerd -s vfs", json='{"storage-driver": "aufs"}'), ["configured_twice"]),
        (plain("/usr/bin/dockerd -H fd://", json='{"hosts": []}'), ["configured_twice"]),
        (
            plain("/usr/bin/dockerd --storage-opt dm.fs=xfs", json='{"storage-opts": []}'),
            ["configured_twice"],
        ),
        (plain("/usr/bin/dockerd --add-runtime a=b", json='{"runtimes": {}}'), []),
        (plain("/usr/bin/dockerd -s vfs -s aufs"), ["driver_set_twice"]),
        (plain("/usr/bin/dockerd -s vfs -s vfs"), []),
        (plain("/usr/bin/dockerd -s vfs --storage-opt dm.fs=xfs"), ["storage_option_refused"]),
        (
            plain("/usr/bin/dockerd -s devicemapper --storage-opt dm.base=1G"),
            ["storage_option_refused"],
        ),
        ({**RHEL, SETUP: "STORAGE_DRIVER=overlay2\n"}, ["storage_setup_disagrees"]),
        ({**RHEL, SETUP: 'STORAGE_DRIVER=""\n'}, []),
        (
            {**RHEL, SETUP: "STORAGE_DRIVER=$(cat /x)\n"},
            ["configuration_unresolved", "storage_setup_disagrees"],
        ),
    ],
)  # fmt: skip
def test_conflicts(files, expected):
    found = find_conflicts(configuration(files))
    assert [one.code for one in found] == expected
    assert all(one.text and one.remedy for one in found)


def test_what_a_restart_will_change():
    files = plain("/usr/bin/dockerd", json='{"storage-driver": "overlay2"}')
    assert codes(files, "devicemapper") == ["driver_not_in_effect"]
    assert codes(files, "overlay2") == []
    assert codes(files, "overlayfs") == []  # containerd's name of it
    assert codes(plain("/usr/bin/dockerd"), "overlay2") == []
    running = ["/usr/bin/dockerd", "-s", "overlay2"]
    assert codes(plain("/usr/bin/dockerd"), "overlay2", running=running) == ["flags_not_in_effect"]
    same = plain("/usr/bin/dockerd --storage-driver=overlay2")
    assert codes(same, "overlay2", running=running) == []


def test_each_file_is_read_once_and_kept():
    asked = []

    def load(path):
        asked.append(path)
        return RHEL.get(path)

    found = read(load, [RHEL_UNIT_PATH])
    assert len(asked) == len(set(asked))
    assert found.files[JSON] is None
    assert found.files[STORAGE] == RHEL[STORAGE]
