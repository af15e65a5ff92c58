"""Bad input is refused before the engine is asked, with a sentence that names the argument."""

from __future__ import annotations

import pytest

BAD_PRUNE = [
    ("test", "test"), ("test", "protected"), ("test", 1), ("test", None),
    ("min_age", -1), ("min_age", "-7d"), ("min_age", "5y"), ("min_age", "soon"), ("min_age", True),
    ("min_age", [1]), ("min_age", float("nan")),
    ("until_percent", 101), ("until_percent", -1), ("until_percent", "much"),
    ("until_percent", True), ("until_percent", float("nan")), ("until_percent", [60]),
    ("protect", ""), ("protect", " "), ("protect", "=yes"), ("protect", " key"),
    ("protect", "protected!=true"), ("protect", 5), ("protect", [5]), ("protect", [""]),
    ("protect", [None]), ("protect", True), ("protect", "a\nb"), ("protect", "protected,keep"),
    ("protect_names", "[abc"), ("protect_names", ["ok", "[a-"]), ("protect_names", ""),
    ("protect_names", 5), ("protect_names", [5]), ("protect_names", [None]),
    ("protect_names", True), ("protect_names", "db-*,web-*"),
    ("keep_tags", -1), ("keep_tags", "many"), ("keep_tags", 1.5), ("keep_tags", True),
    ("volumes", "some"), ("volumes", 1), ("volumes", ["all"]),
    ("networks", "perhaps"), ("networks", 1), ("build_cache", "old"), ("build_cache", None),
    ("own_labels_only", "yes please"), ("own_labels_only", 0),
]  # fmt: skip

BAD_LABEL = [
    ("label", "", "label"), ("label", "=x", "label"), ("label", 5, "label"),
    ("image", 5, "image"), ("image", None, "image"), ("image", [], "image"),
    ("image", [5], "image"), ("image", "", "image"),
]  # fmt: skip

BAD_IMPORT = [
    ("bundle", "relative"), ("bundle", 5), ("bundle", ""),
    ("rename", "web=web2"), ("rename", {"web": 5}), ("rename", {"container:web": "../x"}),
    ("only", 5), ("only", ""), ("only", "volume:"), ("only", [None]),
    ("on_conflict", "merge"), ("on_conflict", None), ("start", "perhaps"), ("start", 1),
]  # fmt: skip


BAD_RECOVERY = [
    ("patience", -1), ("patience", "soon"), ("patience", True), ("patience", [5]),
    ("spare_devices", 5), ("spare_devices", [None]),
]  # fmt: skip

BAD_DRIVER = [
    ("driver", "overlay3"), ("driver", None), ("driver", 5), ("options", 5), ("options", [5]),
    ("options", ["overlay2.size"]), ("options", ["dm.fs=xfs"]), ("test", "yes"),
]  # fmt: skip

BAD_RECLAIM = [("stop_docker", "yes please"), ("trim", 1), ("test", None)]

BAD_CALLS = [
    *(("reclaim", {name: value}, name) for name, value in BAD_RECLAIM),
    *(("set_driver", {"driver": "overlay2", name: value}, name) for name, value in BAD_DRIVER),
    *(("recover", {name: value}, name) for name, value in BAD_RECOVERY),
    *(("orphans", {name: 1}, name) for name in ("remove", "stop_docker", "test")),
    *(("prune", {name: value}, name) for name, value in BAD_PRUNE),
    *(("import", {"bundle": "/nowhere", name: value}, name) for name, value in BAD_IMPORT),
    *(
        (function, {"image": "busybox", name: value}, named)
        for function in ("protect", "unprotect")
        for name, value, named in BAD_LABEL
    ),
]


@pytest.fixture(scope="module")
def answers(installed_host):
    """The answers to all bad calls, of one process; what refuses is the same in every way."""
    calls = ((f"dockerstorage.{function}", [], kwargs) for function, kwargs, _ in BAD_CALLS)
    return installed_host("synced").ask(*calls)


def _id(call):
    function, kwargs, _ = call
    name, value = list(kwargs.items())[-1]
    return f"{function}-{name}={value!r}"


@pytest.mark.parametrize("index", range(len(BAD_CALLS)), ids=map(_id, BAD_CALLS))
def test_a_bad_argument_is_refused_by_its_name(answers, index):
    answer = answers[index]
    assert answer.get("error") == "SaltInvocationError", answer
    assert answer["text"].startswith(f"{BAD_CALLS[index][2]}: "), answer


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prune", "min_age=-1"], "min_age: -1 is no age"),
        (["prune", "test"], "test: 'test' is neither True nor False"),
        (["prune", "until_percent=101"], "until_percent: 101 is no percent"),
        (["prune", "protect_names=[abc"], "protect_names: '[abc' is no pattern"),
        (["prune", "protect="], "protect: '' is no label"),
        (["prune", "labels=protected"], "labels"),
        (["prune", "label!=protected"], "label!"),
        (["protect", "busybox", "label="], "label: '' is no label"),
        (["pool", "no-such-pool"], "dmsetup"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_the_command_line_prints_the_reason_and_fails(installed_host, arguments, told):
    function, *rest = arguments
    answer = installed_host("synced").cli(
        "--out=nested", "--log-level=warning", f"dockerstorage.{function}", *rest
    )
    printed = f"{answer.stdout}{answer.stderr}"
    assert told in printed
    assert "Traceback" not in printed
    assert answer.returncode != 0


BAD_SETTINGS = [
    ({"protect_names": "[abc"}, "prune", "protect_names: '[abc' is no pattern"),
    ({"protect_names": 5}, "prune", "protect_names: "),
    ({"protect": ""}, "prune", "protect: '' is no label"),
    ({"protect": 5}, "prune", "protect: "),
    ({"docker_url": "carrier-pigeon://x"}, "prune", "carrier-pigeon"),
    ({"docker_url": 5}, "prune", "docker_url"),
    ({"data_root": 5}, "report", "data_root"),
    ({"data_root": 5}, "pool", "data_root"),
    ("text", "prune", "dockerstorage"),
    (["list"], "report", "dockerstorage"),
    (None, "report", "dockerstorage"),
]


@pytest.fixture(scope="module")
def configured_answers(installed_host, no_docker):
    """The answers of minions with bad settings, of one process."""
    questions = []
    for settings, function, _ in BAD_SETTINGS:
        value = {**no_docker, **settings} if isinstance(settings, dict) else settings
        questions.append(
            ("probe.configured", [{"dockerstorage": value}, f"dockerstorage.{function}"], {})
        )
    return installed_host("wheel").ask(*questions)


@pytest.mark.parametrize("index", range(len(BAD_SETTINGS)), ids=map(str, BAD_SETTINGS))
def test_a_bad_setting_is_refused_by_its_key(configured_answers, index):
    answer = configured_answers[index]
    assert answer.get("error") in ("SaltInvocationError", "CommandExecutionError"), answer
    assert BAD_SETTINGS[index][2] in answer["text"], answer


def test_pillar_counts_beside_the_minions_own_configuration(make_host, no_docker, tmp_path):
    (tmp_path / "top.sls").write_text("base: {'*': [clean]}")
    names = "'[from-pillar'"
    (tmp_path / "clean.sls").write_text(f"dockerstorage: {{protect_names: [good, {names}]}}")
    settings = {**no_docker, "protect_names": ["also-good"]}
    roots = {"base": [str(tmp_path)]}
    host = make_host("with-pillar", "wheel", pillar_roots=roots, dockerstorage=settings)
    (answer,) = host.ask(("dockerstorage.prune", [], {}))
    # The setting is wrong, so that the refusal shows that it was read.
    assert answer["text"].startswith(f"protect_names: {names} is no pattern"), answer


def test_numbers_of_dmsetup_are_checked(installed_host):
    bad = [("message", ["pool", "text", "x"], "sector"), ("wait", ["pool", 1, "x"], "timeout")]
    answers = installed_host("synced").ask(*((f"dmsetup.{f}", args, {}) for f, args, _ in bad))
    for (_, _, name), answer in zip(bad, answers, strict=True):
        assert answer.get("error") == "SaltInvocationError", answer
        assert answer["text"] == f"{name}: 'x' is no number"
