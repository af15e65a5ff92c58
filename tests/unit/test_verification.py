"""A bundle on disk: verified whole, or what is wrong with it is told by file and object."""

import hashlib
import io
import json
import random
import tarfile
from dataclasses import replace

import pytest

from dockerstorage_lib.bundle import MANIFEST
from dockerstorage_lib.errors import Damaged, Refused
from dockerstorage_lib.manifest import files, manifest_text
from dockerstorage_lib.verification import check_tar, load, read_document, verify
from tests.unit.bundles import CONTAINER, pack, write_bundle


@pytest.fixture
def bundle(tmp_path):
    write_bundle(tmp_path / "bundle", tmp_path)
    return tmp_path / "bundle"


def rewrite(bundle, **changes):
    (bundle / MANIFEST).write_text(manifest_text(replace(load(bundle), **changes)))


def test_a_whole_bundle_is_valid(bundle):
    steps = []
    result = verify(bundle, lambda *step: steps.append(step))
    manifest = load(bundle)
    size = sum(record.bytes for _, record in files(manifest))
    assert result == {
        "bundle": str(bundle),
        "id": "1" * 32,
        "created": 1.5e9,
        "host": "host-1",
        "counts": {"images": 1, "layers": 1, "containers": 1, "volumes": 2, "networks": 1},
        "bytes": size,
        "plain_bytes": sum(record.plain_bytes for _, record in files(manifest)),
        "damaged": [],
        "missing": [],
        "not_taken": [
            {"kind": "volume", "id": "remote", "name": "remote", "why": "its driver is 'rexray'"}
        ],
        "valid": True,
    }
    json.dumps(result)
    assert steps[-1] == (size, size)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_any_file_that_is_altered_is_told_with_its_object(bundle):
    for name, record in files(load(bundle)):
        file = bundle / record.path
        whole = file.read_bytes()
        for altered in (
            whole[:-1],
            whole + b"x",
            whole[:5] + bytes([whole[5] ^ 4]) + whole[6:],
            b"",
        ):
            file.write_bytes(altered)
            steps = []
            result = verify(bundle, lambda *step: steps.append(step))  # noqa: B023
            assert [(one["file"], one["object"]) for one in result["damaged"]] == [
                (record.path, name)
            ]
            assert not result["valid"]
            assert steps[-1] == (result["bytes"], result["bytes"])
        file.unlink()
        assert "No such file" in verify(bundle)["damaged"][0]["why"]
        file.write_bytes(whole)
    assert verify(bundle)["valid"]


def test_random_flips_and_cuts_of_a_tar_never_pass(bundle):
    chance = random.Random(1)
    record = load(bundle).volumes[0].data
    file = bundle / record.path
    whole = file.read_bytes()
    for _ in range(200):
        at = chance.randrange(len(whole))
        flipped = bytes([*whole[:at], whole[at] ^ 1 << chance.randrange(8), *whole[at + 1 :]])
        for altered in (whole[:at], flipped):
            file.write_bytes(altered)
            with pytest.raises(Damaged):
                check_tar(bundle, record, "volume data", whiteouts=False)


def hostile(name="../../escape", **fields):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        tar.addfile(info)
    return out.getvalue()


def test_a_hostile_tar_with_right_digests_is_damaged(bundle):
    container = load(bundle).containers[0]
    path = f"containers/{CONTAINER}.tar.zst"
    changes = pack(bundle, path, hostile())
    rewrite(bundle, containers=(replace(container, changes=changes),))
    (found,) = verify(bundle)["damaged"]
    assert (found["file"], found["object"]) == (path, "container web")
    with pytest.raises(Damaged, match="of container web is damaged"):
        check_tar(bundle, changes, "container web", whiteouts=True)


def test_documents_of_other_objects_are_damaged(bundle):
    container = load(bundle).containers[0]
    document = pack(bundle, container.document.path, json.dumps({"Id": "x"}).encode())
    rewrite(bundle, containers=(replace(container, document=document),))
    assert verify(bundle)["damaged"][0]["why"] == f"its Id is not {CONTAINER}"


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_damaged(bundle, content):
    record = pack(bundle, f"containers/{CONTAINER}.json", content)
    with pytest.raises(Damaged):
        read_document(bundle, record)


def test_a_configuration_with_other_layers_is_damaged(bundle):
    manifest = load(bundle)
    digest = hashlib.sha256(b"{}").hexdigest()
    config = pack(bundle, f"images/{digest}.json", b"{}")
    image = replace(manifest.images[0], id=f"sha256:{digest}", config=config)
    rewrite(bundle, images=(image,))
    result = verify(bundle)
    assert result["damaged"][0]["why"] == "its layers are not the ones of the manifest"
    assert result["missing"][0].startswith("container web: image sha256:")


def test_a_volume_that_is_mounted_and_missing_is_told(bundle):
    rewrite(bundle, volumes=())
    result = verify(bundle)
    assert result["missing"] == ["container web: volume data is not in the bundle"]
    assert not result["valid"]


def test_what_is_no_bundle_is_refused(bundle, tmp_path):
    with pytest.raises(Refused, match="there is no bundle"):
        load(tmp_path / "nowhere")
    with pytest.raises(Refused, match="it has no"):
        load(tmp_path)
    with pytest.raises(Refused, match="which is a directory"):
        load(bundle / MANIFEST)
    partial = bundle.rename(tmp_path / ".bundle.partial")
    with pytest.raises(Refused, match="whose export did not end"):
        load(partial)


def test_a_manifest_behind_a_link_is_not_read(bundle, tmp_path):
    (bundle / MANIFEST).rename(tmp_path / "elsewhere")
    (bundle / MANIFEST).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match=r"manifest\.json"):
        verify(bundle)
    (bundle / MANIFEST).unlink()
    (bundle / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(Damaged, match="UTF-8"):
        load(bundle)
