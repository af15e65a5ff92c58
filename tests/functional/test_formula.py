"""The formula in real minions: both ways to mount it, a first run from nothing, a wrong pillar."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tests.functional import installs
from tests.functional.conftest import QUIET, Host

FORMULA = installs.ROOT / "salt/formulas/dockerstorage"
#: The repository at its root, and salt/formulas as root.
MOUNTS = ("salt.formulas.dockerstorage", "dockerstorage")
PACKAGES = ("docker", "sh", "zstandard")
AUTHOR = "-c user.name=test -c user.email=test@example.com"
#: Into a directory of its own, pip installs what is elsewhere once more.
THEIR_NEEDS = ("requests", "urllib3", "certifi", "idna", "charset_normalizer")
JOBS = ("remediation", "prune", "export", "metrics")
#: What another file of the master reacts to.
REACTIONS = {"other": "other/tag", "same": "salt/beacon/*/dockerstorage/*"}
WRONG = {"dockerstorage": {"prune": {"min_age": "7 dayz"}, "beacn": {}}}


def example() -> dict:
    """Every key of the example, every concern enabled, but where it would touch this machine."""
    pillar = yaml.safe_load((FORMULA / "pillar.example").read_text())
    for section in pillar["dockerstorage"].values():
        if isinstance(section, dict) and "enabled" in section:
            section["enabled"] = True
    return pillar


@pytest.fixture(scope="module")
def cold_and_synced(make_host, tree):
    """What a first state.apply says before anything is synced, and the host when it is."""
    roots = {"base": [str(tree), str(tree / "salt/formulas")]}
    host = make_host("formula", "synced", file_roots=roots)
    answer = host.cli("state.apply", "dockerstorage")
    assert host.cli("saltutil.sync_all").returncode == 0
    return answer, host


@pytest.fixture(scope="module")
def rendered(cold_and_synced, tmp_path_factory):
    """What each mount is rendered to: by pillar, and with the grains of Red Hat; of one process."""
    _, host = cold_and_synced
    show = "state.show_low_sls"
    # Salt reads configured grains from the file, and they win over what it finds itself.
    red_hat = tmp_path_factory.mktemp("red-hat") / "minion"
    red_hat.write_text("grains: {os_family: RedHat}")
    alone = {"dockerstorage": {"prune": {"enabled": True}}}
    own = {"dockerstorage": {"dependencies": {"os_packages": ["lvm2"], "find_links": "/wheels"}}}
    pillars = {"empty": {}, "full": example(), "wrong": WRONG}
    asked = {
        (mount, name): (show, [mount], {"pillar": pillar})
        for mount in MOUNTS
        for name, pillar in pillars.items()
    }
    asked["dependencies", "own"] = (show, [MOUNTS[1]], {"pillar": own})
    asked["sls", "alone"] = (show, ["dockerstorage.prune"], {"pillar": alone})
    for name in ("empty", "full"):
        asked["RedHat", name] = (
            "probe.configured",
            [{"conf_file": str(red_hat)}, show, MOUNTS[1]],
            {"pillar": pillars[name]},
        )
    for name, tag in REACTIONS.items():
        folder = tmp_path_factory.mktemp(name)
        other = {"reactor": [{tag: ["salt://other.sls"]}]}
        (folder / "other.conf").write_text(json.dumps(other))
        reactor = {"dockerstorage": {"reactor": {"enabled": True, "file": f"{folder}/own.conf"}}}
        asked["reactor", name] = (show, [f"{MOUNTS[1]}.reactor"], {"pillar": reactor})
    return dict(zip(asked, (one["return"] for one in host.ask(*asked.values())), strict=True))


def by_id(states: list[dict]) -> dict[str, dict]:
    assert all(isinstance(one, dict) for one in states), states
    return {one["__id__"].removeprefix("dockerstorage-"): one for one in states}


def test_before_anything_is_synced_it_says_what_to_do(cold_and_synced):
    answer, _ = cold_and_synced
    printed = f"{answer.stdout}{answer.stderr}"
    assert answer.returncode != 0
    assert "run saltutil.sync_all and apply again" in printed
    assert printed.count("Rendering SLS") <= 2  # in the result, and in the log


@pytest.mark.parametrize("mount", MOUNTS)
def test_an_empty_pillar_installs_and_watches(rendered, mount):
    states = by_id(rendered[mount, "empty"])
    jobs = {name: one for name, one in states.items() if name in JOBS}
    assert set(states) - set(jobs) == {
        "os-packages", "python-packages", "modules-refreshed", "beacon",
    }  # fmt: skip
    assert set(jobs) == set(JOBS)
    assert {one["fun"] for one in jobs.values()} == {"unscheduled"}
    assert "thin-provisioning-tools" in states["os-packages"]["pkgs"]


@pytest.mark.parametrize("mount", MOUNTS)
def test_every_key_of_the_example_goes_where_it_belongs(rendered, mount):
    states, pillar = by_id(rendered[mount, "full"]), example()["dockerstorage"]
    own = {"enabled", "schedule"}
    for concern in ("thinpool", "driver", "beacon"):
        given = {key: value for key, value in pillar[concern].items() if key not in own}
        assert given.items() <= states[concern].items(), concern
    for concern in JOBS:
        job, section = states[concern], pillar[concern]
        arguments = {key: value for key, value in section.items() if key not in own}
        more = {"replace": True} if concern == "export" else {}
        assert job["job_kwargs"] == {**arguments, **more}
        assert section["schedule"].items() <= job.items()
        assert (job["fun"], job["maxrunning"]) == ("scheduled", 1)
    assert states["protection"]["name"] == "postgres:13"
    assert states["export-directory"]["name"] == "/srv/backup"
    assert states["python-packages"]["index_url"] == pillar["dependencies"]["index_url"]
    assert states["python-packages"]["no_index"] is False
    assert states["driver"]["require"] == [{"dockerstorage": "dockerstorage-thinpool"}]
    path = mount.replace(".", "/")
    assert f"salt://{path}/reactor/remediate.sls" in states["reactor"]["contents"]


def test_with_wheels_at_hand_no_index_is_asked(rendered):
    states = by_id(rendered["dependencies", "own"])
    assert states["python-packages"]["no_index"] is True
    assert states["os-packages"]["pkgs"] == ["lvm2"]


def test_red_hat_has_packages_of_other_names(rendered):
    for name in ("empty", "full"):
        assert set(by_id(rendered["RedHat", name])) == set(by_id(rendered[MOUNTS[1], name]))
    packages = by_id(rendered["RedHat", "empty"])["os-packages"]["pkgs"]
    assert "device-mapper-persistent-data" in packages
    # The example names packages: the pillar's are the ones that count.
    assert "dmsetup" in by_id(rendered["RedHat", "full"])["os-packages"]["pkgs"]


def test_one_concern_can_be_applied_alone(rendered):
    states = by_id(rendered["sls", "alone"])
    assert set(states) == {"os-packages", "python-packages", "modules-refreshed", "prune"}
    assert states["prune"]["job_kwargs"] == {"min_age": "7d"}
    assert states["prune"]["run_on_start"] is False


def test_a_reactor_that_is_set_elsewhere_is_not_silenced(rendered):
    (refused,) = rendered["reactor", "other"]
    assert refused["fun"] == "fail_without_changes"
    assert "other.conf" in refused["name"]
    assert "salt://dockerstorage/reactor/remediate.sls" in refused["name"]
    assert rendered["reactor", "same"] == []


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_wrong_pillar_is_told_once_with_its_paths(rendered, mount):
    (told,) = rendered[mount, "wrong"]
    assert "dockerstorage:prune:min_age: '7 dayz' is no age" in told
    assert "dockerstorage:beacn: there is no such key; the nearest: beacon" in told
    assert "Traceback" not in told


def test_from_git_the_modules_come_and_both_mounts_render_the_same(
    make_host, rendered, tree, scratch
):
    repository = scratch / "repository"
    shutil.copytree(tree, repository)
    for words in ("init -q -b master", "add -A", f"{AUTHOR} commit -q -m all"):
        installs.run(["git", "-C", str(repository), *words.split()])
    url = f"file://{repository}"
    host = make_host(
        "git",
        "synced",
        fileserver_backend=["roots", "git"],
        gitfs_provider="gitpython",
        # As docs/formula.md has it.
        gitfs_remotes=[url, {url: [{"name": "dockerstorage-formulas"}, {"root": "salt/formulas"}]}],
    )
    synced = host.value("saltutil.sync_all")
    assert "modules.dockerstorage" in synced["modules"]
    assert {"states.dockerstorage", "states.dockerstorage_formula"} <= set(synced["states"])
    asked = [("state.show_low_sls", [mount], {"pillar": example()}) for mount in MOUNTS]
    for mount, answer in zip(MOUNTS, host.ask(*asked), strict=True):
        assert by_id(answer["return"]) == by_id(rendered[mount, "full"]), mount


# --- a first highstate, on a minion whose Python has none of the packages


@pytest.fixture(scope="module")
def runs(salt_factories, no_docker, tree, scratch):
    """Highstates of a running minion: in test mode, twice for real, then with jobs taken back."""
    place = scratch / "first"
    wheels, master, backup = place / "wheels", place / "etc/master.d", place / "backup"
    for folder in (wheels, master, backup, place / "srv", place / "pillar"):
        folder.mkdir(parents=True)
    for name in (*PACKAGES, *THEIR_NEEDS):
        installs.wheel_of(name, wheels)
    pillar = {
        "dependencies": {"os_packages": [], "find_links": str(wheels)},
        "protection": {"enabled": True, "images": ["busybox"]},
        "prune": {"enabled": True, "keep_tags": 2},
        "export": {
            "enabled": True, "dest": str(backup / "all"), "schedule": {"cron": "30 1 * * 0"},
        },
        "beacon": {"levels": {"warning": 60}},
        "remediation": {"enabled": True, "pool": "absent", "schedule": {"seconds": 5}},
        "metrics": {"enabled": True, "path": str(place / "metrics.prom")},
        "reactor": {"enabled": True, "file": str(master / "dockerstorage.conf")},
    }  # fmt: skip
    (place / "srv/top.sls").write_text("base: {'*': [dockerstorage]}")
    (place / "pillar/top.sls").write_text("base: {'*': [storage]}")
    wanted = place / "pillar/storage.sls"
    wanted.write_text(json.dumps({"dockerstorage": pillar}))
    minion = salt_factories.salt_minion_daemon(
        "first",
        overrides={
            **QUIET, "file_client": "local", "master_type": "disable", "dockerstorage": no_docker,
            "loop_interval": 1,
            "file_roots": {"base": [str(place / "srv"), str(tree), str(tree / "salt/formulas")]},
            "pillar_roots": {"base": [str(place / "pillar")]},
        },
    )  # fmt: skip
    python = installs.make_python(scratch / "py-first", PACKAGES)
    minion.python_executable = str(python)
    host = Host("synced", minion, python)
    # As an onedir has it: packages go to a directory that is not there yet.
    extras = installs.site_packages(python.parents[1]) / "extras.pth"
    extras.write_text(f"import sys; sys.path.insert(0, {str(place / 'extras')!r})\n")

    def results(states):
        assert isinstance(states, dict), states
        # A state whose module is not there has no id in its result.
        ids = (tag.split("_|-")[1].removeprefix("dockerstorage-") for tag in states)
        return dict(zip(ids, states.values(), strict=True))

    plain = {"return_yaml": False}
    log = Path(minion.config["log_file"])
    with pytest.MonkeyPatch.context() as patch, minion.started():
        patch.setenv("PIP_TARGET", str(place / "extras"))
        patch.setenv("PIP_NO_COMPILE", "1")  # which takes longer than all else
        found = {"test": results(host.value("state.highstate", test=True))}
        call = minion.salt_call_cli(timeout=90)
        found["first"] = results(call.run("--local", "state.highstate").data)
        again, jobs, beacons = host.ask(
            ("state.highstate", [], {}),
            ("schedule.list", [], plain),
            ("beacons.list", [], plain),
        )
        found |= {"second": results(again["return"]), "jobs": jobs["return"]}
        found["beacons"] = beacons["return"]
        deadline = time.monotonic() + 20
        while "in remediate\n" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.5)
        taken_back = {name: {"enabled": False} for name in (*JOBS, "beacon", "reactor")}
        wanted.write_text(json.dumps({"dockerstorage": {**pillar, **taken_back}}))
        found["back"] = results(host.value("state.highstate"))
    return {**found, "log": log.read_text(), "reactor": (master / "dockerstorage.conf").read_text()}


def outcome(states):
    return {name: (one["result"], bool(one["changes"])) for name, one in states.items()}


def test_test_mode_lists_all_that_would_change(runs):
    planned = outcome(runs["test"])
    assert {name for name, one in planned.items() if one == (None, True)} >= {
        *JOBS, "beacon", "reactor",
    }  # fmt: skip
    assert planned["python-packages"][0] is None
    # Its module is not there yet; see docs/formula.md.
    assert planned["protection"] == (False, False)


def test_the_first_highstate_installs_and_goes_on_with_what_it_installed(runs, no_docker):
    states = runs["first"]
    installed = states["python-packages"]["changes"]
    assert {one.partition("==")[0] for one in installed} == set(PACKAGES)
    done = outcome(states)
    for name in (*JOBS, "beacon", "reactor", "python-packages"):
        assert done[name] == (True, True), states[name]
    # The function itself ran: there is no engine here.
    assert no_docker["docker_url"] in states["protection"]["comment"]


def test_the_second_changes_nothing(runs):
    assert not [name for name, one in runs["second"].items() if one["changes"]]
    failed = {name for name, one in runs["second"].items() if one["result"] is False}
    assert failed == {"protection"}


def test_the_minion_has_the_jobs_the_beacon_and_the_module(runs):
    jobs = runs["jobs"]
    assert set(jobs) == {f"dockerstorage-{name}" for name in JOBS}
    assert jobs["dockerstorage-prune"]["kwargs"] == {"keep_tags": 2, "min_age": "7d"}
    assert {"interval": 30} in runs["beacons"]["dockerstorage"]
    assert "in remediate\n" in runs["log"], "the running minion loaded the module"


def test_the_reactor_is_set_and_the_restart_is_asked_for(runs):
    (entry,) = yaml.safe_load(runs["reactor"])["reactor"]
    assert entry == {
        "salt/beacon/*/dockerstorage/*": ["salt://dockerstorage/reactor/remediate.sls"]
    }
    assert "Restart it" in runs["first"]["reactor-restart"]["comment"]
    assert "Restart it" not in runs["second"]["reactor-restart"]["comment"]


def test_what_is_not_enabled_any_more_is_taken_back(runs):
    back = outcome(runs["back"])
    assert {name for name, one in back.items() if one == (True, True)} == {*JOBS, "beacon"}
