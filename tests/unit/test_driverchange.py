"""Another storage driver: one place says it, and all the rest of every file is as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.driverchange import as_dict, changed, from_dict, plan_change, planned
from dockerstorage_lib.driveredit import DROP_IN
from dockerstorage_lib.driveroptions import KNOWN
from dockerstorage_lib.errors import BadInput, Refused
from tests.unit.configurations import (
    DEBIAN,
    DEFAULT,
    DM,
    JSON,
    RHEL,
    SETUP,
    STORAGE,
    UNIT,
    configuration,
    plain,
)

ETC_UNIT = "/etc/systemd/system/docker.service"
DROP_IN_OF_US = "/etc/systemd/system/docker.service.d/10-storage.conf"


def change(files, driver="overlay2", options=None, **more):
    """The files that change, by path, as texts."""
    found = configuration(files, **more)
    plan = plan_change(found, driver, options)
    assert from_dict(json.loads(json.dumps(as_dict(plan)))) == plan
    for one in plan.files:
        before = files.get(one.path)
        assert one.before == (None if before is None else before.encode())
    after = changed(found, plan)
    assert after.driver == driver
    assert plan_change(after, driver, options).files == ()
    return {one.path: one.after.decode() for one in plan.files}


def test_daemon_json_is_made_where_nothing_says_a_driver():
    assert change(plain("/usr/bin/dockerd -H fd://")) == {
        JSON: '{\n    "storage-driver": "overlay2"\n}\n'
    }


def test_daemon_json_rules_and_is_changed():
    text = (
        '{\n  "log-level": "warn",\n  "storage-driver": "devicemapper",\n'
        '  "storage-opts": ["dm.fs=xfs"],\n  "iptables": false\n}'
    )
    assert change(plain("/usr/bin/dockerd", json=text)) == {
        JSON: '{\n  "log-level": "warn",\n  "storage-driver": "overlay2",\n  "iptables": false\n}'
    }


def test_debian_s_file_rules_and_is_changed():
    assert change(DEBIAN) == {
        DEFAULT: DEBIAN[DEFAULT].replace("-s devicemapper  --storage-opt dm.fs=xfs", "-s overlay2")
    }


def test_red_hat_s_files_are_changed_both():
    assert change(RHEL) == {
        STORAGE: 'DOCKER_STORAGE_OPTIONS="--storage-driver overlay2 "\n',
        SETUP: RHEL[SETUP].replace("=devicemapper", "=overlay2"),
    }
    assert change(RHEL, "btrfs")[SETUP] == RHEL[SETUP].replace("=devicemapper", '=""')


def test_red_hat_s_set_up_without_a_driver_gets_one():
    files = {**RHEL, SETUP: "VG=docker"}
    assert change(files)[SETUP] == "VG=docker\nSTORAGE_DRIVER=overlay2\n"
    # With the driver in daemon.json it must not write flags, or dockerd would not start.
    files = {**RHEL, STORAGE: 'DOCKER_STORAGE_OPTIONS="--storage-opt dm.fs=xfs"\n'}
    assert change(files) == {
        JSON: '{\n    "storage-driver": "overlay2"\n}\n',
        STORAGE: 'DOCKER_STORAGE_OPTIONS=""\n',
        SETUP: RHEL[SETUP].replace("=devicemapper", '=""'),
    }


def test_options_are_written_beside_the_driver():
    new = ["dm.thinpooldev=/dev/mapper/a-b", "dm.basesize=20G"]
    assert change(DEBIAN, "devicemapper", new)[DEFAULT] == DEBIAN[DEFAULT].replace(
        "  --storage-opt dm.fs=xfs",
        " --storage-opt dm.thinpooldev=/dev/mapper/a-b --storage-opt dm.basesize=20G",
    )
    found = json.loads(change(plain("/usr/bin/dockerd", json="{}"), "devicemapper", new)[JSON])
    assert found == {"storage-driver": "devicemapper", "storage-opts": new}


def test_options_with_blanks_go_to_daemon_json():
    new = ["dm.mkfsarg=-O ^has_journal"]
    assert change(DEBIAN, "devicemapper", new) == {
        DEFAULT: DEBIAN[DEFAULT].replace(" -s devicemapper  --storage-opt dm.fs=xfs", ""),
        JSON: '{\n    "storage-driver": "devicemapper",\n    "storage-opts": [\n'
        '        "dm.mkfsarg=-O ^has_journal"\n    ]\n}\n',
    }


def test_what_is_so_already_is_left_alone():
    assert change(DEBIAN, "devicemapper") == {}
    assert change(RHEL, "devicemapper", DM) == {}
    assert change(plain("/usr/bin/dockerd", json='{"storage-driver": "vfs"}'), "vfs") == {}


def test_a_conflict_is_solved():
    files = plain("/usr/bin/dockerd -s vfs -H fd://", json='{"storage-driver": "vfs"}')
    after = change(files)
    assert after[JSON] == '{"storage-driver": "overlay2"}'
    assert after[ETC_UNIT] == "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n"


def test_the_flag_is_taken_out_of_several_lines():
    unit = r"""[Service]
ExecStart=/usr/bin/dockerd \
          --storage-driver devicemapper \
          # the pool
          --storage-opt dm.fs=xfs \
          -H fd:// \
          --storage-opt=dm.basesize=1G
Restart=always
"""
    assert (
        change({ETC_UNIT: unit}, "zfs", ["zfs.fsname=a/b"])[ETC_UNIT]
        == r"""[Service]
ExecStart=/usr/bin/dockerd \
          --storage-driver zfs --storage-opt zfs.fsname=a/b \
          -H fd://
Restart=always
"""
    )


def test_a_package_s_unit_stays_and_a_drop_in_says_it_otherwise():
    unit = "[Service]\nExecStart=/usr/bin/dockerd \\\n  -s devicemapper \\\n  -H fd://\nKillMode=process\n"
    found = configuration({UNIT: unit})
    plan = plan_change(found, "overlay2")
    after = {one.path: one.after.decode() for one in plan.files}
    assert after.keys() == {DROP_IN, JSON}
    assert after[DROP_IN].endswith(
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd \\\n  -H fd://\n"
    )
    assert plan.reloads_systemd
    assert any(DROP_IN in note for note in plan.notes)
    assert planned(found, plan) == ("/usr/bin/dockerd", "-H", "fd://")


def test_variables_of_a_package_s_unit():
    unit = (
        '[Service]\nEnvironment="OPTS=--debug -s aufs" DOCKER_DRIVER=vfs\n'
        "ExecStart=/usr/bin/dockerd $OPTS\n"
    )
    after = change({UNIT: unit})
    assert after[DROP_IN].endswith(
        '[Service]\nEnvironment=DOCKER_DRIVER=\nEnvironment="OPTS=--debug"\n'
    ) or after[DROP_IN].endswith(
        '[Service]\nEnvironment="OPTS=--debug"\nEnvironment=DOCKER_DRIVER=\n'
    )


def test_the_variable_is_emptied():
    files = {**DEBIAN, DEFAULT: DEBIAN[DEFAULT] + "DOCKER_DRIVER='overlay'\n"}
    after = change(files, "vfs")
    assert after[DEFAULT].endswith("\nDOCKER_DRIVER=\n")
    assert "-s" not in after[DEFAULT].split('DOCKER_OPTS="')[2]
    assert json.loads(after[JSON]) == {"storage-driver": "vfs"}


def test_a_flag_whose_value_is_a_variable():
    files = {
        ETC_UNIT: "[Service]\nEnvironment=D=aufs\n"
        "ExecStart=/usr/bin/dockerd -s $D --storage-driver=${D} -D\n"
    }
    assert change(files) == {
        ETC_UNIT: "[Service]\nEnvironment=D=\n"
        "ExecStart=/usr/bin/dockerd --storage-driver=overlay2 -D\n"
    }


@pytest.mark.parametrize(
    ("files", "more", "why"),
    [
        (plain("/usr/local/bin/start"), {}, "runs /usr/local/bin/start"),
        ({}, {}, "no docker.service"),
        (plain("/usr/bin/dockerd", json='{\n "a" 1}'), {}, "line 2, column 6"),
        (plain("/usr/bin/dockerd", json='{"a": 1, "a": 2}'), {}, "'a' is there twice"),
        (DEBIAN, {"manager": {"DOCKER_DRIVER": "vfs"}}, "systemctl show-environment"),
        (
            {"/run/systemd/system/docker.service": "[Service]\nExecStart=/usr/bin/dockerd -s vfs"},
            {}, "at each boot",
        ),
        (
            {
                ETC_UNIT: "[Service]\nEnvironmentFile=/usr/share/d\n"
                "ExecStart=/usr/bin/dockerd $X\n",
                "/usr/share/d": "X=-s vfs\n",
            },
            {}, "belongs to a package",
        ),
        # What replaces the flag would be there twice.
        (
            {ETC_UNIT: "[Service]\nExecStart=/usr/bin/dockerd $X $X\nEnvironment='X=-s vfs'"},
            {}, "safely",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(files, more, why):
    with pytest.raises(Refused, match=why):
        plan_change(configuration(files, **more), "overlay2")


@pytest.mark.parametrize(
    ("driver", "options", "why"),
    [
        ("overlya2", (), "the nearest is overlay2"),
        (5, (), "no storage driver 5"),
        ("devicemapper", ["dm.basesiz=1G"], "nearest that it knows is dm.basesize"),
        ("overlay2", ["dm.fs=xfs"], "dm.fs is an option of devicemapper, and overlay2 refuses it"),
        ("aufs", ["x=1"], "aufs has no option x"),
        ("devicemapper", ["dm.fs"], "key=value"),
        ("devicemapper", [5], "key=value"),
        ("devicemapper", ["dm.fs=a\nb"], "key=value"),
    ],
)
def test_bad_input(driver, options, why):
    with pytest.raises(BadInput, match=why):
        plan_change(configuration(DEBIAN), driver, options)


WORDS = st.lists(
    st.sampled_from(
        ["--debug", "-D", "--label a=b", '--label "c d"', "-s aufs", "--storage-driver=vfs", "-H fd://",
         "--storage-opt dm.fs=xfs", "--storage-opt=size=1G", "\\\n   --ipv6", "-g /d"]
    ), max_size=6,
)  # fmt: skip


@given(WORDS, WORDS, st.sampled_from(["'", '"', ""]), st.sampled_from(sorted(KNOWN)), st.booleans())
def test_any_mixture_of_places(exec_start, options, quote, driver, packaged):
    """Planned, or refused; and all other words are there, in their order."""
    options = [word for word in options if "\\" not in word and '"' not in word]
    unit = UNIT if packaged else ETC_UNIT
    line = " ".join(["/usr/bin/dockerd", *exec_start, "$DOCKER_OPTS", "--icc=false"])
    files = {
        unit: f"[Service]\nEnvironmentFile=-{DEFAULT}\nExecStart={line}\nRestart=no\n",
        DEFAULT: f"# head\nDOCKER_OPTS={quote}{'  '.join(options)}{quote}\nOTHER=1\n",
    }
    found = configuration(files)
    plan = plan_change(found, driver)
    after = changed(found, plan)
    assert after.driver == driver

    def others(one):
        words = [word.value for word in one.command]
        return [
            word
            for at, word in enumerate(words)
            if not word.startswith(("-s", "--storage"))
            and words[at - 1] not in ("-s", "--storage-driver", "--storage-opt")
        ]

    assert others(after) == others(found)
    for one in plan.files:
        if one.path == DEFAULT:
            assert one.after.startswith(b"# head\nDOCKER_OPTS=")
            assert one.after.endswith(b"\nOTHER=1\n")
