"""A bundle as an import reads it: what is damaged is named before anything is made of it."""

import io
from dataclasses import replace

import pytest

from dockerstorage_lib.errors import Damaged
from dockerstorage_lib.import_choice import choose
from dockerstorage_lib.import_options import read_options
from dockerstorage_lib.import_plan import plan_import
from dockerstorage_lib.import_room import loads
from dockerstorage_lib.import_source import Source
from dockerstorage_lib.jobs import Job
from dockerstorage_lib.verification import load
from tests.unit import bundles, importing


def document(image, **changes):
    return {
        "Name": "/web",
        "Image": image,
        "Created": "2026-01-01T00:00:00Z",
        "State": {"Status": "running"},
        "Config": {"Image": "app:1"},
        "Mounts": [{"Type": "volume", "Name": "data", "Destination": "/data"}],
        "HostConfig": {"NetworkMode": "front", "Binds": ["data:/data"]},
    } | changes


@pytest.fixture
def path(tmp_path):
    """A bundle whose container's document is as an engine gives it."""
    (tmp_path / "one").mkdir()
    first = bundles.write_bundle(tmp_path / "first", tmp_path / "one")
    (tmp_path / "two").mkdir()
    bundles.write_bundle(tmp_path / "bundle", tmp_path / "two", document(first.images[0].id))
    return tmp_path / "bundle"


@pytest.fixture
def job():
    return Job("import", "x", lambda _: None, io.StringIO(), 0.0)


def verify(path, job, **options):
    source = Source(path, job)
    found = source.contents(load(path))
    wanted = read_options(**options)
    choice = choose(found, wanted)
    plan = plan_import(found, choice, wanted, importing.world())
    source.verify(plan, found.manifest, loads(plan, found, importing.world()))
    return plan


def test_a_whole_bundle_is_read_to_its_end(path, job):
    plan = verify(path, job)
    assert {one.action for one in plan.steps} == {"create"}
    manifest = load(path)
    read = [manifest.volumes[0].data, manifest.containers[0].changes, *manifest.containers[0].logs]
    read += manifest.layers.values()
    assert job.done_bytes == sum(one.plain_bytes for one in read)


@pytest.mark.parametrize(
    ("pattern", "only", "named"),
    [
        ("volumes/data.tar.zst", "volume:data", "volumes/data.tar.zst"),
        ("containers/*.tar.zst", "web", "containers/"),
        ("containers/*.log.0.zst", "web", ".log.0.zst"),
        ("layers/*", "app:1", "layers/"),
        ("images/*", "app:1", "images/"),
    ],
)
def test_a_flipped_bit_is_found_where_it_matters(path, job, pattern, only, named):
    (file,) = path.glob(pattern)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(Damaged, match=named):
        verify(path, job, only=only)
    others = {"volume:data": "network:front"}.get(only, "volume:data")
    verify(path, job, only=others)


def test_a_document_is_read_before_anything_is_chosen(path, job):
    (file,) = path.glob("networks/*")
    file.write_bytes(b"x")
    with pytest.raises(Damaged, match="networks/"):
        verify(path, job, only="volume:data")


def test_a_configuration_is_the_one_of_its_id(path):
    source, image = Source(path), load(path).images[0]
    assert source.config(image)
    with pytest.raises(Damaged, match="not the one of its id"):
        source.config(replace(image, id="sha256:" + "0" * 64))
    with pytest.raises(Damaged, match="other layers than the manifest"):
        source.config(replace(image, layers=("sha256:" + "0" * 64,)))


def test_a_layer_is_the_one_of_its_digest(path):
    manifest = load(path)
    (record,) = manifest.layers.values()
    source = Source(path)
    with pytest.raises(Damaged, match="its digest is another in the manifest"):
        source._verify_layer("sha256:" + "0" * 64, record)


def test_a_document_beyond_all_measure_is_not_read(path):
    image = load(path).images[0]
    with pytest.raises(Damaged, match="no document has"):
        Source(path).small(replace(image.config, plain_bytes=1 << 40))
