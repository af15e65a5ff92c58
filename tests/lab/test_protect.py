"""Protecting labels for images, given and taken away again."""

from __future__ import annotations

from tests.lab import world
from tests.lab.hosts import Host
from tests.lab.salthost import salt_call

TAGS = {"lab/app:2", "lab/app:latest", "registry.test/app:stable"}
#: Looks the tag up without a pause and tells how often it was missing.
WATCH = r"""
missing=0; seen=0
while [ ! -e /tmp/stop ]; do
    docker image inspect lab/app:latest >/dev/null 2>&1 || missing=$((missing + 1))
    seen=$((seen + 1))
done
echo $missing $seen
"""


def tags_of(host: Host, image_id: str) -> set[str]:
    return set(host.inspect("image", image_id)["RepoTags"])


def test_every_tag_moves_and_comes_back(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    old_id = host.inspect("image", "lab/app:2")["Id"]
    used = world.used_blocks(host)
    planned = salt_call(host.guest, "dockerstorage.protect", "lab/app:2", test=True)[0]
    assert (planned["changed"], planned["new_id"], set(planned["tags"])) == (True, None, TAGS)
    assert tags_of(host, old_id) == TAGS

    watcher = host.guest.start(WATCH)
    done = salt_call(host.guest, "dockerstorage.protect", "lab/app:2")[0]
    host.guest.run("touch /tmp/stop")
    missing, seen = map(int, watcher.wait().stdout.split())
    assert (missing, seen > 3) == (0, True)

    assert done["old_id"] == old_id
    assert set(done["tags"]) == TAGS == tags_of(host, done["new_id"])
    new = host.inspect("image", "lab/app:2")
    old = host.inspect("image", old_id)
    assert new["Config"]["Labels"] == {"protected": "true"}
    assert new["RootFS"] == old["RootFS"]
    assert {**new["Config"], "Labels": None, "Image": ""} == {
        **old["Config"],
        "Labels": None,
        "Image": "",
    }
    assert world.used_blocks(host) == used

    again = salt_call(host.guest, "dockerstorage.protect", "lab/app:latest")[0]
    assert (again["changed"], again["tags"]) == (False, [])
    assert host.inspect("image", "lab/app:2")["Id"] == done["new_id"]

    salt_call(host.guest, "dockerstorage.prune")
    assert world.names(host)["image"] >= TAGS

    back = salt_call(host.guest, "dockerstorage.unprotect", "lab/app:2")[0]
    assert back["new_id"] == old_id
    assert tags_of(host, old_id) == TAGS
    gone = host.guest.run(["docker", "image", "inspect", done["new_id"]], check=False)
    assert gone.status != 0


def test_labels_with_odd_characters(fresh_direct_host: Host) -> None:
    label = 'it\'s "odd" $HOME=a=b, c'
    done = salt_call(fresh_direct_host.guest, "dockerstorage.protect", "lab/unused:1", label=label)[
        0
    ]
    config = fresh_direct_host.inspect("image", done["new_id"])["Config"]
    assert config["Labels"] == {'it\'s "odd" $HOME': "a=b, c"}
    kept = salt_call(fresh_direct_host.guest, "dockerstorage.prune", protect=[label], test=True)
    protected = {i["name"] for i in kept["plan"]["keep"] if "protected by label" in i["reason"]}
    assert protected == {"lab/unused:1"}


def test_an_image_that_a_build_on_top_would_change_is_refused(direct_host: Host) -> None:
    host = direct_host
    host.guest.run("printf 'FROM lab/base:1\\nONBUILD ENV a=b\\n' | docker build -t onbuild:1 -")
    before = world.state(host)
    refused = host.guest.run("salt-call --local dockerstorage.protect onbuild:1", check=False)
    assert refused.status != 0
    assert "ONBUILD" in refused.stderr
    assert world.state(host) == before
    host.docker("rmi", "onbuild:1")


def test_several_images_or_none(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    before = world.state(host)
    refused = host.guest.run(
        "salt-call --local dockerstorage.protect '[lab/unused:1, lab/nope:1]'", check=False
    )
    assert "there is no image 'lab/nope:1'" in refused.stderr
    assert world.state(host) == before
    both = salt_call(host.guest, "dockerstorage.protect", ["lab/unused:1", "lab/used:1"])
    assert [one["changed"] for one in both] == [True, True]


def test_a_label_of_the_images_own_build_is_not_taken_away(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    host.guest.run(
        "tar -C $(mktemp -d) -c . | docker import -c 'LABEL protected=true' - own:1;"
        "printf 'FROM lab/base:1\nLABEL protected=true other=1\n' | docker build -t two:1 -"
    )
    before = world.state(host)
    for image, label, why in (
        ("own:1", "protected=true", "part of how the image was built"),
        ("two:1", "protected=true", "part of how the image was built"),
        ("lab/overridden:1", "protected", "inherited from the image"),
    ):
        refused = host.guest.run(
            f"salt-call --local dockerstorage.unprotect {image} label={label}", check=False
        )
        assert refused.status != 0
        assert "was not added by dockerstorage.protect" in refused.stderr
        assert why in refused.stderr
    assert world.state(host) == before
